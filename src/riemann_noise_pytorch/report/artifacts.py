"""The pictures that a comparison left on disk: samples, real images, sigma maps, deviation maps."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.report.tensors import Form, read_tensors

Pictures = dict[str, NDArray[np.generic]]

SIGMA = "sigma/"

_IMAGES, _MAPS = Form(4, "u"), Form(3, "f")
_FORMS = {
    "samples": _IMAGES,
    "real": _IMAGES,
    "noise_std_images": _IMAGES,
    "noise_std": _MAPS,
    "sigma": _MAPS,
}


def read_pictures(folder: Path, name: str, needs: str) -> Pictures:
    """Read ``artifacts/<name>.safetensors`` of a comparison folder.

    Args:
        folder: The comparison folder.
        name: The file's name without its ending, as ``real`` or ``euclidean-seed0``.
        needs: The tensor that must be in it.

    Returns:
        Images uint8 (K, C, H, W) under ``samples``, ``real``, ``noise_std_images``; maps float (K, H, W)
        under ``noise_std`` and ``sigma/<layer>``. Tensors of other names are left out.

    Raises:
        InputError: The file is missing, damaged, lacks what it needs or holds it in another shape.
    """
    path = folder / "artifacts" / f"{name}.safetensors"
    tensors = read_tensors(path, _FORMS, "run `riemann-noise compare` again")
    if needs not in tensors:
        raise InputError(f"{path} holds no '{needs}'; run `riemann-noise compare` again")
    return tensors


def sigma_maps(pictures: Pictures) -> dict[str, NDArray[np.generic]]:
    """The sigma maps by layer, shallow layers (small maps) first.

    Args:
        pictures: What :func:`read_pictures` returned.

    Returns:
        Layer name to maps (K, H, W); empty for an arm without Riemannian noise.
    """
    maps = {key.removeprefix(SIGMA): tensor for key, tensor in pictures.items() if key.startswith(SIGMA)}
    return dict(sorted(maps.items(), key=lambda item: (item[1].shape[1] * item[1].shape[2], item[0])))

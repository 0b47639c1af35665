"""The pictures that a comparison left on disk: samples, real images, sigma maps, deviation maps."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from riemann_noise_pytorch.errors import InputError

Pictures = dict[str, NDArray[np.generic]]

SIGMA = "sigma/"

_IMAGES = ("samples", "real", "noise_std_images")


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
    if not path.is_file():
        raise InputError(f"{path} is missing; restore it, or run `riemann-noise compare` again")
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"cannot read {path}: {_one_line(error)}; run `riemann-noise compare` again"
        ) from error
    if needs not in tensors:
        raise InputError(f"{path} holds no '{needs}'; run `riemann-noise compare` again")
    kept = {key: tensor for key, tensor in tensors.items() if key in _IMAGES or _is_map(key)}
    for key, tensor in kept.items():
        _check(tensor, key, path)
    return kept


def sigma_maps(pictures: Pictures) -> dict[str, NDArray[np.generic]]:
    """The sigma maps by layer, shallow layers (small maps) first.

    Args:
        pictures: What :func:`read_pictures` returned.

    Returns:
        Layer name to maps (K, H, W); empty for an arm without Riemannian noise.
    """
    maps = {key.removeprefix(SIGMA): tensor for key, tensor in pictures.items() if key.startswith(SIGMA)}
    return dict(sorted(maps.items(), key=lambda item: (item[1].shape[1] * item[1].shape[2], item[0])))


def _is_map(key: str) -> bool:
    return key == "noise_std" or key.startswith(SIGMA)


def _check(tensor: NDArray[np.generic], key: str, path: Path) -> None:
    axes = 3 if _is_map(key) else 4
    kind = "f" if _is_map(key) else "u"
    if tensor.ndim != axes or tensor.dtype.kind != kind or tensor.size == 0:
        raise InputError(
            f"{path}: '{key}' is {tensor.dtype} {tensor.shape}; run `riemann-noise compare` again"
        )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())

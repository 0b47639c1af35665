"""Images without a download, the same everywhere: scans, photographs, and drawings of known dimension."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from riemann_noise_pytorch.data.imageset import TensorImages
from riemann_noise_pytorch.data.manifold import manifold_images
from riemann_noise_pytorch.data.resizing import as_size, fit, pillow_filter, require_channels
from riemann_noise_pytorch.errors import InputError

PATCH_STRIDE: Final = 16


def digits(
    resolution: int | tuple[int, int] | None = None,
    *,
    channels: int | None = None,
    resize_filter: str = "lanczos",
) -> TensorImages:
    """Handwritten digits: 1,797 scans of 8x8 pixels in 17 grey levels, with their classes 0 to 9.

    Level k of 0..16 becomes round(255 k / 16); the scan is then resized by the stated filter.

    References: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
        Repository, 1998 (its test set, as scikit-learn ships it).

    Args:
        resolution: Side in pixels, or (H, W); None for 16.
        channels: 1 (default), or 3 for the same grey in each channel.
        resize_filter: ``box``, ``bilinear``, ``bicubic``, ``lanczos`` or ``nearest``.

    Returns:
        The set, with labels.

    Raises:
        InputError: The resolution, the filter or the number of channels cannot be had.

    Example:
        >>> digits().image_shape, len(digits())
        ((1, 16, 16), 1797)
    """
    from sklearn.datasets import load_digits

    pillow_filter(resize_filter)
    require_channels(channels, (1, 3))
    size = as_size(16 if resolution is None else resolution)
    scans = load_digits()
    levels = np.rint(scans.images * (255 / 16)).astype(np.uint8)
    resized = [np.asarray(fit(Image.fromarray(level), size, resize_filter)) for level in levels]
    pixels = torch.from_numpy(np.stack(resized)).unsqueeze(1)
    if channels == 3:
        pixels = pixels.repeat(1, 3, 1, 1)
    return TensorImages(pixels, name="digits", labels=torch.from_numpy(scans.target.astype(np.int64)))


def photos(
    resolution: int | tuple[int, int] | None = None,
    *,
    channels: int | None = None,
    resize_filter: str = "lanczos",
) -> TensorImages:
    """Patches of two photographs, a temple and a flower, 640x427 pixels, RGB, cut every 16 pixels.

    The patches are cut at the photographs' own scale, row by row, the temple first; neighbours overlap when
    they are larger than 16 pixels. At 32x32 there are 1,950.

    Args:
        resolution: Side of a patch in pixels, or (H, W); at most 427 by 640; None for 32.
        channels: 3 (default), or 1 for grey (ITU-R 601-2 luma).
        resize_filter: Checked as everywhere; patches are cut to size, so no pixel depends on it.

    Returns:
        The set, without labels.

    Raises:
        InputError: The resolution, the filter or the number of channels cannot be had.

    Example:
        >>> photos().image_shape, len(photos())
        ((3, 32, 32), 1950)
    """
    from sklearn.datasets import load_sample_images

    pillow_filter(resize_filter)
    require_channels(channels, (1, 3))
    height, width = as_size(32 if resolution is None else resolution)
    photographs = [Image.fromarray(image) for image in load_sample_images().images]
    tallest, widest = photographs[0].height, photographs[0].width
    if height > tallest or width > widest:
        raise InputError(
            f"photos cannot be cut into {width}x{height} patches, the photographs are {widest}x{tallest}; "
            f"ask for a resolution of at most {min(tallest, widest)}"
        )
    patches = [_patches(photograph, height, width, channels or 3) for photograph in photographs]
    return TensorImages(torch.cat(patches), name="photos")


BUILTIN_SETS: Final[Mapping[str, Callable[..., TensorImages]]] = MappingProxyType(
    {"digits": digits, "photos": photos}
)
"""The built-in sets of fixed names; each is called with resolution, channels and resize_filter."""
BUILTIN_NAMES: Final = (*BUILTIN_SETS, "manifold-64")
"""Names to show and to suggest; the number is any dimension."""
_MANIFOLD: Final = re.compile(r"manifold-([1-9][0-9]{0,5})")


def builtin_set(name: str) -> Callable[..., TensorImages] | None:
    """Find a built-in set: ``digits``, ``photos``, or ``manifold-D`` for a dimension D of 1 or more.

    Args:
        name: The name.

    Returns:
        What makes the set, called with resolution, channels and resize_filter; None for other names.

    Example:
        >>> builtin_set("manifold-8")(16)
        TensorImages('manifold-8', 10000 images of (1, 16, 16))
    """
    found = _MANIFOLD.fullmatch(name)
    return BUILTIN_SETS.get(name) if found is None else partial(_manifold, int(found[1]))


def _manifold(
    dimension: int,
    resolution: int | tuple[int, int] | None = None,
    *,
    channels: int | None = None,
    resize_filter: str = "lanczos",
) -> TensorImages:
    """Images of known dimension; the filter is checked as everywhere, though they are drawn to size."""
    pillow_filter(resize_filter)
    return manifold_images(dimension, resolution, channels=channels)


def _patches(photograph: Image.Image, height: int, width: int, channels: int) -> Tensor:
    plain = photograph.convert("L" if channels == 1 else "RGB")
    pixels = torch.from_numpy(np.array(plain)).view(photograph.height, photograph.width, channels)
    windows = pixels.unfold(0, height, PATCH_STRIDE).unfold(1, width, PATCH_STRIDE)
    return windows.flatten(0, 1).contiguous()

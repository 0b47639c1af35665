"""The front desk of the data room: one word or path in, a set of images out."""

import os

from riemann_noise_pytorch.data.builtin import BUILTIN_NAMES, builtin_set
from riemann_noise_pytorch.data.folder import DEFAULT_CACHE_MIB, FolderImages
from riemann_noise_pytorch.data.imageset import ImageSet, MirroredImages, TensorImages, to_float, to_uint8
from riemann_noise_pytorch.data.sources import locate
from riemann_noise_pytorch.errors import InputError, unknown_name

__all__ = ["ImageSet", "MirroredImages", "TensorImages", "open_images", "to_float", "to_uint8"]


def open_images(
    data: str | os.PathLike[str],
    *,
    resolution: int | tuple[int, int] | None = None,
    channels: int | None = None,
    resize_filter: str = "lanczos",
    mirror: bool = False,
    skip_bad_images: bool = False,
    cache_mib: float = DEFAULT_CACHE_MIB,
) -> ImageSet:
    """Open a built-in set by name, or a folder or ZIP of images by path.

    A built-in name comes first; a folder that bears such a name is meant by ``./digits``.

    Args:
        data: ``digits``, ``photos``, ``manifold-D`` (drawn images of intrinsic dimension D, such as
            ``manifold-64``), or the path of a folder or a ZIP archive.
        resolution: Side of the square images in pixels, or (H, W). None: 16 for digits, 32 for photos, the
            smallest of 16, 32, 64 and 128 that a manifold fits, the images' own size for a folder or a ZIP.
        channels: 1 for grey, 3 for RGB, 4 for RGBA, or None for what the images have, transparency aside.
        resize_filter: ``box``, ``bilinear``, ``bicubic``, ``lanczos`` or ``nearest``, as in Pillow.
        mirror: Add the left-right mirror image of every image, which doubles the set.
        skip_bad_images: Leave out images of a folder or ZIP that cannot be used; ``skipped`` lists them.
        cache_mib: Decoded images of a folder or ZIP are kept in memory up to this size.

    Returns:
        The images.

    Raises:
        InputError: There is no such set, folder or ZIP, or it cannot be used as asked.

    Example:
        >>> open_images("digits", resolution=16, mirror=True)
        MirroredImages('digits mirrored', 3594 images of (1, 16, 16))
    """
    images: ImageSet
    if isinstance(data, str) and (make := builtin_set(data)) is not None:
        images = make(resolution, channels=channels, resize_filter=resize_filter)
    elif locate(data) is not None:
        images = FolderImages(
            data,
            resolution=resolution,
            channels=channels,
            resize_filter=resize_filter,
            skip_bad_images=skip_bad_images,
            cache_mib=cache_mib,
        )
    else:
        unknown = unknown_name("data name", os.fspath(data), BUILTIN_NAMES)
        raise InputError(
            f"{unknown}, or the path of a folder or a ZIP archive; no such folder or file exists"
        )
    return MirroredImages(images) if mirror else images

"""Bringing images to one size: a centred crop to the asked shape, then one named filter of Pillow."""

from typing import Final, Literal, get_args

from PIL import Image

from riemann_noise_pytorch.errors import InputError, unknown_name

ResizeFilter = Literal["box", "bilinear", "bicubic", "lanczos", "nearest"]
RESIZE_FILTERS: Final[tuple[str, ...]] = get_args(ResizeFilter)
_LARGEST = 16384
_KINDS: Final = {1: "grey", 3: "RGB", 4: "RGBA"}


def fit(image: Image.Image, size: tuple[int, int], resize_filter: str) -> Image.Image:
    """Crop an image around its centre to the asked shape, then resize it.

    The crop is the largest centred box with the asked ratio of height to width; odd margins lose one more
    pixel on the right and at the bottom. An image that already has the asked size is returned as it is.

    Args:
        image: Any image of 8 bits a channel.
        size: (H, W) in pixels.
        resize_filter: One of ``RESIZE_FILTERS``, with Pillow's meaning (antialiased when shrinking, except
            ``nearest``).

    Returns:
        The image of size (H, W), mode unchanged.
    """
    height, width = size
    scale = min(image.width / width, image.height / height)
    across, down = round(width * scale), round(height * scale)
    left, top = (image.width - across) // 2, (image.height - down) // 2
    if (across, down) != image.size:
        image = image.crop((left, top, left + across, top + down))
    return (
        image
        if image.size == (width, height)
        else image.resize((width, height), pillow_filter(resize_filter))
    )


def pillow_filter(name: str) -> Image.Resampling:
    """Find Pillow's filter by name.

    Args:
        name: One of ``RESIZE_FILTERS``.

    Returns:
        The filter.

    Raises:
        InputError: There is no such filter.

    Example:
        >>> pillow_filter("box").name
        'BOX'
    """
    if name not in RESIZE_FILTERS:
        raise unknown_name("resize filter", name, RESIZE_FILTERS)
    return Image.Resampling[name.upper()]


def as_size(resolution: int | tuple[int, int]) -> tuple[int, int]:
    """Read a resolution as (H, W).

    Args:
        resolution: The side of a square, or (H, W), each 1..16384 pixels.

    Returns:
        (H, W).

    Raises:
        InputError: A side is out of range.

    Example:
        >>> as_size(32), as_size((4, 6))
        ((32, 32), (4, 6))
    """
    size = resolution if isinstance(resolution, tuple) else (resolution, resolution)
    if len(size) != 2 or not all(isinstance(side, int) and 1 <= side <= _LARGEST for side in size):
        raise InputError(f"resolution {resolution} cannot be made; ask for 1 to {_LARGEST} pixels a side")
    return size


def require_channels(channels: int | None, valid: tuple[int, ...] = (1, 3, 4)) -> None:
    """Refuse a number of channels that images are not read with.

    Args:
        channels: 1 (grey), 3 (RGB), 4 (RGBA), or None for the images' own.
        valid: Which of them these images have.

    Raises:
        InputError: Another number.
    """
    if channels not in (None, *valid):
        shown = " or ".join(f"{number} ({_KINDS[number]})" for number in valid)
        raise InputError(f"images cannot be read with {channels} channels; ask for {shown}")

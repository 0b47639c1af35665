"""Which images StyleGAN2 can make: a small first block, doubled some times."""

from collections.abc import Iterator

from riemann_noise_pytorch.errors import InputError

FIRST_SIDES = range(4, 8)
"""Pixels on the shorter side of the first block; 8 or more could be halved once more."""
LARGEST_IMAGE = 1024


def block_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Sizes of the blocks of an image, from the first to its own.

    The first block is the image halved until its shorter side has 4 to 7 pixels.

    Args:
        height: Height of the image, at most 1024.
        width: Its width, at most 1024.

    Raises:
        InputError: The image cannot be halved so often; the nearest size that can is named.

    Example:
        >>> block_sizes(16, 20)
        [(4, 5), (8, 10), (16, 20)]
    """
    check_counts(height=height, width=width)
    sizes = [(height, width)]
    while min(sizes[0]) > FIRST_SIDES[-1] and not (sizes[0][0] % 2 or sizes[0][1] % 2):
        sizes.insert(0, (sizes[0][0] // 2, sizes[0][1] // 2))
    if min(sizes[0]) not in FIRST_SIDES or len(sizes) < 2 or max(height, width) > LARGEST_IMAGE:
        near = min(_fitting(height, width), key=lambda fit: abs(fit[0] - height) + abs(fit[1] - width))
        raise InputError(
            f"images of {height}x{width} do not fit StyleGAN2, which doubles a first block with 4 to 7 "
            f"pixels on its shorter side, up to {LARGEST_IMAGE}; the nearest that do are {near[0]}x{near[1]}"
        )
    return sizes


def block_channels(size: tuple[int, int], channel_base: int, channel_max: int) -> int:
    """Channels of a block: the base over its shorter side, as if that had started at 4, at most the most.

    Args:
        size: Height and width of the block.
        channel_base: Channels times side in the wide blocks: 16384 in config e, 32768 in config f.
        channel_max: Most channels of a block, 512 in the paper.

    Example:
        >>> [block_channels((side, side), 16384, 512) for side in (4, 32, 64, 128)]
        [512, 512, 256, 128]
    """
    doublings = (min(size) // FIRST_SIDES[0]).bit_length() - 1
    return max(1, min(channel_base // (FIRST_SIDES[0] << doublings), channel_max))


def check_counts(lowest: int = 1, **counts: object) -> None:
    """Refuse what is no integer, or below the lowest.

    Args:
        lowest: The least that is accepted.
        **counts: Values by name.

    Raises:
        InputError: One of them is refused.
    """
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
            raise InputError(f"{name} is {value!r}, but it must be an integer of {lowest} or more; change it")


def _fitting(height: int, width: int) -> Iterator[tuple[int, int]]:
    """For every shorter side that fits, the image with the nearest longer side; squares for a square."""
    for doublings in range(1, LARGEST_IMAGE.bit_length()):
        step = 2**doublings
        for first in FIRST_SIDES:
            if first * step <= LARGEST_IMAGE:
                longer = first if height == width else max(first, round(max(height, width) / step))
                short, long = first * step, min(longer * step, LARGEST_IMAGE)
                yield (short, long) if height <= width else (long, short)

"""Pictures made of pixels: grids of samples, strips of sigma maps and of deviation maps, as PNG.

Nothing is smoothed: a page enlarges these pictures without interpolation, so that every pixel of a 16x16
image stays one square.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Bytes = NDArray[np.uint8]
Maps = NDArray[np.generic]

SIGNED_COLOURS = "PRGn"
DEVIATION_COLOURS = "magma"


@dataclass(frozen=True)
class Picture:
    """A PNG and its size in pixels."""

    png: bytes
    width: int
    height: int


@dataclass(frozen=True)
class SignedMaps:
    """Maps in a diverging colour scale, white at 0, and what the colours stand for."""

    picture: Picture
    lowest: float
    highest: float
    negative_share: float


def grid(images: Maps, columns: int, rows: int, gap: int = 1) -> Picture:
    """Lay images out row by row with clear gaps.

    Args:
        images: uint8 (K, C, H, W); one channel is drawn grey, three as RGB, of four the
            first three, of others the first.
        columns: Images in a row.
        rows: At most so many rows; fewer if there are not enough images.
        gap: Pixels between neighbours.

    Returns:
        A picture with a transparent ground.
    """
    shown = _rgb(images[: columns * rows])
    return _tile(shown, min(columns, len(shown)), gap)


def strip(images: Maps, tile: tuple[int, int], gap: int) -> Picture:
    """Lay images out in one row, each enlarged to a tile.

    Args:
        images: uint8 (K, C, H, W).
        tile: Height and width of each image in the picture.
        gap: Pixels between neighbours.
    """
    return _tile(_enlarge(_rgb(images), tile), len(images), gap)


def signed_strip(maps: Maps, tile: tuple[int, int], gap: int) -> SignedMaps:
    """Colour maps that may be negative, and lay them out in one row.

    Args:
        maps: float (K, H, W), as sigma of Eq. 16, which has no sign constraint.
        tile: Height and width of each map in the picture.
        gap: Pixels between neighbours.

    Returns:
        The picture, with full colour at the largest magnitude; the range of values; the share below zero.
    """
    values = _finite(maps)
    limit = float(np.abs(values).max())
    coloured = _colour(0.5 + 0.5 * values / (limit or 1.0), SIGNED_COLOURS)
    picture = _tile(_enlarge(coloured, tile), len(maps), gap)
    return SignedMaps(picture, float(values.min()), float(values.max()), float((values < 0).mean()))


def signed_grid(maps: Sequence[Maps], limit: float, tile: tuple[int, int], columns: int, gap: int) -> Picture:
    """Colour maps of sizes of their own that may be negative, and lay them out row by row.

    Args:
        maps: float (H, W) each; of one that is larger than a tile, single pixels are shown.
        limit: The magnitude at full colour.
        tile: Height and width of each map in the picture.
        columns: Maps in a row.
        gap: Pixels between neighbours.
    """
    scaled = [0.5 + 0.5 * _finite(one)[None] / (limit or 1.0) for one in maps]
    tiles = np.concatenate([_enlarge(_colour(one, SIGNED_COLOURS), tile) for one in scaled])
    return _tile(tiles, min(columns, len(tiles)), gap)


def deviation_strip(maps: Maps, limit: float, tile: tuple[int, int], gap: int) -> Picture:
    """Colour maps of standard deviations, and lay them out in one row.

    Args:
        maps: float (K, H, W), not negative.
        limit: The value at the bright end; the same for maps that are to be compared.
        tile: Height and width of each map in the picture.
        gap: Pixels between neighbours.
    """
    return _tile(_enlarge(_colour(_finite(maps) / (limit or 1.0), DEVIATION_COLOURS), tile), len(maps), gap)


def colour_bar(name: str) -> Picture:
    """A colour scale from its low to its high end, 128 pixels by one."""
    return _tile(_colour(np.linspace(0, 1, 128)[None, None], name), 1, 0)


def tile_size(height: int, width: int, least: int) -> tuple[int, int]:
    """The smallest whole multiple of an image's size whose longer side reaches a length.

    Example:
        >>> tile_size(16, 16, 48), tile_size(32, 16, 48), tile_size(128, 128, 48)
        ((48, 48), (64, 32), (128, 128))
    """
    factor = math.ceil(least / max(height, width))
    return factor * height, factor * width


def shrunk(pictures: Maps, longest: int) -> Maps:
    """Average squares of pixels until no side exceeds a length; what is small enough stays as it is.

    Args:
        pictures: (..., H, W).
        longest: The most pixels of a side.

    Returns:
        The same type; rows and columns that fill no square are left out.

    Example:
        >>> shrunk(np.array([[0, 2, 9], [4, 6, 9]], dtype=np.uint8), longest=2)
        array([[3]], dtype=uint8)
    """
    *rest, height, width = pictures.shape
    side = math.ceil(max(height, width) / longest)
    if side == 1 or min(height, width) < side:
        return pictures
    rows, columns = height // side, width // side
    squares = pictures[..., : rows * side, : columns * side].reshape(*rest, rows, side, columns, side)
    means: Maps = squares.astype(np.float64).mean(axis=(-3, -1)).astype(pictures.dtype)
    return means


def _finite(maps: Maps) -> NDArray[np.float64]:
    return np.nan_to_num(np.asarray(maps, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def _colour(values: NDArray[np.float64], name: str) -> Bytes:
    """Values in [0, 1], (K, H, W), as colours (K, H, W, 3)."""
    return np.asarray(mpl.colormaps[name](np.clip(values, 0, 1), bytes=True)[..., :3])


def _rgb(images: Maps) -> Bytes:
    last = np.moveaxis(np.asarray(images, dtype=np.uint8), 1, -1)
    return last[..., :3] if last.shape[-1] in (3, 4) else np.repeat(last[..., :1], 3, axis=-1)


def _enlarge(pictures: Bytes, tile: tuple[int, int]) -> Bytes:
    """Nearest neighbour, also for sizes that do not divide the tile."""
    rows = np.arange(tile[0]) * pictures.shape[1] // tile[0]
    columns = np.arange(tile[1]) * pictures.shape[2] // tile[1]
    return pictures[:, rows][:, :, columns]


def _tile(pictures: Bytes, columns: int, gap: int) -> Picture:
    count, height, width, _ = pictures.shape
    rows = math.ceil(count / columns)
    sheet = np.zeros((rows * (height + gap) - gap, columns * (width + gap) - gap, 4), np.uint8)
    for i, picture in enumerate(pictures):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        sheet[top : top + height, left : left + width] = np.dstack(
            [picture, np.full((height, width), 255, np.uint8)]
        )
    stream = io.BytesIO()
    Image.fromarray(sheet, "RGBA").save(stream, format="PNG", optimize=True)
    return Picture(stream.getvalue(), sheet.shape[1], sheet.shape[0])

r"""Images whose intrinsic dimension is known: soft blobs on a grid, moved, widened and brightened by a code.

The image is cut into cells of equal size; each holds one blob, a Gaussian with four parameters: its place
(x, y), its width and its brightness. With lengths in cells and codes :math:`t_x, t_y, t_w, t_b` in [-1, 1],

.. math::
    I(p) = 2 \sum_{\text{cells } c} b_c \exp\Bigl(-\frac{\|p - q_c\|^2}{2 w_c^2}\Bigr) - 1, \quad
    q_c = c + 0.15\,(t_x, t_y), \quad w_c = 0.25 \cdot 1.2^{\,t_w}, \quad b_c = 0.55 + 0.25\, t_b

A code of d numbers sets the first d of all parameters: every blob's x, then every blob's y, then the widths,
then the brightnesses; what it does not reach stays at 0. The map is smooth and its Jacobian has rank d, so
the images of the cube [-1, 1]^d are a manifold of dimension d in the space of pixels. No sum of blobs exceeds
1, so nothing is clamped.
"""

import math
from fractions import Fraction
from typing import final

import torch
from torch import Tensor

from riemann_noise_pytorch.data.imageset import TensorImages, to_uint8
from riemann_noise_pytorch.data.resizing import as_size, require_channels
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.seeds import derive

SMALLEST_CELL = 4
"""Pixels on a side of a cell: a blob there has 16 pixels for its four parameters."""
PARAMETERS = 4
COUNT = 10_000
DEFAULT_SIDES = (16, 128)
_SHIFT, _WIDTH, _STRETCH = 0.15, 0.25, 1.2
_BRIGHTNESS, _CONTRAST = 0.55, 0.25
_AT_ONCE = 512


@final
class ManifoldRenderer:
    """Draws images of known intrinsic dimension from codes; see the module for the formula.

    Args:
        dimension: Length d of a code, at least 1.
        image_shape: (C, H, W); the channels are equal. Sides of 4 pixels or more; every 16 pixels hold four
            dimensions.

    Raises:
        InputError: The dimension is below 1 or does not fit the image.

    Example:
        >>> renderer = ManifoldRenderer(64, (1, 16, 16))
        >>> renderer.render(renderer.codes(2, seed=0)).shape
        torch.Size([2, 1, 16, 16])
    """

    def __init__(self, dimension: int, image_shape: tuple[int, int, int]) -> None:
        _, height, width = image_shape
        most = largest_dimension(height, width)
        if not 1 <= dimension <= most:
            side = _side(max(1, dimension))
            raise InputError(
                f"the dimension must be 1 to {most} in images of {height}x{width}, not {dimension}; take "
                f"another, or images of {side} pixels a side or more"
            )
        self.dimension = dimension
        self.image_shape = image_shape
        self._grid = _grid(math.ceil(dimension / PARAMETERS), height, width)

    def codes(self, count: int, *, seed: int, first: int = 0) -> Tensor:
        """Draw codes uniformly from the cube.

        Args:
            count: How many.
            seed: Seed of the stream.
            first: Index of the first; each code depends on the seed and its index alone.

        Returns:
            (count, d) in [-1, 1), float64.
        """
        rows = [torch.empty(self.dimension, dtype=torch.float64) for _ in range(count)]
        for index, row in enumerate(rows, start=first):
            stream = torch.Generator().manual_seed(derive(seed, "manifold", index))
            row.uniform_(-1, 1, generator=stream)
        return torch.stack(rows) if rows else torch.empty(0, self.dimension, dtype=torch.float64)

    def render(self, codes: Tensor) -> Tensor:
        """Turn codes into images, differentiably.

        Args:
            codes: (N, d) in [-1, 1], float32 or float64.

        Returns:
            (N, C, H, W) in [-1, 1], of the same dtype.

        Raises:
            InputError: The codes have another shape or are no floats.
        """
        if codes.ndim != 2 or codes.shape[1] != self.dimension or not codes.is_floating_point():
            raise InputError(
                f"codes must be floats of shape (N, {self.dimension}), not {codes.dtype} of shape "
                f"{tuple(codes.shape)}"
            )
        channels, height, width = self.image_shape
        rows, columns = self._grid
        missing = PARAMETERS * rows * columns - self.dimension
        every = torch.cat([codes, codes.new_zeros(len(codes), missing)], dim=1)
        x, y, stretch, light = every.view(-1, PARAMETERS, rows, columns).unbind(1)
        spread = _WIDTH * _STRETCH**stretch
        across = _profiles(torch.arange(columns).to(x) + 0.5 + _SHIFT * x, spread, columns, width)
        down = _profiles(torch.arange(rows).to(y)[:, None] + 0.5 + _SHIFT * y, spread, rows, height)
        down = down * (_BRIGHTNESS + _CONTRAST * light)[..., None]
        image: Tensor = 2 * (down.flatten(1, 2).mT @ across.flatten(1, 2)) - 1
        return image[:, None].repeat(1, channels, 1, 1)


def manifold_images(
    dimension: int,
    resolution: int | tuple[int, int] | None = None,
    *,
    channels: int | None = None,
    count: int = COUNT,
    seed: int = 0,
) -> TensorImages:
    """Draw a set of images of known intrinsic dimension, their codes uniform in the cube.

    Args:
        dimension: The dimension, 1 or more.
        resolution: Side in pixels, or (H, W); None for the smallest of 16, 32, 64 and 128 that it fits.
        channels: 1 (default), or 3 for the same grey in each.
        count: How many images.
        seed: Seed of the codes; image i is the same in sets of any size.

    Returns:
        The set ``manifold-<dimension>``, without labels, in memory.

    Raises:
        InputError: The dimension does not fit the resolution, or a number is out of range.

    Example:
        >>> manifold_images(256, count=3)
        TensorImages('manifold-256', 3 images of (1, 32, 32))
    """
    require_channels(channels, (1, 3))
    if count < 1:
        raise InputError(f"{count} images make no set; ask for 1 or more")
    size = as_size(_default_side(dimension) if resolution is None else resolution)
    renderer = ManifoldRenderer(dimension, (channels or 1, *size))
    parts = []
    for first in range(0, count, _AT_ONCE):
        codes = renderer.codes(min(_AT_ONCE, count - first), seed=seed, first=first)
        parts.append(to_uint8(renderer.render(codes)))
    return TensorImages(torch.cat(parts), name=f"manifold-{dimension}")


def largest_dimension(height: int, width: int) -> int:
    """Say which dimension fits an image of so many pixels.

    Example:
        >>> largest_dimension(16, 16), largest_dimension(32, 32)
        (64, 256)
    """
    return PARAMETERS * (height // SMALLEST_CELL) * (width // SMALLEST_CELL)


def _side(dimension: int) -> int:
    """The smallest side of a square image that a dimension fits."""
    return SMALLEST_CELL * math.ceil(math.sqrt(math.ceil(dimension / PARAMETERS)))


def _default_side(dimension: int) -> int:
    smallest, largest = DEFAULT_SIDES
    return min(largest, max(smallest, 1 << (_side(max(1, dimension)) - 1).bit_length()))


def _grid(blobs: int, height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the largest nearly square cells that are as many as the blobs."""
    sides = sorted({Fraction(side, n) for side in (height, width) for n in range(1, side + 1)}, reverse=True)
    grids = ((int(height / side), int(width / side)) for side in sides)
    return next((rows, columns) for rows, columns in grids if rows * columns >= blobs)


def _profiles(centres: Tensor, spread: Tensor, cells: int, pixels: int) -> Tensor:
    """The blobs along one side, (N, rows, columns, pixels); lengths in cells."""
    at = (torch.arange(pixels).to(centres) + 0.5) * (cells / pixels)
    return torch.exp(-((at - centres[..., None]) / spread[..., None]).square() / 2)

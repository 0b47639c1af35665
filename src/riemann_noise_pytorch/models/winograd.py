r"""Convolution by 3x3 kernels with fewer multiplications: Winograd's minimal filtering.

.. math:: y = A^\top \bigl[ (G g G^\top) \odot (B^\top d B) \bigr] A

A tile d of the features and a kernel g are polynomials: both are evaluated at a few points, multiplied there,
and the result is interpolated. What is multiplied at one point, over all tiles and channels, is a product of
matrices. Tiles of 4x4 results take a quarter of the multiplications, tiles of 2x2 results four ninths; but
evaluations round, those of larger tiles more. So float32 has tiles of 4x4, which make rounding errors two to
ten times as large (2e-6 of the result), and bfloat16 tiles of 2x2, which make them four times as large. An
error is one of its tile: a number that is not finite makes all results of its tiles NaN.

References:
    Lavin and Gray (2016), Fast algorithms for convolutional neural networks, arXiv:1509.09308;
    Winograd (1980), Arithmetic complexity of computations.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

Parts = Sequence[Tensor] | Tensor
ROWS = 256
"""Tiles per thread in one product of matrices: enough for its speed, few enough to stay in the cache. Sums
over samples depend on it, and so on the number of threads."""
MOST_THREADS = 8
"""Threads for which the tiles grow, which bounds the memory: 300 MiB with 512 channels in float32."""


class Filtering(NamedTuple):
    """How tiles of m x m results are made, along one axis; each transform writes into its second argument.

    Attributes:
        size: m, so that a tile has m + 2 features across and is evaluated at m + 2 points.
        kernel: G, (m + 2, 3).
        evaluate: B^T, from m + 2 tensors to m + 2.
        interpolate: A^T, from m + 2 tensors to m. Its row of the point 1 is constant.
        spread: A, from m tensors to m + 2.
    """

    size: int
    kernel: tuple[tuple[float, ...], ...]
    evaluate: Callable[[Parts, Parts], None]
    interpolate: Callable[[Parts, Parts], None]
    spread: Callable[[Parts, Parts], None]


def _evaluate_two(d: Parts, out: Parts) -> None:
    torch.sub(d[0], d[2], out=out[0])
    torch.add(d[1], d[2], out=out[1])
    torch.sub(d[2], d[1], out=out[2])
    torch.sub(d[3], d[1], out=out[3])


def _interpolate_two(m: Parts, out: Parts) -> None:
    torch.add(m[1], m[2], out=out[0])
    torch.sub(m[1], m[2], out=out[1])
    out[0].add_(m[0])
    out[1].add_(m[3])


def _spread_two(y: Parts, out: Parts) -> None:
    out[0].copy_(y[0])
    torch.add(y[0], y[1], out=out[1])
    torch.sub(y[0], y[1], out=out[2])
    out[3].copy_(y[1])


def _evaluate_four(d: Parts, out: Parts) -> None:
    even, odd = torch.sub(d[4], d[2], alpha=4), torch.sub(d[3], d[1], alpha=4)
    torch.add(even, odd, out=out[1])
    torch.sub(even, odd, out=out[2])
    torch.sub(d[4], d[2], out=even)
    torch.sub(d[3], d[1], out=odd)
    torch.add(even, odd, alpha=2, out=out[3])
    torch.sub(even, odd, alpha=2, out=out[4])
    torch.sub(d[4], d[2], alpha=5, out=even)
    torch.add(even, d[0], alpha=4, out=out[0])
    torch.sub(d[5], d[3], alpha=5, out=odd)
    torch.add(odd, d[1], alpha=4, out=out[5])


def _interpolate_four(m: Parts, out: Parts) -> None:
    even, odd, even2, odd2 = m[1] + m[2], m[1] - m[2], m[3] + m[4], m[3] - m[4]
    torch.add(odd, odd2, alpha=2, out=out[1])
    torch.add(even, even2, alpha=4, out=out[2])
    torch.add(even.add_(even2), m[0], out=out[0])
    torch.add(odd.add_(odd2, alpha=8), m[5], out=out[3])


def _spread_four(y: Parts, out: Parts) -> None:
    out[0].copy_(y[0])
    out[5].copy_(y[3])
    even, odd = y[0] + y[2], y[1] + y[3]
    torch.add(even, odd, out=out[1])
    torch.sub(even, odd, out=out[2])
    torch.add(y[0], y[2], alpha=4, out=even)
    torch.add(y[1], y[3], alpha=4, out=odd)
    torch.add(even, odd, alpha=2, out=out[3])
    torch.sub(even, odd, alpha=2, out=out[4])


_AT_TWO = ((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1))
_AT_FOUR = (
    *((1 / 4, 0, 0), (-1 / 6, -1 / 6, -1 / 6), (-1 / 6, 1 / 6, -1 / 6)),
    *((1 / 24, 1 / 12, 1 / 6), (1 / 24, -1 / 12, 1 / 6), (0, 0, 1)),
)
FILTERINGS = {
    torch.bfloat16: Filtering(2, _AT_TWO, _evaluate_two, _interpolate_two, _spread_two),
    torch.float32: Filtering(4, _AT_FOUR, _evaluate_four, _interpolate_four, _spread_four),
}
"""The tiles of each precision."""


def convolved(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, transposed: bool = False) -> Tensor:
    """Convolve with borders of zeros, without a graph.

    Args:
        x: Features, (N, I, H, W), channels last for speed, H and W multiples of the tile's size.
        weight: Kernel, (O, I, 3, 3); (I, O, 3, 3) where transposed.
        bias: (O,), or None.
        transposed: Apply the transpose of the convolution by this kernel, which is the derivative by x.

    Returns:
        (N, O, H, W), channels last.
    """
    kernels = _kernels(weight, transposed)
    samples, _, height, width = x.shape
    shape = (samples, kernels.shape[2], height, width)
    y = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    for part, tiles in _tiles(x):
        _interpolate(torch.bmm(tiles.flatten(2, 4).flatten(0, 1), kernels), bias, y[part])
    return y


def kernel_gradient(x: Tensor, upstream: Tensor) -> Tensor:
    """Differentiate a convolution by its kernel, without a graph.

    Args:
        x: Features, (N, I, H, W), as of the convolution.
        upstream: Derivative by its result, (N, O, H, W).

    Returns:
        (O, I, 3, 3), channels last. In bfloat16, what so many samples give is rounded, and summed in float32.
    """
    dtype = torch.promote_types(x.dtype, torch.float32)
    matrix = _evaluations(x.dtype).to(dtype)
    total = x.new_zeros(len(matrix), upstream.shape[1], x.shape[1], dtype=dtype)
    for part, tiles in _tiles(x):
        of_upstream = _spread(upstream[part]).flatten(2, 4).flatten(0, 1).transpose(1, 2)
        of_x = tiles.flatten(2, 4).flatten(0, 1)
        if x.dtype == dtype:
            total.baddbmm_(of_upstream, of_x)
        else:
            total += torch.bmm(of_upstream, of_x)
    gradient = torch.mm(matrix.t(), total.flatten(1)).view(3, 3, *total.shape[1:]).permute(2, 3, 0, 1)
    return gradient.to(x.dtype, memory_format=torch.channels_last, copy=True)


def _evaluations(dtype: torch.dtype) -> Tensor:
    """Evaluate a kernel at all points of the plane: (points, 9)."""
    line = torch.tensor(FILTERINGS[dtype].kernel, dtype=torch.float64, device="cpu")
    return torch.kron(line, line).to(dtype)


def _kernels(weight: Tensor, transposed: bool) -> Tensor:
    """Kernels at all points: (points, inputs, outputs)."""
    matrix = _evaluations(weight.dtype)
    matrix = matrix.flip(1) if transposed else matrix
    kernels = torch.mm(matrix, weight.reshape(-1, 9).t()).view(-1, *weight.shape[:2])
    return kernels if transposed else kernels.transpose(1, 2)


def _tiles(x: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Evaluate all tiles, some samples at a time: (points down, points across, n, tiles down, across, C).

    A tensor that is given is written over by the next.
    """
    filtering = FILTERINGS[x.dtype]
    size, points = filtering.size, filtering.size + 2
    samples, channels, height, width = x.shape
    down, across = height // size, width // size
    count = max(1, min(samples, ROWS * min(torch.get_num_threads(), MOST_THREADS) // (down * across)))
    padded = x.new_zeros(count, height + 2, width + 2, channels)
    rows = x.new_empty(points, count, down, width + 2, channels)
    tiles = x.new_empty(points, points, count, down, across, channels)
    for start in range(0, samples, count):
        n = min(count, samples - start)
        part = slice(start, start + n)
        padded[:n, 1:-1, 1:-1] = x[part].permute(0, 2, 3, 1)
        lines = [padded[:n, i : i + height : size] for i in range(points)]
        filtering.evaluate(lines, rows[:, :n])
        columns = [rows[:, :n, :, i : i + width : size] for i in range(points)]
        filtering.evaluate(columns, tiles[:, :, :n].transpose(0, 1))
        yield part, tiles[:, :, :n]


def _interpolate(products: Tensor, bias: Tensor | None, y: Tensor) -> None:
    """Write the results of all tiles, from their products (points, tiles, O), into (n, O, H, W)."""
    filtering = FILTERINGS[y.dtype]
    size, points = filtering.size, filtering.size + 2
    if bias is not None:
        products[points + 1] += bias  # at the point 1 of both axes: interpolated, it is constant
    results = _split(y)
    n, down, _, across, _, outputs = results.shape
    columns = products.view(points, points, n, down, across, outputs)
    rows = y.new_empty(size, points, n, down, across, outputs)
    filtering.interpolate(columns, rows)
    filtering.interpolate(rows.unbind(1), results.permute(4, 2, 0, 1, 3, 5))


def _spread(y: Tensor) -> Tensor:
    """Apply A on both sides of all tiles of results; axes as of :func:`_tiles`."""
    filtering = FILTERINGS[y.dtype]
    size, points = filtering.size, filtering.size + 2
    results = _split(y.contiguous(memory_format=torch.channels_last))
    n, down, _, across, _, channels = results.shape
    rows = y.new_empty(points, n, down, across, size, channels)
    spread = y.new_empty(points, points, n, down, across, channels)
    filtering.spread(results.unbind(2), rows)
    filtering.spread(rows.unbind(4), spread.transpose(0, 1))
    return spread


def _split(y: Tensor) -> Tensor:
    """See (n, C, H, W), channels last, as tiles: (n, tiles down, m, tiles across, m, C)."""
    size = FILTERINGS[y.dtype].size
    n, channels, height, width = y.shape
    return y.permute(0, 2, 3, 1).view(n, height // size, size, width // size, size, channels)

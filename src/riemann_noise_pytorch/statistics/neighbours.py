r"""Nearest neighbours, exactly: products of matrices find candidates, differences measure them.

For centred points scaled into the unit ball, a product of matrices gives
:math:`|y|^2 - 2 x^\top y = |x - y|^2 - |x|^2` with an error that is bounded, in whatever order it sums, by

.. math:: E = \tfrac{1}{4} (1.01\, d + 16)\, \varepsilon\, (|x| + \max_y |y|)^2

with the spacing epsilon of the arithmetic: the d roundings of the sum, and those of its input and its result.
The points with the smallest products are candidates, some more than asked for; their distances are measured
again as norms of float64 differences. If the k-th of these is below the products of all other points by E,
nothing nearer was overlooked. Where that cannot be said in float32, as for very near points in a wide set, it
is tried in float64; where it cannot there, as for copies and other ties, every point is measured.

So the distances are exact to the roundings of float64, and neither blocks nor threads change which they are.
"""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.statistics.products import keeps_float32
from riemann_noise_pytorch.statistics.sampling import Progress

QUERIES = 8192
"""Queries of a block of products."""
BLOCK = 4096
"""Points of a block of products: 128 MiB in float32."""
SPARE = 12
"""Candidates beyond those asked for: the more, the more seldom the roundings matter."""
LARGEST_BLOCK = 2**25
"""Numbers of a block of points or queries: 256 MiB in float64; long vectors come in smaller blocks."""
NUMBERS_AT_ONCE = 2**19
"""Differences at once, in float64: 4 MiB, which stay in the cache."""


@dataclass(frozen=True)
class Neighbours:
    """The nearest neighbours of a set of queries among a set of points.

    Attributes:
        distances: Euclidean, ascending, (Q, k), float64.
        indices: Which points these are, (Q, k), int64; of equal distances, any.
        points: The number of points.
        own: Whether the points are their own queries, in order; a point is then no neighbour of itself.
    """

    distances: Tensor
    indices: Tensor
    points: int
    own: bool


def nearest(
    points: Tensor, k: int, *, queries: Tensor | None = None, progress: Progress | None = None
) -> Neighbours:
    """Find the k nearest neighbours exactly.

    For Q queries among N points of d numbers this costs 2 Q N d operations in float32 (in float64 on
    accelerators, and where torch may round products of float32 further), 3 Q (k + 12) d in float64, and about
    0.6 GiB beside the points.

    Args:
        points: (N, d), finite floats.
        k: How many neighbours, at least 1 and below N (at most N for given queries).
        queries: Whose neighbours are sought, (Q, d), on the device of the points; the points themselves by
            default, where a copy of a point counts as its neighbour at distance 0.
        progress: Called as ``progress(done, total)`` with counts of queries.

    Returns:
        Distances and indices.

    Raises:
        InputError: Shapes, types or k do not fit.
        NonFiniteError: A number is NaN or infinite; the message names the first row.

    Example:
        >>> found = nearest(torch.tensor([[0.0], [1.0], [3.0]]), 2)
        >>> found.distances.tolist(), found.indices.tolist()
        ([[1.0, 3.0], [1.0, 2.0], [2.0, 3.0]], [[1, 2], [0, 2], [1, 0]])
    """
    own = queries is None
    asked = points if queries is None else queries
    _check(points, asked, k, own)
    search = _Search(points.detach(), asked.detach(), k, own)
    waiting, done = torch.arange(len(asked), device=points.device), 0
    for dtype in _dtypes(points.device):
        unsure = [waiting[:0]]
        for rows in torch.split(waiting, search.block(QUERIES)):
            unsure.append(search.by_products(rows, dtype))
            done += len(rows) - len(unsure[-1])
            if progress is not None:
                progress(done, len(asked))
        waiting = torch.cat(unsure)
        if not len(waiting):
            break
    for row in waiting.tolist():
        search.by_differences(row)
    if progress is not None:
        progress(len(asked), len(asked))
    return Neighbours(search.distances, search.indices, len(points), own)


@final
class _Search:
    """Points about a common centre within the unit ball, and the neighbours found so far."""

    def __init__(self, points: Tensor, queries: Tensor, k: int, own: bool) -> None:
        self._points, self._queries, self._k, self._own = points, queries, k, own
        self._centre = points[: self.block(BLOCK)].double().mean(dim=0)  # any point near them serves
        self._scale = 1.0
        squares = [self._squares(points), self._squares(queries)]
        largest = max(float(values.amax()) for values in squares) ** 0.5
        self._scale = largest or 1.0
        self._point_squares, self._query_squares = (values / self._scale**2 for values in squares)
        self.distances = self._centre.new_zeros(len(queries), k)
        self.indices = torch.zeros_like(self.distances, dtype=torch.int64)

    def block(self, most: int) -> int:
        """How many vectors make a block."""
        return max(1, min(most, LARGEST_BLOCK // self._points.shape[1]))

    def by_products(self, rows: Tensor, dtype: torch.dtype) -> Tensor:
        """Find the neighbours of some queries; those of which it is not sure."""
        available = len(self._points) - self._own
        candidates, beyond = self._candidates(rows, min(self._k + SPARE, available), dtype)
        distances, order = self._measured(rows, candidates).sort(dim=1, stable=True)
        self.distances[rows] = distances[:, : self._k]
        self.indices[rows] = candidates.gather(1, order)[:, : self._k]
        if candidates.shape[1] == available:
            return rows[:0]
        return rows[(distances[:, self._k - 1] / self._scale).square() > beyond - self._error(rows, dtype)]

    def by_differences(self, row: int) -> None:
        """Measure the distances of one query to all points."""
        query = self._queries[row].double()
        size = max(1, NUMBERS_AT_ONCE // self._points.shape[1])
        parts = [
            torch.linalg.vector_norm(torch.sub(part, query), dim=1)
            for part in torch.split(self._points, size)
        ]
        distances = torch.cat(parts)
        if self._own:
            distances[row] = torch.inf
        found = distances.sort(stable=True)
        self.distances[row], self.indices[row] = found.values[: self._k], found.indices[: self._k]

    def _candidates(self, rows: Tensor, count: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Points of the smallest products, (rows, count) by index, and the largest of these, (rows,).

        No other point has a smaller product; the squared lengths of the queries are added.
        """
        x = self._scaled(self._queries[rows], dtype)
        least = x.new_full((len(rows), count), torch.inf)
        chosen = torch.zeros_like(least, dtype=torch.int64)
        size = self.block(BLOCK)
        for first in range(0, len(self._points), size):
            y = self._scaled(self._points[first : first + size], dtype)
            products = torch.addmm(self._point_squares[first : first + size].to(dtype), x, y.mT, alpha=-2)
            if self._own:
                _leave_out(products, rows - first)
            found = products.topk(min(count, len(y)), dim=1, largest=False, sorted=False)
            least, kept = torch.cat([least, found.values], dim=1).topk(
                count, dim=1, largest=False, sorted=False
            )
            chosen = torch.cat([chosen, found.indices + first], dim=1).gather(1, kept)
        return chosen.sort(dim=1).values, least.amax(dim=1).double() + self._query_squares[rows]

    def _measured(self, rows: Tensor, candidates: Tensor) -> Tensor:
        """Distances of queries to their candidates, (rows, count), from float64 differences."""
        count, d = candidates.shape[1], self._points.shape[1]
        size = max(1, NUMBERS_AT_ONCE // (count * d))
        parts = []
        for some, theirs in zip(torch.split(rows, size), torch.split(candidates, size), strict=True):
            differences = torch.sub(self._points[theirs], self._queries[some].double()[:, None])
            parts.append(torch.linalg.vector_norm(differences, dim=2))
        return torch.cat(parts)

    def _error(self, rows: Tensor, dtype: torch.dtype) -> Tensor:
        reach = self._query_squares[rows].sqrt() + self._point_squares.amax().sqrt()
        return (1.01 * self._points.shape[1] + 16) * torch.finfo(dtype).eps / 4 * reach.square()

    def _scaled(self, part: Tensor, dtype: torch.dtype) -> Tensor:
        return torch.sub(part, self._centre).div_(self._scale).to(dtype)

    def _squares(self, vectors: Tensor) -> Tensor:
        return torch.cat(
            [
                self._scaled(part, torch.float64).square_().sum(dim=1)
                for part in torch.split(vectors, self.block(BLOCK))
            ]
        )


def _leave_out(products: Tensor, own: Tensor) -> None:
    """Make every query its own farthest point; ``own`` says where its column would be."""
    rows = ((own >= 0) & (own < products.shape[1])).nonzero()[:, 0]
    products[rows, own[rows]] = torch.inf


def _dtypes(device: torch.device) -> tuple[torch.dtype, ...]:
    """In which precisions products are tried: in float32 only where it is not rounded to fewer digits."""
    precise = device.type == "cpu" and keeps_float32()
    return (torch.float32, torch.float64) if precise else (torch.float64,)


def _check(points: Tensor, queries: Tensor, k: int, own: bool) -> None:
    for name, rows in (("points", points), ("queries", queries)):
        if rows.ndim != 2 or 0 in rows.shape or not rows.is_floating_point():
            raise InputError(
                f"{name} must be floats in rows (N, d), not {rows.dtype} of shape {tuple(rows.shape)}; "
                "flatten images by .flatten(1), and turn integers into floats"
            )
        bad = ~rows.isfinite().all(dim=1)
        if bad.any():
            raise NonFiniteError(
                f"row {int(bad.nonzero()[0])} of the {name} is NaN or infinite; leave it out"
            )
    if points.shape[1] != queries.shape[1]:
        raise InputError(
            f"queries of {queries.shape[1]} numbers have no distance to points of {points.shape[1]}; "
            "give both the same features"
        )
    available = len(points) - own
    if not 1 <= k <= available:
        raise InputError(
            f"{k} neighbours cannot be found among {available} other points; ask for 1 to {available}, or "
            "give more points"
        )

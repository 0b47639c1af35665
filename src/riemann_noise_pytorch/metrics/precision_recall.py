r"""Precision and recall: which generated images lie among the real ones, and which real ones are reached.

A set of features is covered by balls, one about each vector, with the distance to its k-th nearest
neighbour in the set as radius. A vector lies in the manifold of a set X if a ball of X holds it, the
surface included:

.. math:: \exists\, x \in X: \lVert y - x \rVert \le r_k(x)

Precision is the share of generated vectors in the manifold of the real ones; recall, of real vectors in
that of the generated ones. An identical copy counts as a neighbour, at distance 0.

Distances come from products of matrices, block by block, as :math:`|x|^2 + |y|^2 - 2 x^\top y` of float64
values about the middle of the real features. A vector counts as on the surface if the difference is within
the rounding of that formula, so that ties and copies do not depend on it, nor on the size of a block.

Both shares depend on the number of images, and a resampled set has copies, whose balls are empty: there is no
bootstrap interval. Draw new images several times and use
:func:`~riemann_noise_pytorch.statistics.intervals.redraw_interval`.

References:
    Kynkaanniemi, Karras, Laine, Lehtinen and Aila, Improved precision and recall metric for assessing
    generative models, NeurIPS 2019.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.metrics.feature_rows import check_pair
from riemann_noise_pytorch.statistics.sampling import Progress

NEIGHBOURS = 3
"""Kynkaanniemi et al.: k = 3 in VGG16's features of 50,000 images."""
SMALLEST = NEIGHBOURS + 1
"""With k neighbours, k + 1 images: each must have a k-th other."""
BLOCK = 2048
"""Vectors on either side of a block of distances: 32 MiB in float64."""
NUMBERS_AT_ONCE = 2**23
"""Features of one side in memory at once, in float64: 64 MiB."""
ROUNDING = 4 * torch.finfo(torch.float64).eps
"""Times d and the squared norms: bounds the rounding of the three products of a squared distance."""


@dataclass(frozen=True)
class PrecisionRecall:
    """Two shares.

    Attributes:
        precision: Share of generated images among the real ones, in [0, 1].
        recall: Share of real images that the generated ones reach, in [0, 1].
        neighbours: The k of the k-th neighbour.
    """

    precision: float
    recall: float
    neighbours: int


def precision_recall(
    fake: Tensor, real: Tensor, *, neighbours: int = NEIGHBOURS, progress: Progress | None = None
) -> PrecisionRecall:
    """Compute precision and recall by k nearest neighbours.

    For N images on either side this costs 4 N^2 d operations in float64 and about 0.3 GiB beside the
    features, whatever N.

    Args:
        fake: Features of generated images, (N, d), more than ``neighbours``.
        real: Features of real images, (M, d), more than ``neighbours``, on the same device.
        neighbours: Which nearest neighbour sets the radius, at least 1.
        progress: Called as ``progress(done, total)`` with counts of blocks of distances.

    Returns:
        Both shares.

    Raises:
        InputError: Too few images, features that do not fit, or ``neighbours`` below 1.
        NonFiniteError: A feature is NaN or infinite; the message names the first image.

    Example:
        >>> real = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
        >>> precision_recall(real[:100], real).precision, precision_recall(real + 9, real).recall
        (1.0, 0.0)
    """
    if neighbours < 1:
        raise InputError(f"neighbour {neighbours} has no distance; give 1 or more, {NEIGHBOURS} is usual")
    check_pair(fake, real, neighbours + 1)
    centre = real[:BLOCK].detach().double().mean(dim=0)  # any point near the features serves
    generated, given = _Vectors(fake.detach(), centre), _Vectors(real.detach(), centre)
    steps = _counted(generated, given, progress)
    fake_radii = _squared_radii(generated, neighbours, steps)
    real_radii = _squared_radii(given, neighbours, steps)
    precise, recalled = _covered(generated, given, fake_radii, real_radii, steps)
    return PrecisionRecall(float(precise.double().mean()), float(recalled.double().mean()), neighbours)


@final
class _Vectors:
    """Features about a common centre, read block by block in float64, with their squared lengths."""

    def __init__(self, features: Tensor, centre: Tensor) -> None:
        self._features, self._centre = features, centre
        size = max(1, min(BLOCK, NUMBERS_AT_ONCE // features.shape[1]))
        self.slices = [slice(at, at + size) for at in range(0, len(features), size)]
        self.squares = torch.cat([self.block(at).square_().sum(dim=1) for at in self.slices])

    def block(self, at: slice) -> Tensor:
        return torch.sub(self._features[at], self._centre)


def _counted(generated: _Vectors, given: _Vectors, progress: Progress | None) -> Iterator[None]:
    """Report one more block of distances each time it is advanced."""
    fakes, reals = len(generated.slices), len(given.slices)
    total = fakes * (fakes + 1) // 2 + reals * (reals + 1) // 2 + fakes * reals
    for done in range(1, total + 1):
        if progress is not None:
            progress(done, total)
        yield


def _squared_radii(vectors: _Vectors, neighbours: int, steps: Iterator[None]) -> Tensor:
    """Squared distances to the k-th nearest other vector, (N,); each pair of blocks is multiplied once."""
    nearest = vectors.squares.new_full((len(vectors.squares), neighbours + 1), torch.inf)
    for i, a in enumerate(vectors.slices):
        x = vectors.block(a)
        for b in vectors.slices[i:]:
            squared = _squared_distances(x, vectors.block(b), vectors.squares[a], vectors.squares[b])
            nearest[a] = _smallest(nearest[a], squared)
            if b != a:
                nearest[b] = _smallest(nearest[b], squared.mT)
            next(steps)
    return nearest.amax(dim=1)


def _covered(
    generated: _Vectors, given: _Vectors, fake_radii: Tensor, real_radii: Tensor, steps: Iterator[None]
) -> tuple[Tensor, Tensor]:
    """Which generated vectors lie in a ball of a real one, (N,), and which real ones the reverse, (M,).

    The squared lengths are shortened by the rounding, which shortens the squared distances by as much.
    """
    shorter = 1 - ROUNDING * given.block(slice(1)).shape[1]
    precise = torch.zeros_like(fake_radii, dtype=torch.bool)
    recalled = torch.zeros_like(real_radii, dtype=torch.bool)
    for a in generated.slices:
        x, x_squares = generated.block(a), generated.squares[a] * shorter
        for b in given.slices:
            squared = _squared_distances(x, given.block(b), x_squares, given.squares[b] * shorter)
            precise[a] |= (squared <= real_radii[b]).any(dim=1)
            recalled[b] |= (squared <= fake_radii[a, None]).any(dim=0)
            next(steps)
    return precise, recalled


def _squared_distances(x: Tensor, y: Tensor, x_squares: Tensor, y_squares: Tensor) -> Tensor:
    return torch.addmm(y_squares, x, y.mT, alpha=-2).add_(x_squares[:, None])


def _smallest(known: Tensor, more: Tensor) -> Tensor:
    """The smallest numbers of each row of both, as many as are known."""
    count = known.shape[1]
    found = more.topk(min(count, more.shape[1]), dim=1, largest=False, sorted=False).values
    return torch.cat([known, found], dim=1).topk(count, dim=1, largest=False, sorted=False).values

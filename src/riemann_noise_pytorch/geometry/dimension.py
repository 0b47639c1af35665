r"""How many dimensions a set of points has, from the distances to nearest neighbours.

Where the density about a point is even, the number of points within a distance t grows as :math:`t^d`, and
the ratios of distances to neighbours tell d, whatever the density. In high dimensions no neighbour is near
enough for that, and both estimates fall short (of 20,000 points of a Gaussian in 32 dimensions the first
finds 24, the second 26), so they compare sets of equal size better than they measure. Pixels that are
rounded, or other noise, add dimensions at distances as small as the noise.

An interval tells how far the estimate would move with other points of the same kind, by the infinitesimal
jackknife: the derivative of the estimate in the weight of each point, squared and summed, over pairs of
neighbours too, since these share distances. It does not cover the bias.

References:
    Levina and Bickel, Maximum likelihood estimation of intrinsic dimension, NeurIPS 2005.
    MacKay and Ghahramani, Comments on "Maximum likelihood estimation of intrinsic dimension", 2005.
    Facco, d'Errico, Rodriguez and Laio, Estimating the intrinsic dimension of datasets by a minimal
    neighborhood information, Scientific Reports 2017.
    Jaeckel, The infinitesimal jackknife, Bell Laboratories memorandum 1972.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.statistics.intervals import Interval, critical_t
from riemann_noise_pytorch.statistics.neighbours import Neighbours

USUAL_NEIGHBOURS = 20
SMALLEST = 50
"""Points below which a local density means little."""


@dataclass(frozen=True)
class DimensionEstimate:
    """An intrinsic dimension.

    Attributes:
        value: The estimate.
        interval: It with its sampling interval, which does not cover the bias.
        k: Neighbours of each point that were used.
        count: Number of points whose neighbours were used.
        method: ``MLE, k = 20`` or ``TwoNN``.
        local: Each point's own estimate, from its neighbours alone, (count,), float64.
    """

    value: float
    interval: Interval
    k: int
    count: int
    method: str
    local: Tensor


def mle_dimension(
    neighbours: Neighbours, k: int = USUAL_NEIGHBOURS, *, level: float = 0.95
) -> DimensionEstimate:
    r"""Maximum likelihood from the distances T_j to the first k neighbours, averaged over points as inverses.

    .. math::
        \hat d = \Bigl( \frac1N \sum_i \hat m_i^{-1} \Bigr)^{-1}, \quad
        \hat m_i^{-1} = \frac{1}{k-1} \sum_{j=1}^{k-1} \log \frac{T_k(i)}{T_j(i)}

    The inverse of a point's own estimate has the mean 1/d if the sum is divided by k - 1; k - 2 would make
    the estimate itself unbiased. It is inverses that are averaged (MacKay and Ghahramani: the maximum
    likelihood of all points together), so k - 1 it is; averaging the estimates, as Levina and Bickel do,
    would need k - 2.

    References: Levina and Bickel 2005; MacKay and Ghahramani 2005.

    Args:
        neighbours: From :func:`~riemann_noise_pytorch.statistics.neighbours.nearest`, k or more of each of at
            least 50 points.
        k: How many to use, 2 or more; 20 is usual.
        level: Coverage of the interval, in (0, 1).

    Returns:
        The estimate.

    Raises:
        InputError: Too few points or neighbours, copies among the points, or all neighbours equally far.

    Example:
        >>> from riemann_noise_pytorch.statistics.neighbours import nearest
        >>> plane = torch.randn(500, 2, generator=torch.Generator().manual_seed(0)) @ torch.eye(2, 9)
        >>> round(mle_dimension(nearest(plane, 20)).value)
        2
    """
    distances = _checked(neighbours, k)
    logs = distances.log()
    inverse = (logs[:, -1:] - logs[:, :-1]).sum(dim=1) / (k - 1)
    if float(inverse.sum()) <= 0:
        raise InputError(
            f"the first {k} neighbours of every point are equally far, which tells no dimension; take more "
            "neighbours, or points that lie on no grid"
        )
    interval = _jackknife(lambda weights: 1 / (weights @ inverse), neighbours, k, level)
    return DimensionEstimate(interval.value, interval, k, len(inverse), f"MLE, k = {k}", 1 / inverse)


def twonn_dimension(
    neighbours: Neighbours, *, discard: float = 0.1, level: float = 0.95
) -> DimensionEstimate:
    r"""Fit the distribution of the ratio mu of the distances to the second and to the first neighbour.

    .. math:: -\log(1 - F(\mu)) = d \log \mu, \quad F(\mu_i) = i / N

    with the ratios in ascending order, i counted from 1, the line through the origin, and the largest ratios
    left out: a given share of them, and in any case the last, where F is 1.

    References: Facco, d'Errico, Rodriguez and Laio 2017.

    Args:
        neighbours: From :func:`~riemann_noise_pytorch.statistics.neighbours.nearest`, 2 or more of each of at
            least 50 points.
        discard: Share of the points, those of the largest ratios, that is left out, in [0, 1).
        level: Coverage of the interval, in (0, 1).

    Returns:
        The estimate; a point's own is 1 / log mu.

    Raises:
        InputError: Too few points or neighbours, copies among the points, a share out of range, or all
            neighbours equally far.

    Example:
        >>> from riemann_noise_pytorch.statistics.neighbours import nearest
        >>> plane = torch.randn(500, 2, generator=torch.Generator().manual_seed(0)) @ torch.eye(2, 9)
        >>> round(twonn_dimension(nearest(plane, 2)).value)
        2
    """
    if not 0 <= discard < 1:
        raise InputError(f"the share that is left out must be in [0, 1), not {discard:g}; 0.1 is usual")
    distances = _checked(neighbours, 2)
    ratios = distances[:, 1].log() - distances[:, 0].log()
    order = ratios.argsort(stable=True)[: min(int(len(ratios) * (1 - discard)), len(ratios) - 1)]
    kept = ratios[order]
    if len(kept) < 2 or float(kept[-1]) <= 0:
        raise InputError(
            "the first and the second neighbour are equally far for every point that is left, which tells no "
            f"dimension; leave out less than {discard:g}, or give points that lie on no grid"
        )

    def fit(weights: Tensor) -> Tensor:
        share = weights[order]
        heights = -torch.log1p(-share.cumsum(0))
        return (share * kept) @ heights / ((share * kept) @ kept)

    interval = _jackknife(fit, neighbours, 2, level)
    return DimensionEstimate(interval.value, interval, 2, len(ratios), "TwoNN", 1 / ratios)


def _checked(neighbours: Neighbours, k: int) -> Tensor:
    """Distances to the first k neighbours, all positive, (N, k)."""
    count, known = neighbours.distances.shape
    if not 2 <= k <= known:
        raise InputError(
            f"k is {k}, but 2 to {known} neighbours are known; take another k, or search for more"
        )
    if count < SMALLEST or neighbours.points <= 2 * k:
        raise InputError(
            f"{count} of {neighbours.points} points are too few for a dimension by {k} neighbours; give at "
            f"least {max(SMALLEST, 2 * k + 1)}"
        )
    distances = neighbours.distances[:, :k].cpu()
    copies = int((distances[:, 0] == 0).sum())
    if copies:
        raise InputError(
            f"{copies} of {count} points have a copy at distance 0, which tells no dimension; leave copies "
            "out, as by torch.unique(points, dim=0), and search again"
        )
    return distances


def _jackknife(
    estimate: Callable[[Tensor], Tensor], neighbours: Neighbours, k: int, level: float
) -> Interval:
    """The estimate as a function of the points' weights, with its interval on a logarithmic scale."""
    count = len(neighbours.distances)
    with torch.enable_grad():
        weights = torch.full((count,), 1 / count, dtype=torch.float64, requires_grad=True)
        estimated = estimate(weights)
        (slopes,) = torch.autograd.grad(estimated, weights)
    influence = (slopes - slopes.mean()) / count
    variance = float(influence.square().sum())
    if neighbours.own:
        first, second = _pairs(neighbours.indices[:, :k].cpu())
        variance = max(variance, variance + 2 * float((influence[first] * influence[second]).sum()))
    value = float(estimated.detach())
    reach = math.exp(min(700.0, critical_t(count - 1, level) * math.sqrt(variance) / value))
    return Interval(value, value / reach, value * reach, level, "jackknife", count)


def _pairs(indices: Tensor) -> tuple[Tensor, Tensor]:
    """Each pair of points of which one is a neighbour of the other, once."""
    own = torch.arange(len(indices))[:, None].expand_as(indices)
    low, high = torch.minimum(own, indices), torch.maximum(own, indices)
    keys = torch.unique(low * len(indices) + high)
    return keys // len(indices), keys % len(indices)

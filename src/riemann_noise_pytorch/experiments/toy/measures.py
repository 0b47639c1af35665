"""What is measured of generated points: modes found, good points, distance from the plane, gradient noise."""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from riemann_noise_pytorch.experiments.toy.mixtures import Mixture
from riemann_noise_pytorch.experiments.toy.train import ToyTraining

GOOD_STDS: Final = 3.0
"""A point is good within so many deviations of the nearest centre, as in the literature on such mixtures."""
NEAR_SHARE: Final = 1 / 8
"""A point is near a mode within this share of the smallest distance between centres, or where it is good."""
FOUND_SHARE: Final = 0.1
"""A mode is found where it has this share of the near points that it would have in a perfect sample."""
REDRAWS: Final = 32
"""Draws of points and noise from which the variance of a gradient is estimated."""


@dataclass(frozen=True)
class Coverage:
    """How well each member's points cover the mixture, (members,) each.

    Attributes:
        modes: Modes found.
        good: Share of good points.
        height: Mean distance from the plane.
    """

    modes: Tensor
    good: Tensor
    height: Tensor


def reach(mixture: Mixture) -> float:
    """The distance within which a point is near a mode."""
    spacing = torch.pdist(mixture.centres).min().item()
    return max(GOOD_STDS * mixture.std, NEAR_SHARE * spacing)


def is_near(mixture: Mixture, points: Tensor) -> Tensor:
    """Tell which points (..., N, ambient) are near a mode, (..., N)."""
    return _nearest(mixture, points)[0] <= reach(mixture)


def coverage(mixture: Mixture, points: Tensor) -> Coverage:
    """Measure generated points.

    Args:
        mixture: The real points' law.
        points: Generated points, (members, N, ambient).
    """
    distance, nearest = _nearest(mixture, points)
    count = len(mixture.centres)
    taken = torch.zeros(len(points), count, dtype=torch.long)
    taken.scatter_add_(1, nearest, (distance <= reach(mixture)).long())
    enough = max(1.0, FOUND_SHARE * points.shape[1] / count)
    return Coverage(
        modes=(taken >= enough).sum(dim=1),
        good=(distance <= GOOD_STDS * mixture.std).float().mean(dim=1),
        height=mixture.height(points).mean(dim=1),
    )


def _nearest(mixture: Mixture, points: Tensor) -> tuple[Tensor, Tensor]:
    centres = mixture.embed(mixture.centres).to(points)
    distance, nearest = torch.cdist(points, centres, compute_mode="donot_use_mm_for_euclid_dist").min(dim=-1)
    return distance, nearest


@dataclass(frozen=True)
class GradientNoise:
    r"""How much the discriminators' gradients vary between draws, (members,) each.

    .. math:: \mathrm{tr}\,\mathrm{Cov}(g) = \frac{1}{K - 1} \sum_k \|g_k - \bar g\|^2

    Attributes:
        by_noise: With instance noise and no penalty.
        by_penalty: With the penalty and no noise, on the same points.
    """

    by_noise: Tensor
    by_penalty: Tensor


def gradient_noise(training: ToyTraining, redraws: int = REDRAWS) -> GradientNoise:
    """Compare the two ways to smooth at the networks as they are.

    Both gradients are taken at the same weights, on the same draws of real points and latents; instance noise
    adds its own. The smoothing is each member's own: its gamma, or the variance of its noise.

    Args:
        training: Members with a gamma or a noise above 0; it is left as it is.
        redraws: Draws K.
    """
    noisy, analytic = _Spread(), _Spread()
    for draw in range(redraws):
        by_noise, by_penalty = training.smoothed_gradients(draw)
        noisy.add(by_noise)
        analytic.add(by_penalty)
    return GradientNoise(noisy.trace(), analytic.trace())


class _Spread:
    """Sums for the trace of a covariance, in float64, about the first vector that is added."""

    def __init__(self) -> None:
        self._count, self._origin = 0, torch.zeros(())
        self._sum = self._square = torch.zeros((), dtype=torch.float64)

    def add(self, vectors: Tensor) -> None:
        """Add a vector of each member, (members, parameters)."""
        if not self._count:
            self._origin = vectors.double()
        moved = vectors.double() - self._origin
        self._sum, self._square = self._sum + moved, self._square + moved.square().sum(dim=1)
        self._count += 1

    def trace(self) -> Tensor:
        """The trace of the covariance of each member, (members,)."""
        return (self._square - self._sum.square().sum(dim=1) / self._count) / (self._count - 1)

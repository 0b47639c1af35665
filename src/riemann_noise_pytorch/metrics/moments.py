r"""Mean and covariance of features, gathered batch by batch in float64 without storing the features.

A set of n vectors is remembered by its count, its mean and its scatter about that mean,

.. math:: S = \sum_i (x_i - \bar x)(x_i - \bar x)^\top

and two disjoint sets A and B, with :math:`\delta = \bar x_B - \bar x_A`, merge exactly:

.. math:: \bar x = \bar x_A + \frac{n_B}{n}\,\delta, \qquad
          S = S_A + S_B + \frac{n_A n_B}{n}\,\delta\delta^\top

Nothing large is subtracted from anything large, unlike in :math:`\sum x x^\top - n \bar x \bar x^\top`, which
at a mean of 10,000 and a spread of 1 loses half of the digits. Batches, their order and the number of
processes change the result by rounding only.

References:
    Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing sample variances,
    Stanford University, STAN-CS-79-773, 1979.
"""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.metrics.feature_rows import check_rows

SMALLEST = 2
"""One vector has no covariance."""


@final
@dataclass(frozen=True, eq=False)
class Moments:
    """Count, mean and scatter of a set of vectors, in float64 on the CPU.

    Args:
        count: The number of vectors, at least 1.
        mean: Their mean, (d,).
        scatter: The sum of the outer products of what is left without the mean, (d, d).

    Raises:
        InputError: The count is not positive, or shape, dtype or device is another.

    Example:
        >>> features = torch.rand(100, 3, generator=torch.Generator().manual_seed(0))
        >>> joined = Moments.of(features[:30]) + Moments.of(features[30:])
        >>> joined.count, bool(torch.allclose(joined.covariance, features.T.double().cov()))
        (100, True)
    """

    count: int
    mean: Tensor
    scatter: Tensor

    def __post_init__(self) -> None:
        d = self.mean.numel()
        fits = self.mean.shape == (d,) and self.scatter.shape == (d, d) and self.count >= 1
        if not fits or any(
            t.dtype != torch.float64 or t.device.type != "cpu" for t in (self.mean, self.scatter)
        ):
            raise InputError(
                f"moments need a positive count, a mean (d,) and a scatter (d, d) in float64 on the CPU, not "
                f"{self.count}, {tuple(self.mean.shape)} and {tuple(self.scatter.shape)} in "
                f"{self.scatter.dtype}; make them by Moments.of(features)"
            )

    @staticmethod
    def of(features: Tensor) -> "Moments":
        """Take the moments of a batch: one symmetric product, N d^2 operations in float64.

        A merge reads and writes d x d numbers whatever the batch, so batches of about d / 2 vectors or more
        are the cheap ones.

        Args:
            features: One vector an image, (N, d), floating point, on any device; at least 1.

        Returns:
            The moments.

        Raises:
            InputError: The shape or the dtype is another, or there is no vector.
            NonFiniteError: A feature is NaN or infinite; the message names the first image.
        """
        check_rows(features, "given", 1)
        x = features.detach().to("cpu", torch.float64)
        mean = x.mean(dim=0)
        centred = (x - mean).numpy()  # NumPy multiplies it with its own transpose by half of the operations
        return Moments(len(x), mean, torch.from_numpy(centred.T @ centred))

    def __add__(self, other: "Moments") -> "Moments":
        if len(self.mean) != len(other.mean):
            raise InputError(
                f"moments of {len(self.mean)} and of {len(other.mean)} dimensions cannot be merged; "
                "take both from one output of one extractor"
            )
        count = self.count + other.count
        delta = other.mean - self.mean
        mean = self.mean + delta * (other.count / count)
        weight = self.count / count * other.count
        scatter = torch.addr(self.scatter, delta, delta, alpha=weight).add_(other.scatter)
        return Moments(count, mean, scatter)

    @property
    def covariance(self) -> Tensor:
        """The sample covariance, S / (n - 1), (d, d).

        Raises:
            InputError: There are fewer than 2 vectors.
        """
        if self.count < SMALLEST:
            raise InputError(f"{self.count} image has no covariance; give {SMALLEST} or more")
        return self.scatter / (self.count - 1)

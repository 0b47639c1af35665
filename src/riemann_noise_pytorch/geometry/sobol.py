r"""Sobol's shares of the variance of an output of many values, estimated from samples as they come.

Two independent samples A and B, and for each group i of inputs the sample :math:`A_B^{(i)}`: A, with that
group taken from B. With f less its mean, and summed over the values of the output,

.. math::

    S_i V = \frac1n \sum_{j=1}^n f(B)_j \bigl(f(A_B^{(i)})_j - f(A)_j\bigr), \qquad
    T_i V = \frac1{2n} \sum_{j=1}^n \bigl(f(A)_j - f(A_B^{(i)})_j\bigr)^2,

where V is the variance of A and B together. Errors are those of the bootstrap over samples, of the ratios.

References:
    Saltelli et al. (2010), Variance based sensitivity analysis of model output, Table 2 (b), for S.
    Jansen (1999), Analysis of variance designs for model output, for T (there Table 2 (f)).
    Gamboa, Janon, Klein and Lagnoux (2014), Sensitivity analysis for multidimensional and functional outputs.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from riemann_noise_pytorch.seeds import derive
from riemann_noise_pytorch.statistics.intervals import RESAMPLES, Interval

ROUNDINGS = 8
"""Changes of an output below so many roundings of its size are none."""
LEVEL = 0.95
AT_ONCE = 2**20
"""Values drawn at once by the bootstrap: 8 MiB."""


@dataclass(frozen=True)
class Indices:
    """The shares of one group of inputs.

    Attributes:
        first: First-order share of the whole variance, with its 95 % bootstrap interval (percentiles).
        total: Total share, likewise.
        first_error: Standard error of the first-order share, by the bootstrap.
        total_error: Standard error of the total share.
        first_map: First-order share at each position, (...) for outputs (N, C, ...); 0 where nothing varies.
        total_map: Total share at each position.
        ignored: Whether the group changes the output by no more than roundings.
    """

    first: Interval
    total: Interval
    first_error: float
    total_error: float
    first_map: Tensor
    total_map: Tensor
    ignored: bool


@final
class SobolSums:
    """Sums over samples: at every value of the output for the shares, over all values for their errors.

    Args:
        middle: About the mean output, from other samples, (C, ...), float64: squares are taken about it, so
            that what is subtracted from them in the end is small.
        groups: The number of groups.
        dtype: In which the outputs are computed, for what counts as a rounding.

    Example:
        >>> x = torch.randn(3, 1000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        >>> sums = SobolSums(torch.zeros(1, dtype=torch.float64), 2, torch.float64)
        >>> f = lambda u, v: (2 * u + v).unsqueeze(1)
        >>> (u, v), (up, vp) = x[0].T, x[1].T
        >>> sums.add(f(u, v), f(up, vp), [f(up, v), f(u, vp)])
        >>> [round(group.total.value, 1) for group in sums.indices()]
        [0.8, 0.2]
    """

    def __init__(self, middle: Tensor, groups: int, dtype: torch.dtype) -> None:
        self._middle = middle
        self._eps = torch.finfo(dtype).eps
        self._sum, self._squares = torch.zeros_like(middle), torch.zeros_like(middle)
        self._groups = [torch.zeros(3, *middle.shape).to(middle) for _ in range(groups)]
        self._rows: list[Tensor] = []

    def add(self, first: Tensor, second: Tensor, swapped: Iterable[Tensor]) -> None:
        """Add samples.

        Args:
            first: f(A), (N, C, ...).
            second: f(B), of the same shape.
            swapped: f(A_B) for each group, of the same shape; they are taken one after the other.
        """
        a, b = first.double() - self._middle, second.double() - self._middle
        squares = a.square() + b.square()
        self._sum += (a + b).sum(0)
        self._squares += squares.sum(0)
        columns = [_in_all(squares) / 2]
        for sums, output in zip(self._groups, swapped, strict=True):
            step = output.double() - self._middle - a
            product, change = b * step, step.square() / 2
            sums.add_(torch.stack([product.sum(0), step.sum(0), change.sum(0)]))
            columns += [_in_all(product), _in_all(change)]
        self._rows.append(torch.stack(columns, dim=1).cpu())

    @property
    def samples(self) -> int:
        """How many were added."""
        return sum(map(len, self._rows))

    def variance(self) -> Tensor:
        """The variance of each value of the output, (C, ...)."""
        return (self._squares / (2 * self.samples) - self._mean().square()).clamp_min(0).cpu()

    def varies(self) -> bool:
        """Whether the output varies by more than roundings."""
        return float(self.variance().sum()) > self._smallest_change()

    def indices(self, seed: int = 0) -> list[Indices]:
        """Estimate the shares of each group.

        Args:
            seed: Seed of the bootstrap.

        Returns:
            A list in the order of the groups; where the output does not vary at all, all shares are 0.
        """
        if not self.varies():
            return [self.settled(0.0) for _ in self._groups]
        variance, smallest = self.variance(), self._smallest_change()
        repeated = _repeated(torch.cat(self._rows), float(self._mean().square().sum()), seed)
        found = []
        for i, (product, step, change) in enumerate(self._groups):
            alone, in_all = (
                ((product - self._mean() * step) / self.samples).cpu(),
                (change / self.samples).cpu(),
            )
            of_first, of_total = repeated[:, 2 * i : 2 * i + 2].unbind(1)
            shares = Indices(
                first=self._interval(float(alone.sum() / variance.sum()), of_first),
                total=self._interval(float(in_all.sum() / variance.sum()), of_total),
                first_error=float(of_first.std()),
                total_error=float(of_total.std()),
                first_map=_ratio(over_channels(alone), over_channels(variance)),
                total_map=_ratio(over_channels(in_all), over_channels(variance)),
                ignored=float(in_all.sum()) <= smallest,
            )
            found.append(shares)
        return found

    def settled(self, share: float) -> Indices:
        """Shares that need no estimate: 0 where nothing varies, 1 where one group is all there is."""
        map_ = (over_channels(self.variance()) > 0).double() * share
        interval = Interval(share, share, share, LEVEL, "bootstrap", self.samples)
        return Indices(interval, interval, 0.0, 0.0, map_, map_, ignored=share == 0)

    def _mean(self) -> Tensor:
        """The mean output less the middle."""
        return self._sum / (2 * self.samples)

    def _smallest_change(self) -> float:
        size = (self._middle + self._mean()).square().cpu() + self.variance()
        return (ROUNDINGS * self._eps) ** 2 * float(size.sum())

    def _interval(self, share: float, draws: Tensor) -> Interval:
        """Percentiles of the repetitions, which are about the middle, moved onto the share about the mean."""
        tails = torch.tensor([(1 - LEVEL) / 2, (1 + LEVEL) / 2], dtype=draws.dtype)
        low, high = (share + draws.quantile(tails) - draws.mean()).tolist()
        return Interval(share, low, high, LEVEL, "bootstrap", self.samples)


def over_channels(values: Tensor) -> Tensor:
    """Sum outputs (C, ...) over the channels; an output of one axis has none, and stays."""
    return values.sum(0) if values.ndim > 1 else values


def _in_all(values: Tensor) -> Tensor:
    return values.flatten(1).sum(1)


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    return torch.where(whole > 0, part / whole, 0.0)


def _repeated(rows: Tensor, excess: float, seed: int) -> Tensor:
    """Shares of resampled samples, (resamples, 2 groups), about the middle.

    Args:
        rows: Of each sample, half the squares of both members, then for each group the terms of S V and T V.
        excess: Square of the mean less the middle, by which the squares exceed the variance.
        seed: Seed of the resampling.
    """
    generator = torch.Generator().manual_seed(derive(seed, "sobol", "bootstrap"))
    n = len(rows)
    means = torch.empty(RESAMPLES, rows.shape[1], dtype=rows.dtype)
    for block in torch.split(means, max(1, AT_ONCE // n)):
        drawn = torch.randint(n, (len(block), n), generator=generator)
        counts = torch.zeros(len(block), n, dtype=rows.dtype)
        counts.scatter_add_(1, drawn, torch.ones_like(counts))
        torch.mm(counts / n, rows, out=block)
    return means[:, 1:] / (means[:, :1] - excess)

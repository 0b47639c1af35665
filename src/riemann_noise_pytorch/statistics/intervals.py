"""How well one number was measured: the bootstrap for means, redraws for everything else.

A mean over samples (path length, condition number) has a bootstrap interval. A distance between sets of
samples does not: resampling with replacement brings duplicates, which bias it; there, whole sets are drawn
anew. Neither tells whether two kinds of training differ: the runs vary as well, and that spread belongs to
:mod:`~riemann_noise_pytorch.statistics.paired`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special
from torch import Tensor

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.seeds import derive

Values: TypeAlias = Tensor | NDArray[Any] | Sequence[float]
Floats: TypeAlias = NDArray[np.float64]

AT_ONCE = 2**17
"""Values drawn at once by the bootstrap: 1 MiB, which stays in the cache."""
RESAMPLES = 2000
"""Places the 2.5th percentile within 0.35 percent of probability (one standard error)."""


@dataclass(frozen=True)
class Interval:
    """A number with the interval that covers the truth at the stated level.

    Attributes:
        value: The estimate.
        low: Lower end.
        high: Upper end.
        level: Coverage, in (0, 1).
        method: ``bootstrap`` (over samples), ``redraws`` (over independent repetitions) or ``jackknife``
            (by the weight of each sample).
        n: Number of samples or repetitions.
    """

    value: float
    low: float
    high: float
    level: float
    method: Literal["bootstrap", "redraws", "jackknife"]
    n: int

    @property
    def label(self) -> str:
        """The kind of interval in two words, such as ``95 % bootstrap``."""
        return f"{100 * self.level:g} % {self.method}"


def bootstrap_mean(
    values: Values, *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Bias-corrected and accelerated (BCa) bootstrap interval of a mean.

    References:
        Efron, Better bootstrap confidence intervals, JASA 1987.

    Args:
        values: Independent samples, (n,), at least 2.
        level: Coverage, in (0, 1).
        resamples: Number of bootstrap samples; memory does not depend on it.
        seed: Seed of the resampling.

    Returns:
        The mean with its interval.

    Raises:
        InputError: Fewer than 2 values, values that are not finite, a level outside (0, 1), or fewer than 100
            resamples.

    Example:
        >>> interval = bootstrap_mean([1.0, 2.0, 3.0, 4.0])
        >>> interval.value, interval.label
        (2.5, '95 % bootstrap')
    """
    checked = checked_values(values)
    return _bootstrap_ranks(checked, 0, len(checked), level, resamples, seed)


def bootstrap_top_mean(
    values: Values, count: int, *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """BCa bootstrap interval of the mean of the largest values.

    Args:
        values: Independent samples, (n,), at least 2.
        count: How many of the largest are averaged, 1 to n.
        level: Coverage, in (0, 1).
        resamples: Number of bootstrap samples.
        seed: Seed of the resampling.

    Returns:
        The mean of the largest ``count`` values with its interval.

    Raises:
        InputError: As :func:`bootstrap_mean`, or ``count`` out of range.

    Example:
        >>> bootstrap_top_mean([1.0, 2.0, 3.0, 4.0], 2).value
        3.5
    """
    checked = checked_values(values)
    if not 1 <= count <= len(checked):
        raise InputError(
            f"cannot average the largest {count} of {len(checked)} values; choose 1 to {len(checked)}"
        )
    return _bootstrap_ranks(checked, len(checked) - count, len(checked), level, resamples, seed)


def bootstrap_trimmed_mean(
    values: Values,
    percentiles: tuple[float, float] = (1.0, 99.0),
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """BCa bootstrap interval of the mean between two percentiles; every resample is trimmed anew.

    Args:
        values: Independent samples, (n,), at least 2.
        percentiles: The lowest and highest kept, 0 to 100; see :func:`kept_ranks`.
        level: Coverage, in (0, 1).
        resamples: Number of bootstrap samples.
        seed: Seed of the resampling.

    Returns:
        The trimmed mean with its interval; ``n`` counts all values.

    Raises:
        InputError: As :func:`bootstrap_mean`, or percentiles that are out of order or range.

    Example:
        >>> bootstrap_trimmed_mean([-100.0, *range(1, 100), 1000.0]).value
        50.0
    """
    checked = checked_values(values)
    return _bootstrap_ranks(checked, *kept_ranks(len(checked), percentiles), level, resamples, seed)


def kept_ranks(n: int, percentiles: tuple[float, float]) -> tuple[int, int]:
    """Say which sorted values lie between two percentiles.

    The lower percentile is rounded down to a value, the upper one up, and both are kept: NumPy's methods
    ``lower`` and ``higher``, as the reference implementation of the path length has it.

    Args:
        n: Number of values.
        percentiles: The lowest and highest kept, 0 to 100.

    Returns:
        The slice of kept ranks, from 0.

    Raises:
        InputError: The percentiles are out of order or range.

    Example:
        >>> kept_ranks(1000, (1.0, 99.0))
        (9, 991)
    """
    low, high = percentiles
    if not 0 <= low < high <= 100:
        raise InputError(
            f"percentiles must satisfy 0 <= low < high <= 100, not {low:g} and {high:g}; (1, 99) is usual"
        )
    return math.floor((n - 1) * low / 100), math.ceil((n - 1) * high / 100) + 1


def redraw_interval(values: Values, *, level: float = 0.95) -> Interval:
    r"""Interval of the mean of independent repetitions, by Student's t.

    .. math:: \bar x \pm t_{n-1}\, s / \sqrt n

    Args:
        values: One number for each independent redraw, (n,), at least 2.
        level: Coverage, in (0, 1).

    Returns:
        The mean with its interval.

    Raises:
        InputError: Fewer than 2 values, values that are not finite, or a level outside (0, 1).

    Example:
        >>> redraw_interval([1.0, 2.0, 3.0]).value
        2.0
    """
    checked = checked_values(values)
    mean, error = mean_and_error(checked)
    reach = critical_t(len(checked) - 1, level) * error
    return Interval(mean, mean - reach, mean + reach, level, "redraws", len(checked))


def _bootstrap_ranks(
    values: Floats, first: int, last: int, level: float, resamples: int, seed: int
) -> Interval:
    """BCa interval of the mean of the sorted values from rank ``first`` up to, not including, ``last``."""
    _check_level(level)
    if resamples < 100:
        raise InputError(f"{resamples} resamples cannot place a percentile; use at least 100")
    ordered = np.sort(values)
    estimate = float(ordered[first:last].mean())
    if ordered[0] == ordered[-1]:
        return Interval(estimate, estimate, estimate, level, "bootstrap", len(values))
    generator = np.random.default_rng(derive(seed, "bootstrap"))
    draws = np.empty(resamples)
    drawn = len(values) if last - first == len(values) else len(values) - first
    rows = max(1, AT_ONCE // drawn)
    for at in range(0, resamples, rows):
        block = draws[at : at + rows]
        block[:] = _resampled_means(ordered, first, last, len(block), generator)
    influence = np.clip(ordered, ordered[first], ordered[last - 1])
    low, high = np.quantile(draws, _bca_levels(draws, estimate, influence - influence.mean(), level))
    return Interval(estimate, float(low), float(high), level, "bootstrap", len(values))


def _resampled_means(
    ordered: Floats, first: int, last: int, rows: int, generator: np.random.Generator
) -> Floats:
    """Means between ranks of as many resamples, drawn in order from the largest down, as far as needed.

    The logarithms of sorted uniform numbers are sums of exponential ones (Renyi 1953).
    """
    n = len(ordered)
    if last - first == n:
        return np.asarray(ordered[generator.integers(0, n, (rows, n))].mean(axis=1))
    steps = generator.standard_exponential((rows, n - first)) / np.arange(n, first, -1)
    drawn = (n * np.exp(-np.cumsum(steps, axis=1)[:, n - last :])).astype(np.int64)
    return np.asarray(ordered[np.minimum(drawn, n - 1)].mean(axis=1))


def _bca_levels(draws: Floats, estimate: float, influence: Floats, level: float) -> Floats:
    tied = np.abs(draws - estimate) <= 1e-10 * np.ptp(draws)
    below = np.mean((draws < estimate) & ~tied) + np.mean(tied) / 2
    edge = 0.5 / len(draws)
    bias = special.ndtri(np.clip(below, edge, 1 - edge))
    spread = float(np.sum(influence**2))
    acceleration = float(np.sum(influence**3)) / (6 * spread**1.5) if spread > 0 else 0.0
    reach = bias + special.ndtri(np.array([(1 - level) / 2, (1 + level) / 2]))
    return np.asarray(special.ndtr(bias + reach / (1 - acceleration * reach)), dtype=np.float64)


def mean_and_error(values: Floats) -> tuple[float, float]:
    """The mean and its standard error."""
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))


def critical_t(df: int, level: float) -> float:
    """The quantile of Student's t that leaves 1 - level outside, half on either side."""
    _check_level(level)
    return float(special.stdtrit(df, (1 + level) / 2))


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise InputError(f"the level must lie between 0 and 1, not {level:g}; 0.95 is usual")


def checked_values(values: Values) -> Floats:
    """At least two finite numbers, (n,), in float64.

    Raises:
        InputError: They are fewer, not in one row, or not finite; the message names the first bad one.
    """
    array = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values, dtype=np.float64)
    if array.ndim != 1 or len(array) < 2:
        raise InputError(
            f"an interval needs at least 2 values in one row, not shape {array.shape}; measure more"
        )
    if not np.isfinite(array).all():
        bad = int(np.flatnonzero(~np.isfinite(array))[0])
        raise InputError(f"value {bad} of {len(array)} is {array[bad]}; leave out or repeat what failed")
    return array

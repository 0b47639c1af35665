"""Whether two arms differ, measured in pairs: the difference, its interval, and what could have been seen.

The unit is the run, not the sample: arms are trained from the same seeds, and the differences within the
pairs are compared with their own spread over the seeds.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import special

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.statistics.intervals import (
    Floats,
    Values,
    checked_values,
    critical_t,
    mean_and_error,
)

POWER = 0.8
"""The usual chance of detection at which a smallest detectable difference is stated (Cohen 1988)."""


@dataclass(frozen=True)
class PairedDifference:
    """What pairs of measurements say about the difference of two arms.

    Attributes:
        difference: Mean of first minus second.
        low: Lower end of its interval.
        high: Upper end.
        level: Coverage, in (0, 1).
        pairs: Number of pairs.
        smallest_detectable: The true difference that a test of this many pairs, with the spread seen here,
            would detect with probability ``power``.
        power: That probability.
        p_value: Two-sided, of Student's paired t test.
    """

    difference: float
    low: float
    high: float
    level: float
    pairs: int
    smallest_detectable: float
    power: float
    p_value: float

    @property
    def shown(self) -> bool:
        """Whether the interval excludes no difference."""
        return self.low > 0 or self.high < 0


def paired_difference(
    first: Values, second: Values, *, level: float = 0.95, power: float = POWER
) -> PairedDifference:
    r"""Compare two arms measured in pairs, such as the same seeds, by Student's t.

    The smallest detectable difference :math:`\delta` solves

    .. math:: P(|T'| > t_{n-1}) = \text{power}, \quad T' \sim t'_{n-1}(\delta \sqrt n / s)

    with the noncentral t distribution, exactly, both tails included.

    Args:
        first: Values of one arm, (n,), at least 2.
        second: Values of the other, in the same order.
        level: Coverage of the interval; the test is two-sided at 1 - level.
        power: Chance of detection for ``smallest_detectable``, between 1 - level and 1.

    Returns:
        The difference with its interval.

    Raises:
        InputError: Unequal lengths, fewer than 2 pairs, values that are not finite, or a level or a power
            out of range.

    Example:
        >>> result = paired_difference([1.0, 2.1, 2.9], [2.0, 3.0, 4.0])
        >>> round(result.difference, 6), result.shown
        (-1.0, True)
    """
    a, b = checked_values(first), checked_values(second)
    if len(a) != len(b):
        raise InputError(f"{len(a)} values cannot be paired with {len(b)}; give both arms the same seeds")
    mean, error = mean_and_error(a - b)
    df = len(a) - 1
    reach = critical_t(df, level) * error
    detectable = _noncentrality(df, level, power) * error
    p_value = float(2 * special.stdtr(df, -abs(mean) / error)) if error > 0 else float(mean == 0)
    return PairedDifference(mean, mean - reach, mean + reach, level, len(a), detectable, power, p_value)


def verdict(result: PairedDifference, *, metric: str, arm: str, against: str) -> str:
    """Say in one plain sentence what a paired difference shows.

    Args:
        result: The difference of ``arm`` minus ``against``.
        metric: What was measured.
        arm: Name of the first arm.
        against: Name of the second.

    Returns:
        The sentence, without a full stop.

    Example:
        >>> result = paired_difference([1.0, 2.1, 2.9], [2.0, 3.0, 4.0])
        >>> verdict(result, metric="path length", arm="riemannian", against="none")
        'path length: riemannian is lower than none by 1 (95 % interval 0.752 to 1.25, 3 pairs)'
    """
    level = f"{100 * result.level:g} %"
    if not result.shown:
        return (
            f"{metric}: no difference shown between {arm} and {against} ({result.difference:+.3g}, {level} "
            f"interval {result.low:.3g} to {result.high:.3g}, {result.pairs} pairs); the smallest difference "
            f"that {result.pairs} such pairs would detect with {100 * result.power:g} % probability is "
            f"{result.smallest_detectable:.3g}"
        )
    word = "lower" if result.difference < 0 else "higher"
    nearest, farthest = sorted((abs(result.low), abs(result.high)))
    return (
        f"{metric}: {arm} is {word} than {against} by {abs(result.difference):.3g} "
        f"({level} interval {nearest:.3g} to {farthest:.3g}, {result.pairs} pairs)"
    )


@lru_cache
def _noncentrality(df: int, level: float, power: float) -> float:
    """The noncentrality at which a two-sided t test rejects with probability ``power``, by bisection."""
    if not 1 - level < power < 1:
        raise InputError(f"the power must lie between {1 - level:g} and 1, not {power:g}; 0.8 is usual")
    critical = critical_t(df, level)
    low, high = 0.0, 1.0
    while _rejection(high, df, critical) < power:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _rejection(middle, df, critical) < power else (low, middle)
    return (low + high) / 2


@lru_cache
def _legendre(count: int) -> tuple[Floats, Floats]:
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return nodes, weights


def _rejection(noncentrality: float, df: int, critical: float) -> float:
    """P(|T'| > critical) for noncentral t, by quadrature over the estimated standard deviation.

    SciPy's own ``nctdtr`` is wrong by more than half at one degree of freedom.
    """
    bounds = np.sqrt(special.chdtri(df, np.array([1 - 1e-15, 1e-15])) / df)
    nodes, weights = _legendre(200)
    s = bounds[0] + (bounds[1] - bounds[0]) * (nodes + 1) / 2
    log_density = (df - 1) * np.log(s) - df * s**2 / 2
    log_density += np.log(2) + df / 2 * np.log(df / 2) - special.gammaln(df / 2)
    tails = special.ndtr(noncentrality - critical * s) + special.ndtr(-noncentrality - critical * s)
    return float((bounds[1] - bounds[0]) / 2 * weights @ (np.exp(log_density) * tails))

r"""The adversarial dimension trap: what becomes of a generator whose Jacobian has too low a rank.

Theorem 1: a deterministic generator whose rank is below the dimension of the data has a Jacobian of unbounded
norm, or a Jensen-Shannon divergence from the data of log(2)/2 at least. Neither can be seen whole. A norm
over a training can be seen to grow, not to be unbounded. The divergence is approached from below, by a
classifier (:mod:`~riemann_noise_pytorch.geometry.divergence`): a bound above log(2)/2 shows the second case,
one below it excludes nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.geometry.divergence import JSBound, js_lower_bound
from riemann_noise_pytorch.statistics.intervals import critical_t

__all__ = ["JSBound", "NormGrowth", "TrapReport", "jacobian_growth", "js_lower_bound", "trap_report"]

FEWEST_NORMS = 3
Case = Literal["no premise", "norm", "divergence", "both", "neither"]


@dataclass(frozen=True)
class NormGrowth:
    """How the norm of a Jacobian changes over a training.

    Attributes:
        slope: Exponent of the power of the images seen.
        low: Lower end of its interval.
        high: Upper end.
        level: Coverage of the interval.
        factor: The last norm over the first.
        words: One clause, such as ``the norm of the Jacobian grows as kimg^0.31 (95 % interval ...)``.
    """

    slope: float
    low: float
    high: float
    level: float
    factor: float
    words: str

    @property
    def grows(self) -> bool:
        """Whether the interval of the slope lies above 0."""
        return self.low > 0


@dataclass(frozen=True)
class TrapReport:
    """What of Theorem 1 is seen of one generator.

    Attributes:
        case: ``no premise`` (the rank is not below the dimension of the data), ``norm`` (the norm grows),
            ``divergence`` (it is shown to be log(2)/2 at least), ``both`` or ``neither``.
        sentence: The same in one sentence, with the numbers.
    """

    case: Case
    sentence: str


def jacobian_growth(kimg: Sequence[float], norms: Sequence[float], *, level: float = 0.95) -> NormGrowth:
    r"""Fit a power of the images seen to the norm of the Jacobian, by least squares of the logarithms.

    .. math:: \log \|J\| = a + s \log \text{kimg}

    The interval is Student's, as if the residuals were independent; those of one training are not quite.

    Args:
        kimg: Thousands of images seen, positive, at least 3 that differ.
        norms: The norm at each, positive.
        level: Coverage of the interval, in (0, 1).

    Returns:
        The slope, its interval, and words.

    Raises:
        InputError: Too few points, unequal numbers, or one that is not positive.

    Example:
        >>> print(jacobian_growth([1, 2, 4, 8], [3.0, 6.1, 11.9, 24.0]).words)
        the norm of the Jacobian grows as kimg^0.996 (95 % interval 0.963 to 1.03)
    """
    if len(kimg) != len(norms) or len(set(kimg)) < FEWEST_NORMS:
        raise InputError(
            f"a growth needs {FEWEST_NORMS} norms or more, each at its own time, not {len(norms)} at "
            f"{len(set(kimg))}; keep more snapshots"
        )
    if not all(math.isfinite(number) and number > 0 for number in (*kimg, *norms)):
        raise InputError("times and norms must be positive and finite; leave the untrained generator out")
    x = torch.tensor([math.log(number) for number in kimg], dtype=torch.float64)
    y = torch.tensor([math.log(number) for number in norms], dtype=torch.float64)
    x, y = x - x.mean(), y - y.mean()
    slope = float(x @ y / (x @ x))
    df = len(kimg) - 2
    error = math.sqrt(float((y - slope * x).square().sum() / df / (x @ x)))
    reach = critical_t(df, level) * error
    low, high = slope - reach, slope + reach
    verb = "grows" if low > 0 else "falls" if high < 0 else "shows no growth, fitted"
    words = (
        f"the norm of the Jacobian {verb} as kimg^{slope:.3g} "
        f"({100 * level:g} % interval {low:.3g} to {high:.3g})"
    )
    return NormGrowth(slope, low, high, level, norms[-1] / norms[0], words)


def trap_report(rank: int, d_x: float, growth: NormGrowth | None, js: JSBound) -> TrapReport:
    """Say which case of Theorem 1 is seen, if any.

    Paper: Theorem 1 (Section 3.3).

    Args:
        rank: Rank of the generator's Jacobian. Of a generator with noise, which is not deterministic, that in
            latent and noise together.
        d_x: Dimension of the data, above 0.
        growth: How the norm of the Jacobian changed in training; None where that is not known.
        js: Lower bound of the divergence between data and samples.

    Returns:
        The case and a sentence without a full stop.

    Raises:
        InputError: The data have no such dimension.

    Example:
        >>> js = JSBound(value=0.6, estimate=0.62, low=0.6, high=0.64, level=0.95, accuracy=0.97, count=500)
        >>> report = trap_report(8, 64, None, js)
        >>> report.case, report.sentence.partition(":")[2]
        ('divergence', ' the divergence is at least 0.6, above log(2)/2')
    """
    if not 0 < d_x < math.inf:
        raise InputError(f"the dimension of the data is {d_x:g}; give a finite number above 0")
    if rank >= d_x:
        sentence = f"rank {rank} is not below the dimension {d_x:g} of the data: Theorem 1 says nothing here"
        return TrapReport("no premise", sentence)
    grows = growth is not None and growth.grows
    case: Case = (
        ("both" if js.above_floor else "norm") if grows else "divergence" if js.above_floor else "neither"
    )
    seen = {
        "both": "both cases of Theorem 1 are seen",
        "norm": "what the first case of Theorem 1 asks for is seen, if no finite training can show it whole",
        "divergence": "the second case of Theorem 1 is seen",
        "neither": "neither case of Theorem 1 is seen, though neither is excluded",
    }[case]
    place = "above" if js.above_floor else "not shown to reach"
    facts = [f"the divergence is at least {js.value:.3g}, {place} log(2)/2"]
    if growth is not None:
        facts.append(growth.words)
    sentence = f"rank {rank} is below the dimension {d_x:g} of the data, and {seen}: {'; '.join(facts)}"
    return TrapReport(case, sentence)

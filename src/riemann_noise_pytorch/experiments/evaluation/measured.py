"""A number with its interval and its protocol, before it becomes a record."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from riemann_noise_pytorch.statistics.intervals import Interval, redraw_interval


@dataclass(frozen=True)
class Measured:
    """What one metric gave.

    Args:
        name: The protocol, as printed.
        results: Numbers by name.
        intervals: Their intervals, where there are any, by the same names.
        values: The numbers of every redraw, by the same names; empty for means over pairs.
    """

    name: str
    results: Mapping[str, float]
    intervals: Mapping[str, Interval]
    values: Mapping[str, Sequence[float]]


def over_redraws(name: str, values: Mapping[str, Sequence[float]]) -> Measured:
    """Sum up independent redraws; one alone has no interval.

    Args:
        name: The protocol, as printed.
        values: Numbers of every redraw, by name.

    Example:
        >>> over_redraws("fd2k", {"fd2k": [1.0, 3.0]}).results
        {'fd2k': 2.0}
    """
    intervals = {key: redraw_interval(each) for key, each in values.items() if len(each) > 1}
    means = {key: sum(each) / len(each) for key, each in values.items()}
    return Measured(name, means, intervals, values)

"""Small axes with room for their lettering: what every diagram of a page is laid out on.

Sizes are in points, which a page shows as its own pixels, so that letters in pictures are as large as those
around them.
"""

import math
from collections.abc import Iterable, Sequence
from typing import TypeGuard

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation, Transform

from riemann_noise_pytorch.report.themes import Theme

WIDTH, HEIGHT = 340, 250
"""Of a panel that stands beside others."""
LEFT, RIGHT = 46, 12
"""Margins for the numbers of an axis, and for none."""
LOG_FROM = 8.0
"""A scale is logarithmic where positive values span more than this factor."""


def empty(height: int = HEIGHT, width: int = WIDTH) -> Figure:
    """A figure of a size in points."""
    return Figure(figsize=(width / 72, height / 72))


def box(
    figure: Figure, *, top: float, bottom: float, left: float = LEFT, right: float = RIGHT
) -> tuple[float, float, float, float]:
    """Margins in points as matplotlib's rectangle."""
    width, height = (72 * side for side in figure.get_size_inches())
    return (left / width, bottom / height, (width - left - right) / width, (height - top - bottom) / height)


def title(axes: Axes, text: str, lift: float = 0, left: float = LEFT) -> None:
    """Write a panel's title above it, flush with the panel's edge."""
    place = _above(axes, left, 12 + lift)
    axes.text(0, 1, printable(text), transform=place, fontsize=13, fontweight="bold", va="baseline")


def note(axes: Axes, text: str, theme: Theme, lift: float = 6, left: float = LEFT) -> None:
    """Write what the vertical axis counts above it."""
    axes.text(0, 1, text, transform=_above(axes, left, lift), fontsize=12, color=theme.muted)


def scale(axes: Axes, values: Iterable[float | None]) -> None:
    """Choose the vertical scale and its ticks; limits leave room around everything that will be drawn."""
    finite = [value for value in values if known(value)]
    if finite and min(finite) > 0 and max(finite) / min(finite) > LOG_FROM:
        axes.set_yscale("log")
        axes.set_ylim(min(finite) / 1.35, max(finite) * 1.35)
        log_ticks(axes.yaxis, max(finite) / min(finite))
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.ticklabel_format(axis="y", useOffset=False)
        limit(axes, finite)


def log_ticks(axis: Axis, span: float) -> None:
    """Few ticks in plain numbers: at 1, 2 and 5 of each decade, or at the decades of a wide span."""
    wide = span > 1e3
    axis.set_major_locator(LogLocator(base=10, subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))


def limit(axes: Axes, values: Iterable[float]) -> None:
    """Leave room above and below all finite values."""
    finite = [value for value in values if math.isfinite(value)]
    if finite:
        low, high = min(finite), max(finite)
        room = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
        axes.set_ylim(low - room, high + room)


def apart(heights: list[float], least: float) -> list[float]:
    """Move ascending heights apart until no two are closer than ``least``, none above 1 if they fit.

    Example:
        >>> apart([0.2, 0.25, 0.9, 0.95], 0.1)
        [0.2, 0.3, 0.9, 1.0]
    """
    moved: list[float] = []
    for height in heights:
        moved.append(max(height, moved[-1] + least) if moved else height)
    for i in range(len(moved) - 1, -1, -1):
        above = moved[i + 1] - least if i + 1 < len(moved) else 1.0
        moved[i] = round(min(moved[i], above), 9)
    return moved


def name_levels(axes: Axes, lines: Sequence[tuple[str, float, str]]) -> None:
    """Write the name of each line at the right, at the height where it ends.

    Args:
        axes: With the limits that it keeps.
        lines: Name, last value and colour of each; one that ends nowhere has no name.
    """
    to_axes = axes.transData + axes.transAxes.inverted()
    ends = [(name, float(to_axes.transform((0, value))[1]), colour) for name, value, colour in lines]
    ordered = sorted((end for end in ends if math.isfinite(end[1])), key=lambda end: end[1])
    for (name, _, colour), height in zip(ordered, apart([end[1] for end in ordered], 0.075), strict=True):
        axes.text(1.02, height, name, transform=axes.transAxes, va="center", fontsize=11.5, color=colour)


def short(value: float) -> str:
    """A number for a tick.

    Example:
        >>> short(0.25), short(20000.0), short(1e-8)
        ('0.25', '20,000', '1e-8')
    """
    if value != 0 and not 1e-4 <= abs(value) < 1e6:
        return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")
    return f"{value:,.10g}"


def known(value: float | None) -> TypeGuard[float]:
    """Whether there is a finite value."""
    return value is not None and math.isfinite(value)


def printable(text: str) -> str:
    """A text without the signs that a picture cannot hold."""
    return "".join(letter for letter in text if letter.isprintable())


def tail(name: str, longest: int = 24) -> str:
    """The end of a long name, which tells layers apart, cut at a dot where there is one.

    Example:
        >>> tail("conv0"), tail("synthesis.block4.conv0.noise"), tail("a" * 30, longest=8)
        ('conv0', '…block4.conv0.noise', '…aaaaaaa')
    """
    text = printable(name)
    if len(text) <= longest:
        return text
    end = text[1 - longest :]
    return "…" + (end.partition(".")[2] or end)


def _above(axes: Axes, left: float, lift: float) -> Transform:
    return axes.transAxes + ScaledTranslation(-left / 72, lift / 72, axes.figure.dpi_scale_trans)

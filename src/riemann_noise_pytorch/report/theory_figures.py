"""One diagram a statement: what was measured, and the line that it is held against.

Draw them through ``themes.to_svg``.
"""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from riemann_noise_pytorch.report.panels import apart, box, empty, limit, log_ticks, note, printable
from riemann_noise_pytorch.report.themes import ARM_COLOURS, OTHER_COLOUR, PART_COLOURS, Theme, blend
from riemann_noise_pytorch.report.theory_records import CurveRecord, StatementRecord

SIZE = (560, 300)
"""Width and height in points."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 178, 30, 46
_COLOURS = (ARM_COLOURS["euclidean"], ARM_COLOURS["riemannian"], PART_COLOURS["latent"], OTHER_COLOUR)
_MARKERS = "osD^"
_LONGEST = 28
_ROOM = 1.4
"""By what factor a logarithmic axis goes beyond its values."""

_CROWDED, _DECADES_ALONE = 60.0, 1e4
"""Side by side, numbers have room at 1, 2 and 5 of fewer decades than one above the other."""

Point = tuple[float, float]


def statement_panel(statement: StatementRecord, curves: Sequence[CurveRecord], theme: Theme) -> Figure:
    """Draw the curves of one statement, each named at its right end.

    Args:
        statement: For the axes.
        curves: What was measured in full colour, what it is held against dashed.
        theme: The page's colours.

    Returns:
        A figure of one axes. Between logarithmic axes, numbers that are not positive are left out.
    """
    figure = empty(SIZE[1], SIZE[0])
    axes = figure.add_axes(box(figure, top=_TOP, bottom=_BOTTOM, left=_LEFT, right=_RIGHT))
    drawn = [(one, points) for one in curves if (points := shown_points(one, statement))]
    _scales(axes, statement, [point for _, points in drawn for point in points])
    names: list[tuple[float, str, str]] = []
    measured = 0
    for one, points in drawn:
        guide = one.kind == "guide"
        colour = theme.muted if guide else _COLOURS[measured % len(_COLOURS)]
        marker = _MARKERS[measured % len(_MARKERS)] if one.kind == "points" else ""
        style = (0, (4, 3)) if guide else "-"
        xs, ys = zip(*points, strict=True)
        axes.plot(xs, ys, color=colour, linestyle=style, marker=marker, markersize=4.5, linewidth=1.4)
        measured += not guide
        names.append((_height(axes, ys[-1]), one.label, blend(colour, theme.ink, 0.25)))
    _name(axes, names)
    axes.set_xlabel(printable(statement.x_label))
    axes.grid(axis="y")
    note(axes, printable(statement.y_label), theme, left=_LEFT)
    return figure


def shown_points(curve: CurveRecord, statement: StatementRecord) -> list[Point]:
    """The points that axes can show, from left to right."""
    finite = [(x, y) for x, y in zip(curve.x, curve.y, strict=True) if math.isfinite(x) and math.isfinite(y)]
    return sorted(
        (x, y) for x, y in finite if (x > 0 or not statement.log_x) and (y > 0 or not statement.log_y)
    )


def _scales(axes: Axes, statement: StatementRecord, points: Sequence[Point]) -> None:
    if not points:
        return
    xs, ys = ([point[i] for point in points] for i in range(2))
    if statement.log_x:
        axes.set_xscale("log")
        axes.set_xlim(min(xs) / _ROOM, max(xs) * _ROOM)
        span = max(xs) / min(xs)
        log_ticks(axes.xaxis, _DECADES_ALONE if span > _CROWDED else span)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=all(float(value).is_integer() for value in xs)))
    if statement.log_y:
        axes.set_yscale("log")
        axes.set_ylim(min(ys) / _ROOM, max(ys) * _ROOM)
        log_ticks(axes.yaxis, max(ys) / min(ys))
    else:
        limit(axes, ys)
        axes.yaxis.set_major_locator(MaxNLocator(5))


def _height(axes: Axes, value: float) -> float:
    """Where a value stands between the lower edge, 0, and the upper, 1."""
    low, high = axes.get_ylim()
    if axes.get_yscale() == "log":
        low, high, value = math.log(low), math.log(high), math.log(value)
    return (value - low) / (high - low)


def _name(axes: Axes, names: Sequence[tuple[float, str, str]]) -> None:
    """Write names at the right edge, moved apart where they would overlap."""
    ordered = sorted(one for one in names if one[1])
    heights = apart([height for height, _, _ in ordered], 0.075)
    for height, (_, name, colour) in zip(heights, ordered, strict=True):
        text = printable(name)[:_LONGEST]
        axes.text(1.02, height, text, transform=axes.transAxes, va="center", fontsize=11.5, color=colour)

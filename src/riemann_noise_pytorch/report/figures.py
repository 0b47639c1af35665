"""Diagrams of a comparison: one small panel for each metric, and for each kind of noise.

Panels are small and separate so that a page can lay them side by side or, in a narrow window, one below the
other, with the lettering at its own size. Draw them through ``themes.to_svg``.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from riemann_noise_pytorch.report.panels import apart, box, empty, known, limit, note, printable, scale, title
from riemann_noise_pytorch.report.protocols import label
from riemann_noise_pytorch.report.records import Comparison, Measurement, Reference, Run
from riemann_noise_pytorch.report.tables import arm_label, layer_label
from riemann_noise_pytorch.report.themes import Theme, arm_colour, arm_marker, blend

Series = tuple[list[float], list[float]]

_TALL = 350


def metric_panel(comparison: Comparison, metric: str, theme: Theme) -> Figure:
    """One metric: a dot with its interval for each seed, a bar at the mean of each arm, a line at the floor.

    Args:
        comparison: The records of one comparison.
        metric: The key of the metric.
        theme: The page's colours.

    Returns:
        A figure of one axes; its scale is logarithmic where the values span more than a factor of eight.
    """
    names = [printable(arm_label(arm)).replace(", ", ",\n") for arm in comparison.arms]
    figure = empty()
    axes = figure.add_axes(box(figure, top=40, bottom=44 if any("\n" in name for name in names) else 28))
    rows = [row for row in comparison.measurements if row.metric == metric and math.isfinite(row.value)]
    reference = comparison.reference(metric)
    scale(axes, [*(value for row in rows for value in (row.value, row.low, row.high)), reference.floor])
    for place, arm in enumerate(comparison.arms):
        mine = sorted((row for row in rows if row.arm == arm), key=lambda row: row.seed)
        _draw_seeds(axes, place, mine, theme)
        for one in comparison.summaries:
            if (one.metric, one.arm) == (metric, arm) and math.isfinite(one.mean):
                axes.hlines(
                    one.mean, place - 0.34, place + 0.34, color=arm_colour(arm), linewidth=5, alpha=0.35
                )
    _draw_floor(axes, reference, theme)
    axes.set_xticks(range(len(comparison.arms)), names)
    axes.set_xlim(-0.6, len(comparison.arms) - 0.4)
    axes.tick_params(axis="x", length=0, labelcolor=theme.ink)
    axes.grid(axis="y")
    title(axes, label(comparison, metric))
    return figure


def loss_panel(comparison: Comparison, arm: str, theme: Theme) -> Figure:
    """The losses of one arm over the images seen, one thin line a seed; the scale is that of all arms.

    Args:
        comparison: The records of one comparison.
        arm: The kind of noise.
        theme: The page's colours.

    Returns:
        A figure of two axes: the generator's loss above the discriminator's.
    """
    figure = empty(_TALL)
    upper = figure.add_axes(box(figure, top=58, bottom=190))
    lower = figure.add_axes(box(figure, top=192, bottom=46))
    for axes, key, name in ((upper, "loss_g", "generator loss"), (lower, "loss_d", "discriminator loss")):
        limit(axes, (value for run in comparison.runs for value in _series(run, key)[1]))
        for run in _runs_of(comparison, arm):
            axes.plot(*_series(run, key), color=arm_colour(arm), linewidth=1, alpha=0.8)
        _time_axis(axes, comparison)
        note(axes, name, theme)
    upper.tick_params(axis="x", labelbottom=False)
    lower.set_xlabel("thousand images")
    title(upper, arm_label(arm), lift=16)
    return figure


def strength_panel(comparison: Comparison, arm: str, theme: Theme) -> Figure:
    """The learned strength of every noise layer of one arm over the images seen, one thin line a seed.

    Args:
        comparison: The records of one comparison.
        arm: The kind of noise; one that :func:`noisy_arms` names.
        theme: The page's colours.

    Returns:
        A figure of one axes on the scale of all arms, with the layers named at the right, full colour for the
        layer nearest the image. Where the records hold final strengths alone, these are dots.
    """
    figure = empty()
    axes = figure.add_axes(box(figure, top=40, bottom=46, right=84))
    runs = [run for run in _runs_of(comparison, arm) if run.strengths]
    layers = list(dict.fromkeys(layer for run in runs for layer in run.strengths))
    everything = [
        value for run in comparison.runs for name in run.strengths for value in _strength_series(run, name)[1]
    ]
    limit(axes, [0.0, *everything])
    _time_axis(axes, comparison)
    ends: dict[str, tuple[float, str]] = {}
    for depth, layer in enumerate(layers, start=1):
        colour = blend(arm_colour(arm), theme.paper, 0.6 * (1 - depth / len(layers)))
        drawn = [_strength_series(run, layer) for run in runs if layer in run.strengths]
        for times, values in drawn:
            axes.plot(
                times,
                values,
                color=colour,
                linewidth=1.1,
                marker="o" if len(times) == 1 else "",
                markersize=4,
            )
        ends[layer] = (sum(values[-1] for _, values in drawn) / len(drawn), colour)
    _name_ends(axes, ends, theme)
    axes.set_xlabel("thousand images")
    title(axes, arm_label(arm))
    return figure


def noisy_arms(comparison: Comparison) -> list[str]:
    """The arms that learned a noise strength, in their order."""
    return [arm for arm in comparison.arms if any(run.strengths for run in _runs_of(comparison, arm))]


def _runs_of(comparison: Comparison, arm: str) -> list[Run]:
    return [run for run in comparison.runs if run.arm == arm]


def _draw_seeds(axes: Axes, place: int, rows: Sequence[Measurement], theme: Theme) -> None:
    step = min(0.16, 0.48 / max(1, len(rows) - 1))
    for i, row in enumerate(rows):
        x = place + (i - (len(rows) - 1) / 2) * step
        if known(row.low) and known(row.high):
            axes.vlines(x, row.low, row.high, color=arm_colour(row.arm), linewidth=1.6)
        rim: dict[str, Any] = {"markeredgecolor": theme.paper, "markeredgewidth": 1}
        axes.plot(x, row.value, arm_marker(row.arm), markersize=7, color=arm_colour(row.arm), zorder=3, **rim)


def _draw_floor(axes: Axes, reference: Reference, theme: Theme) -> None:
    if not known(reference.floor):
        return
    if known(reference.floor_low) and known(reference.floor_high):
        axes.axhspan(reference.floor_low, reference.floor_high, color=theme.ink, alpha=0.1, linewidth=0)
    axes.axhline(reference.floor, color=theme.ink, linewidth=0.9, linestyle=(0, (4, 3)))
    lifted = axes.get_yaxis_transform() + ScaledTranslation(0, 3 / 72, axes.figure.dpi_scale_trans)
    axes.text(1, reference.floor, "floor", transform=lifted, ha="right", fontsize=11.5, color=theme.ink)


def _time_axis(axes: Axes, comparison: Comparison) -> None:
    longest = max((run.kimg for run in comparison.runs if math.isfinite(run.kimg)), default=0.0)
    axes.set_xlim(0, longest or 1)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.grid(axis="y")


def _series(run: Run, key: str) -> Series:
    """One recorded quantity over the images seen, in thousands."""
    points = [(entry.get("kimg"), entry.get(key)) for entry in run.stats]
    known = [(x, y) for x, y in points if isinstance(x, int | float) and isinstance(y, int | float)]
    return [float(x) for x, _ in known], [float(y) for _, y in known]


def _strength_series(run: Run, layer: str) -> Series:
    """The strength of one layer over time; its final value alone where no more was recorded."""
    flat = []
    for entry in run.stats:
        strengths = entry.get("noise_strengths")
        if isinstance(strengths, Mapping):
            flat.append({"kimg": entry.get("kimg"), "strength": strengths.get(layer)})
    times, values = _series(Run(run.arm, run.seed, 0, 0, 0, stats=flat), "strength")
    return (times, values) if values else ([run.kimg], [run.strengths[layer]])


def _name_ends(axes: Axes, ends: Mapping[str, tuple[float, str]], theme: Theme) -> None:
    """Write the names of the layers at the right edge, moved apart where they would overlap."""
    low, high = axes.get_ylim()
    known = [(layer, value) for layer, (value, _) in ends.items() if math.isfinite(value)]
    ordered = sorted(known, key=lambda item: item[1])
    heights = [(value - low) / (high - low) for _, value in ordered]
    for (layer, _), height in zip(ordered, apart(heights, 0.085), strict=True):
        colour = blend(ends[layer][1], theme.ink, 0.35)
        text = printable(layer_label(layer))[:14]
        axes.text(1.03, height, text, transform=axes.transAxes, va="center", fontsize=11.5, color=colour)

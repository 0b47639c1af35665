"""Diagrams of an inversion: the course of the loss, and the PSNR of each image without and with its noise.

Draw them through ``themes.to_svg``.
"""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from riemann_noise_pytorch.report.diagnosis_tables import three_digits
from riemann_noise_pytorch.report.inversion_records import CURVE, InversionRecords
from riemann_noise_pytorch.report.inversion_tables import gain_text, psnr_text
from riemann_noise_pytorch.report.panels import box, empty, known, name_levels, note, scale, tail, title
from riemann_noise_pytorch.report.tensors import Tensor
from riemann_noise_pytorch.report.themes import OTHER_COLOUR, Theme

_LOSS = (480, 300)
_GAIN, _NAMES, _ROW = 480, 120, 20
_MOST_NAMES = 40


def has_curve(records: InversionRecords) -> bool:
    """Whether the course of the loss was recorded."""
    return {f"{CURVE}{name}" for name in ("steps", "median", "best")} <= set(records.tensors)


def loss_panel(records: InversionRecords, theme: Theme) -> Figure:
    """The loss over the steps: the median of all samples under way, and the best of them.

    Args:
        records: Of one inversion, with its curve.
        theme: The page's colours.

    Returns:
        A figure of one axes; a dotted line where a stage begins, from which on the loss is another one.
    """
    width, height = _LOSS
    figure = empty(height, width)
    axes = figure.add_axes(box(figure, top=44, bottom=46, left=56, right=70))
    steps = records.tensors[f"{CURVE}steps"]
    lines = [
        (name, np.asarray(records.tensors[CURVE + name], dtype=np.float64), colour, strength)
        for name, colour, strength in (("best", OTHER_COLOUR, 1.4), ("median", theme.ink, 2.0))
    ]
    scale(axes, [value for _, values, _, _ in lines for value in values[np.isfinite(values)]])
    starts = stage_starts(records)
    breaks = np.searchsorted(steps, starts)
    for _, values, colour, strength in lines:
        apart = np.insert(values, breaks, np.nan)  # no line leads from one stage's loss to the next one's
        axes.plot(np.insert(steps, breaks, starts), apart, color=colour, linewidth=strength)
    for place in starts:
        axes.axvline(place, color=theme.muted, linewidth=0.9, linestyle=(0, (1, 2)))
    name_levels(axes, [(name, float(values[-1]), colour) for name, values, colour, _ in lines])
    axes.set_xlim(int(steps[0]), max(int(steps[-1]), int(steps[0]) + 1))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.grid(axis="y")
    axes.set_xlabel("step")
    title(axes, "loss", lift=10, left=56)
    note(axes, "as each stage counts it", theme, left=56)
    return figure


def stage_starts(records: InversionRecords) -> list[int]:
    """The steps at which the stages after the first begin; empty where they are unknown."""
    stages, steps = (records.tensors.get(CURVE + name) for name in ("stages", "steps"))
    if stages is None or steps is None:
        return []
    return [int(step) for step in steps[1:][np.diff(stages) > 0]]


def gain_panel(records: InversionRecords, theme: Theme) -> Figure:
    """The PSNR of every image without and with its noise, the hardest image first.

    Args:
        records: Of one inversion that optimised noise.
        theme: The page's colours.

    Returns:
        A figure of one axes: a line for each image from the hollow dot without to the full one with noise;
        dotted, where an image counts as found, if it lies among them.
    """
    pairs = [
        (image.name, image.without["psnr"], image.with_noise["psnr"])
        for image in records.images
        if image.with_noise is not None
    ]
    shown = [(name, before, after) for name, before, after in pairs if known(before) and known(after)]
    shown.sort(key=lambda row: row[1], reverse=True)
    named = len(shown) <= _MOST_NAMES
    pitch = _ROW if named else _MOST_NAMES * _ROW / len(shown)
    left = _NAMES if named else 24
    figure = empty(round(96 + pitch * max(1, len(shown))), _GAIN)
    axes = figure.add_axes(box(figure, top=50, bottom=44, left=left, right=18))
    heights = range(len(shown))
    without, found = [row[1] for row in shown], [row[2] for row in shown]
    axes.hlines(heights, without, found, color=theme.muted, linewidth=1.2)
    size = 6 if named else 3
    axes.plot(without, heights, "o", ms=size, mfc=theme.paper, mec=theme.ink, mew=1.1, label="noise frozen")
    axes.plot(found, heights, "o", ms=size, color=OTHER_COLOUR, label="noise optimised")
    axes.set_yticks(list(heights) if named else [], [tail(row[0], 18) for row in shown] if named else [])
    axes.tick_params(axis="y", labelcolor=theme.ink)
    axes.set_ylim(-0.7, max(1, len(shown)) - 0.3)
    _set_decibels(axes, [*without, *found], records.summary.least_db, theme)
    gain = gain_text(records).partition(",")[0]
    title(axes, f"what the noise adds: {gain}" if gain else "what the noise adds", lift=16, left=left)
    return figure


def _set_decibels(axes: Axes, values: Sequence[float], least_db: float, theme: Theme) -> None:
    """Lay out the axis of the PSNR, with the place from which on an image counts as found."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    room = 0.05 * (high - low) or 1.0
    axes.set_xlim(low - room, high + room)
    if low <= least_db <= high:
        axes.axvline(least_db, color=theme.muted, linewidth=0.9, linestyle=(0, (1, 2)), zorder=0)
    axes.grid(axis="x")
    axes.set_xlabel("PSNR in dB")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize=11.5,
                borderaxespad=0.2, borderpad=0.2, handlelength=1.2, labelcolor=theme.muted)  # fmt: skip


def loss_alt(records: InversionRecords) -> str:
    """What the picture of the loss shows, in words."""
    steps = records.tensors[f"{CURVE}steps"]
    ends = [f"{name} {three_digits(_last(records.tensors[CURVE + name]))}" for name in ("median", "best")]
    stages = "".join(f"; a new stage at step {place:,}" for place in stage_starts(records))
    return f"Loss over {int(steps[-1]):,} steps, at the end {' and '.join(ends)}{stages}."


def gain_alt(records: InversionRecords) -> str:
    """What the picture of the gains shows, in words."""
    shown = [image for image in records.images if image.with_noise is not None]
    gain = f" {gain_text(records)};" if gain_text(records) else ""
    if len(shown) > _MOST_NAMES:
        return f"PSNR of {len(shown):,} images without and with their noise:{gain} the table has the numbers."
    pairs = (f"{image.name} {psnr_text(image.without)} to {psnr_text(image.with_noise)}" for image in shown)
    return f"PSNR in dB without and with the noise:{gain} {'; '.join(pairs)}."


def _last(values: Tensor) -> float | None:
    value = float(values[-1])
    return value if math.isfinite(value) else None

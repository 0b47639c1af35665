"""The heat map of the rescue study: recall by setting and method, with the runs that collapsed."""

import os
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from riemann_noise_pytorch.report.panels import box, empty, note, title
from riemann_noise_pytorch.report.rescue import Rescue
from riemann_noise_pytorch.report.tables import MISSING
from riemann_noise_pytorch.report.themes import PART_COLOURS, SEVERITY_COLOURS, Theme, blend, write_svg

LEFT, COLUMN, ROW = 230, 104, 32
TOP, BOTTOM, RIGHT = 92, 12, 12
WORDS = LEFT - 10
"""How far left of the cells words begin."""
RATES = {"lr of G": 70, "lr of D": 12}
"""The columns of learning rates, and how far left of the cells they end."""
STRONGEST = 0.75
"""Share of the full colour at recall 1: letters must be read on it."""


def write_rescue_figure(rescue: Rescue, folder: str | os.PathLike[str]) -> Path:
    """Write the heat map of a study.

    Args:
        rescue: Its records.
        folder: Where to put ``rescue.svg``.

    Returns:
        The file.

    Raises:
        InputError: It cannot be written.
    """
    return write_svg(partial(rescue_figure, rescue), Path(folder) / "rescue.svg")


def rescue_figure(rescue: Rescue, theme: Theme) -> Figure:
    """A cell for each setting and method: the mean recall, and how many of its runs collapsed, if any.

    Args:
        rescue: The records.
        theme: The page's colours.

    Returns:
        A figure of one axes; the colour goes from red at recall 0 over none to green, by the definition of a
        collapse.
    """
    rows, columns = rescue.settings, rescue.methods
    figure = empty(TOP + ROW * len(rows) + BOTTOM, LEFT + COLUMN * len(columns) + RIGHT)
    axes = figure.add_axes(box(figure, top=TOP, bottom=BOTTOM, left=LEFT, right=RIGHT))
    axes.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
    axes.set_axis_off()
    for x, method in enumerate(columns):
        _write(axes, COLUMN * (x + 0.5), -0.35, rescue.label(method), color=theme.ink, ha="center")
        for y, setting in enumerate(rows):
            _draw_cell(axes, x, y, rescue, setting, method, theme)
    _name_rows(axes, rescue, theme)
    title(axes, "Recall, and runs that collapsed", lift=54, left=WORDS)
    below = f"collapse is a recall below {rescue.setup.collapsed_below:g}"
    note(axes, f"mean over the runs; in bold, how many collapsed: {below}", theme, lift=44, left=WORDS)
    return figure


def _name_rows(axes: Axes, rescue: Rescue, theme: Theme) -> None:
    """Write the generator's loss where it changes, and both learning rates."""
    before = None
    for head, right in RATES.items():
        _write(axes, -right, -0.35, head, color=theme.muted)
    for y, run in enumerate(rescue.row(setting) for setting in rescue.settings):
        if run.generator_loss != before:
            before = run.generator_loss
            ends = [-WORDS / COLUMN, len(rescue.methods)]
            axes.plot(ends, [y, y], color=theme.muted, linewidth=0.7, clip_on=False)
            _write(axes, -WORDS, y + 0.5, before, color=theme.ink, ha="left", fontweight="bold")
        for rate, right in zip((run.lr, run.lr * run.strength), RATES.values(), strict=True):
            _write(axes, -right, y + 0.5, f"{rate:g}", color=theme.ink)


def _draw_cell(axes: Axes, x: int, y: int, rescue: Rescue, setting: str, method: str, theme: Theme) -> None:
    runs, left = rescue.cell(setting, method), COLUMN * x
    if not runs:
        _write(axes, left + COLUMN / 2, y + 0.5, MISSING, color=theme.muted, ha="center")
        return
    recall, collapsed = fmean(run.reached for run in runs), sum(run.collapsed for run in runs)
    colour = _colour(recall, rescue.setup.collapsed_below, theme)
    axes.add_patch(Rectangle((x, y), 1, 1, facecolor=colour, edgecolor=theme.paper, linewidth=2))
    _write(axes, left + 9, y + 0.5, f"{recall:.2f}", color=theme.ink, ha="left")
    if collapsed:
        words = f"{collapsed} of {len(runs)}"
        _write(axes, left + COLUMN - 9, y + 0.5, words, color=theme.ink, fontweight="bold")


def _write(axes: Axes, points: float, row: float, text: str, **style: Any) -> None:
    """Write at a place so many points from the left edge of the cells."""
    axes.text(points / COLUMN, row, text, **{"ha": "right", "va": "center_baseline", **style})


def _colour(recall: float, limit: float, theme: Theme) -> str:
    """Red below the limit, the more the lower; green above, the more the higher."""
    if recall < limit:
        return blend(theme.paper, SEVERITY_COLOURS["problem"], STRONGEST * (1 - recall / limit))
    return blend(theme.paper, PART_COLOURS["latent"], STRONGEST * (recall - limit) / (1 - limit))

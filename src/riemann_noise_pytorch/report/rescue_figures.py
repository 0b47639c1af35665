"""The heat map of the rescue study: recall by setting and method, with the runs that collapsed."""

import os
from functools import partial
from pathlib import Path
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from riemann_noise_pytorch.report.panels import box, empty, note, title
from riemann_noise_pytorch.report.rescue import Rescue
from riemann_noise_pytorch.report.tables import MISSING
from riemann_noise_pytorch.report.themes import PART_COLOURS, SEVERITY_COLOURS, Theme, blend, write_svg

LEFT, COLUMN, ROW = 190, 100, 32
TOP, BOTTOM = 74, 12
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
    width = LEFT + COLUMN * len(columns) + 12
    figure = empty(TOP + ROW * len(rows) + BOTTOM, width)
    axes = figure.add_axes(box(figure, top=TOP, bottom=BOTTOM, left=LEFT, right=12))
    for y, setting in enumerate(rows):
        for x, method in enumerate(columns):
            _draw_cell(axes, x, y, rescue, setting, method, theme)
    abouts = [rescue.row(setting) for setting in rows]
    axes.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
    axes.set_xticks([x + 0.5 for x in range(len(columns))], [rescue.label(method) for method in columns])
    axes.set_yticks(
        [y + 0.5 for y in range(len(rows))],
        [f"{_form(run.generator_loss)}, {run.lr:g}, {run.lr * run.strength:g}" for run in abouts],
    )
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False, pad=2)
    for spine in axes.spines.values():
        spine.set_visible(False)
    title(axes, "Recall, and runs that collapsed", lift=38, left=LEFT)
    note(axes, "loss of G, its learning rate, that of D", theme, lift=28, left=LEFT)
    return figure


def _form(generator_loss: str) -> str:
    return {"non-saturating": "non-sat."}.get(generator_loss, generator_loss)


def _draw_cell(axes: Axes, x: int, y: int, rescue: Rescue, setting: str, method: str, theme: Theme) -> None:
    runs = rescue.cell(setting, method)
    if not runs:
        axes.text(x + 0.5, y + 0.5, MISSING, ha="center", va="center", color=theme.muted)
        return
    recall, collapsed = fmean(run.reached for run in runs), sum(run.collapsed for run in runs)
    colour = _colour(recall, rescue.setup.collapsed_below, theme)
    axes.add_patch(Rectangle((x, y), 1, 1, facecolor=colour, edgecolor=theme.paper, linewidth=2))
    axes.text(x + 0.08, y + 0.5, f"{recall:.2f}", va="center", color=theme.ink)
    if collapsed:
        words = f"{collapsed} of {len(runs)}"
        axes.text(x + 0.93, y + 0.5, words, ha="right", va="center", fontweight="bold", color=theme.ink)


def _colour(recall: float, limit: float, theme: Theme) -> str:
    """Red below the limit, the more the lower; green above, the more the higher."""
    if recall < limit:
        return blend(theme.paper, SEVERITY_COLOURS["problem"], STRONGEST * (1 - recall / limit))
    return blend(theme.paper, PART_COLOURS["latent"], STRONGEST * (recall - limit) / (1 - limit))

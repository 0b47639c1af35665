"""The figure of the toy: rows are ways to train, columns are training time; and the modes found over time.

Points are drawn in the plane, those near a mode in colour, the others grey; modes are rings.
"""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from riemann_noise_pytorch.files import atomic_write
from riemann_noise_pytorch.report.panels import box, empty, note, title
from riemann_noise_pytorch.report.themes import LIGHT, Theme, blend, styled
from riemann_noise_pytorch.report.toy_records import Arm, ToyRecords

COLOURS = {"none": "#7d848e", "js": "#1f88d1", "noise": "#d4631f"}
NEAR, RING = "#1f88d1", 6.0
TILE, GAP, LEFT, TOP = 132, 6, 150, 40
REACH = 1.35
"""Half the side of a tile, for centres within 1 of the origin."""
DPI = 110


def points_figure(records: ToyRecords, seed: int, theme: Theme) -> Figure:
    """Draw the points of one seed at a few checkpoints of every arm.

    Args:
        records: Of one toy.
        seed: Its place among the seeds.
        theme: The page's colours.
    """
    rows, columns = len(records.arms), records.columns
    width = LEFT + len(columns) * (TILE + GAP)
    height = TOP + rows * (TILE + GAP)
    figure = Figure(figsize=(width / 72, height / 72), dpi=DPI)
    for row, arm in enumerate(records.arms):
        for column, checkpoint in enumerate(columns):
            left, top = LEFT + column * (TILE + GAP), TOP + row * (TILE + GAP)
            place = (left / width, 1 - (top + TILE) / height, TILE / width, TILE / height)
            axes = figure.add_axes(place)
            _draw_points(axes, records, arm, seed, checkpoint, theme)
            if row == 0:
                step = records.setup.steps[checkpoint]
                axes.set_title(f"{step:,} step{'s' * (step > 1)}", fontsize=12, color=theme.muted)
            if column == 0:
                _name_row(axes, arm, theme)
    return figure


def _name_row(axes: Axes, arm: Arm, theme: Theme) -> None:
    kind, _, strength = arm.name.partition(", ")
    name = {"none": "no regularisation"}.get(kind, kind)
    lines = [(name, 12.0, theme.ink), *([(strength, 12.0, theme.ink)] if strength else [])]
    lines.append((arm.generator_loss, 11.0, theme.muted))
    for i, (text, size, colour) in enumerate(lines):
        height = 0.5 + 0.13 * ((len(lines) - 1) / 2 - i)
        axes.text(
            -0.08,
            height,
            text,
            transform=axes.transAxes,
            ha="right",
            va="center",
            fontsize=size,
            color=colour,
        )


def _draw_points(axes: Axes, records: ToyRecords, arm: Arm, seed: int, checkpoint: int, theme: Theme) -> None:
    found = records.points[arm.key]
    points, near = found.points[seed, checkpoint], found.near[seed, checkpoint]
    centres = records.centres
    axes.plot(*centres.T, "o", ms=RING, mfc="none", mec=theme.muted, mew=0.6, alpha=0.7, zorder=0)
    for chosen, colour, order in ((~near, theme.muted, 1), (near, NEAR, 2)):
        axes.plot(
            *points[chosen].T, ".", ms=3.2, mew=0, color=colour, alpha=0.75, zorder=order, rasterized=True
        )
    axes.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=theme.rule)


def write_figure(records: ToyRecords, path: Path) -> Path:
    """Write the figure of the first seed as PNG on white.

    Raises:
        InputError: The file cannot be written.
    """
    with styled(LIGHT), atomic_write(path) as temporary:
        figure = points_figure(records, 0, LIGHT)
        figure.savefig(temporary, format="png", facecolor=LIGHT.paper, metadata={"Software": None})
    return path


def modes_panel(records: ToyRecords, generator_loss: str, theme: Theme) -> Figure:
    """Draw the number of modes found over training, one thin line for each seed, of the arms of one loss.

    Args:
        records: Of one toy.
        generator_loss: The loss whose arms are drawn.
        theme: The page's colours.
    """
    return _time_panel(records, generator_loss, theme, "modes", "modes found")


def good_panel(records: ToyRecords, generator_loss: str, theme: Theme) -> Figure:
    """Draw the share of good points over training, as :func:`modes_panel` draws the modes."""
    return _time_panel(records, generator_loss, theme, "good", "share of good points")


def _time_panel(records: ToyRecords, loss: str, theme: Theme, what: str, named: str) -> Figure:
    figure = empty(height=290)
    axes = figure.add_axes(box(figure, top=44, bottom=82, right=20))
    highest = len(records.centres) if what == "modes" else 1.0
    shown = [arm for arm in records.arms if arm.generator_loss == loss]
    for arm in shown:
        for run in records.runs_of(arm):
            values = np.asarray(getattr(run, what), dtype=float)
            axes.plot(records.setup.steps, values, color=_colour(arm, shown, theme), linewidth=0.8, alpha=0.5)
        mean = np.mean([getattr(run, what) for run in records.runs_of(arm)], axis=0)
        axes.plot(
            records.setup.steps, mean, color=_colour(arm, shown, theme), linewidth=2.2, label=_legend(arm)
        )
    axes.set(xlim=(0, records.setup.steps[-1]), ylim=(-0.03 * highest, 1.04 * highest))
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=what == "modes"))
    axes.grid(axis="y")
    title(axes, loss, lift=10)
    note(axes, named, theme)
    axes.legend(loc="upper center", bbox_to_anchor=(0.45, -0.1), ncols=2, frameon=False, fontsize=11.5)
    return figure


def _legend(arm: Arm) -> str:
    return {"none": "no regularisation"}.get(arm.method, arm.method.replace("js", "JS"))


def _colour(arm: Arm, among: list[Arm], theme: Theme) -> str:
    """A colour by kind; the stronger of a kind stand out more."""
    alike = [other.key for other in among if other.kind == arm.kind]
    share = 0.0 if len(alike) < 2 else 0.55 * alike.index(arm.key) / (len(alike) - 1)
    return blend(COLOURS.get(arm.kind, "#8d6bc4"), theme.ink, share)

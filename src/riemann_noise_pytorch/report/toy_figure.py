"""The figure of the toy: rows are ways to train, columns are training time.

Points are drawn in the plane, those near a mode in colour, the others grey; modes are rings.
"""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from riemann_noise_pytorch.files import atomic_write
from riemann_noise_pytorch.report.themes import LIGHT, Theme, blend, styled
from riemann_noise_pytorch.report.toy_records import Arm, ToyRecords

NEAR, RING = "#1f88d1", 6.0
FAR_SHARE = 0.35
"""How much of the ground is mixed into the grey of points far from all modes."""
KEY = "rings: modes; blue: points near one"
TILE, GAP, LEFT, TOP = 132, 6, 150, 40
MARGIN = 0.08
"""Between a tile and the words beside it, as a share of the tile."""
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
    edge = (LEFT - MARGIN * TILE) / width
    for line, words in enumerate(KEY.split("; ")):
        height_of_line = 1 - (19 + 14 * line) / height
        figure.text(edge, height_of_line, words, ha="right", fontsize=11, color=theme.muted)
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
            -MARGIN,
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
    far = blend(theme.muted, theme.paper, FAR_SHARE)
    for chosen, colour, order in ((~near, far, 1), (near, NEAR, 2)):
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

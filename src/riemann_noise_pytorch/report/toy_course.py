"""How the toy's arms go over training: strips that show when modes were found and lost, and good points."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, StrMethodFormatter
from numpy.typing import NDArray

from riemann_noise_pytorch.report.panels import box, empty, note, title
from riemann_noise_pytorch.report.themes import Theme, blend
from riemann_noise_pytorch.report.toy_figure import NEAR
from riemann_noise_pytorch.report.toy_records import Arm, ToyRecords

COLOURS: Final = {"none": "#7d848e", "js": NEAR, "noise": "#d4631f"}
PARTLY: Final = 0.45
"""Share of the full colour where but one mode is missing, so that all modes stand out."""
WIDTH, LEFT, RIGHT, HEAD, FOOT = 990, 190, 24, 40, 30
STRIP, APART, LOSS_NAME = 11, 9, 28
"""Heights: of a seed's strip, between arms, and of the name of a loss."""


def modes_strips(records: ToyRecords, theme: Theme) -> Figure:
    """Draw the modes found over training: a strip for each seed of each arm, the darker the more.

    Args:
        records: Of one toy.
        theme: The page's colours.

    Returns:
        A figure of one axes for each arm, below one another.
    """
    seeds = len(records.setup.seeds)
    tops, height = _tops(records.arms, seeds)
    figure, loss = empty(height + FOOT, WIDTH), None
    for arm, top in zip(records.arms, tops, strict=True):
        bottom = height + FOOT - top - seeds * STRIP
        axes = figure.add_axes(box(figure, top=top, bottom=bottom, left=LEFT, right=RIGHT))
        _draw_strips(axes, records, arm, theme)
        if arm.generator_loss != loss:
            loss = arm.generator_loss
            axes.annotate(loss, (0, 1), (-LEFT, 8), "axes fraction", "offset points", fontweight="bold")
    figure.axes[-1].tick_params(labelbottom=True)
    _legend_of_strips(figure, len(records.centres), theme)
    return figure


def _tops(arms: Sequence[Arm], seeds: int) -> tuple[list[int], int]:
    """Where the strips of each arm begin, in points from above, and where the last ones end."""
    tops, at, loss = [], HEAD, None
    for arm in arms:
        at += LOSS_NAME * (arm.generator_loss != loss)
        tops.append(at)
        at, loss = at + seeds * STRIP + APART, arm.generator_loss
    return tops, at - APART


def _draw_strips(axes: Axes, records: ToyRecords, arm: Arm, theme: Theme) -> None:
    modes = np.array([run.modes for run in records.runs_of(arm)])
    steps, seeds = records.setup.steps[-1], len(modes)
    axes.imshow(
        _shades(modes, len(records.centres), theme),
        aspect="auto",
        interpolation="nearest",
        extent=(0, steps, seeds, 0),
    )
    axes.hlines(range(1, seeds), 0, steps, color=theme.paper, linewidth=2)
    axes.set(xlim=(0, steps), ylim=(seeds, 0), yticks=[seeds / 2], yticklabels=[_name(arm)])
    axes.xaxis.set_major_locator(MaxNLocator(8))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.tick_params(length=0, labelbottom=False, pad=6)
    axes.tick_params(axis="y", labelcolor=theme.ink)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _shades(modes: NDArray[np.int_], total: int, theme: Theme) -> NDArray[np.float64]:
    """From a trace of colour, where no mode is found, to the full one, where all are."""
    shares = np.where(modes >= total, 1.0, 0.06 + (PARTLY - 0.06) * modes / max(1, total - 1))
    ground, full = (np.array(to_rgb(colour)) for colour in (theme.paper, NEAR))
    return np.asarray(ground + shares[..., None] * (full - ground))


def _legend_of_strips(figure: Figure, total: int, theme: Theme) -> None:
    height = figure.get_size_inches()[1] * 72
    axes = figure.add_axes((0, 1 - HEAD / height, 1, HEAD / height))
    axes.set(xlim=(0, WIDTH), ylim=(HEAD, 0))
    axes.set_axis_off()
    axes.text(
        0, 20, "Modes found, a strip for each seed", fontsize=13, fontweight="bold", va="center_baseline"
    )
    shown = sorted({0, total // 2, total - 1, total})
    for place, (modes, colour) in enumerate(zip(shown, _shades(np.array(shown), total, theme), strict=True)):
        left = WIDTH - RIGHT - 64 * (len(shown) - place)
        axes.add_patch(Rectangle((left, 14), 20, STRIP, facecolor=tuple(colour)))
        count = f"all {total}" if modes == total else str(modes)
        axes.text(left + 26, 20, count, va="center_baseline", color=theme.muted)


def good_panel(records: ToyRecords, generator_loss: str, theme: Theme) -> Figure:
    """Draw the share of good points over training, one thin line for each seed, of the arms of one loss.

    Args:
        records: Of one toy.
        generator_loss: The loss whose arms are drawn.
        theme: The page's colours.
    """
    figure = empty(height=290)
    axes = figure.add_axes(box(figure, top=44, bottom=82, right=20))
    shown = [arm for arm in records.arms if arm.generator_loss == generator_loss]
    steps = records.setup.steps
    for arm in shown:
        colour = _colour(arm, shown, theme)
        values = np.array([run.good for run in records.runs_of(arm)], dtype=float)
        axes.plot(steps, values.T, color=colour, linewidth=0.8, alpha=0.5)
        axes.plot(steps, values.mean(axis=0), color=colour, linewidth=2.2, label=_name(arm, short=True))
    highest = max([0.01, *(value for run in records.runs for value in run.good)])
    axes.set(xlim=(0, steps[-1]), ylim=(-0.03 * highest, 1.06 * highest))
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.grid(axis="y")
    title(axes, generator_loss, lift=10)
    note(axes, "share of good points", theme)
    axes.legend(loc="upper center", bbox_to_anchor=(0.45, -0.1), ncols=2, frameon=False, fontsize=11.5)
    return figure


def _name(arm: Arm, *, short: bool = False) -> str:
    if arm.kind == "none":
        return "no regularisation"
    return arm.method.replace("js", "JS") if short else arm.name


def _colour(arm: Arm, among: Sequence[Arm], theme: Theme) -> str:
    """A colour by kind; the stronger of a kind stand out more."""
    alike = [other.key for other in among if other.kind == arm.kind]
    share = 0.0 if len(alike) < 2 else 0.55 * alike.index(arm.key) / (len(alike) - 1)
    return blend(COLOURS.get(arm.kind, "#8d6bc4"), theme.ink, share)

"""Diagram of the study of inversion: both scores by kind of target, a mark for each generator."""

import os
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from riemann_noise_pytorch.report.inversion_study import InversionStudy
from riemann_noise_pytorch.report.inversion_study_tables import SCALE
from riemann_noise_pytorch.report.panels import box, empty, note, scale, title
from riemann_noise_pytorch.report.tables import arm_label, number
from riemann_noise_pytorch.report.themes import Theme, arm_colour, arm_marker, write_svg

WIDTH, HEIGHT = 460, 280
SCORES = {"mse": "Squared error x1e3", "pyramid": "Pyramid distance x1e3"}
SPREAD = 0.26
"""From the first arm's marks to the last's, as a share of the way to the next kind."""


def write_study_figure(study: InversionStudy, folder: str | os.PathLike[str]) -> Path:
    """Write the diagram of a study.

    Args:
        study: Its records.
        folder: Where to put ``inversion_study.svg``.

    Returns:
        The file.

    Raises:
        InputError: It cannot be written.
    """
    return write_svg(partial(study_figure, study), Path(folder) / "inversion_study.svg")


def study_figure(study: InversionStudy, theme: Theme) -> Figure:
    """Both scores side by side, for a file of its own.

    Args:
        study: The records.
        theme: The page's colours.
    """
    figure = empty(HEIGHT + 24, 2 * WIDTH)
    for place, score in enumerate(SCORES):
        left = 46 + place * WIDTH
        axes = figure.add_axes(
            box(figure, top=56, bottom=56, left=left, right=12 + (1 - place) * WIDTH),
        )
        _draw(axes, study, score, theme)
    _legend(figure, study)
    return figure


def score_panel(study: InversionStudy, score: str, theme: Theme) -> Figure:
    """One score by kind of target, for a page.

    Args:
        study: The records.
        score: ``mse`` or ``pyramid``.
        theme: The page's colours.

    Returns:
        A figure of one axes: a mark for each generator (one seed), a bar at the mean of each arm; logarithmic
        where values span more than a factor of eight.
    """
    figure = empty(HEIGHT, WIDTH)
    _draw(figure.add_axes(box(figure, top=56, bottom=30)), study, score, theme)
    return figure


def score_alt(study: InversionStudy, score: str) -> str:
    """What a panel shows, for those who do not see it."""
    told = [
        f"{one.kind} {arm_label(one.arm)} {number(SCALE * mean, 2)}"
        for one in study.summaries
        if (mean := one.frozen[score]["mean"]) is not None
    ]
    return f"{SCORES[score]}, noise frozen, mean over seeds: {'; '.join(told)}."


def _draw(axes: Axes, study: InversionStudy, score: str, theme: Theme) -> None:
    arms, kinds = study.setup.arms, study.kinds
    drawn: list[float] = []
    rim: dict[str, Any] = {"markeredgecolor": theme.paper, "markeredgewidth": 0.8}
    for x, kind in enumerate(kinds):
        for i, arm in enumerate(arms):
            place = x + 2 * SPREAD * (i / max(1, len(arms) - 1) - 0.5)
            values = [SCALE * fmean(one.frozen[score]) for one in study.of_seeds(arm, kind)]
            drawn += values
            colour = arm_colour(arm)
            if values:
                axes.hlines(fmean(values), place - 0.11, place + 0.11, color=colour, linewidth=5, alpha=0.35)
            axes.plot(
                [place] * len(values), values, arm_marker(arm), markersize=5.5, color=colour, zorder=3, **rim
            )
    scale(axes, drawn)
    axes.set_xticks(range(len(kinds)), kinds)
    axes.set_xlim(-0.6, len(kinds) - 0.4)
    axes.tick_params(axis="x", length=0, labelcolor=theme.ink)
    axes.grid(axis="y")
    title(axes, SCORES[score], lift=16)
    note(axes, "noise frozen; lower is nearer", theme)


def _legend(figure: Figure, study: InversionStudy) -> None:
    marks = [
        Line2D([], [], color=arm_colour(arm), marker=arm_marker(arm), linestyle="", label=arm_label(arm))
        for arm in study.setup.arms
    ]
    figure.legend(handles=marks, loc="lower center", ncols=len(marks), frameon=False)

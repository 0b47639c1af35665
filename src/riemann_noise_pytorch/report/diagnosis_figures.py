"""Diagrams of a diagnosis by depth: the spectra of all layers, and what is left of the rank.

Draw them through ``themes.to_svg``.
"""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from riemann_noise_pytorch.report.diagnosis_records import DiagnosisRecords, Dimension, Layer
from riemann_noise_pytorch.report.diagnosis_tables import typical_rank
from riemann_noise_pytorch.report.panels import (
    box,
    empty,
    known,
    log_ticks,
    name_levels,
    note,
    scale,
    tail,
    title,
)
from riemann_noise_pytorch.report.tensors import Tensor
from riemann_noise_pytorch.report.themes import DARK, OTHER_COLOUR, PART_COLOURS, Theme

_SPECTRA, _DEPTH = (538, 340), 230
_PITCH, _LEAST_PITCH, _WIDEST = 28, 12, 1080
_MOST_NAMES = 14
_NAMES = 156
_MOST_POINTS = 128
_ROOM = 1e-2
"""Of the tolerance: below it all singular values are rounding, and lines leave the picture."""


def spectra_panel(records: DiagnosisRecords, joint: bool, theme: Theme) -> Figure:
    """The singular values of every layer, as shares of the largest, over their index.

    Args:
        records: Of one diagnosis.
        joint: In latent and noise together, not in the latent alone.
        theme: The page's colours.

    Returns:
        A figure of one axes: a line for each layer (geometric mean over the latents, a band for their range),
        early layers dark on a light page, the last in the colour of the text; dashed, the tolerance.
    """
    width, height = _SPECTRA
    figure = empty(height, width)
    axes = figure.add_axes(box(figure, top=44, bottom=46, left=56, right=_NAMES))
    found = [
        (layer, values)
        for layer in records.depth(joint=joint)
        if (values := records.spectrum(layer)) is not None
    ]
    tolerances = [value for layer, _ in found for value in layer.tolerance]
    floor, longest = _floor([values for _, values in found], tolerances)
    axes.set_yscale("log")
    axes.set_ylim(floor, 2.0)
    colours = depth_colours(len(found), theme)
    for (layer, values), colour in zip(found, colours, strict=True):
        relative = np.clip(_relative(values), floor / 10, None)
        index = _chosen(relative.shape[1])
        relative = relative[:, index - 1]
        last = layer is found[-1][0]
        middle = np.exp(np.log(relative).mean(axis=0))
        axes.fill_between(index, relative.min(0), relative.max(0), color=colour, alpha=0.15, linewidth=0)
        axes.plot(index, middle, color=colour, linewidth=2.2 if last else 1.3)
    axes.set_xlim(1, max(longest, 2))
    log_ticks(axes.yaxis, 2.0 / floor)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.grid(axis="y")
    _draw_tolerance(axes, tolerances, floor, theme)
    _name_lines(axes, [(layer.name, colour) for (layer, _), colour in zip(found, colours, strict=True)])
    axes.set_xlabel("index of the singular value")
    where = "latent and noise" if joint else "the latent"
    title(axes, f"singular values in {where}", lift=10, left=56)
    note(axes, "share of the largest", theme, left=56)
    return figure


def depth_panel(records: DiagnosisRecords, joint: bool, theme: Theme) -> Figure:
    """Rank, effective and stable rank over the layers in order of execution, beside the data's dimension.

    Args:
        records: Of one diagnosis.
        joint: In latent and noise together, not in the latent alone.
        theme: The page's colours.

    Returns:
        A figure of one axes: a step line for the median rank with a band for its range over the latents,
        lines for the means of effective and stable rank, a horizontal band for the dimension of the data.
    """
    layers = records.depth(joint=joint)
    names = [tail(layer.name) for layer in layers]
    pitch = max(_LEAST_PITCH, min(_PITCH, (_WIDEST - 130) / len(layers)))
    room = 16 + 6.2 * max(map(len, names))
    figure = empty(round(_DEPTH + 44 + room), round(max(340, 130 + pitch * len(layers))))
    axes = figure.add_axes(box(figure, top=44, bottom=room, left=46, right=84))
    data, profile = records.data_dimension, records.profile(joint=joint)
    inputs = float(profile.inputs) if profile and not joint else None
    beside = [data.value, data.high] if data else []
    _set_scale(axes, layers, [inputs, *beside], joint)
    lines = _draw_ranks(axes, layers, theme)
    if inputs is not None:
        axes.axhline(inputs, color=theme.muted, linewidth=0.8, linestyle=(0, (1, 2)))
        lines.append(("inputs", inputs, theme.muted))
    if data is not None:
        lines.append(_draw_dimension(axes, data))
    name_levels(axes, lines)
    axes.set_xticks(range(len(layers)), names, rotation=270, fontsize=11 if pitch >= 16 else 9)
    axes.tick_params(axis="x", length=0, labelcolor=theme.ink)
    axes.set_xlim(-0.6, len(layers) - 0.4)
    axes.grid(axis="y")
    title(axes, "rank in latent and noise" if joint else "rank in the latent")
    return figure


def depth_colours(count: int, theme: Theme) -> list[str]:
    """One colour for each layer, by depth; the last in the colour of the text.

    Args:
        count: Number of layers.
        theme: The page's colours.
    """
    begin, end = (0.35, 1.0) if theme is DARK else (0.0, 0.64)
    shares = np.linspace(begin, end, max(count - 1, 1))
    return [*(to_hex(mpl.colormaps["viridis"](share)) for share in shares[: count - 1]), theme.ink][-count:]


def _relative(values: Tensor) -> Tensor:
    """Singular values (latents, k) as shares of the largest of each latent; none for a map that is zero."""
    finite = np.nan_to_num(np.asarray(values, dtype=np.float64), nan=0.0, posinf=0.0)
    largest = finite[:, :1]
    return np.divide(finite, largest, out=np.zeros_like(finite), where=largest > 0)


def _chosen(count: int) -> Tensor:
    """Indices from 1 to be drawn, of a long spectrum so many that no step is seen."""
    return np.unique(np.linspace(1, count, min(count, _MOST_POINTS)).round().astype(int))


def _floor(spectra: Sequence[Tensor], tolerances: Sequence[float]) -> tuple[float, int]:
    """Where the scale ends, below the tolerance if values lie there; the length of the longest spectrum."""
    least, lost = 1.0, False
    limit = min(tolerances, default=1e-15)
    for values in spectra:
        relative = _relative(values)
        counted = relative[relative > limit]
        least = min(least, float(counted.min())) if counted.size else least
        lost = lost or bool((relative <= limit).any())
    longest = max((values.shape[1] for values in spectra), default=1)
    return (limit * _ROOM if lost else least / 3), longest


def _draw_tolerance(axes: Axes, tolerances: Sequence[float], floor: float, theme: Theme) -> None:
    if not tolerances:
        return
    low, high = min(tolerances), max(tolerances)
    if high < floor:
        text, place = f"tolerance {high:.0e}, below this scale", floor
    else:
        axes.axhspan(low, high, color=theme.ink, alpha=0.1, linewidth=0)
        axes.axhline(high, color=theme.ink, linewidth=0.9, linestyle=(0, (4, 3)))
        text, place = "tolerance", high
    axes.annotate(text, (0, place), (4, 4), xycoords=("axes fraction", "data"), textcoords="offset points",
                  fontsize=11.5, color=theme.ink)  # fmt: skip


def _name_lines(axes: Axes, lines: Sequence[tuple[str, str]]) -> None:
    """Name the lines at the right, in order of depth; of many the first, the last and some between."""
    if len(lines) > _MOST_NAMES:
        chosen = sorted({round(i) for i in np.linspace(0, len(lines) - 1, _MOST_NAMES)})
        lines = [lines[i] for i in chosen]
    for i, (name, colour) in enumerate(lines):
        place: dict[str, Any] = {"transform": axes.transAxes, "va": "center", "fontsize": 11}
        axes.text(1.02, 0.985 - 0.07 * i, tail(name), color=colour, **place)


def _set_scale(axes: Axes, layers: Sequence[Layer], bounds: Sequence[float | None], joint: bool) -> None:
    """Ranks in the latent stand on 0; those in latent and noise may span decades."""
    values = [value for one in layers for value in (*one.rank, *one.effective_rank, *one.stable_rank)]
    finite = [value for value in (*values, *bounds) if known(value)]
    if joint:
        scale(axes, finite)
    else:
        axes.set_ylim(0, 1.06 * max(1.0, *finite))
        axes.yaxis.set_major_locator(MaxNLocator(5))


def _draw_ranks(axes: Axes, layers: Sequence[Layer], theme: Theme) -> list[tuple[str, float, str]]:
    """Draw the three ranks; each with its name, its last value and its colour."""
    edges = np.repeat(np.arange(len(layers) + 1) - 0.5, 2)[1:-1]
    ranks = [typical_rank(layer) for layer in layers]
    low, high = ([pick(layer.rank) for layer in layers] for pick in (min, max))
    axes.fill_between(edges, np.repeat(low, 2), np.repeat(high, 2), color=theme.ink, alpha=0.18, linewidth=0)
    axes.plot(edges, np.repeat(ranks, 2), color=theme.ink, linewidth=2)
    unsure = [i for i, layer in enumerate(layers) if layer.ambiguous]
    hollow: dict[str, Any] = {
        "markerfacecolor": theme.paper,
        "markeredgecolor": theme.ink,
        "linestyle": "none",
    }
    axes.plot(unsure, [ranks[i] for i in unsure], marker="o", markersize=6, **hollow)
    lines = [("rank", float(ranks[-1]), theme.ink)]
    for name, colour in (("effective", PART_COLOURS["latent"]), ("stable", OTHER_COLOUR)):
        spread = [list(getattr(layer, f"{name}_rank")) for layer in layers]
        low, high = ([pick(values) for values in spread] for pick in (min, max))
        means = [fmean(values) for values in spread]
        axes.fill_between(range(len(layers)), low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(means, color=colour, linewidth=1.4, marker="o", markersize=3)
        lines.append((name, means[-1], colour))
    return lines


def _draw_dimension(axes: Axes, data: Dimension) -> tuple[str, float, str]:
    colour = PART_COLOURS["data"]
    if data.low is not None and data.high is not None:
        axes.axhspan(data.low, data.high, color=colour, alpha=0.22, linewidth=0)
    axes.axhline(data.value, color=colour, linewidth=1)
    return "data", data.value, colour

"""Diagrams of a diagnosis beside its ranks: condition numbers of pairs, and shares of the images' variance.

Draw them through ``themes.to_svg``.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from riemann_noise_pytorch.report.diagnosis_records import LATENT, Condition, DiagnosisRecords, Share
from riemann_noise_pytorch.report.diagnosis_tables import three_digits
from riemann_noise_pytorch.report.panels import box, empty, known, log_ticks, note, tail, title
from riemann_noise_pytorch.report.tensors import Tensor
from riemann_noise_pytorch.report.themes import OTHER_COLOUR, PART_COLOURS, Theme

_BINS = 60
_SHARES, _NAMES, _ROW = 560, 176, 30


def condition_panel(records: DiagnosisRecords, condition: Condition, theme: Theme) -> Figure:
    """How the condition numbers of all pairs are distributed, with their mean and the mean of their tail.

    Args:
        records: Of one diagnosis.
        condition: One space, of which pairs are kept.
        theme: The page's colours.

    Returns:
        A figure of one axes, logarithmic across; ticks below it are exact values at single latents.
    """
    figure = empty()
    axes = figure.add_axes(box(figure, top=66, bottom=46))
    values = _positive(records.pairs(condition))
    marks = [("MC", condition.mc, PART_COLOURS["latent"])]
    if condition.ttmc is not None:
        name = "TTMC" if condition.ttmc_name.startswith("TTMC") else "tail"
        marks.append((name, condition.ttmc, PART_COLOURS["data"]))
    everything = np.array([*values, *condition.local, *(value for _, value, _ in marks)])
    everything = everything[np.isfinite(everything) & (everything > 0)]
    if everything.size:
        low, high = float(everything.min()) / 1.1, float(everything.max()) * 1.1
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        log_ticks(axes.xaxis, high / low)
        counts, edges = np.histogram(values, bins=np.geomspace(low, high, _BINS + 1))
        axes.stairs(counts, edges, fill=True, color=theme.muted, alpha=0.45)
        axes.set_ylim(0, 1.08 * max(1, int(counts.max())))
    _mark_means(axes, marks)
    local = [value for value in condition.local if known(value) and value > 0]
    floor: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "color": theme.ink, "markersize": 11}
    axes.plot(local, [0.05] * len(local), "|", **floor)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.grid(axis="y")
    axes.set_xlabel("condition number")
    title(axes, f"condition in {condition.space}", lift=32)
    note(axes, f"pairs, of {len(values):,}", theme, lift=18)
    return figure


def share_panel(records: DiagnosisRecords, theme: Theme) -> Figure:
    """Bars of what the latent and each noise layer contribute to the images' variance.

    Args:
        records: Of one diagnosis.
        theme: The page's colours.

    Returns:
        A figure of one axes: for each group a full bar for its share alone, below it a pale one for its share
        together with others, each with its standard error.
    """
    shares = records.shares
    figure = empty(90 + _ROW * len(shares), _SHARES)
    axes = figure.add_axes(box(figure, top=48, bottom=42, left=_NAMES, right=16))
    for place, share in enumerate(shares):
        colour = PART_COLOURS["latent"] if share.group == LATENT else OTHER_COLOUR
        bars = ((place - 0.19, share.first, share.first_error, 1.0),
                (place + 0.19, share.total, share.total_error, 0.4))  # fmt: skip
        for height, value, error, strength in bars:
            axes.barh(height, value if known(value) else 0.0, 0.34, color=colour, alpha=strength, linewidth=0)
            if known(value) and known(error):
                axes.hlines(height, value - error, value + error, color=theme.ink, linewidth=1.1)
    axes.axvline(0, color=theme.muted, linewidth=0.7)
    axes.set_yticks(range(len(shares)), [tail(share.group) for share in shares])
    axes.tick_params(axis="y", labelcolor=theme.ink)
    axes.set_ylim(len(shares) - 0.4, -0.6)
    axes.set_xlim(*_reach(shares))
    axes.grid(axis="x")
    axes.set_xlabel("share of the images' variance")
    kinds = [Patch(color=theme.muted, alpha=strength, linewidth=0, label=label)
             for strength, label in ((1.0, "alone"), (0.4, "together with others"))]  # fmt: skip
    axes.legend(handles=kinds, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize=11.5,
                borderaxespad=0.2, borderpad=0.2, handlelength=1.2, labelcolor=theme.muted)  # fmt: skip
    title(axes, "who moves the image", lift=14, left=_NAMES)
    return figure


def condition_alt(condition: Condition) -> str:
    """What the picture of one space shows, in words."""
    tail = f", mean of its tail {three_digits(condition.ttmc)}" if condition.ttmc is not None else ""
    return f"Condition numbers in {condition.space}: mean {three_digits(condition.mc)}{tail}."


def share_alt(shares: Sequence[Share]) -> str:
    """What the picture of the shares shows, in words."""
    parts = "; ".join(f"{share.group} {share.first:.3f} alone, {share.total:.3f} in all" for share in shares)
    return f"Shares of the images' variance: {parts}."


def _mark_means(axes: Axes, marks: Sequence[tuple[str, float, str]]) -> None:
    """Lines at the means, named above the axes on the side where there is room."""
    for place, (name, value, colour) in enumerate(mark for mark in marks if known(mark[1])):
        axes.axvline(value, color=colour, linewidth=1.6)
        axes.annotate(f"{name} {three_digits(value)}", (value, 1), (-4 if place == 0 else 4, 4),
                      xycoords=("data", "axes fraction"), textcoords="offset points",
                      ha="right" if place == 0 else "left", fontsize=11.5, color=colour)  # fmt: skip


def _positive(values: Tensor | None) -> Tensor:
    """The values that a logarithmic scale can hold."""
    found = np.zeros(0) if values is None else np.asarray(values, dtype=np.float64)
    return found[np.isfinite(found) & (found > 0)]


def _reach(shares: Sequence[Share]) -> tuple[float, float]:
    """From the lowest end of an error to the highest, at least from 0 to 1."""
    ends = [0.0, 1.0]
    for share in shares:
        for value, error in ((share.first, share.first_error), (share.total, share.total_error)):
            if known(value):
                width = error if known(error) else 0.0
                ends += [value - width, value + width]
    return min(ends) - (0.02 if min(ends) < 0 else 0), max(ends) + 0.02

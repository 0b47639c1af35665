"""The tables of a diagnosis, for the terminal and the page: by layer, and of all that is one number.

Over the latents a rank is given by its median and its range, the stable and the effective rank by their mean,
the norm by its largest value and a margin by its smallest.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median, median_low

from riemann_noise_pytorch.report.diagnosis_records import (
    Condition,
    DiagnosisRecords,
    Dimension,
    Layer,
    Profile,
    Share,
)
from riemann_noise_pytorch.report.tables import MISSING, Column, Table

UNSURE = "?"
"""Stands behind a rank that depends on the tolerance."""

LAYER_COLUMNS = (
    Column("layer", "name"),
    Column("shape", "reference", "of the output, without the batch"),
    Column("rank", "number", "directions of the input that move the output: median over the latents, range"),
    Column("with noise", "number", "rank in the latent and the noise together"),
    Column("effective", "number", "effective rank: exp of the entropy of the singular values, mean"),
    Column("stable", "number", "stable rank: squared Frobenius over squared spectral norm, mean"),
    Column("norm", "number", "largest singular value, over all latents"),
    Column("margin", "number", "factor between the tolerance and the nearest singular value, the smallest"),
)

NUMBER_COLUMNS = (
    Column("measured", "name"),
    Column("value", "number"),
    Column("interval", "number"),
    Column("how", "name"),
)


@dataclass(frozen=True)
class LayerRow:
    """One layer: cells of :data:`LAYER_COLUMNS`, and its rank as a share of the inputs, for a bar."""

    name: str
    cells: Sequence[str]
    share: float
    ambiguous: bool


def typical_rank(layer: Layer) -> int:
    """The median of a layer's rank over the latents, the lower one of two."""
    return median_low(layer.rank)


def layer_rows(records: DiagnosisRecords) -> list[LayerRow]:
    """Arrange the layers in order of execution.

    Args:
        records: Of one diagnosis.
    """
    joint = {layer.name: layer for layer in records.depth(joint=True)}
    inputs = _inputs(records)
    return [
        LayerRow(
            name=layer.name,
            cells=[
                layer.name,
                shape_text(layer.shape),
                rank_text(layer),
                rank_text(joint[layer.name]) if layer.name in joint else MISSING,
                three_digits(fmean(layer.effective_rank)),
                three_digits(fmean(layer.stable_rank)),
                three_digits(max(layer.norm)),
                three_digits(least_margin(layer)),
            ],
            share=min(1.0, typical_rank(layer) / inputs) if inputs else 0.0,
            ambiguous=layer.ambiguous,
        )
        for layer in records.depth()
    ]


def layer_table(records: DiagnosisRecords) -> Table:
    """The table by layer; a column that holds nothing is left out.

    Args:
        records: Of one diagnosis.

    Returns:
        Cells of :data:`LAYER_COLUMNS`, and notes on how the Jacobians were computed.
    """
    rows = [row.cells for row in layer_rows(records)]
    kept = [i for i in range(len(LAYER_COLUMNS)) if any(row[i] != MISSING for row in rows)]
    cells = [[row[i] for i in kept] for row in rows]
    columns = [LAYER_COLUMNS[i] for i in kept]
    below = notes(records)
    if any(row.ambiguous for row in layer_rows(records)):
        below.append(f"{UNSURE}: singular values lie close to the tolerance, which decides this rank")
    return Table("Rank by layer", columns, cells, [""] * len(cells), below)


def number_table(records: DiagnosisRecords) -> Table:
    """All that is one number: dimensions, condition numbers, shares of the images' variance.

    Args:
        records: Of one diagnosis.

    Returns:
        Cells of :data:`NUMBER_COLUMNS`; no rows where nothing but ranks was measured.
    """
    rows = [_dimension_row(one) for one in records.dimensions]
    for condition in records.conditions:
        rows += condition_rows(condition)
    for share in records.shares:
        rows += share_rows(share)
    return Table("Other numbers", NUMBER_COLUMNS, rows, [""] * len(rows))


def condition_rows(condition: Condition) -> list[list[str]]:
    """Cells of :data:`NUMBER_COLUMNS` for one space: over pairs, over the tail, and exactly at points."""
    space = condition.space
    rows = [
        [
            f"mean condition, {space}",
            three_digits(condition.mc),
            interval_text(condition.mc_low, condition.mc_high),
            condition.mc_name,
        ]
    ]
    if condition.ttmc is not None:
        interval = interval_text(condition.ttmc_low, condition.ttmc_high)
        rows.append([f"its tail, {space}", three_digits(condition.ttmc), interval, condition.ttmc_name])
    if condition.local:
        how = f"exact, by power iteration: mean and range of {len(condition.local)} latents"
        rows.append(
            [f"worst direction, {space}", three_digits(fmean(condition.local)), _range(condition.local), how]
        )
    if condition.log_condition:
        logs = [_endless(one) for one in condition.log_condition]
        how = f"2 log(sigma_1 / sigma_n): median and range of {len(logs)} latents"
        rows.append([f"log cond(J^T J), {space}", three_digits(median(logs)), _range(logs), how])
    if condition.quotient_error is not None:
        how = "a finite difference against the derivative, relative"
        rows.append([f"quotient error, {space}", three_digits(condition.quotient_error), MISSING, how])
    return rows


def share_rows(share: Share) -> list[list[str]]:
    """Cells of :data:`NUMBER_COLUMNS` for one group: its share alone, and with others."""
    return [
        [
            f"variance by {share.group} alone",
            f"{share.first:.3f}",
            error_text(share.first_error),
            "first-order Sobol index",
        ],
        [
            f"variance by {share.group} in all",
            f"{share.total:.3f}",
            error_text(share.total_error),
            "total Sobol index" + (", ignored" if share.ignored else ""),
        ],
    ]


def notes(records: DiagnosisRecords) -> list[str]:
    """How the Jacobians were computed, and what was left out or measured less than asked for."""
    lines = [protocol(profile) for profile in records.profiles]
    if records.remarks:
        return lines + [remark.text for remark in records.remarks]
    less = records.setup.work.get("reductions")  # of records without remarks
    if isinstance(less, list) and less:
        lines.append(f"To end in time: {', '.join(map(str, less))}.")
    return lines


def protocol(profile: Profile) -> str:
    """How the Jacobians of a profile were computed, in one line."""
    where = "in latent and noise" if profile.joint else "in the latent"
    many = f"{profile.num_latents} latent{'s' if profile.num_latents != 1 else ''}"
    parts = [
        f"Jacobians {where}: {profile.inputs:,} inputs, at {many}, {_with(profile.mode, profile.reason)}",
        f"counted as zero: {profile.tolerance}",
        "singular values from a sketch of J" if profile.sketched else "",
        profile.remark,
    ]
    return "; ".join(part for part in parts if part)


def shape_text(shape: Sequence[int]) -> str:
    """A shape in print.

    Example:
        >>> shape_text([256, 8, 8]), shape_text([512])
        ('256x8x8', '512')
    """
    return "x".join(map(str, shape))


def rank_text(layer: Layer) -> str:
    """A layer's rank: its median, its range where the latents differ, a mark where it is ambiguous."""
    low, high = min(layer.rank), max(layer.rank)
    middle = f"{typical_rank(layer):,}"
    spread = f"{middle} ({low}–{high})" if low != high else middle
    return spread + (UNSURE if layer.ambiguous else "")


def least_margin(layer: Layer) -> float:
    """The smallest factor between the tolerance and a singular value beside it, over all latents."""
    return min(_endless(one) for one in (*layer.margin_kept, *layer.margin_lost))


def three_digits(value: float | None) -> str:
    """Three digits of a number of any size.

    Example:
        >>> [three_digits(value) for value in (0.01234, 3.14159, 64.0, 12345.6, 2.5e9, math.inf, None)]
        ['0.0123', '3.14', '64.0', '12,346', '2.5e9', 'inf', '–']
    """
    if value is None:
        return MISSING
    if not math.isfinite(value):
        return str(value)
    if value != 0 and not 1e-4 <= abs(value) < 1e6:
        return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")
    places = 2 - math.floor(math.log10(abs(value))) if value else 2
    return f"{value:,.{max(0, places)}f}"


def interval_text(low: float | None, high: float | None) -> str:
    """An interval in print, a dash where there is none."""
    return MISSING if low is None or high is None else f"{three_digits(low)} to {three_digits(high)}"


def error_text(error: float | None) -> str:
    """A standard error in print, a dash where there is none."""
    return MISSING if error is None else f"± {error:.3f}"


def _dimension_row(one: Dimension) -> list[str]:
    how = f"{one.method}, {one.count:,} images"
    return [f"dimension of the {one.what}", three_digits(one.value), interval_text(one.low, one.high), how]


def _endless(value: float | None) -> float:
    return math.inf if value is None else value


def _inputs(records: DiagnosisRecords) -> int:
    profile = records.profile()
    return profile.inputs if profile else max((max(layer.rank) for layer in records.depth()), default=0)


def _range(values: Sequence[float]) -> str:
    """The range of several values, a dash where they are all the same."""
    return interval_text(min(values), max(values)) if min(values) < max(values) else MISSING


def _with(mode: str, reason: str) -> str:
    return f"{mode} mode ({reason})" if reason else f"{mode} mode"

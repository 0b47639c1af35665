"""From records to rows: the tables that the terminal, the page and the documentation share.

Two spreads stand in separate columns, for they answer different questions: *within* is the half width of the
interval of one run (how well was this generator measured?), *between* is the standard deviation over seeds
(how much does training itself vary?).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from riemann_noise_pytorch.report.protocols import label, protocols
from riemann_noise_pytorch.report.records import Comparison, Difference, Summary

ARM_LABELS = {
    "none": "no noise",
    "euclidean": "Euclidean",
    "nopathreg": "Riemannian, no path length",
    "riemannian": "Riemannian",
}

MISSING = "–"


@dataclass(frozen=True)
class Column:
    """The heading of a column, what kind of cells it holds, and what it means."""

    heading: str
    kind: Literal["name", "arm", "number", "reference"]
    meaning: str = ""

    @property
    def numeric(self) -> bool:
        """Whether cells stand flush right."""
        return self.kind in ("number", "reference")


@dataclass(frozen=True)
class Table:
    """Cells ready to print; rows that belong together repeat their first cell.

    ``arms`` holds the key of each row's arm, for colours; ``notes`` are lines to print below, which say how
    each metric was measured.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    arms: Sequence[str]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class SummaryRow:
    """One metric of one arm, beside what the metric gives without training and for real images."""

    summary: Summary
    untrained: float | None
    floor: float | None


SUMMARY_COLUMNS = (
    Column("metric", "name"),
    Column("noise", "arm"),
    Column("mean", "number", "mean over the seeds"),
    Column("± within", "number", "half width of one run's interval, mean over the seeds"),
    Column("SD between", "number", "standard deviation between seeds"),
    Column("seeds", "reference", "number of trained generators"),
    Column("untrained", "reference", "the same generator before training"),
    Column("floor", "reference", "real images against other real images"),
)

DIFFERENCE_COLUMNS = (
    Column("metric", "name"),
    Column("noise", "arm"),
    Column("against", "name"),
    Column("difference", "number", "mean over the pairs of equal seed"),
    Column("interval", "number", "confidence interval of the difference"),
    Column(
        "detectable", "number", "the true difference that such a comparison would show with 80 % probability"
    ),
    Column("pairs", "reference", "number of seeds that both arms share"),
    Column("outcome", "name", "whether the interval leaves out zero"),
)


def arm_label(arm: str) -> str:
    """What an arm is called in print."""
    return ARM_LABELS.get(arm, arm)


def layer_label(layer: str) -> str:
    """What a noise layer is called in print: the place where it stands."""
    return layer.removesuffix(".noise")


def summary_rows(comparison: Comparison) -> list[SummaryRow]:
    """Arrange the summaries metric by metric, the arms in their order.

    Args:
        comparison: The records of one comparison.

    Returns:
        One row for each arm and metric that was summarised.
    """
    found = {(row.metric, row.arm): row for row in comparison.summaries}
    rows = []
    for metric in comparison.metrics:
        reference = comparison.reference(metric)
        for arm in comparison.arms:
            if (metric, arm) in found:
                untrained = reference.untrained.get(arm)
                rows.append(SummaryRow(found[metric, arm], untrained, reference.floor))
    return rows


def difference_rows(comparison: Comparison) -> list[Difference]:
    """Arrange the paired differences metric by metric, the arms in their order.

    Args:
        comparison: The records of one comparison.

    Returns:
        One row for each pair of arms and metric that was compared.
    """
    metrics, arms = list(comparison.metrics), list(comparison.arms)

    def place(row: Difference) -> tuple[int, int, int]:
        return _index(metrics, row.metric), _index(arms, row.against), _index(arms, row.arm)

    return sorted(comparison.differences, key=place)


def summary_table(comparison: Comparison) -> Table:
    """The table of arms and metrics, the two spreads apart, references beside.

    Args:
        comparison: The records of one comparison.

    Returns:
        Cells of :data:`SUMMARY_COLUMNS`; a reference that no metric has is left out.
    """
    rows = summary_rows(comparison)
    places = {
        metric: decimals(row.summary.mean for row in rows if row.summary.metric == metric)
        for metric in comparison.metrics
    }
    cells = []
    for row in rows:
        one, digits = row.summary, places[row.summary.metric]
        numbers = (one.mean, one.within, one.between)
        written = [number(value, digits) for value in numbers]
        references = [number(row.untrained, digits), number(row.floor, digits)]
        names = [label(comparison, one.metric), arm_label(one.arm)]
        cells.append([*names, *written, str(one.seeds), *references])
    arms = [row.summary.arm for row in rows]
    table = Table("Metrics by kind of noise", SUMMARY_COLUMNS, cells, arms, protocols(comparison))
    return _without_idle_references(table)


def difference_table(comparison: Comparison) -> Table:
    """The table of paired differences: interval, smallest detectable difference, outcome.

    Args:
        comparison: The records of one comparison.

    Returns:
        Cells of :data:`DIFFERENCE_COLUMNS`.
    """
    rows = difference_rows(comparison)
    cells = []
    for row in rows:
        alike = [other for other in rows if other.metric == row.metric]
        known = [other.smallest_detectable for other in alike if other.smallest_detectable]
        digits = decimals(known or [other.difference for other in alike], digits=2)
        change = number(row.difference, digits, signed=True)
        interval = MISSING
        if row.low is not None and row.high is not None:
            interval = f"{number(row.low, digits, signed=True)} to {number(row.high, digits, signed=True)}"
        names = [label(comparison, row.metric), arm_label(row.arm), arm_label(row.against)]
        detectable = number(row.smallest_detectable, digits)
        cells.append([*names, change, interval, detectable, str(row.pairs), outcome(row)])
    arms = [row.arm for row in rows]
    return Table("Differences, paired by seed", DIFFERENCE_COLUMNS, cells, arms, protocols(comparison))


def outcome(row: Difference) -> str:
    """What the interval of a difference says, in as few words as a table has room for.

    Args:
        row: A difference with its interval, or without one where there was a single pair.
    """
    if row.low is None or row.high is None:
        return "not tested"
    if row.low > 0 or row.high < 0:
        return "lower" if row.difference < 0 else "higher"
    return "no difference shown"


def decimals(values: Iterable[float | None], digits: int = 3) -> int:
    """Decimal places that give the smallest of some numbers so many digits.

    Args:
        values: The numbers of one metric; None, zero and non-finite ones are passed over.
        digits: Significant digits of the smallest.

    Returns:
        From 0 to 6.

    Example:
        >>> decimals([512.0, 31.7]), decimals([0.0123]), decimals([])
        (1, 4, 2)
    """
    sizes = [abs(value) for value in values if value and math.isfinite(value)]
    if not sizes:
        return 2
    return min(6, max(0, digits - 1 - math.floor(math.log10(min(sizes)))))


def number(value: float | None, places: int, *, signed: bool = False) -> str:
    """Write a number for a table: fixed places, thousands apart, never a zero that is none.

    Args:
        value: The number; None is written as a dash.
        places: Digits after the point.
        signed: Write the plus sign as well.

    Example:
        >>> number(12345.678, 1), number(0.0004, 2), number(None, 2), number(0.5, 2, signed=True)
        ('12,345.7', '<0.01', '–', '+0.50')
    """
    if value is None:
        return MISSING
    if not math.isfinite(value):
        return "not finite"
    step = 10.0**-places
    if 0 < abs(value) < step / 2 and not signed:
        return f"<{step:.{places}f}"
    if abs(value) >= 1e7:
        return f"{value:{'+' if signed else ''}.3e}"
    return f"{value:{'+' if signed else ''},.{places}f}"


def markdown(table: Table) -> str:
    """Render a table as Markdown, numbers flush right.

    Args:
        table: From :func:`summary_table` or :func:`difference_table`.

    Returns:
        Lines for a README, without a final newline, the notes as a list below; what would break the table is
        escaped.
    """
    head = [column.heading for column in table.columns]
    body = [[_markdown_cell(cell) for cell in row] for row in table.rows]
    widths = [max(3, *(len(line[i]) for line in [head, *body])) for i in range(len(head))]
    rule = ["-" * (w - 1) + ":" if c.numeric else "-" * w for c, w in zip(table.columns, widths, strict=True)]
    lines = ["| " + " | ".join(_pad(line, widths, table)) + " |" for line in [head, rule, *body]]
    return "\n".join([*lines, *_notes([_markdown_cell(note) for note in table.notes])])


def plain(table: Table) -> str:
    """Render a table as aligned text, for a log or a terminal without colours.

    Args:
        table: From :func:`summary_table` or :func:`difference_table`.

    Returns:
        Lines without a final newline, the notes below; a name that repeats in the first column is written
        once.
    """
    head = [column.heading for column in table.columns]
    body = [[_printable(cell) for cell in row] for row in table.rows]
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]
    lines = [head, ["-" * width for width in widths]]
    for above, row in zip([[""], *body], body, strict=False):
        lines.append(["" if row[0] == above[0] else row[0], *row[1:]])
    rows = ["  ".join(_pad(line, widths, table)).rstrip() for line in lines]
    return "\n".join([*rows, *_notes([_printable(note) for note in table.notes])])


def _notes(notes: Sequence[str]) -> list[str]:
    return ["", *(f"- {note}" for note in notes)] if notes else []


def _pad(cells: Sequence[str], widths: Sequence[int], table: Table) -> list[str]:
    parts = zip(cells, widths, table.columns, strict=True)
    return [cell.rjust(width) if column.numeric else cell.ljust(width) for cell, width, column in parts]


def _printable(text: str) -> str:
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())


def _markdown_cell(cell: str) -> str:
    text = _printable(cell).replace("\\", "\\\\").replace("|", "\\|")
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _without_idle_references(table: Table) -> Table:
    kept = [
        i
        for i, column in enumerate(table.columns)
        if column.kind != "reference" or any(row[i] != MISSING for row in table.rows)
    ]
    rows = [[row[i] for i in kept] for row in table.rows]
    return replace(table, columns=[table.columns[i] for i in kept], rows=rows)


def _index(names: Sequence[str], name: str) -> int:
    return names.index(name) if name in names else len(names)

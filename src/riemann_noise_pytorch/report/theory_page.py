"""The page of the experiments on the theory: which statements hold, then each with its number and its figure.

One self-contained file; see :mod:`riemann_noise_pytorch.report.page`.
"""

from functools import partial
from pathlib import Path

from riemann_noise_pytorch.experiments.theory.statement import verdict
from riemann_noise_pytorch.report.page import View, diagram, flat, write_page
from riemann_noise_pytorch.report.tables import Column, Table
from riemann_noise_pytorch.report.themes import SEVERITY_COLOURS
from riemann_noise_pytorch.report.theory_figures import statement_panel
from riemann_noise_pytorch.report.theory_records import StatementRecord, TheoryRecords, read_theory

PAGE = "theory.html"

COLUMNS = (
    Column("statement", "name"),
    Column("outcome", "name", "whether the number is what the statement asks"),
    Column("measured", "name"),
    Column("expected", "name"),
)
_TONES = {True: "good", False: "problem", None: "note"}


def write_theory_page(folder: Path) -> Path:
    """Write ``theory.html`` beside the records of the experiments on the theory.

    Args:
        folder: A folder written by ``riemann-noise verify-theory``: ``records.jsonl``.

    Returns:
        The page's path. Equal folders give equal pages, byte for byte.

    Raises:
        InputError: Records are missing or damaged, or the page cannot be written. A page from before stays as
            it was.
    """
    return write_page("theory.html", _view(read_theory(Path(folder))), Path(folder) / PAGE)


def theory_table(records: TheoryRecords) -> Table:
    """The statements, their outcomes and numbers.

    Args:
        records: Of one folder.

    Returns:
        Cells of :data:`COLUMNS`.
    """
    rows = [[one.name, verdict(one.holds), one.measured, one.expected] for one in records.statements]
    return Table("Statements of the paper, and what became of them", COLUMNS, rows, [""] * len(rows))


def headline(records: TheoryRecords) -> str:
    """How many statements hold, in a sentence, and which do not.

    Args:
        records: Of one folder.
    """
    tried = [one for one in records.statements if one.holds is not None]
    broken = [one.name for one in tried if not one.holds]
    kept = len(tried) - len(broken)
    number = f"All {kept}" if not broken else f"{kept or 'None'} of {len(tried)}"
    lead = f"{number} statements hold where they were tried"
    failures = f"; {', '.join(broken)} {'does' if len(broken) == 1 else 'do'} not" if broken else ""
    return f"{lead}{failures}."


def _view(records: TheoryRecords) -> View:
    """Everything that the template prints."""
    setup = records.setup
    return {
        "headline": headline(records),
        "tones": SEVERITY_COLOURS,
        "statements": [_statement(records, one) for one in records.statements],
        "environment": flat({"package": setup.version, "commit": setup.commit} | dict(setup.environment)),
        "given": flat(setup.options),
    }


def _statement(records: TheoryRecords, one: StatementRecord) -> View:
    curves = records.curves_of(one.name)
    return {
        "record": one,
        "tone": _TONES[one.holds],
        "outcome": verdict(one.holds),
        "figure": diagram(partial(statement_panel, one, curves), f"{one.name}: {one.measured}")
        if curves
        else None,
    }

"""What the experiments on the theory left on disk, as typed records."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.theory.statement import CurveKind
from riemann_noise_pytorch.report.typed_records import Kind, Setup, Source, read_typed

RECORDS = "records.jsonl"

_COMMAND = "`riemann-noise verify-theory`"


@dataclass(frozen=True)
class StatementRecord:
    """A statement of the paper, and what became of it."""

    name: str
    statement: str
    experiment: str
    measured: str
    expected: str
    x_label: str
    y_label: str
    holds: bool | None = None
    log_x: bool = True
    log_y: bool = True
    remark: str = ""
    seconds: float | None = None


@dataclass(frozen=True)
class CurveRecord:
    """One row of points of a statement's figure; ``kind`` is ``points``, ``line`` or ``guide``."""

    statement: str
    label: str
    x: Sequence[float]
    y: Sequence[float]
    kind: str = "points"


_KINDS = {
    "setup": Kind(Setup),
    "statement": Kind(StatementRecord, ("name",)),
    "curve": Kind(CurveRecord, None),
}


@dataclass(frozen=True)
class TheoryRecords:
    """All records of one folder."""

    folder: Path
    setup: Setup
    statements: Sequence[StatementRecord]
    curves: Sequence[CurveRecord]

    def curves_of(self, name: str) -> list[CurveRecord]:
        """The curves of one statement, in the order in which they are drawn."""
        return [one for one in self.curves if one.statement == name]


def read_theory(folder: Path) -> TheoryRecords:
    """Read ``records.jsonl`` of a folder of the experiments on the theory.

    Args:
        folder: A folder written by ``riemann-noise verify-theory``.

    Returns:
        The records, typed and checked.

    Raises:
        InputError: The folder, the file or a line of it cannot be used; file and line are named.
    """
    path = Path(folder) / RECORDS
    if not path.is_file():
        raise InputError(f"{folder} holds no {RECORDS}; give a folder written by {_COMMAND}")
    found = read_typed(path, _KINDS, Source("the experiments on the theory", "verify again"))
    if not found["setup"] or not found["statement"]:
        raise InputError(f"{path} holds no statement; let {_COMMAND} finish first")
    for one in found["curve"]:
        if len(one.x) != len(one.y) or one.kind not in get_args(CurveKind):
            raise InputError(f"{path}: a curve of {one.statement} is damaged; verify again")
    return TheoryRecords(Path(folder), found["setup"][0], found["statement"], found["curve"])

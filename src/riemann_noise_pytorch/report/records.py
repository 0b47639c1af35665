"""What a comparison left on disk, as typed records.

A comparison folder holds ``records.jsonl``: one JSON object a line, whose field ``record`` tells its type.
This module reads it, and refuses in one line what it cannot read. Fields that it does not know are left
alone, and of two records on one subject the later one counts, so that records may grow and a comparison may
be measured again without a new format.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from riemann_noise_pytorch.errors import InputError

ARM_ORDER = ("none", "euclidean", "nopathreg", "riemannian")

_FILE_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_Record = TypeVar("_Record")


@dataclass(frozen=True)
class Setup:
    """What was compared, on what data, with what options, where."""

    version: str
    environment: Mapping[str, object]
    data: Mapping[str, object]
    config: Mapping[str, object]
    arms: Sequence[str]
    seeds: Sequence[int]
    commit: str | None = None


@dataclass(frozen=True)
class Reference:
    """What a metric gives for real images against real images, and for untrained generators."""

    metric: str
    name: str = ""
    floor: float | None = None
    floor_low: float | None = None
    floor_high: float | None = None
    untrained: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Measurement:
    """One metric of one trained generator, with the interval of that one run."""

    arm: str
    seed: int
    metric: str
    name: str
    value: float
    low: float | None = None
    high: float | None = None
    count: int | None = None
    interval: str = ""
    unit: str = ""


@dataclass(frozen=True)
class Run:
    """One training: its cost, its losses over time, the noise strengths that it learned."""

    arm: str
    seed: int
    seconds: float
    kimg: float
    images_per_s: float
    stats: Sequence[Mapping[str, object]] = ()
    strengths: Mapping[str, float] = field(default_factory=dict)
    sample_std: float | None = None
    real_std: float | None = None


@dataclass(frozen=True)
class Summary:
    """One metric of one arm over its seeds: mean, half width within a run, deviation between seeds."""

    arm: str
    metric: str
    name: str
    mean: float
    within: float | None
    between: float | None
    seeds: int


@dataclass(frozen=True)
class Difference:
    """One arm against another, paired by seed, with what this comparison could have detected."""

    metric: str
    arm: str
    against: str
    difference: float
    low: float | None
    high: float | None
    smallest_detectable: float | None
    pairs: int
    verdict: str


@dataclass(frozen=True)
class Verdict:
    """The comparison in plain words."""

    sentences: Sequence[str]


_KINDS: dict[str, tuple[type[Any], tuple[str, ...]]] = {
    "setup": (Setup, ()),
    "reference": (Reference, ("metric",)),
    "measurement": (Measurement, ("metric", "arm", "seed")),
    "run": (Run, ("arm", "seed")),
    "summary": (Summary, ("metric", "arm")),
    "comparison": (Difference, ("metric", "arm", "against")),
    "verdict": (Verdict, ()),
}


@dataclass(frozen=True)
class Comparison:
    """All records of one comparison folder."""

    folder: Path
    setup: Setup
    references: Sequence[Reference]
    measurements: Sequence[Measurement]
    runs: Sequence[Run]
    summaries: Sequence[Summary]
    differences: Sequence[Difference]
    sentences: Sequence[str]

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that were asked for or measured: none, Euclidean, Riemannian, then others."""
        found = [*self.setup.arms, *(run.arm for run in self.runs), *(row.arm for row in self.measurements)]
        known = [arm for arm in ARM_ORDER if arm in found]
        return tuple(dict.fromkeys([*known, *found]))

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that were measured or summarised, in the order of their records."""
        found = [*(row.metric for row in self.measurements), *(row.metric for row in self.summaries)]
        return tuple(dict.fromkeys(found))

    def seeds_of(self, arm: str) -> tuple[int, ...]:
        """The seeds of one arm that were trained, in order."""
        return tuple(sorted(run.seed for run in self.runs if run.arm == arm))

    def reference(self, metric: str) -> Reference:
        """The reference of one metric; an empty one if none was recorded."""
        return next((row for row in self.references if row.metric == metric), Reference(metric))


def read_comparison(folder: Path) -> Comparison:
    """Read ``records.jsonl`` of a comparison folder.

    Args:
        folder: A folder written by ``riemann-noise compare``.

    Returns:
        The records, typed and checked; pictures stay on disk.

    Raises:
        InputError: The folder, the file or a line of it cannot be used; file and line are named.
    """
    path = folder / "records.jsonl"
    if not path.is_file():
        raise InputError(f"{folder} holds no records.jsonl; give a folder written by `riemann-noise compare`")
    found: dict[str, dict[tuple[object, ...], Any]] = {kind: {} for kind in _KINDS}
    for number, line in enumerate(_lines(path), start=1):
        if line.strip():
            _file(found, line, f"{path}, line {number}")
    if not found["setup"]:
        raise InputError(f"{path} has no setup record; give a folder written by `riemann-noise compare`")
    if not found["measurement"]:
        raise InputError(f"{path} holds no measurement; let `riemann-noise compare` finish first")
    verdicts = [sentence for verdict in found["verdict"].values() for sentence in verdict.sentences]
    return Comparison(
        folder=folder,
        setup=found["setup"][()],
        references=tuple(found["reference"].values()),
        measurements=tuple(found["measurement"].values()),
        runs=tuple(found["run"].values()),
        summaries=tuple(found["summary"].values()),
        differences=tuple(found["comparison"].values()),
        sentences=tuple(verdicts),
    )


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}; give a folder written by this program") from error


def _file(found: dict[str, dict[tuple[object, ...], Any]], line: str, where: str) -> None:
    """Parse one line and put it where its type and subject belong."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is no JSON ({error}); remove that line, or compare again") from error
    if not isinstance(record, dict) or not isinstance(record.get("record"), str):
        raise InputError(f"{where} is no record of a comparison: it has no field 'record'; compare again")
    if record["record"] not in _KINDS:
        return
    kind, subject = _KINDS[record["record"]]
    built = _build(kind, record, where)
    _check_arms(record, where)
    found[record["record"]][tuple(getattr(built, name) for name in subject)] = built


def _build(kind: type[_Record], record: Mapping[str, object], where: str) -> _Record:
    """Make the dataclass of one record, with every field of the right type."""
    hints = get_type_hints(kind)
    values: dict[str, object] = {}
    for item in fields(kind):  # type: ignore[arg-type]
        if item.name in record:
            if not _fits(record[item.name], hints[item.name]):
                raise InputError(
                    f"{where}: '{item.name}' of a {record['record']} has a wrong type; compare again"
                )
            values[item.name] = record[item.name]
        elif item.default is MISSING and item.default_factory is MISSING:
            raise InputError(f"{where}: a {record['record']} record lacks '{item.name}'; compare again")
    return kind(**values)


def _check_arms(record: Mapping[str, Any], where: str) -> None:
    """Refuse names that would lead to a file outside the folder: arms name their artifacts."""
    for arm in [record.get("arm"), record.get("against"), *record.get("arms", ())]:
        if arm is not None and not _FILE_SAFE.fullmatch(str(arm)):
            raise InputError(
                f"{where}: {str(arm)[:40]!r} names no arm; use letters, digits, '-', '_' and '.'"
            )


def _fits(value: object, hint: Any) -> bool:
    """Tell whether a JSON value has the type that a field asks for."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is object:
        return True
    if origin is UnionType:
        return any(_fits(value, choice) for choice in inner)
    if origin is Sequence:
        return isinstance(value, list) and all(_fits(item, inner[0]) for item in value)
    if origin is Mapping:
        return isinstance(value, dict) and all(_fits(item, inner[1]) for item in value.values())
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, hint) and not (hint is int and isinstance(value, bool))

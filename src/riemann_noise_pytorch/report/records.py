"""What a comparison left on disk, as typed records.

A comparison folder holds ``records.jsonl``, lines as :mod:`riemann_noise_pytorch.report.typed_records` reads
them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.report.typed_records import Kind, Source, read_typed

ARM_ORDER = ("none", "euclidean", "nopathreg", "riemannian")

_FILE_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


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


_SOURCE = Source("a comparison", "compare again")
_KINDS = {
    "setup": Kind(Setup),
    "reference": Kind(Reference, ("metric",)),
    "measurement": Kind(Measurement, ("metric", "arm", "seed")),
    "run": Kind(Run, ("arm", "seed")),
    "summary": Kind(Summary, ("metric", "arm")),
    "comparison": Kind(Difference, ("metric", "arm", "against")),
    "verdict": Kind(Verdict),
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
    found = read_typed(path, _KINDS, _SOURCE, _check_arms)
    if not found["setup"]:
        raise InputError(f"{path} has no setup record; give a folder written by `riemann-noise compare`")
    if not found["measurement"]:
        raise InputError(f"{path} holds no measurement; let `riemann-noise compare` finish first")
    return Comparison(
        folder=folder,
        setup=found["setup"][0],
        references=found["reference"],
        measurements=found["measurement"],
        runs=found["run"],
        summaries=found["summary"],
        differences=found["comparison"],
        sentences=[sentence for verdict in found["verdict"] for sentence in verdict.sentences],
    )


def _check_arms(record: Mapping[str, Any], where: str) -> None:
    """Refuse names that would lead to a file outside the folder: arms name their artifacts."""
    for arm in [record.get("arm"), record.get("against"), *record.get("arms", ())]:
        if arm is not None and not _FILE_SAFE.fullmatch(str(arm)):
            raise InputError(
                f"{where}: {str(arm)[:40]!r} names no arm; use letters, digits, '-', '_' and '.'"
            )

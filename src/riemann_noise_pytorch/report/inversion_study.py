"""What the study of inversion left on disk, as typed records."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.report.typed_records import Kind, Source, read_typed

RECORDS = "records.jsonl"
AGAIN = "run riemann-noise inversion-study again"
FROZEN, OPTIMISED = "frozen", "optimised"


@dataclass(frozen=True)
class StudySetup:
    """What was inverted by which generators, how, and where."""

    version: str
    environment: Mapping[str, object]
    options: Mapping[str, object]
    comparison: Mapping[str, object]
    arms: Sequence[str]
    seeds: Sequence[int]
    kinds: Mapping[str, str]
    held_out: bool
    source: str
    image_shape: Sequence[int]
    space: str
    objectives: Sequence[str]
    lr: Sequence[float]
    rule: str
    commit: str | None = None


@dataclass(frozen=True)
class StudyRun:
    """One generator: which weights, and the strength of its noise by layer."""

    arm: str
    seed: int
    snapshot: str
    sha256: str
    strengths: Mapping[str, float]


@dataclass(frozen=True)
class StudyScores:
    """One generator with one kind of target: each score of each image, and how far other noise moves it."""

    arm: str
    seed: int
    kind: str
    frozen: Mapping[str, Sequence[float]]
    optimised: Mapping[str, Sequence[float]] | None = None
    change: Sequence[float] | None = None


@dataclass(frozen=True)
class StudySummary:
    """One arm with one kind of target: means over images and seeds, each with its spread between seeds.

    ``found`` is the share of images above 30 dB, ``gain`` what the optimised noise adds in dB.
    """

    arm: str
    kind: str
    seeds: int
    images: int
    frozen: Mapping[str, Mapping[str, float | None]]
    found: float
    optimised: Mapping[str, Mapping[str, float | None]] | None = None
    gain: Mapping[str, float | None] | None = None
    change: float | None = None


@dataclass(frozen=True)
class StudyDifference:
    """One arm against another by one score, paired by seed; ``lower_share`` is that of single images."""

    noise: str
    kind: str
    metric: str
    label: str
    arm: str
    against: str
    difference: float
    low: float
    high: float
    p_value: float
    smallest_detectable: float
    pairs: int
    shown: bool
    lower_share: float


@dataclass(frozen=True)
class StudyClaim:
    """One part of the paper's claim, and what became of it."""

    kind: str
    outcome: str
    asked: int
    in_favour: int
    opposed: int


@dataclass(frozen=True)
class StudyVerdict:
    """What is seen, in sentences."""

    sentences: Sequence[str]


@dataclass(frozen=True)
class InversionStudy:
    """All records of one study."""

    folder: Path
    setup: StudySetup
    runs: Sequence[StudyRun]
    scores: Sequence[StudyScores]
    summaries: Sequence[StudySummary]
    differences: Sequence[StudyDifference]
    claims: Sequence[StudyClaim]
    sentences: Sequence[str]

    @property
    def kinds(self) -> list[str]:
        """Kinds of targets, in the order of tables."""
        return list(self.setup.kinds)

    def summary(self, arm: str, kind: str) -> StudySummary | None:
        """Means of an arm with a kind of target, where it was summarised."""
        return next((one for one in self.summaries if (one.arm, one.kind) == (arm, kind)), None)

    def of_seeds(self, arm: str, kind: str) -> list[StudyScores]:
        """The scores of an arm with a kind of target, one for each seed."""
        mine = [one for one in self.scores if (one.arm, one.kind) == (arm, kind)]
        return sorted(mine, key=lambda one: one.seed)


_KINDS = {
    "setup": Kind(StudySetup),
    "run": Kind(StudyRun, ("arm", "seed")),
    "scores": Kind(StudyScores, ("arm", "seed", "kind")),
    "summary": Kind(StudySummary, ("arm", "kind")),
    "comparison": Kind(StudyDifference, ("noise", "kind", "metric", "arm", "against")),
    "claim": Kind(StudyClaim, ("kind",)),
    "verdict": Kind(StudyVerdict),
}
_SOURCE = Source("a study of inversion", AGAIN)


def read_inversion_study(folder: str | os.PathLike[str]) -> InversionStudy:
    """Read the records of a study.

    Args:
        folder: That of ``riemann-noise inversion-study``.

    Raises:
        InputError: There are none, or a line cannot be used.
    """
    path = Path(folder) / RECORDS
    found = read_typed(path, _KINDS, _SOURCE)
    for kind in ("setup", "scores", "summary"):
        if not found[kind]:
            raise InputError(f"{path} has no record of type {kind}; {AGAIN}")
    setup: StudySetup = found["setup"][0]
    for one in (*found["scores"], *found["summary"], *found["comparison"]):
        if one.arm not in setup.arms or one.kind not in setup.kinds:
            raise InputError(f"{path} has records of {one.arm} or {one.kind}, which its setup lacks; {AGAIN}")
    return InversionStudy(
        folder=Path(folder),
        setup=setup,
        runs=found["run"],
        scores=found["scores"],
        summaries=found["summary"],
        differences=found["comparison"],
        claims=found["claim"],
        sentences=[sentence for verdict in found["verdict"] for sentence in verdict.sentences],
    )

"""What the toy left on disk, as typed records: ``records.jsonl``, and the points of each arm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.report.typed_records import Kind, Source, read_typed

RECORDS = "records.jsonl"
METHOD_NAMES = {"none": "none", "js": "JS regulariser, γ =", "noise": "instance noise, σ² ="}

_SOURCE = Source("a toy", "run `riemann-noise toy` again")


@dataclass(frozen=True)
class Setup:
    """What was trained, how, and where.

    ``steps`` are the checkpoints, ``columns`` those that the figure shows; ``mixture`` holds name, ambient,
    std, centres, and how far from a centre points are good, and near.
    """

    version: str
    environment: Mapping[str, object]
    options: Mapping[str, object]
    mixture: Mapping[str, object]
    arms: Sequence[Mapping[str, object]]
    seeds: Sequence[int]
    steps: Sequence[int]
    columns: Sequence[int]
    commit: str | None = None


@dataclass(frozen=True)
class Run:
    """One arm of one seed: a value for each checkpoint, and what follows from them."""

    arm: str
    seed: int
    seconds: float
    modes: Sequence[int]
    good: Sequence[float]
    height: Sequence[float]
    full: float
    first_full: int | None = None
    held: float | None = None
    gradient_variance: Mapping[str, Sequence[float]] = field(default_factory=dict)
    variance_ratio: float | None = None


@dataclass(frozen=True)
class Summary:
    """One arm over its seeds; each mapping holds ``mean``, ``sd``, which is None for one seed, and ``n``."""

    arm: str
    seeds: int
    modes: Mapping[str, float | None]
    good: Mapping[str, float | None]
    height: Mapping[str, float | None]
    full: Mapping[str, float | None]
    covered: int
    first_full: Sequence[int]
    held: Mapping[str, float | None] | None = None
    variance_ratio: Mapping[str, float | None] | None = None


@dataclass(frozen=True)
class Verdict:
    """What is seen, one line first."""

    sentences: Sequence[str]


@dataclass(frozen=True)
class Arm:
    """One way to train: the generator's loss, and the smoothing with its strength."""

    key: str
    generator_loss: str
    method: str

    @property
    def kind(self) -> str:
        """The smoothing: none, js or noise."""
        return self.method.partition(" ")[0]

    @property
    def name(self) -> str:
        """The smoothing in words, such as ``JS regulariser, γ = 0.1``."""
        kind, _, strength = self.method.partition(" ")
        return f"{METHOD_NAMES.get(kind, kind)} {strength}".strip()


@dataclass(frozen=True)
class Points:
    """Generated points of one arm at every checkpoint.

    Attributes:
        points: In the coordinates of the plane, (seeds, checkpoints, N, 2).
        near: Which of them are near a mode, (seeds, checkpoints, N).
    """

    points: NDArray[np.float32]
    near: NDArray[np.bool_]


_KINDS = {
    "setup": Kind(Setup),
    "run": Kind(Run, ("arm", "seed")),
    "summary": Kind(Summary, ("arm",)),
    "verdict": Kind(Verdict),
}


@dataclass(frozen=True)
class ToyRecords:
    """All records of one toy, and the points of its arms by key."""

    folder: Path
    setup: Setup
    arms: Sequence[Arm]
    runs: Sequence[Run]
    summaries: Mapping[str, Summary]
    sentences: Sequence[str]
    points: Mapping[str, Points] = field(repr=False)

    @property
    def centres(self) -> NDArray[np.float64]:
        """Centres of the mixture in the plane, (K, 2)."""
        return np.asarray(self.setup.mixture["centres"], dtype=np.float64)

    @property
    def columns(self) -> list[int]:
        """Places of the figure's columns among the checkpoints."""
        return [list(self.setup.steps).index(step) for step in self.setup.columns]

    def runs_of(self, arm: Arm) -> list[Run]:
        """The runs of one arm, by seed."""
        return sorted((run for run in self.runs if run.arm == arm.key), key=lambda run: run.seed)


def read_toy(folder: Path) -> ToyRecords:
    """Read what ``riemann-noise toy`` wrote into a folder.

    Args:
        folder: Holds ``records.jsonl`` and ``artifacts/``.

    Returns:
        The records, typed and checked, and the points that belong to them.

    Raises:
        InputError: A file, a line or a tensor cannot be used; it is named.
    """
    path = Path(folder) / RECORDS
    if not path.is_file():
        raise InputError(f"{folder} holds no {RECORDS}; give a folder written by `riemann-noise toy`")
    found = read_typed(path, _KINDS, _SOURCE)
    if not found["setup"]:
        raise InputError(f"{path} has no setup record; give a folder written by `riemann-noise toy`")
    setup: Setup = found["setup"][0]
    arms = [_arm(one, path) for one in setup.arms]
    summaries = {one.arm: one for one in found["summary"]}
    missing = [arm.key for arm in arms if arm.key not in summaries]
    if missing or not set(setup.columns) <= set(setup.steps):
        raise InputError(
            f"{path} lacks {', '.join(missing) or 'a step'}; let `riemann-noise toy` finish first"
        )
    points = {arm.key: _points(Path(folder) / "artifacts" / f"{arm.key}.safetensors", setup) for arm in arms}
    verdict = found["verdict"][0].sentences if found["verdict"] else []
    return ToyRecords(Path(folder), setup, arms, found["run"], summaries, verdict, points)


def _arm(record: Mapping[str, object], path: Path) -> Arm:
    try:
        return Arm(*(str(record[name]) for name in ("key", "generator_loss", "method")))
    except KeyError as error:
        raise InputError(f"{path}: an arm lacks {error}; run `riemann-noise toy` again") from error


def _points(path: Path, setup: Setup) -> Points:
    try:
        tensors: dict[str, Any] = load_file(path)
        points, near = tensors["points"].astype(np.float32), tensors["near"].astype(bool)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"cannot read {path}: {reason}; run `riemann-noise toy` again") from error
    seeds, steps = len(setup.seeds), len(setup.steps)
    if points.shape[:2] != (seeds, steps) or points.shape[3:] != (2,) or near.shape != points.shape[:3]:
        raise InputError(
            f"{path}: points of shape {points.shape} fit no {seeds} seeds; run `riemann-noise toy` again"
        )
    return Points(np.nan_to_num(points), near)

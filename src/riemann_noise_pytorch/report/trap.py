"""What the experiment on the dimension trap left on disk, as typed records, and its table."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.report.tables import MISSING, Column, Table, arm_label, number
from riemann_noise_pytorch.report.typed_records import Kind, Setup, Source, read_typed

RECORDS = "records.jsonl"
MLE = "MLE"

COLUMNS = (
    Column("z_dim", "name", "dimension of the latent"),
    Column("noise", "arm"),
    Column("rank", "number", "rank of the Jacobian in the latent, median over latents and seeds"),
    Column("with noise", "number", "rank in latent and noise together"),
    Column("margin", "number", "how many times the tolerance the smallest counted singular value is"),
    Column("norm", "number", "largest singular value of the Jacobian, mean over the seeds"),
    Column("growth", "number", "exponent of the norm in the images seen, mean over the seeds"),
    Column("JS >=", "number", "lower bound of the divergence from the data, mean over the seeds"),
    Column("MLE dim.", "number", "intrinsic dimension of the samples by MLE, mean over the seeds"),
    Column("seeds", "reference", "number of trained generators"),
)


@dataclass(frozen=True)
class TrapData:
    """The real images, and what tells two sets of them apart: nothing."""

    name: str
    count: int
    js: Mapping[str, float]


@dataclass(frozen=True)
class TrapArm:
    """One generator after its training."""

    z_dim: int
    noise: str
    seed: int
    rank: int
    margin_kept: float
    margin_lost: float
    ambiguous: bool
    effective_rank: float
    norm: float
    js: Mapping[str, float]
    case: str
    sentence: str
    joint_rank: int | None = None
    growth: Mapping[str, object] | None = None


@dataclass(frozen=True)
class TrapLayer:
    """The Jacobian of one layer of one generator."""

    z_dim: int
    noise: str
    seed: int
    order: int
    name: str
    size: int
    rank: int
    effective_rank: float


@dataclass(frozen=True)
class TrapNorm:
    """The norm of the Jacobian at one time of a training."""

    z_dim: int
    noise: str
    seed: int
    kimg: float
    norm: float


@dataclass(frozen=True)
class TrapDimension:
    """The dimension of the data (``what`` is ``data``) or of the samples of one generator."""

    what: str
    method: str
    value: float
    low: float
    high: float
    count: int
    z_dim: int = 0
    noise: str = ""
    seed: int = 0


@dataclass(frozen=True)
class TrapVerdict:
    """What is seen, in sentences."""

    sentences: Sequence[str]


@dataclass(frozen=True)
class Trap:
    """All records of one experiment."""

    setup: Setup
    data: TrapData
    arms: Sequence[TrapArm]
    layers: Sequence[TrapLayer]
    norms: Sequence[TrapNorm]
    dimensions: Sequence[TrapDimension]
    sentences: Sequence[str]

    @property
    def dimension(self) -> int:
        """The dimension that the data were drawn with."""
        return int(str(self.setup.options.get("dimension", 0)))

    @property
    def kinds(self) -> list[tuple[int, str]]:
        """Sizes of latent and kinds of noise, in the order of the options."""
        return list(dict.fromkeys((arm.z_dim, arm.noise) for arm in self.arms))


_ABOUT = ("z_dim", "noise", "seed")
_KINDS = {
    "setup": Kind(Setup),
    "data": Kind(TrapData),
    "arm": Kind(TrapArm, _ABOUT),
    "layer": Kind(TrapLayer, (*_ABOUT, "order")),
    "norm": Kind(TrapNorm, (*_ABOUT, "kimg")),
    "dimension": Kind(TrapDimension, (*_ABOUT, "what", "method")),
    "verdict": Kind(TrapVerdict),
}
_SOURCE = Source("an experiment on the dimension trap", "run the experiment again")


def read_trap(folder: str | os.PathLike[str]) -> Trap:
    """Read the records of an experiment.

    Args:
        folder: That of ``riemann-noise trap``.

    Raises:
        InputError: There are none, or a line cannot be used.
    """
    path = Path(folder) / RECORDS
    found = read_typed(path, _KINDS, _SOURCE)
    for kind in ("setup", "data", "arm"):
        if not found[kind]:
            raise InputError(f"{path} has no record of type {kind}; run the experiment again")
    return Trap(
        setup=found["setup"][0],
        data=found["data"][0],
        arms=found["arm"],
        layers=sorted(found["layer"], key=lambda layer: layer.order),
        norms=sorted(found["norm"], key=lambda step: step.kimg),
        dimensions=found["dimension"],
        sentences=[sentence for verdict in found["verdict"] for sentence in verdict.sentences],
    )


def trap_table(trap: Trap) -> Table:
    """One row for each size of latent and kind of noise.

    Args:
        trap: The records.

    Returns:
        Cells of :data:`COLUMNS`, and what they stand against as notes.
    """
    rows = []
    for z_dim, noise in trap.kinds:
        mine = [arm for arm in trap.arms if (arm.z_dim, arm.noise) == (z_dim, noise)]
        growth = [float(str(arm.growth["slope"])) for arm in mine if arm.growth is not None]
        found = [
            each.value
            for each in trap.dimensions
            if (each.z_dim, each.noise, each.what) == (z_dim, noise, "samples")
            and each.method.startswith(MLE)
        ]
        rows.append(
            [
                str(z_dim),
                arm_label(noise),
                _ranks([arm.rank for arm in mine]),
                _ranks([arm.joint_rank for arm in mine if arm.joint_rank is not None]),
                f"{min(arm.margin_kept for arm in mine):.1g}",
                number(fmean(arm.norm for arm in mine), 2),
                _mean(growth, signed=True),
                number(fmean(arm.js["value"] for arm in mine), 3),
                number(fmean(found), 1) if found else MISSING,
                str(len(mine)),
            ]
        )
    title = f"Generators on data of dimension {trap.dimension}"
    return Table(title, COLUMNS, rows, [noise for _, noise in trap.kinds], _notes(trap))


def _notes(trap: Trap) -> list[str]:
    data = [each for each in trap.dimensions if each.what == "data"]
    shown = ", ".join(f"{each.value:.1f} by {each.method}" for each in data)
    return [
        f"data: {trap.data.name}, dimension {trap.dimension}; estimated from {data[0].count:,} images: "
        f"{shown} (estimates fall short in high dimensions, of data and samples alike)"
        if data
        else f"data: {trap.data.name}, dimension {trap.dimension}",
        f"JS: two halves of the data are told apart by {trap.data.js['value']:.3g}, of at most log 2 = "
        "0.693; log(2)/2 = 0.347 is the second case of Theorem 1",
    ]


def _ranks(ranks: Sequence[int]) -> str:
    if not ranks:
        return MISSING
    low, high = min(ranks), max(ranks)
    return str(low) if low == high else f"{low} to {high}"


def _mean(values: Sequence[float], *, signed: bool) -> str:
    return number(fmean(values), 2, signed=signed) if values else MISSING

"""What a diagnosis left on disk, as typed records: ``diagnosis.jsonl`` and ``diagnosis.safetensors``.

The records hold every number of the page; the tensors hold what is only drawn: spectra, condition numbers of
pairs, maps of shares, samples. A picture whose numbers are missing is left out of the page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.report.tensors import Form, Tensor, read_tensors
from riemann_noise_pytorch.report.typed_records import Kind, Source, read_typed

RECORDS, TENSORS = "diagnosis.jsonl", "diagnosis.safetensors"
LATENT = "latent"
"""The group of the attribution that is not noise."""
SEVERITIES = ("problem", "note", "good")

_SOURCE = Source("a diagnosis", "diagnose again")
_FORMS = {
    "spectrum": Form(2, "f"),
    "condition": Form(1, "f"),
    "attribution": Form(2, "f"),
    "samples": Form(4, "u"),
}
_PER_LATENT = ("rank", "stable_rank", "effective_rank", "norm", "margin_kept", "margin_lost")


@dataclass(frozen=True)
class Setup:
    """What was diagnosed, with what options, where; ``work`` is what fitted into its minutes."""

    version: str
    environment: Mapping[str, object]
    target: Mapping[str, object]
    options: Mapping[str, object]
    seed: int
    commit: str | None = None
    image_shape: Sequence[int] = ()
    work: Mapping[str, object] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The target as it was given."""
        return str(self.target.get("name", "the generator"))


@dataclass(frozen=True)
class Profile:
    """How the Jacobians of all layers were computed: in the latent, or in latent and noise (``joint``)."""

    inputs: int
    joint: bool
    mode: str
    reason: str
    remark: str
    tolerance: str
    sketched: bool
    num_latents: int


@dataclass(frozen=True)
class Layer:
    """The Jacobian of one layer: a value for each latent, in the same order throughout.

    ``tolerance`` is relative to the largest singular value; a margin is None where it has no end, since there
    is no singular value on that side of the tolerance.
    """

    joint: bool
    name: str
    shape: Sequence[int]
    size: int
    order: int
    rank: Sequence[int]
    stable_rank: Sequence[float]
    effective_rank: Sequence[float]
    norm: Sequence[float]
    margin_kept: Sequence[float | None]
    margin_lost: Sequence[float | None]
    ambiguous: bool
    tolerance: Sequence[float] = ()


@dataclass(frozen=True)
class Condition:
    """Condition numbers in one space: over pairs of points, and exactly at a few points (``local``).

    ``log_condition`` is None where the rank is lost, for it then has no end.
    """

    space: str
    mc: float
    mc_low: float | None
    mc_high: float | None
    mc_name: str
    ttmc: float | None
    ttmc_low: float | None
    ttmc_high: float | None
    ttmc_name: str
    local: Sequence[float] = ()
    log_condition: Sequence[float | None] = ()
    quotient_error: float | None = None


@dataclass(frozen=True)
class Share:
    """How much of the images' variance one group has: alone (``first``), and with others (``total``)."""

    group: str
    first: float
    first_error: float | None
    total: float
    total_error: float | None
    ignored: bool


@dataclass(frozen=True)
class Dimension:
    """An estimate of the intrinsic dimension of the data or of the samples."""

    what: str
    method: str
    value: float
    low: float | None
    high: float | None
    count: int


@dataclass(frozen=True)
class Finding:
    """One thing to know, how grave it is, and what to try."""

    severity: str
    title: str
    text: str
    remedy: str = ""
    command: str = ""


@dataclass(frozen=True)
class Remark:
    """What was left out or measured less than asked for, and why."""

    text: str


_KINDS = {
    "setup": Kind(Setup),
    "profile": Kind(Profile, ("joint",)),
    "layer": Kind(Layer, ("joint", "name")),
    "condition": Kind(Condition, ("space",)),
    "share": Kind(Share, ("group",)),
    "dimension": Kind(Dimension, ("what", "method")),
    "finding": Kind(Finding, subject=None),
    "remark": Kind(Remark, subject=None),
}


@dataclass(frozen=True)
class DiagnosisRecords:
    """All records and tensors of one diagnosis."""

    folder: Path
    setup: Setup
    profiles: Sequence[Profile]
    layers: Sequence[Layer]
    conditions: Sequence[Condition]
    shares: Sequence[Share]
    dimensions: Sequence[Dimension]
    findings: Sequence[Finding]
    remarks: Sequence[Remark]
    tensors: Mapping[str, Tensor] = field(repr=False)

    def profile(self, *, joint: bool = False) -> Profile | None:
        """How the Jacobians were computed, in the latent or jointly; None where they were not."""
        return next((one for one in self.profiles if one.joint == joint), None)

    def depth(self, *, joint: bool = False) -> list[Layer]:
        """The layers of one profile in order of execution."""
        return sorted((one for one in self.layers if one.joint == joint), key=lambda one: one.order)

    def spectrum(self, layer: Layer) -> Tensor | None:
        """Singular values of a layer's Jacobian, (latents, k) descending; None where none were kept."""
        return self.tensors.get(f"spectrum/{'joint' if layer.joint else 'z'}/{layer.name}")

    def pairs(self, condition: Condition) -> Tensor | None:
        """The condition number of every pair, (pairs,); None where none were kept."""
        return self.tensors.get(f"condition/{condition.space}")

    def share_map(self, share: Share) -> Tensor | None:
        """The group's share of the variance of every pixel, (H, W); None where none was kept."""
        return self.tensors.get(f"attribution/{share.group}")

    @property
    def samples(self) -> Tensor | None:
        """Images that were generated, uint8 (K, C, H, W); None where none were kept."""
        return self.tensors.get("samples")

    @property
    def data_dimension(self) -> Dimension | None:
        """The first estimate of the dimension of the real images; None where there were none."""
        return next((one for one in self.dimensions if one.what == "data"), None)

    @property
    def graded(self) -> list[Finding]:
        """The findings, problems first, then notes, then what is good."""
        return sorted(self.findings, key=lambda one: SEVERITIES.index(one.severity))


def read_diagnosis(folder: Path) -> DiagnosisRecords:
    """Read what ``riemann-noise diagnose`` wrote into a folder.

    Args:
        folder: Holds ``diagnosis.jsonl`` and ``diagnosis.safetensors``.

    Returns:
        The records, typed and checked, and the tensors that fit them.

    Raises:
        InputError: A file, a line or a tensor cannot be used; it is named.
    """
    path = folder / RECORDS
    if not path.is_file():
        raise InputError(f"{folder} holds no {RECORDS}; give a folder written by `riemann-noise diagnose`")
    found = read_typed(path, _KINDS, _SOURCE, _check)
    if not found["setup"]:
        raise InputError(f"{path} has no setup record; give a folder written by `riemann-noise diagnose`")
    if not any(not layer.joint for layer in found["layer"]):
        raise InputError(f"{path} holds no layer; let `riemann-noise diagnose` finish first")
    return DiagnosisRecords(
        folder=folder,
        setup=found["setup"][0],
        profiles=found["profile"],
        layers=found["layer"],
        conditions=found["condition"],
        shares=found["share"],
        dimensions=found["dimension"],
        findings=found["finding"],
        remarks=found["remark"],
        tensors=read_tensors(folder / TENSORS, _FORMS, "run `riemann-noise diagnose` again"),
    )


def _check(record: Mapping[str, Any], where: str) -> None:
    """Refuse what no type can tell: lists of unequal length, a severity that there is not."""
    if record["record"] == "layer":
        lengths = {len(record[name]) for name in _PER_LATENT}
        if len(lengths) > 1 or 0 in lengths:
            raise InputError(f"{where}: a layer needs one value for each latent; diagnose again")
    if record["record"] == "finding" and record["severity"] not in SEVERITIES:
        raise InputError(f"{where}: no finding is {record['severity'][:40]!r}; diagnose again")

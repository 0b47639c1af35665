"""What an inversion left on disk, as typed records: ``inversion.jsonl`` and ``pictures.safetensors``.

The records hold every number of the page; the tensors hold what is only drawn: images, noise maps, frames,
the course of the loss. Of these targets and reconstructions are needed; what else is missing is left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.report.tensors import Form, Tensor, read_tensors
from riemann_noise_pytorch.report.typed_records import KEY, Kind, Source, read_typed

RECORDS, PICTURES = "inversion.jsonl", "pictures.safetensors"
TARGETS, WITHOUT, WITH, FRESH, MASKS = "targets", "without", "with", "fresh", "masks"
NOISE, FRAMES, INTERPOLATION, CURVE = "noise/", "frames", "interpolation/", "curve/"
STEPS = "frames/steps"

Score = Mapping[str, float | None]
"""``psnr`` in dB, ``ssim``, ``mse`` and ``perceptual`` of one reconstruction; None where it has none."""

_AGAIN = "run `riemann-noise invert` again"
_SOURCE = Source("an inversion", _AGAIN)
_IMAGES = Form(4, "u")
_FORMS = {
    TARGETS: _IMAGES,
    WITHOUT: _IMAGES,
    WITH: _IMAGES,
    FRESH: Form(5, "u"),
    MASKS: Form(3, "u"),
    "noise": Form(3, "f"),
    FRAMES: Form(5, "u"),
    STEPS: Form(1, "i"),
    "interpolation": _IMAGES,
    "curve/steps": Form(1, "i"),
    "curve/stages": Form(1, "i"),
    "curve": Form(1, "f"),
}

_TOGETHER = (
    (FRAMES, (FRAMES, STEPS)),
    ("curve", tuple(f"{CURVE}{name}" for name in ("steps", "median", "best", "stages"))),
)
"""Tensors of one length."""


@dataclass(frozen=True)
class Setup:
    """What was inverted by which generator, how, and where.

    ``stages`` and ``objectives`` have one for each stage; ``layers`` are those whose noise is a map, of
    ``noise_layers`` in all; ``sequential`` tells that all noise was optimised after the latents, so that the
    images without it are those of the same latents.
    """

    version: str
    environment: Mapping[str, object]
    target: Mapping[str, object]
    options: Mapping[str, object]
    images: Mapping[str, object]
    recipe: str
    space: str
    objectives: Sequence[str]
    layers: Sequence[str]
    sequential: bool
    distance: str
    stages: Sequence[Mapping[str, object]] = ()
    noise_layers: int = 0
    commit: str | None = None

    @property
    def name(self) -> str:
        """The target as it was given."""
        return str(self.target.get("name", "the generator"))

    @property
    def noisy(self) -> bool:
        """Whether the generator has noise, be it of maps or not."""
        return bool(self.layers) or self.noise_layers > 0


@dataclass(frozen=True)
class ImageRecord:
    """One image: its best restart, and how near it comes under frozen noise and under noise of its own.

    ``losses`` holds for every restart its best loss of each stage, None where there was none; ``fresh`` holds
    draws, psnr, psnr_sd and change, in grey levels of 255.
    """

    index: int
    name: str
    restart: int
    ending: str
    steps: Sequence[int]
    losses: Sequence[Sequence[float | None]]
    without: Score
    with_noise: Score | None = field(default=None, metadata={KEY: "with"})
    fresh: Mapping[str, float | None] | None = None


@dataclass(frozen=True)
class Summary:
    """All images: what is seen; what the noise gained, in dB; by how many grey levels fresh noise moves them.

    ``spread`` is by how many fresh draws differ among themselves; ``noise_rms`` the root mean square of the
    noise optimised, where drawn noise has about 1.
    ``rates`` are the shares of images whose best of so many starts has a PSNR above ``least_db``, its noise
    frozen.
    """

    rates: Mapping[str, float]
    sentences: Sequence[str]
    gain: Mapping[str, float | None] | None = None
    strengths: Mapping[str, float | None] = field(default_factory=dict)
    change: float | None = None
    spread: float | None = None
    noise_rms: float | None = None
    least_db: float = 30.0


_KINDS = {"setup": Kind(Setup), "image": Kind(ImageRecord, ("index",)), "summary": Kind(Summary)}


@dataclass(frozen=True)
class InversionRecords:
    """All records and tensors of one inversion, the images in their order."""

    folder: Path
    setup: Setup
    images: Sequence[ImageRecord]
    summary: Summary
    tensors: Mapping[str, Tensor] = field(repr=False)

    @property
    def headline(self) -> str:
        """What is seen, in one sentence."""
        return self.summary.sentences[0] if self.summary.sentences else "Nothing was concluded."

    @property
    def has_noise(self) -> bool:
        """Whether noise was optimised."""
        return any(image.with_noise is not None for image in self.images)

    @property
    def restarts(self) -> int:
        """How many each image had."""
        return max(len(image.losses) for image in self.images)

    @property
    def noise(self) -> dict[str, Tensor]:
        """First planes of the noise maps optimised, (N, H, W), by layer, in the order of the layers."""
        found = {key.removeprefix(NOISE): maps for key, maps in self.tensors.items() if key.startswith(NOISE)}
        order = [*(layer for layer in self.setup.layers if layer in found), *found]
        return {layer: found[layer] for layer in order}


def read_inversion(folder: Path) -> InversionRecords:
    """Read what ``riemann-noise invert`` wrote into a folder.

    Args:
        folder: Holds ``inversion.jsonl`` and ``pictures.safetensors``.

    Returns:
        The records, typed and checked, and the tensors that fit them.

    Raises:
        InputError: A file, a line or a tensor cannot be used; it is named.
    """
    folder = Path(folder)
    path = folder / RECORDS
    if not path.is_file():
        raise InputError(f"{folder} holds no {RECORDS}; give a folder written by `riemann-noise invert`")
    found = read_typed(path, _KINDS, _SOURCE, _check)
    if not found["setup"]:
        raise InputError(f"{path} has no setup record; give a folder written by `riemann-noise invert`")
    images: list[ImageRecord] = sorted(found["image"], key=lambda image: image.index)
    missing = next((i for i, image in enumerate(images) if image.index != i), None)
    if missing is not None or not images or not found["summary"]:
        lacks = "its summary" if images and missing is None else f"image {missing or 0}"
        raise InputError(f"{path} lacks {lacks}; let `riemann-noise invert` finish first")
    tensors = read_tensors(folder / PICTURES, _FORMS, _AGAIN)
    _check_shapes(tensors, folder / PICTURES, images)
    return InversionRecords(folder, found["setup"][0], images, found["summary"][0], tensors)


def _check(record: Mapping[str, Any], where: str) -> None:
    """Refuse what no type can tell: restarts that there are not, or with other stages."""
    if record["record"] != "image":
        return
    losses, stages = record["losses"], {len(each) for each in record["losses"]}
    if not 0 <= record["restart"] < len(losses) or len(stages) != 1 or 0 in stages:
        raise InputError(f"{where}: losses and restarts of an image do not agree; {_AGAIN}")


def _check_shapes(tensors: Mapping[str, Tensor], path: Path, images: Sequence[ImageRecord]) -> None:
    """Refuse tensors that belong to other images."""
    has_noise = any(image.with_noise is not None for image in images)
    for needed in (TARGETS, WITHOUT, *([WITH] if has_noise else [])):
        if needed not in tensors:
            raise InputError(f"{path} holds no '{needed}'; {_AGAIN}")
    count, picture = len(images), tensors[TARGETS].shape[1:]
    for name, tensor in tensors.items():
        kind = name.partition("/")[0]
        per_image = name in (TARGETS, WITHOUT, WITH, FRESH, MASKS) or kind == "noise"
        wanted = picture[1:] if name == MASKS else picture
        is_picture = _FORMS.get(name, _FORMS[kind]).kinds == "u"
        if (per_image and len(tensor) != count) or (is_picture and tensor.shape[-len(wanted) :] != wanted):
            raise InputError(f"{path}: '{name}' of shape {tensor.shape} fits no {count} images; {_AGAIN}")
    if FRAMES in tensors and tensors[FRAMES].shape[1] > count:
        raise InputError(f"{path}: '{FRAMES}' shows more than {count} images; {_AGAIN}")
    lengths = {kind: {len(tensors[name]) for name in names if name in tensors} for kind, names in _TOGETHER}
    for kind, found in lengths.items():
        if len(found) > 1:
            raise InputError(f"{path}: the tensors of '{kind}' differ in length; {_AGAIN}")
    if (FRAMES in tensors) != (STEPS in tensors):
        raise InputError(f"{path}: '{FRAMES}' and '{STEPS}' belong together; {_AGAIN}")

"""One generator and one kind of target of the study: latents, then noise, and how near they come."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from riemann_noise_pytorch.data.images import to_float, to_uint8
from riemann_noise_pytorch.errors import NonFiniteError
from riemann_noise_pytorch.experiments.arm import Report
from riemann_noise_pytorch.experiments.artifacts import latents
from riemann_noise_pytorch.experiments.evaluation.processes import on_device
from riemann_noise_pytorch.experiments.inversion_study.options import InversionStudyConfig
from riemann_noise_pytorch.experiments.inversion_study.recipes import latent_recipe, noise_recipe
from riemann_noise_pytorch.experiments.inversion_study.targets import OCCLUDED, PLAIN, SELF
from riemann_noise_pytorch.experiments.records import Record, write_records
from riemann_noise_pytorch.files import atomic_write
from riemann_noise_pytorch.inversion.projector import StepInfo, invert
from riemann_noise_pytorch.inversion.quality import GREY_LEVELS, HIGHEST_DB, mse, psnr
from riemann_noise_pytorch.inversion.reconstruction import reconstruct
from riemann_noise_pytorch.inversion.results import Inversion
from riemann_noise_pytorch.metrics.distances import PyramidDistance
from riemann_noise_pytorch.models.interfaces import Generator
from riemann_noise_pytorch.models.latent_space import Space
from riemann_noise_pytorch.noise.control import frozen, noise_layers
from riemann_noise_pytorch.seeds import derive
from riemann_noise_pytorch.training.checkpoints import load_generator

SHOWN = 8
"""Pictures kept of every inversion."""
DIGITS = 6
VISIBLE = "visible"


@dataclass(frozen=True)
class StudyPart:
    """One generator with one kind of target.

    Args:
        label: The generator's kind of noise.
        seed: The seed of its training.
        kind: The kind of target.
        run_dir: Folder of its training.
        out: Folder of the whole study.
        config: The options.
        space: Where latents are sought.
    """

    label: str
    seed: int
    kind: str
    run_dir: Path
    out: Path
    config: InversionStudyConfig
    space: Space

    @property
    def name(self) -> str:
        """The part's name among files, such as ``riemannian-seed0-rotated``."""
        return f"{self.label}-seed{self.seed}-{self.kind}"

    @property
    def records(self) -> Path:
        """The finished part's record; the file is there when all else is."""
        return self.out / "parts" / f"{self.name}.jsonl"

    @property
    def artifacts(self) -> Path:
        """Its first pictures, and the losses of all starts."""
        return self.out / "artifacts" / f"{self.name}.safetensors"


def targets_path(out: Path) -> Path:
    """The file of the targets that all generators share."""
    return out / "artifacts" / "targets.safetensors"


def run_part(part: StudyPart, report: Report) -> None:
    """Invert the targets of one kind with one generator, and record.

    Raises:
        RiemannNoiseError: The generator or the targets cannot be used.
        NonFiniteError: A score is not finite.
    """
    device, _ = on_device(part.config.device)
    generator = load_generator(part.run_dir, device=device)
    wanted, truth, masks = _targets(part, generator)
    found = _latents(part, generator, wanted, masks, report)
    points, without = found.chosen(found.latents), found.chosen(found.images)
    record: Record = {
        "record": "scores",
        "arm": part.label,
        "seed": part.seed,
        "kind": part.kind,
        "diverged": sum(ending == "diverged" for row in found.told_endings for ending in row),
        "frozen": scores(without, truth, masks),
        "optimised": None,
        "change": None,
    }
    pictures = {"frozen": without, "losses": found.losses[..., -1]}
    if noise_layers(generator):
        better = _noise(part, generator, wanted, masks, points, report)
        record["optimised"] = scores(better, truth, masks)
        record["change"] = _listed(_change(part, generator, points, without))
        pictures["optimised"] = better
    _check_finite(record)
    if part.kind == SELF:
        pictures["targets"] = truth
    _write_pictures(part.artifacts, pictures)
    write_records(part.records, [record])
    report("done", 1, 1)


def scores(images: Tensor, truth: Tensor, masks: Tensor | None) -> Record:
    """How near images are to the truth, one number for each image.

    Args:
        images: (N, C, H, W).
        truth: The same shape, in [-1, 1].
        masks: (N, 1, H, W), 1 where the truth was seen; None for everywhere.

    Returns:
        ``mse``, ``psnr`` and ``pyramid`` (the pyramid distance) of the whole image, and with masks ``seen``
        and ``hidden``, the squared error there.
    """
    found = {
        "mse": mse(images, truth),
        "psnr": psnr(images, truth).clamp(max=HIGHEST_DB),
        "pyramid": PyramidDistance()(images, truth),
    }
    if masks is not None:
        error = (images - truth).square().mean(dim=1, keepdim=True)
        for name, part in {"seen": masks, "hidden": 1 - masks}.items():
            found[name] = (error * part).sum(dim=(1, 2, 3)) / part.sum(dim=(1, 2, 3))
    return {name: _listed(values) for name, values in found.items()}


def _targets(part: StudyPart, generator: Generator) -> tuple[Tensor, Tensor, Tensor | None]:
    """What the inversion sees, what the result is compared with, and the mask between the two."""
    if part.kind == SELF:
        samples = samples_of(part, generator)
        return samples, samples, None
    tensors = load_file(targets_path(part.out))
    wanted = to_float(tensors[part.kind])
    if part.kind != OCCLUDED:
        return wanted, wanted, None
    return wanted, to_float(tensors[PLAIN]), tensors[VISIBLE].float()


@torch.no_grad()
def samples_of(part: StudyPart, generator: Generator) -> Tensor:
    """Images of the generator under the noise of the inversion, at latents that are no start of it."""
    z = latents(generator, part.config.images, derive(part.config.seed, "self"))
    rows = []
    for first in range(0, len(z), part.config.batch):
        with frozen(generator, part.config.seed, first_sample=first):
            rows.append(generator(z[first : first + part.config.batch]).cpu())
    return torch.cat(rows)


def _latents(
    part: StudyPart, generator: Generator, wanted: Tensor, masks: Tensor | None, report: Report
) -> Inversion:
    config = part.config
    return invert(
        generator, wanted, latent_recipe(config, part.space), restarts=config.restarts, masks=masks,
        seed=config.seed, batch=config.batch, on_step=partial(_tell, report, "latents"),
    )  # fmt: skip


def _noise(
    part: StudyPart,
    generator: Generator,
    wanted: Tensor,
    masks: Tensor | None,
    points: Tensor,
    report: Report,
) -> Tensor:
    """Images of the same latents under noise that is optimised, from the frozen noise on."""
    config = part.config
    found = invert(
        generator, wanted, noise_recipe(config, part.space), start=points.unsqueeze(1), masks=masks,
        seed=config.seed, batch=config.batch, on_step=partial(_tell, report, "noise"),
    )  # fmt: skip
    return found.images[:, 0]


def _change(part: StudyPart, generator: Generator, points: Tensor, without: Tensor) -> Tensor:
    """How far the images move under other noise: root mean square in grey levels of 255, (N,)."""
    other = reconstruct(
        generator, points, part.space, seed=derive(part.config.seed, "other noise"), batch=part.config.batch
    )
    return GREY_LEVELS * mse(other, without).sqrt()


def _tell(report: Report, stage: str, info: StepInfo) -> None:
    report(stage, info.step, info.steps)


def _listed(values: Tensor) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values.tolist()]


def _check_finite(record: Record) -> None:
    for name in ("frozen", "optimised"):
        for score, values in (record[name] or {}).items():
            if not torch.tensor(values).isfinite().all():
                raise NonFiniteError(
                    f"the {score} of a reconstruction is not finite; look at the generator's samples"
                )


def _write_pictures(path: Path, tensors: dict[str, Tensor]) -> None:
    kept = {
        name: tensor if name == "losses" else to_uint8(tensor[:SHOWN].cpu().float())
        for name, tensor in tensors.items()
    }
    with atomic_write(path) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in kept.items()}, temporary)

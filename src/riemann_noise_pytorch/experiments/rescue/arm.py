"""One run of the rescue study: trained to its end, or to where it breaks, then asked what data it reaches."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from riemann_noise_pytorch.data.imageset import ImageSet, to_float, to_uint8
from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.experiments.arm import Report
from riemann_noise_pytorch.experiments.artifacts import sample
from riemann_noise_pytorch.experiments.records import Record, write_records
from riemann_noise_pytorch.experiments.rescue.options import AMONG_REAL, COLLAPSED_BELOW, Setting
from riemann_noise_pytorch.metrics.precision_recall import PrecisionRecall, precision_recall
from riemann_noise_pytorch.metrics.sliced_wasserstein import sample_spread
from riemann_noise_pytorch.seeds import derive
from riemann_noise_pytorch.training.checkpoints import load_generator
from riemann_noise_pytorch.training.config import TrainConfig
from riemann_noise_pytorch.training.loop import train
from riemann_noise_pytorch.training.processes import make_accelerator
from riemann_noise_pytorch.training.real_images import open_data
from riemann_noise_pytorch.training.run_folder import RunFolder

MEASURES = ("loss_g", "loss_d", "d_real_accuracy", "d_fake_accuracy")
"""Of the last tick, kept beside the recall."""
DIGITS_LEFT = (1, 2, 3)
"""Real images of so many digits alone are measured as a generator's would be."""


@dataclass(frozen=True)
class RescueArm:
    """One run with its measurement.

    Args:
        setting: The row of the study.
        method: Its column.
        config: The training.
        out: Folder of the whole study.
    """

    setting: Setting
    method: str
    config: TrainConfig
    out: Path

    @property
    def name(self) -> str:
        """The run's name among its files, such as ``minimax-lr0.005-d4-js-seed0``."""
        return f"{self.setting.name}-{self.method}-seed{self.config.seed}"

    @property
    def run_dir(self) -> Path:
        """Folder of the training."""
        return self.out / "runs" / self.name

    @property
    def records(self) -> Path:
        """The finished run's record; the file is there when all else is."""
        return self.run_dir / "measurements.jsonl"


def run_arm(arm: RescueArm, report: Report) -> None:
    """Train and measure one generator; what an earlier, interrupted attempt finished is kept.

    A run whose numbers stop being finite is measured by that.

    Raises:
        RiemannNoiseError: The training or the measurement cannot go on for another reason.
    """
    images = open_data(arm.config)
    resume = (arm.run_dir / "config.json").is_file()
    accelerator = make_accelerator(arm.config, arm.run_dir)
    try:
        train(
            arm.config, images, arm.run_dir, resume=resume, accelerator=accelerator,
            progress=lambda info: report("training", info.step, info.steps),
        )  # fmt: skip
        found = _measured(arm, images)
    except NonFiniteError as error:
        found = {"reached": 0.0, "stopped": str(error).partition(";")[0]}
    report("recall", 1, 1)
    stats = RunFolder(arm.run_dir).stats()
    run = {
        "record": "run",
        "setting": arm.setting.name,
        "generator_loss": arm.setting.generator_loss,
        "lr": arm.setting.lr,
        "strength": arm.setting.strength,
        "method": arm.method,
        "seed": arm.config.seed,
        "collapsed": found["reached"] < COLLAPSED_BELOW,
        **found,
        "last": {name: stats[-1].get(name) for name in MEASURES} if stats else {},
    }
    write_records(arm.records, [run])


def measure_data(arm: RescueArm, path: Path, report: Report) -> None:
    """Measure what real images reach of real images: half of them, and those of a few digits alone.

    Raises:
        InputError: The file cannot be written.
    """
    images = open_data(arm.config)
    every, labels = _pixels(images), images.labels
    if labels is None:
        raise InputError(f"{images.name} has no classes to leave out; take digits")
    order = torch.randperm(len(every), generator=torch.Generator().manual_seed(derive(0, "halves")))
    half = len(every) // 2
    data = {
        "record": "data",
        "name": images.name,
        "hash": images.content_hash(),
        "count": len(images),
        "image_shape": list(images.image_shape),
        "std": sample_spread(to_float(every)),
        "recall_of_half": reached(compare(every[order[:half]], every[order[half:]])),
        "recall_of_digits": {str(n): reached(compare(every[labels < n], every)) for n in DIGITS_LEFT},
    }
    write_records(path, [data])
    report("recall", 1, 1)


def compare(images: Tensor, real: Tensor) -> PrecisionRecall:
    """Compare images with real ones by precision and recall among the pixels.

    Args:
        images: Images of one source, uint8 (N, C, H, W).
        real: Real images, uint8 (M, C, H, W).

    Example:
        >>> images = torch.arange(10 * 4 * 4).to(torch.uint8).view(10, 1, 4, 4)
        >>> compare(images, images).recall, compare(images[:1].expand(10, -1, -1, -1), images[1:]).recall
        (1.0, 0.0)
    """
    return precision_recall(to_float(images).flatten(1), to_float(real).flatten(1))


def reached(found: PrecisionRecall) -> float:
    """Give the share of the data that a generator reaches: recall, or 0 where next to nothing is precise.

    Example:
        >>> reached(PrecisionRecall(0.5, 0.7, 3)), reached(PrecisionRecall(0.0, 1.0, 3))
        (0.7, 0.0)
    """
    return found.recall if found.precision >= AMONG_REAL else 0.0


def _measured(arm: RescueArm, images: ImageSet) -> Record:
    """As many samples as real images, of the averaged generator, which is the one to be used, and of the raw.

    Raises:
        NonFiniteError: A sample is not finite.
    """
    real, seed = _pixels(images), derive(arm.config.seed, "rescue")
    of_average = sample(load_generator(arm.run_dir, which="ema"), len(real), seed)
    of_raw = sample(load_generator(arm.run_dir, which="raw"), len(real), seed)
    for samples in (of_average, of_raw):
        if not samples.isfinite().all():
            raise NonFiniteError("samples are not finite")
    found, raw = compare(to_uint8(of_average), real), compare(to_uint8(of_raw), real)
    return {
        "reached": reached(found),
        "recall": found.recall,
        "precision": found.precision,
        "reached_raw": reached(raw),
        "sample_std": sample_spread(of_average),
    }


def _pixels(images: ImageSet) -> Tensor:
    return images.batch(torch.arange(len(images)))

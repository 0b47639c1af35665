"""One arm of a comparison under one seed: train a generator, measure it, keep what a page shows of it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from riemann_noise_pytorch.data.imageset import ImageSet, to_float
from riemann_noise_pytorch.experiments.artifacts import BATCH, sample, write_artifacts
from riemann_noise_pytorch.experiments.options import Budget
from riemann_noise_pytorch.experiments.records import Record, write_records
from riemann_noise_pytorch.geometry.condition import condition_numbers, tail_key
from riemann_noise_pytorch.metrics.perceptual_path import perceptual_path_length
from riemann_noise_pytorch.metrics.sliced_wasserstein import RealPatches, sample_spread
from riemann_noise_pytorch.models.interfaces import Generator
from riemann_noise_pytorch.models.networks import build_generator, initialise
from riemann_noise_pytorch.noise.control import noise_layers
from riemann_noise_pytorch.seeds import derive
from riemann_noise_pytorch.statistics.intervals import Interval, redraw_interval
from riemann_noise_pytorch.training.checkpoints import load_generator
from riemann_noise_pytorch.training.config import TrainConfig
from riemann_noise_pytorch.training.loop import train
from riemann_noise_pytorch.training.processes import make_accelerator
from riemann_noise_pytorch.training.real_images import open_data
from riemann_noise_pytorch.training.run_folder import RunFolder, load_config
from riemann_noise_pytorch.training.state import network_config

Report = Callable[[str, int, int], None]
"""Called as ``report(stage, done, total)``."""


class TrainedRun(ABC):
    """One training of an experiment: where it lies among the experiment's files, and how it is made.

    Attributes:
        config: The training, with its seed.
        out: Folder of the whole experiment.
    """

    config: TrainConfig
    out: Path

    @property
    @abstractmethod
    def name(self) -> str:
        """The run's name among its experiment's files."""

    @property
    def run_dir(self) -> Path:
        """Folder of the training."""
        return self.out / "runs" / self.name

    @property
    def records(self) -> Path:
        """The finished run's records; the file is there when all else is."""
        return self.run_dir / "measurements.jsonl"

    def trained(self, report: Report) -> tuple[Generator, torch.device]:
        """Train to the end; what an earlier, interrupted attempt finished is kept.

        Args:
            report: Told of the steps.

        Returns:
            The averaged generator, and the device that it is on.

        Raises:
            RiemannNoiseError: The training cannot go on.
        """
        resume = (self.run_dir / "config.json").is_file()
        accelerator = make_accelerator(self.config, self.run_dir)
        train(
            self.config, open_data(self.config), self.run_dir, resume=resume, accelerator=accelerator,
            progress=lambda info: report("training", info.step, info.steps),
        )  # fmt: skip
        return load_generator(self.run_dir, device=accelerator.device), accelerator.device


@dataclass(frozen=True)
class Arm(TrainedRun):
    """One training with its measurements.

    Args:
        label: What the arm is called: a kind of noise, or a preset.
        config: The training, its noise and its seed.
        out: Folder of the whole comparison.
        budget: How much is measured.
    """

    label: str
    config: TrainConfig
    out: Path
    budget: Budget

    @property
    def name(self) -> str:
        """The arm's name among its files, such as ``riemannian-seed0``."""
        return f"{self.label}-seed{self.config.seed}"

    @property
    def artifacts(self) -> Path:
        """Pictures and maps."""
        return self.out / "artifacts" / f"{self.name}.safetensors"


def reference_images(images: ImageSet, count: int) -> Tensor:
    """Choose the real images of the distance: float (count, C, H, W), the same for every arm."""
    generator = torch.Generator().manual_seed(derive(0, "reference images"))
    return to_float(images.batch(torch.randperm(len(images), generator=generator)[:count]))


def run_arm(arm: Arm, report: Report) -> None:
    """Train, measure and record one arm; what an earlier, interrupted attempt finished is kept.

    Raises:
        RiemannNoiseError: The training or a measurement cannot go on.
    """
    generator, _ = arm.trained(report)
    originals = open_data(arm.config, mirror=False)
    real = reference_images(originals, arm.budget.images_a_side(len(originals)))
    untrained = _untrained(arm)
    distance, shown = _distance(arm, generator, untrained, real, report)
    measurements = [distance, *_path_lengths(arm, generator, report), *_conditions(arm, generator, report)]
    run = {
        **_run_record(arm),
        **shown,
        "real_std": sample_spread(real),
        "strengths": _strengths(generator),
        "initial_strengths": _strengths(untrained),
    }
    write_artifacts(arm.artifacts, generator, derive(arm.config.seed, "shown"))
    write_records(arm.records, [run, *measurements])
    report("done", 1, 1)


def _run_record(arm: Arm) -> Record:
    stats = RunFolder(arm.run_dir).stats()
    return {
        "record": "run",
        "arm": arm.label,
        "seed": arm.config.seed,
        "seconds": stats[-1]["elapsed_s"],
        "kimg": arm.config.kimg,
        "images_per_s": stats[-1]["images_per_s"],
        "stats": stats,
    }


def _untrained(arm: Arm) -> Generator:
    """Build the generator as it was before training."""
    generator = build_generator(network_config(load_config(arm.run_dir))).eval()
    initialise(generator, derive(arm.config.seed, "generator"))
    return generator


def _strengths(generator: Generator) -> dict[str, float]:
    return {name: layer.strength().item() for name, layer in noise_layers(generator).items()}


def _distance(
    arm: Arm, generator: Generator, untrained: Generator, real: Tensor, report: Report
) -> tuple[Record, Record]:
    """Measure the distance over redraws; beside it that before training, and the spread of samples."""
    seed, redraws, count = arm.config.seed, arm.budget.redraws, len(real)
    patches = RealPatches(real)
    start = patches.distance(sample(untrained, count, derive(seed, "samples", 0))).value
    results, spreads = [], []
    for redraw in range(redraws):
        fakes = sample(generator, count, derive(seed, "samples", redraw))
        results.append(patches.distance(fakes))
        spreads.append(sample_spread(fakes))
        report("distance", redraw + 1, redraws)
    interval = redraw_interval([result.value for result in results])
    shown = {"sample_std": sum(spreads) / redraws, "swd_untrained": start}
    return _measurement(arm, "swd", results[0].name, interval), shown


def _path_lengths(arm: Arm, generator: Generator, report: Report) -> Iterator[Record]:
    kinds: tuple[Literal["full", "end"], ...] = ("full", "end")
    distance = arm.budget.distance()
    for sampling in kinds:
        length = perceptual_path_length(
            generator,
            distance=distance,
            sampling=sampling,
            num_pairs=arm.budget.pairs,
            batch=BATCH,
            seed=derive(arm.config.seed, "pairs"),
            progress=partial(report, f"path length, {sampling}"),
        )
        yield _measurement(arm, length.key, length.name, length.interval)


def _conditions(arm: Arm, generator: Generator, report: Report) -> Iterator[Record]:
    numbers = condition_numbers(
        generator,
        num_pairs=arm.budget.pairs,
        batch=BATCH,
        seed=derive(arm.config.seed, "pairs"),
        progress=partial(report, "condition"),
    )
    yield _measurement(arm, "mc_z", numbers.mc_name, numbers.mc)
    yield _measurement(arm, tail_key("mc_z", arm.budget.pairs), numbers.ttmc_name, numbers.ttmc)


def _measurement(arm: Arm, key: str, name: str, interval: Interval) -> Record:
    return {
        "record": "measurement",
        "arm": arm.label,
        "seed": arm.config.seed,
        "metric": key,
        "name": name,
        "value": interval.value,
        "low": interval.low,
        "high": interval.high,
        "count": interval.n,
        "interval": f"{100 * interval.level:g} % {interval.method}",
        "unit": "",
    }


def is_finished(arm: Arm) -> bool:
    """Whether an earlier attempt completed this arm."""
    return arm.records.is_file() and arm.artifacts.is_file()

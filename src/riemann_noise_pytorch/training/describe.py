"""What a run would be and cost, without starting it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from riemann_noise_pytorch.data.imageset import ImageSet
from riemann_noise_pytorch.models.networks import build_discriminator, build_generator
from riemann_noise_pytorch.training.config import TrainConfig
from riemann_noise_pytorch.training.state import config_for_images, network_config
from riemann_noise_pytorch.training.trial import BUDGET_S, Trial, try_steps

_COPIES_TRAINED = 4
"""Weights, gradients and Adam's two moments."""


@dataclass(frozen=True)
class Description:
    """A run in numbers.

    Args:
        config: The complete options.
        images: Number of real images.
        generator_parameters: Learned numbers of the generator.
        discriminator_parameters: Learned numbers of the discriminator.
        steps: Steps of the whole run.
        memory_mib: Weights, gradients, moments and the average, without activations.
        snapshots_mib: Disk space of all snapshots that are kept.
        measured: What a few of its steps took.
    """

    config: TrainConfig
    images: int
    generator_parameters: int
    discriminator_parameters: int
    steps: int
    memory_mib: float
    snapshots_mib: float
    measured: Trial


def describe(
    config: TrainConfig,
    images: ImageSet,
    *,
    budget_s: float = BUDGET_S,
    tell: Callable[[str], None] | None = None,
) -> Description:
    """Resolve the options for the images, count, and measure a few steps on the device of the run.

    Args:
        config: The options.
        images: The real images.
        budget_s: About how many seconds to measure.
        tell: Called with lines that say what is being measured.

    Raises:
        InputError: The options, the images or the device cannot be used.
    """
    config.validate()
    complete = config_for_images(config, images)
    complete.validate()
    shape = network_config(complete)
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        generator, discriminator = build_generator(shape), build_discriminator(shape)
    trained = _bytes(generator) + _bytes(discriminator)
    memory_mib = (_COPIES_TRAINED * trained + _bytes(generator)) / 2**20
    labels = images.labels if complete.conditional else None
    return Description(
        complete,
        len(images),
        _count(generator),
        _count(discriminator),
        complete.steps,
        memory_mib,
        _snapshots(complete) * (memory_mib - trained / 2**20),
        try_steps(complete, labels, weights_mib=memory_mib, budget_s=budget_s, tell=tell),
    )


def _snapshots(config: TrainConfig) -> int:
    """How many snapshots a run leaves: none of them holds gradients."""
    written = 2 + (config.steps - 1) // (config.steps_per_tick * config.snapshot_ticks)
    return min(written, config.keep_snapshots or written)


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _bytes(module: nn.Module) -> int:
    return sum(parameter.numel() * parameter.element_size() for parameter in module.parameters())

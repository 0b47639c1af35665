"""What a run would be, without starting it."""

from dataclasses import dataclass

from torch import nn

from riemann_noise_pytorch.data.imageset import ImageSet
from riemann_noise_pytorch.models.networks import build_discriminator, build_generator
from riemann_noise_pytorch.training.config import TrainConfig
from riemann_noise_pytorch.training.state import config_for_images, network_config

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
    """

    config: TrainConfig
    images: int
    generator_parameters: int
    discriminator_parameters: int
    steps: int
    memory_mib: float


def describe(config: TrainConfig, images: ImageSet) -> Description:
    """Resolve the options for the images, build the networks, and count.

    Args:
        config: The options.
        images: The real images.

    Raises:
        InputError: The options or the images cannot be used.
    """
    config.validate()
    complete = config_for_images(config, images)
    shape = network_config(complete)
    generator, discriminator = build_generator(shape), build_discriminator(shape)
    trained = _bytes(generator) + _bytes(discriminator)
    return Description(
        complete,
        len(images),
        _count(generator),
        _count(discriminator),
        complete.steps,
        (_COPIES_TRAINED * trained + _bytes(generator)) / 2**20,
    )


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _bytes(module: nn.Module) -> int:
    return sum(parameter.numel() * parameter.element_size() for parameter in module.parameters())

"""Networks from a configuration, and initial weights that arms with and without noise share."""

from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.errors import unknown_name
from riemann_noise_pytorch.models.choices import Architecture, NoiseKind, NoisePlace, Norm
from riemann_noise_pytorch.models.dcgan import DCGANDiscriminator, DCGANGenerator
from riemann_noise_pytorch.models.interfaces import Discriminator, Generator
from riemann_noise_pytorch.noise.interfaces import NoiseLayer
from riemann_noise_pytorch.noise.presets import DEFAULT_PRESET
from riemann_noise_pytorch.seeds import derive

ARCHITECTURES = get_args(Architecture)
WEIGHT_STD = 0.02
"""Standard deviation of the initial weights (Radford et al. 2016; for norms, the PyTorch example)."""

_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
_NORMS = (nn.BatchNorm2d, nn.InstanceNorm2d, nn.SyncBatchNorm)


@dataclass(frozen=True)
class NetworkConfig:
    """What determines the shape of a generator and its discriminator.

    Args:
        architecture: ``dcgan``.
        resolution: Height and width of the images.
        channels: Channels of the images.
        z_dim: Dimension of the latent.
        width: Channels of the layers next to the image; others follow by doubling.
        norm: Normalisation in the generator: ``batch``, ``instance`` or ``none``.
        d_norm: The same in the discriminator.
        noise: Kind of noise in the generator: ``none``, ``euclidean`` or ``riemannian``.
        riemann_preset: Preset of Riemannian noise.
        noise_strength: Initial standard deviation of the noise; None for the kind's or the preset's own.
        noise_place: ``before`` or ``after`` the activation.
    """

    architecture: Architecture = "dcgan"
    resolution: int = 64
    channels: int = 3
    z_dim: int = 100
    width: int = 64
    norm: Norm = "batch"
    d_norm: Norm = "batch"
    noise: NoiseKind = "none"
    riemann_preset: str = DEFAULT_PRESET
    noise_strength: float | None = None
    noise_place: NoisePlace = "before"


def build_generator(config: NetworkConfig) -> Generator:
    """Build a generator, its weights laid out channels last (the faster layout on CPUs and GPUs).

    Raises:
        InputError: An unknown name, or a size that does not fit.

    Example:
        >>> build_generator(NetworkConfig(resolution=16, channels=1, width=8)).image_shape
        (1, 16, 16)
    """
    _check_architecture(config)
    generator = DCGANGenerator(
        config.resolution,
        config.channels,
        config.z_dim,
        config.width,
        config.norm,
        config.noise,
        config.riemann_preset,
        config.noise_strength,
        config.noise_place,
    )
    return generator.to(memory_format=torch.channels_last)


def build_discriminator(config: NetworkConfig) -> Discriminator:
    """Build the discriminator that goes with the generator, its weights laid out channels last.

    Raises:
        InputError: An unknown name, or a size that does not fit.
    """
    _check_architecture(config)
    discriminator = DCGANDiscriminator(config.resolution, config.channels, config.width, config.d_norm)
    return discriminator.to(memory_format=torch.channels_last)


@torch.no_grad()
def initialise(module: nn.Module, seed: int) -> None:
    """Draw every parameter from a stream of its own, named by the parameter, and reset running statistics.

    Networks that differ in some layers thus agree exactly in all the others. Weights of convolutions are
    N(0, 0.02), weights of norms N(1, 0.02), biases 0; noise layers keep the initial values of their settings.
    The numbers are drawn on the CPU, so they do not depend on the device.

    References:
        Radford, Metz and Chintala (2016), arXiv:1511.06434, Section 3; the PyTorch DCGAN example for norms.

    Args:
        module: A network of convolutions, linear layers, norms and noise layers, on any device.
        seed: Seed of all streams.

    Raises:
        TypeError: A layer with parameters is of a type whose initial values are not known here.

    Example:
        >>> plain, noisy = DCGANGenerator(16, width=8), DCGANGenerator(16, width=8, noise="riemannian")
        >>> initialise(plain, 0)
        >>> initialise(noisy, 0)
        >>> torch.equal(plain.stage8.conv.weight, noisy.stage8.conv.weight)
        True
    """
    for name, layer in module.named_modules():
        if isinstance(layer, NoiseLayer):
            layer.reset_parameters(_stream(seed, name))
        elif isinstance(layer, _NORMS):
            layer.reset_running_stats()
            _draw(layer.weight, 1.0, _stream(seed, f"{name}.weight"))
            layer.bias.zero_()
        elif isinstance(layer, _CONVOLUTIONS):
            _draw(layer.weight, 0.0, _stream(seed, f"{name}.weight"))
            if layer.bias is not None:
                layer.bias.zero_()
        elif any(True for _ in layer.parameters(recurse=False)):
            raise TypeError(
                f"initialise does not know the initial values of '{name}', a {type(layer).__name__}"
            )


def _draw(weight: Tensor, mean: float, generator: torch.Generator) -> None:
    weight.copy_(torch.randn(weight.shape, generator=generator).mul_(WEIGHT_STD).add_(mean))


def _stream(seed: int, name: str) -> torch.Generator:
    return torch.Generator().manual_seed(derive(seed, "initial", name))


def _check_architecture(config: NetworkConfig) -> None:
    if config.architecture not in ARCHITECTURES:
        raise unknown_name("architecture", config.architecture, ARCHITECTURES)

"""Networks from a configuration."""

import dataclasses
from dataclasses import dataclass
from typing import get_args

import torch

from riemann_noise_pytorch.errors import InputError, unknown_name
from riemann_noise_pytorch.models.choices import Architecture, NoiseKind, NoisePlace, Norm
from riemann_noise_pytorch.models.dcgan import DCGANDiscriminator, DCGANGenerator
from riemann_noise_pytorch.models.initial import initialise
from riemann_noise_pytorch.models.interfaces import Discriminator, Generator, ImageShape
from riemann_noise_pytorch.models.noise_choice import parse_noise_layers
from riemann_noise_pytorch.models.stylegan2 import StyleGAN2Generator
from riemann_noise_pytorch.models.stylegan2_discriminator import StyleGAN2Discriminator
from riemann_noise_pytorch.noise.presets import DEFAULT_PRESET

__all__ = ["NetworkConfig", "build_discriminator", "build_generator", "initialise"]

ARCHITECTURES = get_args(Architecture)
Z_DIMS: dict[str, int] = {"dcgan": 100, "stylegan2": 512}
"""Dimension of the latent in the papers."""


@dataclass(frozen=True)
class NetworkConfig:
    """What determines the shape of a generator and its discriminator.

    Args:
        architecture: ``dcgan`` or ``stylegan2``.
        resolution: Height and width of the images; for stylegan2 also the two of them.
        channels: Channels of the images.
        z_dim: Dimension of the latent; None for the architecture's own, 100 or 512.
        noise: Kind of noise in the generator: ``none``, ``euclidean`` or ``riemannian``.
        riemann_preset: Preset of Riemannian noise.
        noise_strength: Initial standard deviation of the noise; None for the kind's or the preset's own.
        width: dcgan: channels of the layers next to the image; others follow by doubling.
        norm: dcgan: normalisation in the generator: ``batch``, ``instance`` or ``none``.
        d_norm: dcgan: the same in the discriminator.
        noise_place: dcgan: noise ``before`` or ``after`` the activation.
        noise_layers: stylegan2: layers with another kind of noise, as ``block32.*=riemannian,block4.*=none``;
            the last match counts. Layers are ``block4.conv1``, ``block8.conv0``, ``block8.conv1`` ...
        w_dim: stylegan2: dimension of w.
        mapping_layers: stylegan2: layers of the mapping.
        channel_base: stylegan2: channels times side in the wide blocks: 16384 in config e, 32768 in config f.
        channel_max: stylegan2: most channels of a block.
        stddev_group: stylegan2: images whose spread the discriminator compares.
        classes: stylegan2: number of classes, 0 for none.
    """

    architecture: Architecture = "dcgan"
    resolution: int | tuple[int, int] = 64
    channels: int = 3
    z_dim: int | None = None
    noise: NoiseKind = "none"
    riemann_preset: str = DEFAULT_PRESET
    noise_strength: float | None = None
    width: int = 64
    norm: Norm = "batch"
    d_norm: Norm = "batch"
    noise_place: NoisePlace = "before"
    noise_layers: str = ""
    w_dim: int = 512
    mapping_layers: int = 8
    channel_base: int = 16384
    channel_max: int = 512
    stddev_group: int = 4
    classes: int = 0

    @property
    def image_shape(self) -> ImageShape:
        """Channels, height and width of the images.

        Raises:
            InputError: The resolution is neither a number nor two of them.
        """
        sides = (self.resolution,) * 2 if isinstance(self.resolution, int) else tuple(self.resolution)
        if len(sides) != 2:
            raise InputError(
                f"resolution is {self.resolution!r}, but it must be one side, or height and width"
            )
        return self.channels, *sides

    def validate(self) -> None:
        """Refuse an unknown architecture, and options that have no meaning for this one.

        Raises:
            InputError: The first of these that is found.
        """
        if self.architecture not in ARCHITECTURES:
            raise unknown_name("architecture", self.architecture, ARCHITECTURES)
        for other, names in _OPTIONS_OF.items():
            for name in names if other != self.architecture else ():
                if getattr(self, name) != _DEFAULTS[name]:
                    raise InputError(
                        f"{name} has no meaning with architecture {self.architecture}; leave it out, or set "
                        f"architecture to {other}"
                    )
        _, height, width = self.image_shape
        if self.architecture == "dcgan" and height != width:
            raise InputError(
                f"images of {height}x{width} do not fit a DCGAN, which makes square ones; give one number as "
                "resolution, or set architecture to stylegan2"
            )


_DEFAULTS = {field.name: field.default for field in dataclasses.fields(NetworkConfig)}
_OPTIONS_OF = {
    "dcgan": ("width", "norm", "d_norm", "noise_place"),
    "stylegan2": (
        *("noise_layers", "w_dim", "mapping_layers", "channel_base", "channel_max"),
        *("stddev_group", "classes"),
    ),
}


def build_generator(config: NetworkConfig) -> Generator:
    """Build a generator, its weights laid out channels last (the faster layout on CPUs and GPUs).

    Raises:
        InputError: An unknown name, a size that does not fit, or an option without meaning.

    Example:
        >>> build_generator(NetworkConfig(resolution=16, channels=1, width=8)).image_shape
        (1, 16, 16)
    """
    config.validate()
    build = _dcgan_generator if config.architecture == "dcgan" else _stylegan2_generator
    return build(config).to(memory_format=torch.channels_last)


def build_discriminator(config: NetworkConfig) -> Discriminator:
    """Build the discriminator that goes with the generator, its weights laid out channels last.

    Raises:
        InputError: An unknown name, a size that does not fit, or an option without meaning.
    """
    config.validate()
    channels, height, _ = config.image_shape
    discriminator: Discriminator
    if config.architecture == "dcgan":
        discriminator = DCGANDiscriminator(height, channels, config.width, config.d_norm)
    else:
        discriminator = StyleGAN2Discriminator(
            config.image_shape,
            config.classes,
            channel_base=config.channel_base,
            channel_max=config.channel_max,
            group=config.stddev_group,
            label_dim=config.w_dim,
            mapping_layers=config.mapping_layers,
        )
    return discriminator.to(memory_format=torch.channels_last)


def _z_dim(config: NetworkConfig) -> int:
    return Z_DIMS[config.architecture] if config.z_dim is None else config.z_dim


def _dcgan_generator(config: NetworkConfig) -> Generator:
    return DCGANGenerator(
        config.image_shape[1],
        config.channels,
        _z_dim(config),
        config.width,
        config.norm,
        config.noise,
        config.riemann_preset,
        config.noise_strength,
        config.noise_place,
    )


def _stylegan2_generator(config: NetworkConfig) -> Generator:
    layers = parse_noise_layers(config.noise_layers)
    if "*" in layers:
        raise InputError(
            "noise_layers names all layers by '*', which is what noise is for; set noise instead"
        )
    return StyleGAN2Generator(
        config.image_shape,
        _z_dim(config),
        config.w_dim,
        config.mapping_layers,
        config.classes,
        channel_base=config.channel_base,
        channel_max=config.channel_max,
        noise={"*": config.noise, **layers},
        riemann_preset=config.riemann_preset,
        noise_strength=config.noise_strength,
    )

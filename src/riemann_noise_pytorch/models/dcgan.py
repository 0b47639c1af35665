r"""DCGAN: transposed convolutions from a 4x4 map up to the image, convolutions back down to one number.

The widths, kernels and order of layers are those of the PyTorch example, for 16 to 128 pixels: the generator
halves its channels at every doubling and ends at ``width`` channels before the image, the discriminator
mirrors it. Every hidden stage of the generator, from 4x4 to half the resolution, has one place for noise.

References:
    Radford, Metz and Chintala (2016), Unsupervised representation learning with deep convolutional
    generative adversarial networks, arXiv:1511.06434.
"""

from collections import OrderedDict
from typing import final, get_args

from torch import Tensor, nn

from riemann_noise_pytorch.errors import InputError, unknown_name
from riemann_noise_pytorch.models.choices import NoiseKind, NoisePlace, Norm
from riemann_noise_pytorch.models.dcgan_layers import FromLatent, ToImage, ToLogit
from riemann_noise_pytorch.models.interfaces import Discriminator, Generator
from riemann_noise_pytorch.noise.kinds import make_noise
from riemann_noise_pytorch.noise.presets import DEFAULT_PRESET

RESOLUTIONS = (16, 32, 64, 128)
LEAK = 0.2
"""Slope of the discriminator's leaky ReLU (Radford et al. 2016, Section 3)."""


@final
class DCGANGenerator(Generator):
    """The DCGAN generator, with Euclidean, Riemannian or no noise at every hidden stage.

    Its stages are children named by their resolution, ``stage4``, ``stage8`` and so on to half the image's,
    each with children ``conv``, ``norm``, ``noise`` and ``activation`` as far as it has them; the last child
    is ``to_image``.

    D6: noise stands after the norm and before the activation by default. The paper does not say where; its
    author's code has it after the ReLU, where the identifier of the ``author-ffhq`` preset is identically 0.

    Args:
        resolution: Height and width of the images: 16, 32, 64 or 128.
        channels: Channels of the images, 1 or more.
        z_dim: Dimension of the latent.
        width: Channels of the last hidden stage; those at 4x4 are ``width * resolution / 8``.
        norm: Normalisation of the hidden stages: ``batch``, ``instance`` or ``none``. Without one the
            convolutions have biases.
        noise: Kind of noise: ``none``, ``euclidean`` or ``riemannian``.
        riemann_preset: Preset of Riemannian noise.
        noise_strength: Initial standard deviation of the noise; None for the kind's or the preset's own.
        noise_place: ``before`` or ``after`` the activation.

    Raises:
        InputError: A resolution or a size that does not fit, or an unknown name.

    Example:
        >>> import torch
        >>> generator = DCGANGenerator(16, channels=1, width=8, noise="riemannian")
        >>> generator(torch.randn(2, 100)).shape
        torch.Size([2, 1, 16, 16])
    """

    w_dim = None

    def __init__(
        self,
        resolution: int,
        channels: int = 3,
        z_dim: int = 100,
        width: int = 64,
        norm: Norm = "batch",
        noise: NoiseKind = "none",
        riemann_preset: str = DEFAULT_PRESET,
        noise_strength: float | None = None,
        noise_place: NoisePlace = "before",
    ) -> None:
        _check_sizes(resolution, channels=channels, z_dim=z_dim, width=width)
        _check_name("norm", norm, get_args(Norm))
        _check_name("noise place", noise_place, get_args(NoisePlace))
        super().__init__()
        self.z_dim = z_dim
        self.image_shape = (channels, resolution, resolution)
        bias = norm == "none"
        outputs = width * resolution // 8
        conv: nn.Module = FromLatent(z_dim, outputs, bias)
        size = 4
        while size < resolution:
            slot = make_noise(noise, size, preset=riemann_preset, strength=noise_strength)
            self.add_module(f"stage{size}", _hidden_stage(conv, outputs, norm, slot, noise_place))
            inputs, outputs, size = outputs, outputs // 2, size * 2
            conv = _doubling(inputs, outputs, bias) if size < resolution else ToImage(inputs, channels, bias)
        self.to_image = nn.Sequential(OrderedDict(conv=conv, activation=nn.Tanh()))

    def forward(self, z: Tensor) -> Tensor:
        """Turn latents (N, z_dim) into images (N, C, H, W) in [-1, 1].

        Raises:
            InputError: The latents have another shape.
        """
        self.check_latent(z)
        features = z
        for stage in self.children():
            features = stage(features)
        return features


@final
class DCGANDiscriminator(Discriminator):
    """The DCGAN discriminator; its children are ``from_image``, ``stage8`` ... ``stage4`` and ``to_logit``.

    Args:
        resolution: Height and width of the images: 16, 32, 64 or 128.
        channels: Channels of the images, 1 or more.
        width: Channels after the first convolution, doubled at every halving of the resolution.
        norm: Normalisation of all stages but the first: ``batch``, ``instance`` or ``none``. With ``batch``,
            real and generated images should come in separate batches, and a gradient penalty sees the other
            images of its batch through the statistics.

    Raises:
        InputError: A resolution or a size that does not fit, or an unknown name.

    Example:
        >>> import torch
        >>> DCGANDiscriminator(16, channels=1, width=8)(torch.zeros(2, 1, 16, 16)).shape
        torch.Size([2])
    """

    def __init__(self, resolution: int, channels: int = 3, width: int = 64, norm: Norm = "batch") -> None:
        _check_sizes(resolution, channels=channels, width=width)
        _check_name("norm", norm, get_args(Norm))
        super().__init__()
        self.image_shape = (channels, resolution, resolution)
        bias = norm == "none"
        outputs, size = width, resolution // 2
        self.from_image = nn.Sequential(
            OrderedDict(conv=_halving(channels, outputs, bias), activation=nn.LeakyReLU(LEAK))
        )
        while size > 4:
            inputs, outputs, size = outputs, outputs * 2, size // 2
            parts: dict[str, nn.Module] = {
                "conv": _halving(inputs, outputs, bias),
                **_norm_part(norm, outputs),
            }
            self.add_module(f"stage{size}", nn.Sequential(OrderedDict(parts, activation=nn.LeakyReLU(LEAK))))
        self.to_logit = ToLogit(outputs, bias)

    def forward(self, x: Tensor) -> Tensor:
        """Turn images (N, C, H, W) in [-1, 1] into logits (N,).

        Raises:
            InputError: The images have another shape.
        """
        self.check_images(x)
        features = x
        for stage in self.children():
            features = stage(features)
        return features


def _hidden_stage(
    conv: nn.Module, channels: int, norm: str, noise: nn.Module | None, place: str
) -> nn.Sequential:
    slot = {} if noise is None else {"noise": noise}
    before, after = (slot, {}) if place == "before" else ({}, slot)
    parts: dict[str, nn.Module] = {
        "conv": conv,
        **_norm_part(norm, channels),
        **before,
        "activation": nn.ReLU(),
        **after,
    }
    return nn.Sequential(OrderedDict(parts))


def _norm_part(norm: str, channels: int) -> dict[str, nn.Module]:
    if norm == "batch":
        return {"norm": nn.BatchNorm2d(channels)}
    if norm == "instance":
        return {"norm": nn.InstanceNorm2d(channels, affine=True)}
    return {}


def _doubling(inputs: int, outputs: int, bias: bool) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, kernel_size=4, stride=2, padding=1, bias=bias)


def _halving(inputs: int, outputs: int, bias: bool) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel_size=4, stride=2, padding=1, bias=bias)


def _check_sizes(resolution: int, **sizes: int) -> None:
    if resolution not in RESOLUTIONS:
        nearest = min(RESOLUTIONS, key=lambda fitting: abs(fitting - resolution))
        raise InputError(
            f"resolution {resolution} does not fit a DCGAN, whose stages double from 4x4; the nearest that "
            f"does is {nearest} (of {', '.join(map(str, RESOLUTIONS))})"
        )
    for name, size in sizes.items():
        if size < 1:
            raise InputError(f"{name} is {size}, but a network needs at least 1; give a positive number")


def _check_name(what: str, name: str, valid: tuple[str, ...]) -> None:
    if name not in valid:
        raise unknown_name(what, name, valid)

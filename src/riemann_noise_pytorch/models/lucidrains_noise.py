r"""The noise of lucidrains/stylegan2-pytorch: one image of uniform numbers, which all layers look at.

.. math:: o_{cij} = \mu_{cij} + a_c\, U_{ji}, \qquad U_{ij} \sim \mathcal U[0, 1]

The image has the size of the picture; a layer of smaller features sees its top left corner, and all see it
with rows and columns exchanged. The noise has a mean, a_c / 2, and its standard deviation is a_c / sqrt 12.
"""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise.functional import injection
from riemann_noise_pytorch.noise.interfaces import NoiseLayer
from riemann_noise_pytorch.noise.sources import Fresh, Frozen, Scaled, Source
from riemann_noise_pytorch.noise.switches import Law


@final
class NoiseImage:
    """The noise image of one call of a network, drawn when the first of its layers asks for fresh noise.

    Args:
        side: Height and width of the image.
    """

    def __init__(self, side: int) -> None:
        self._side = side
        self._drawn: dict[Fresh, Tensor] = {}

    def corner(self, fresh: Fresh, like: Tensor) -> Tensor:
        """What features (N, C, S, S) see of the image that a source draws: (N, 1, S, S)."""
        if fresh not in self._drawn:
            shape = (like.shape[0], 1, self._side, self._side)
            drawn = torch.rand(shape, generator=fresh.generator, device=like.device, dtype=like.dtype)
            self._drawn[fresh] = drawn
        return seen(self._drawn[fresh], like.shape[-1]).to(like.dtype)


def seen(image: Tensor, side: int) -> Tensor:
    """What features of a side see of a noise image: its top left corner, rows and columns exchanged.

    Args:
        image: (..., R, R).
        side: S, at most R.

    Returns:
        (..., S, S).
    """
    return image[..., :side, :side].transpose(-1, -2)


@final
class ImageNoise(NoiseLayer):
    """Noise from a uniform image in [0, 1], with a strength of its own for every channel.

    Noise that is drawn anew in a call of the network is the same image in all layers; ``frozen`` noise, a
    function of the layer's name, is an image for each layer. Given maps are taken as they are, in [0, 1] if
    they are to have this law. The layer's ``law`` is that of the numbers which it asks frozen sources for;
    the distribution function makes them uniform.

    Args:
        channels: Number of channels C of the features.

    Example:
        >>> layer = ImageNoise(8)
        >>> layer(torch.randn(2, 8, 16, 16)).shape
        torch.Size([2, 8, 16, 16])
    """

    kind = "uniform-image"
    least_axes = 4

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.empty(channels))
        self.reset_parameters()

    def forward(self, mu: Tensor, image: NoiseImage | None = None) -> Tensor:
        """Inject noise into features (N, C, S, S); shape and dtype are kept.

        Args:
            mu: Features.
            image: The image of this call of the network; None for one of this layer's own.

        Raises:
            InputError: The features are not of floating point, or have not the layer's channels.
        """
        self.check(mu)
        return self.inject(mu, self._epsilon(mu, image))

    def check(self, mu: Tensor) -> None:
        """Refuse features of another number of channels, and such that are no squares, too."""
        if mu.ndim != 4 or mu.shape[1] != len(self.a) or mu.shape[2] != mu.shape[3]:
            raise InputError(
                f"this noise layer takes square features (N, {len(self.a)}, S, S), but these have shape "
                f"{tuple(mu.shape)}; build it with their channels"
            )
        super().check(mu)

    def draw(self, mu: Tensor) -> Tensor | None:
        """Ask the source for the noise of one call on features (N, C, S, S), by an image of its own."""
        return self._epsilon(mu, None)

    def inject(self, mu: Tensor, epsilon: Tensor | None) -> Tensor:
        """Add a times the noise, channel by channel, to features (N, C, S, S)."""
        return mu if epsilon is None else injection(mu, self.a.to(mu.dtype)[None, :, None, None], epsilon)

    def strength(self) -> Tensor:
        """The root mean square of a over the channels, over sqrt 12, a scalar without gradient."""
        return self.a.detach().square().mean().sqrt() / math.sqrt(12)

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:  # noqa: ARG002
        """Set a to 0."""
        self.a.zero_()

    def _epsilon(self, mu: Tensor, image: NoiseImage | None) -> Tensor | None:
        image = image or NoiseImage(mu.shape[-1])
        return _of_uniform_law(self.source, image).epsilon(self.noise_shape(mu), self.law, mu)


@final
@dataclass(frozen=True, eq=False)
class _Uniform(Source):
    """Uniform numbers where a source would supply normal ones."""

    source: Fresh | Frozen
    image: NoiseImage

    def epsilon(self, shape: tuple[int, ...], law: Law, like: Tensor) -> Tensor:
        if isinstance(self.source, Fresh):
            return self.image.corner(self.source, like)
        precise = like.to(torch.promote_types(like.dtype, torch.float32))
        uniform: Tensor = torch.special.ndtr(self.source.epsilon(shape, law, precise))
        return uniform.to(like.dtype)


def _of_uniform_law(source: Source, image: NoiseImage) -> Source:
    if isinstance(source, Scaled):
        return Scaled(_of_uniform_law(source.source, image), source.factor)
    return _Uniform(source, image) if isinstance(source, (Fresh, Frozen)) else source

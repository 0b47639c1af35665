r"""The generator of lucidrains/stylegan2-pytorch: a StyleGAN2 that differs in most of its details.

.. math::

    x_{l+1} = \mathrm{lrelu}\bigl(x_l * w''_l(1 + A_l w) + a_l\, U^{\mathsf T} + b_l\bigr), \qquad
    \text{image}_r = \mathrm{up}(\text{image}_{r/2}) + \mathrm{toRGB}_r(x_r)

One row of w serves a block, the modulation is 1 plus an affine map of it, features are doubled by bilinear
interpolation before the block's first convolution, images are doubled the same way and blurred behind it, no
weight but the mapping's is equalised, and no gain makes up for the leaky ReLU. The noise is
:mod:`~riemann_noise_pytorch.models.lucidrains_noise`'s, and the layer's bias stands beside it, so that it
stays where the noise is off. The original's images lie in [0, 1]; here they are brought to [-1, 1], as those
of all generators.

References:
    Karras et al. (2020), arXiv:1912.04958, for StyleGAN2; github.com/lucidrains/stylegan2-pytorch (MIT),
    version 1.9.0, for what this network computes, which tests compare.
"""

import math
from collections.abc import Iterator, Sequence
from typing import final

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.models.interfaces import Generator
from riemann_noise_pytorch.models.lucidrains_layers import LucidrainsBlock, LucidrainsMapping
from riemann_noise_pytorch.models.lucidrains_noise import NoiseImage, seen
from riemann_noise_pytorch.models.sizes import LARGEST_IMAGE, check_counts

FIRST_SIDE = 4


@final
class LucidrainsSynthesis(nn.Module):
    """From rows of w to an image; its blocks are ``block4``, ``block8`` ..., named by the height.

    Args:
        widths: Channels of the blocks, from the smallest.
        w_dim: Dimension of w.
        channels: Channels of the image.

    Attributes:
        num_ws: Rows of w, one a block.
    """

    def __init__(self, widths: Sequence[int], w_dim: int, channels: int) -> None:
        super().__init__()
        self.num_ws, self.w_dim, self.side = len(widths), w_dim, FIRST_SIDE << (len(widths) - 1)
        self.const = nn.Parameter(torch.randn(widths[0], FIRST_SIDE, FIRST_SIDE))
        self.conv = nn.Conv2d(widths[0], widths[0], 3, padding=1)
        for i, (inputs, outputs) in enumerate(zip([widths[0], *widths], widths, strict=False)):
            ends = {"first": i == 0, "last": i == len(widths) - 1}
            self.add_module(
                f"block{FIRST_SIDE << i}", LucidrainsBlock(inputs, outputs, w_dim, channels, **ends)
            )

    def blocks(self) -> Iterator[LucidrainsBlock]:
        """The blocks, from the smallest to the largest."""
        return (block for block in self.children() if isinstance(block, LucidrainsBlock))

    def forward(self, ws: Tensor) -> Tensor:
        """Rows of w (N, num_ws, w_dim) to images (N, C, R, R), about in [-1, 1].

        Raises:
            InputError: The rows have another shape or no floating point.
        """
        if ws.ndim != 3 or ws.shape[1:] != (self.num_ws, self.w_dim) or not ws.is_floating_point():
            raise InputError(
                f"ws has shape {tuple(ws.shape)} and type {ws.dtype}, but this synthesis takes floating "
                f"point of shape (N, {self.num_ws}, {self.w_dim}); repeat one w for all its rows by "
                f"w[:, None].repeat(1, {self.num_ws}, 1)"
            )
        noise = NoiseImage(self.side)
        x: Tensor = self.conv(self.const.expand(ws.shape[0], -1, -1, -1))
        rgb: Tensor | None = None
        for block, w in zip(self.blocks(), ws.unbind(dim=1), strict=True):
            x, rgb = block(x, rgb, w, noise)
        assert rgb is not None
        return rgb * 2 - 1


@final
class LucidrainsGenerator(Generator):
    """The generator of lucidrains/stylegan2-pytorch: mapping and synthesis.

    Args:
        widths: Channels of the blocks of 4x4, 8x8 ... pixels, 2 to 9 of them.
        z_dim: Dimension of z and w.
        mapping_layers: Layers of the mapping.
        channels: Channels of the image.

    Raises:
        InputError: A number that does not fit.

    Example:
        >>> LucidrainsGenerator((16, 8), z_dim=32, mapping_layers=2)(torch.randn(2, 32)).shape
        torch.Size([2, 3, 8, 8])
    """

    w_dim: int

    def __init__(
        self, widths: Sequence[int], z_dim: int = 512, mapping_layers: int = 8, channels: int = 3
    ) -> None:
        check_widths(widths, FIRST_SIDE)
        check_counts(z_dim=z_dim, mapping_layers=mapping_layers, channels=channels)
        super().__init__()
        self.z_dim = self.w_dim = z_dim
        self.mapping = LucidrainsMapping(z_dim, mapping_layers)
        self.synthesis = LucidrainsSynthesis(widths, z_dim, channels)
        self.image_shape = (channels, self.synthesis.side, self.synthesis.side)

    def forward(self, z: Tensor, *, truncation_psi: float = 1.0) -> Tensor:
        """Latents (N, z_dim) to images (N, C, R, R), about in [-1, 1]; psi as of :meth:`ws`.

        Raises:
            InputError: Latents or truncation do not fit.
        """
        images: Tensor = self.synthesis(self.ws(z, truncation_psi=truncation_psi))
        return images

    def ws(self, z: Tensor, *, truncation_psi: float = 1.0) -> Tensor:
        """Latents (N, z_dim) to rows of w (N, num_ws, z_dim).

        Args:
            z: Latents.
            truncation_psi: 1 leaves w as it is, 0 puts the average w in its place.

        Raises:
            InputError: Latents or truncation do not fit.
        """
        self.check_latent(z)
        if not math.isfinite(truncation_psi):
            raise InputError(f"truncation_psi is {truncation_psi}; give a finite number, usually in [0, 1]")
        w: Tensor = self.mapping(z)
        if truncation_psi != 1:
            w = self.mapping.w_avg.to(w.dtype).lerp(w, truncation_psi)
        return w.unsqueeze(1).repeat(1, self.synthesis.num_ws, 1)

    def noise_maps(self, image: Tensor) -> dict[str, Tensor]:
        """What each noise layer sees of a noise image: maps for ``given``.

        Args:
            image: (1 or N, 1, R, R), in the original uniform in [0, 1].

        Returns:
            By name of the layer, top left corners with rows and columns exchanged.

        Raises:
            InputError: The image has another shape.
        """
        side = self.synthesis.side
        if image.ndim != 4 or image.shape[1:] != (1, side, side):
            raise InputError(
                f"the noise image has shape {tuple(image.shape)}, but this generator takes "
                f"(1 or N, 1, {side}, {side}); draw it with torch.rand(N, 1, {side}, {side})"
            )
        sides = [FIRST_SIDE << i for i in range(self.synthesis.num_ws)]
        layers = ((s, f"synthesis.block{s}.{conv}.noise") for s in sides for conv in ("conv0", "conv1"))
        return {name: seen(image, size) for size, name in layers}


def check_widths(widths: Sequence[int], smallest: int) -> None:
    """Refuse channels of blocks that make no network, with blocks of ``smallest`` pixels and doubled.

    Raises:
        InputError: There are too few or too many blocks, or one has no channels.
    """
    most = (LARGEST_IMAGE // smallest).bit_length()
    if not 2 <= len(widths) <= most:
        raise InputError(f"widths has {len(widths)} blocks; give channels for 2 to {most} of them")
    for i, width in enumerate(widths):
        check_counts(**{f"widths[{i}]": width})

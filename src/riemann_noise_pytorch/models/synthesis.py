r"""The synthesis network of StyleGAN2: rows of w modulate its layers, and every block adds to the image.

.. math::

    x_{l+1} = \sqrt2\,\mathrm{lrelu}\bigl(\mathrm{noise}(x_l * w''_l(w)) + b_l\bigr), \qquad
    \text{image} = \sum_r \mathrm{up}(\mathrm{toRGB}_r(x_r))

The convolution is :mod:`~riemann_noise_pytorch.models.modulation`'s; the noise stands behind its
demodulation, before bias and activation, and is what this package is about: none, Euclidean (the original),
or Riemannian. An image of 4 times 2^k pixels has 2k + 2 rows of w: a block's toRGB shares its row with the
next block's first convolution.

References:
    Karras et al. (2020), Analyzing and improving the image quality of StyleGAN, arXiv:1912.04958.
"""

from collections.abc import Iterator, Mapping
from typing import final, get_args

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.errors import InputError, unknown_name
from riemann_noise_pytorch.models.equalised import EqualisedLayer
from riemann_noise_pytorch.models.noise_choice import NoiseChoice
from riemann_noise_pytorch.models.resampling import doubled
from riemann_noise_pytorch.models.sizes import block_channels, block_sizes
from riemann_noise_pytorch.models.synthesis_layers import NoiseMode, SynthesisLayer, ToImage
from riemann_noise_pytorch.noise.interfaces import NoiseLayer
from riemann_noise_pytorch.noise.presets import DEFAULT_PRESET


@final
class SynthesisBlock(EqualisedLayer):
    """The layers of one resolution: the first block starts from a learned constant, the others double.

    Args:
        inputs: Channels in; 0 for the first block.
        outputs: Channels out.
        w_dim: Dimension of w.
        size: Height and width.
        channels: Channels of the image.
        noises: A noise layer, or None, for each convolution: one in the first block, two in others.

    Attributes:
        half_dtype: Precision of the features, float16 or bfloat16; None for that of w.
        rows: Rows of w that the convolutions take; toRGB takes one more.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        w_dim: int,
        size: tuple[int, int],
        channels: int,
        noises: list[NoiseLayer | None],
    ) -> None:
        super().__init__()
        self.half_dtype: torch.dtype | None = None
        self.rows = len(noises)
        if inputs:
            self.conv0 = SynthesisLayer(inputs, outputs, w_dim, size, noises[0], up=True)
        else:
            self.const = nn.Parameter(torch.empty(outputs, *size))
        self.conv1 = SynthesisLayer(outputs, outputs, w_dim, size, noises[-1])
        self.to_image = ToImage(outputs, channels, w_dim)
        self.reset_parameters()

    def forward(
        self,
        x: Tensor | None,
        image: Tensor | None,
        ws: Tensor,
        noise_mode: NoiseMode = "random",
        fused: bool | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Features and image of the block before, rows of w (N, rows + 1, w_dim), to those of this one."""
        dtype = self.half_dtype or ws.dtype
        w = ws.unbind(dim=1)
        if x is None:
            x = self.const.to(dtype).expand(ws.shape[0], -1, -1, -1)
            x = x.contiguous(memory_format=torch.channels_last)
        else:
            x = self.conv0(x.to(dtype), w[0], noise_mode, fused)
        x = self.conv1(x, w[self.rows - 1], noise_mode, fused)
        own = self.to_image(x, w[self.rows])
        return x, own if image is None else doubled(image) + own


@final
class Synthesis(nn.Module):
    """From rows of w to an image; its children are ``block4``, ``block8`` ..., named by the height.

    Args:
        image_shape: Channels, height and width.
        w_dim: Dimension of w.
        channel_base: Channels times height in the wide blocks: 16384 in config e, 32768 in config f.
        channel_max: Most channels of a block.
        noise: Kind of noise, or kinds by pattern of layer name (``{"block32.*": "riemannian"}``; the last
            match counts, no match is no noise).
        riemann_preset: Preset of Riemannian noise.
        noise_strength: Initial standard deviation of the noise; None for the kind's or the preset's own.

    Raises:
        InputError: A size that does not fit, an unknown kind or preset, or a pattern that matches no layer.

    Attributes:
        num_ws: Rows of w.
        fused: Whether modulated kernels are built for every sample; None for by device.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        w_dim: int = 512,
        channel_base: int = 16384,
        channel_max: int = 512,
        noise: str | Mapping[str, str] = "none",
        riemann_preset: str = DEFAULT_PRESET,
        noise_strength: float | None = None,
    ) -> None:
        super().__init__()
        self.w_dim = w_dim
        self.fused: bool | None = None
        channels, *image_size = image_shape
        choice = NoiseChoice(noise, riemann_preset, noise_strength)
        inputs = 0
        for size in block_sizes(*image_size):
            outputs = block_channels(size, channel_base, channel_max)
            places = [f"block{size[0]}.{conv}" for conv in (("conv0", "conv1") if inputs else ("conv1",))]
            noises = [choice.layer(place, size, outputs) for place in places]
            block = SynthesisBlock(inputs, outputs, w_dim, size, channels, noises)
            self.add_module(f"block{size[0]}", block)
            inputs = outputs
        choice.check_all_used()
        self.num_ws = 1 + sum(block.rows for block in self.blocks())

    def blocks(self) -> Iterator[SynthesisBlock]:
        """The blocks, from the smallest to the largest."""
        return (block for block in self.children() if isinstance(block, SynthesisBlock))

    def forward(self, ws: Tensor, noise_mode: NoiseMode = "random") -> Tensor:
        """Rows of w (N, num_ws, w_dim) to images (N, C, H, W), about in [-1, 1].

        Args:
            ws: One row of w for each layer; rows of several w mix their styles.
            noise_mode: ``random``: the noise that the layers' sources supply; ``const``: the maps stored with
                the layers, the same for every sample; ``none``: no noise, only the gain of Riemannian layers.

        Raises:
            InputError: The rows have another shape, or the mode is unknown.
        """
        self.check(ws, noise_mode)
        x: Tensor | None = None
        image: Tensor | None = None
        row = 0
        for block in self.blocks():
            x, image = block(x, image, ws[:, row : row + block.rows + 1], noise_mode, self.fused)
            row += block.rows
        assert image is not None
        return image

    def check(self, ws: Tensor, noise_mode: str) -> None:
        """Refuse what :meth:`forward` cannot take.

        Raises:
            InputError: The rows have another shape or no floating point, or the mode is unknown.
        """
        if ws.ndim != 3 or ws.shape[1:] != (self.num_ws, self.w_dim) or not ws.is_floating_point():
            raise InputError(
                f"ws has shape {tuple(ws.shape)} and type {ws.dtype}, but this synthesis takes floating "
                f"point of shape (N, {self.num_ws}, {self.w_dim}); repeat one w for all its rows by "
                f"w[:, None].repeat(1, {self.num_ws}, 1)"
            )
        if noise_mode not in get_args(NoiseMode):
            raise unknown_name("noise mode", str(noise_mode), get_args(NoiseMode))

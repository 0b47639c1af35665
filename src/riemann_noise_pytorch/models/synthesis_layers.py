"""The layers of StyleGAN2's synthesis, each modulated by a row of w: one makes features, one makes images.

References:
    Karras et al. (2020), Analyzing and improving the image quality of StyleGAN, arXiv:1912.04958, Section 2.
"""

import math
from typing import Literal, final

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.models.equalised import (
    CLAMP,
    GAIN,
    EqualisedLayer,
    EqualisedLinear,
    activate,
    is_half,
)
from riemann_noise_pytorch.models.modulation import largest, modulated_conv
from riemann_noise_pytorch.noise.interfaces import NoiseLayer

NoiseMode = Literal["random", "const", "none"]


@final
class SynthesisLayer(EqualisedLayer):
    """Modulated convolution, noise, bias, leaky ReLU.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        w_dim: Dimension of w.
        size: Height and width out.
        noise: The noise layer, or None.
        up: Whether height and width are doubled.

    Attributes:
        noise: The noise layer, where there is one.
        noise_const: Its fixed map, (H, W).
    """

    noise: NoiseLayer
    noise_const: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        w_dim: int,
        size: tuple[int, int],
        noise: NoiseLayer | None = None,
        *,
        up: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.empty(outputs))
        self.affine = EqualisedLinear(w_dim, inputs, bias=1.0)
        self.up = up
        self.has_noise = noise is not None  # by construction: a child that inject() adds runs by itself
        if noise is not None:
            self.noise = noise
            self.register_buffer("noise_const", torch.empty(size))
        self.reset_parameters()

    def forward(
        self, x: Tensor, w: Tensor, noise_mode: NoiseMode = "random", fused: bool | None = None
    ) -> Tensor:
        """Features (N, inputs, H, W) and w (N, w_dim) to (N, outputs, H, W), or double height and width."""
        x = modulated_conv(x, self.weight, self.affine(w), up=self.up, fused=fused)
        if self.has_noise and noise_mode == "random":
            x = self.noise(x)
        elif self.has_noise:
            fixed = self.noise_const.to(x.dtype)[None, None] if noise_mode == "const" else None
            x = self.noise.inject(x, fixed)
        bias = (self.bias * GAIN).to(x.dtype)[:, None, None]
        return activate(torch.add(bias, x, alpha=GAIN))


@final
class ToImage(EqualisedLayer):
    """A 1x1 modulated convolution without demodulation, to the channels of the image.

    Args:
        inputs: Channels in.
        channels: Channels of the image.
        w_dim: Dimension of w.
    """

    def __init__(self, inputs: int, channels: int, w_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, inputs, 1, 1))
        self.bias = nn.Parameter(torch.empty(channels))
        self.affine = EqualisedLinear(w_dim, inputs, bias=1.0)
        self.reset_parameters()

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Features (N, inputs, H, W) and w (N, w_dim) to (N, channels, H, W), in the dtype of w.

        Features in half precision give images within +-256, whatever style and weight.
        """
        style = self.affine(w) / math.sqrt(x.shape[1])
        if not is_half(x):
            return modulated_conv(x, self.weight, style, demodulate=False) + self._offset(w)
        of_style, of_weight = largest(style) * math.sqrt(x.shape[1]), largest(self.weight)
        small = modulated_conv(x, self.weight / of_weight, style / of_style, demodulate=False)
        size = (of_style * of_weight.flatten())[:, :, None, None]
        return (small.to(w.dtype) * size + self._offset(w)).clamp(-CLAMP, CLAMP)

    def _offset(self, like: Tensor) -> Tensor:
        return self.bias.to(like.dtype)[:, None, None]

"""The layers of lucidrains/stylegan2-pytorch: its mapping, its modulated convolution, its block.

References:
    github.com/lucidrains/stylegan2-pytorch (MIT), version 1.9.0, for what these layers compute.
"""

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from riemann_noise_pytorch.models.lucidrains_noise import ImageNoise, NoiseImage
from riemann_noise_pytorch.models.modulation import modulated_conv

SLOPE = 0.2
MAPPING_MULTIPLIER = 0.1
"""The mapping's weights and biases are used at a tenth of what is stored."""
TAPS = (0.25, 0.5, 0.25)


def blurred(x: Tensor) -> Tensor:
    """Filter (N, C, H, W) by the binomial [1, 2, 1] in both directions, reflected at the border."""
    taps = torch.tensor(TAPS, dtype=x.dtype, device=x.device)
    kernel = torch.outer(taps, taps).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), kernel, groups=x.shape[1])


def doubled(x: Tensor) -> Tensor:
    """Double height and width of (N, C, H, W) by bilinear interpolation between the centres of pixels."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


@final
class LucidrainsMapping(nn.Module):
    """From z, brought to unit length, to w.

    Args:
        z_dim: Dimension of z and w.
        layers: Number of layers.

    Attributes:
        w_avg: Average of w, (z_dim,), towards which truncation goes.
    """

    w_avg: Tensor

    def __init__(self, z_dim: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(z_dim, z_dim) for _ in range(layers))
        self.register_buffer("w_avg", torch.zeros(z_dim))

    def forward(self, z: Tensor) -> Tensor:
        """Latents (N, z_dim) to w (N, z_dim)."""
        w = F.normalize(z, dim=1)
        for layer in self.layers:
            assert isinstance(layer, nn.Linear)
            scaled = F.linear(w, layer.weight * MAPPING_MULTIPLIER, layer.bias * MAPPING_MULTIPLIER)
            w = F.leaky_relu(scaled, SLOPE)
        return w


@final
class ModulatedConv(nn.Module):
    """A convolution whose kernel 1 plus an affine map of w modulates.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        w_dim: Dimension of w.
        kernel: Size of the kernel, 3, or 1 for toRGB, which is not demodulated.
    """

    def __init__(self, inputs: int, outputs: int, w_dim: int, kernel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        self.affine = nn.Linear(w_dim, inputs)
        nn.init.kaiming_normal_(self.weight, SLOPE)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Features (N, inputs, H, W) and w (N, w_dim) to (N, outputs, H, W)."""
        return modulated_conv(x, self.weight, self.affine(w) + 1, demodulate=self.weight.shape[-1] > 1)


@final
class LucidrainsLayer(nn.Module):
    """Modulated convolution, noise, bias, leaky ReLU; arguments as of :class:`ModulatedConv`."""

    def __init__(self, inputs: int, outputs: int, w_dim: int) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, outputs, w_dim, 3)
        self.noise = ImageNoise(outputs)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, w: Tensor, image: NoiseImage | None = None) -> Tensor:
        """Features (N, inputs, S, S) and w (N, w_dim) to (N, outputs, S, S)."""
        return F.leaky_relu(self.noise(self.conv(x, w), image) + self.bias[:, None, None], SLOPE)


@final
class LucidrainsBlock(nn.Module):
    """The layers of one resolution, and its share of the image.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        w_dim: Dimension of w.
        channels: Channels of the image.
        first: Whether features keep their size, as in the first block; they are doubled in others.
        last: Whether the image keeps its size, as in the last block; it is doubled and blurred in others.
    """

    def __init__(
        self, inputs: int, outputs: int, w_dim: int, channels: int, *, first: bool, last: bool
    ) -> None:
        super().__init__()
        self.first, self.last = first, last
        self.conv0 = LucidrainsLayer(inputs, outputs, w_dim)
        self.conv1 = LucidrainsLayer(outputs, outputs, w_dim)
        self.to_image = ModulatedConv(outputs, channels, w_dim, 1)

    def forward(
        self, x: Tensor, rgb: Tensor | None, w: Tensor, image: NoiseImage | None = None
    ) -> tuple[Tensor, Tensor]:
        """Features and picture of the block before, and w (N, w_dim), to features and picture of this one."""
        x = x if self.first else doubled(x)
        x = self.conv1(self.conv0(x, w, image), w, image)
        own: Tensor = self.to_image(x, w)
        rgb = own if rgb is None else own + rgb
        return x, rgb if self.last else blurred(doubled(rgb))

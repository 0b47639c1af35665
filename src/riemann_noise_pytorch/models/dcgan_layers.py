"""The layers at DCGAN's two ends, computed as products of matrices, which is faster than as convolutions."""

from typing import final

import torch
from torch import Tensor, nn


@final
class FromLatent(nn.ConvTranspose2d):
    """The first layer, (N, z_dim) -> (N, C, 4, 4): a transposed convolution of one pixel.

    It is computed as a product of matrices; the convolution routines take three times as long for the same
    numbers. The features are channels last, as the product leaves them.

    Args:
        z_dim: Dimension of the latent.
        channels: Output channels C.
        bias: Whether each channel has a bias.
    """

    def __init__(self, z_dim: int, channels: int, bias: bool) -> None:
        super().__init__(z_dim, channels, kernel_size=4, bias=bias)

    def forward(self, z: Tensor) -> Tensor:  # type: ignore[override]
        """Turn latents (N, z_dim) into features (N, C, 4, 4)."""
        weight = self.weight.permute(0, 2, 3, 1).flatten(1)
        product = z @ weight if self.bias is None else torch.addmm(self.bias.repeat(16), z, weight)
        return product.view(-1, 4, 4, self.out_channels).permute(0, 3, 1, 2)


@final
class ToImage(nn.ConvTranspose2d):
    """The generator's last layer, (N, C, H, W) -> (N, channels, 2H, 2W): a transposed convolution.

    It is computed as a product, whose 4x4 patches are then added where they overlap; the convolution routines
    are made for many output channels and take twice as long for these few.

    Args:
        inputs: Input channels C.
        channels: Channels of the image.
        bias: Whether each channel has a bias.
    """

    def __init__(self, inputs: int, channels: int, bias: bool) -> None:
        super().__init__(inputs, channels, kernel_size=4, stride=2, padding=1, bias=bias)

    def forward(self, features: Tensor) -> Tensor:  # type: ignore[override]
        """Turn features (N, C, H, W) into the image before its activation."""
        height, width = features.shape[2:]
        patches = features.permute(0, 2, 3, 1).flatten(1, 2) @ self.weight.flatten(1)
        image = nn.functional.fold(
            patches.transpose(1, 2), (2 * height, 2 * width), kernel_size=4, stride=2, padding=1
        )
        return image if self.bias is None else image + self.bias.view(-1, 1, 1)


@final
class ToLogit(nn.Conv2d):
    """The last layer, (N, C, 4, 4) -> (N,): a convolution over the whole map, computed as a product.

    Args:
        channels: Input channels C.
        bias: Whether the logit has a bias.
    """

    def __init__(self, channels: int, bias: bool) -> None:
        super().__init__(channels, 1, kernel_size=4, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        """Turn features (N, C, 4, 4) into logits (N,)."""
        weight = self.weight.permute(0, 2, 3, 1).flatten(1)
        return nn.functional.linear(features.permute(0, 2, 3, 1).flatten(1), weight, self.bias).squeeze(1)

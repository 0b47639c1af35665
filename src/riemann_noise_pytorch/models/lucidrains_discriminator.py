"""The discriminator of lucidrains/stylegan2-pytorch: residual blocks that blur and halve, then a logit.

It compares no images of a minibatch, its weights are not equalised, and it halves by a convolution of its own
behind the blur. The original's images lie in [0, 1]; here they are taken in [-1, 1] and brought there.

References:
    github.com/lucidrains/stylegan2-pytorch (MIT), version 1.9.0, for what this network computes.
"""

import math
from collections.abc import Iterator, Sequence
from typing import final

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from riemann_noise_pytorch.models.interfaces import Discriminator
from riemann_noise_pytorch.models.lucidrains import check_widths
from riemann_noise_pytorch.models.lucidrains_layers import SLOPE, blurred
from riemann_noise_pytorch.models.sizes import check_counts

LAST_SIDE = 2


@final
class LucidrainsDiscriminatorBlock(nn.Module):
    """Two convolutions, and one that halves but in the last block, beside a 1x1; their sum over sqrt 2.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        last: Whether features keep their size, as in the last block; they are halved in others.
    """

    def __init__(self, inputs: int, outputs: int, *, last: bool) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv1 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.down = None if last else nn.Conv2d(outputs, outputs, 3, padding=1, stride=2)
        self.skip = nn.Conv2d(inputs, outputs, 1, stride=1 if last else 2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H/2, W/2), or (N, outputs, H, W) in the last block."""
        y = F.leaky_relu(self.conv0(x), SLOPE)
        y = F.leaky_relu(self.conv1(y), SLOPE)
        if self.down is not None:
            y = self.down(blurred(y))
        total: Tensor = y + self.skip(x)
        return total / math.sqrt(2)


@final
class LucidrainsDiscriminator(Discriminator):
    """The discriminator; its blocks are ``block32``, ``block16`` ... ``block2``, named by the height.

    Args:
        widths: Channels that the blocks give, from the largest to that of 2x2 pixels, 2 to 10 of them.
        channels: Channels of the image.

    Raises:
        InputError: A number that does not fit.

    Example:
        >>> import torch
        >>> LucidrainsDiscriminator((4, 8, 8))(torch.zeros(2, 3, 8, 8)).shape
        torch.Size([2])
    """

    def __init__(self, widths: Sequence[int], channels: int = 3) -> None:
        check_widths(widths, LAST_SIDE)
        check_counts(channels=channels)
        super().__init__()
        side = LAST_SIDE << (len(widths) - 1)
        self.image_shape = (channels, side, side)
        for i, (inputs, outputs) in enumerate(zip([channels, *widths], widths, strict=False)):
            block = LucidrainsDiscriminatorBlock(inputs, outputs, last=i == len(widths) - 1)
            self.add_module(f"block{side >> i}", block)
        self.conv = nn.Conv2d(widths[-1], widths[-1], 3, padding=1)
        self.logit = nn.Linear(widths[-1] * LAST_SIDE**2, 1)

    def blocks(self) -> Iterator[LucidrainsDiscriminatorBlock]:
        """The blocks, from the largest to the smallest."""
        return (block for block in self.children() if isinstance(block, LucidrainsDiscriminatorBlock))

    def features(self, x: Tensor) -> Tensor:
        """Images (N, C, R, R) in [-1, 1] to what the last block gives, (N, C', 2, 2).

        Raises:
            InputError: The images do not fit.
        """
        self.check_images(x)
        x = (x + 1) / 2
        for block in self.blocks():
            x = block(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, R, R) in [-1, 1] to logits (N,).

        Raises:
            InputError: The images do not fit.
        """
        logits: Tensor = self.logit(self.conv(self.features(x)).flatten(1))
        return logits.squeeze(1)

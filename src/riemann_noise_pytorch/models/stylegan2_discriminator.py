r"""The discriminator of StyleGAN2: residual blocks that halve, then the spread of a minibatch, then a logit.

References:
    Karras et al. (2020), Analyzing and improving the image quality of StyleGAN, arXiv:1912.04958, config e;
    Karras et al. (2018), arXiv:1710.10196, Section 3, for the minibatch standard deviation;
    Miyato and Koyama (2018), arXiv:1802.05637, for class labels (the projection on an embedding).
"""

import math
from collections.abc import Iterator
from typing import Literal, final, get_args

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.errors import unknown_name
from riemann_noise_pytorch.models.equalised import EqualisedConv2d, EqualisedLinear
from riemann_noise_pytorch.models.interfaces import Discriminator, ImageShape
from riemann_noise_pytorch.models.mapping import Mapping, check_labels
from riemann_noise_pytorch.models.sizes import block_channels, block_sizes, check_counts

Grouping = Literal["consecutive", "interleaved"]


@final
class DiscriminatorBlock(nn.Module):
    """Two convolutions, the second halving, beside a 1x1 convolution that halves; their sum over sqrt 2.

    Args:
        inputs: Channels in.
        outputs: Channels out.

    Attributes:
        half_dtype: Precision of the features, float16 or bfloat16; None for that of the images.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.half_dtype: torch.dtype | None = None
        self.conv0 = EqualisedConv2d(inputs, inputs, 3, activated=True)
        self.conv1 = EqualisedConv2d(inputs, outputs, 3, down=True, activated=True, gain=math.sqrt(0.5))
        self.skip = EqualisedConv2d(inputs, outputs, 1, down=True, bias=False, gain=math.sqrt(0.5))

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H/2, W/2)."""
        y: Tensor = self.conv1(self.conv0(x)) + self.skip(x)
        return y


@final
class StyleGAN2Discriminator(Discriminator):
    """The StyleGAN2 discriminator; its children are ``from_image``, ``block128`` ... ``block8`` and the end.

    Args:
        image_shape: Channels, height and width, as of the generator.
        classes: Number of classes, 0 for none.
        channel_base: Channels times height in the wide blocks: 16384 in config e, 32768 in config f.
        channel_max: Most channels of a block.
        group: Images whose spread is compared, at most; where the batch is no multiple of it, its largest
            divisor below.
        grouping: Which images those are: neighbours, so that processes that share a batch form the same
            groups as one, or, as in the original code, every (N / group)-th.
        label_dim: Dimension of the embedding of classes.
        mapping_layers: Layers of the mapping of classes.

    Raises:
        InputError: A size that does not fit, or an unknown grouping.

    Example:
        >>> StyleGAN2Discriminator((3, 16, 16), channel_max=8)(torch.zeros(2, 3, 16, 16)).shape
        torch.Size([2])
    """

    def __init__(
        self,
        image_shape: ImageShape,
        classes: int = 0,
        *,
        channel_base: int = 16384,
        channel_max: int = 512,
        group: int = 4,
        grouping: Grouping = "consecutive",
        label_dim: int = 512,
        mapping_layers: int = 8,
    ) -> None:
        channels, *image_size = image_shape
        check_counts(channels=channels, channel_base=channel_base, channel_max=channel_max, group=group)
        check_counts(label_dim=label_dim, mapping_layers=mapping_layers)
        check_counts(0, classes=classes)
        if grouping not in get_args(Grouping):
            raise unknown_name("grouping", grouping, get_args(Grouping))
        super().__init__()
        self.image_shape, self.classes, self.group, self.grouping = image_shape, classes, group, grouping
        sizes = block_sizes(*image_size)[::-1]
        counts = [block_channels(size, channel_base, channel_max) for size in sizes]
        self.from_image = EqualisedConv2d(channels, counts[0], 1, activated=True)
        for (height, _), inputs, outputs in zip(sizes, counts, counts[1:], strict=False):
            self.add_module(f"block{height}", DiscriminatorBlock(inputs, outputs))
        last, (height, width) = counts[-1], sizes[-1]
        self.conv = EqualisedConv2d(last + 1, last, 3, activated=True)
        self.dense = EqualisedLinear(last * height * width, last, activated=True)
        self.mapping = Mapping(0, label_dim, mapping_layers, classes) if classes else None
        self.logit = EqualisedLinear(last, label_dim if classes else 1)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images (N, C, H, W), and classes (N,) of int64 for a network that has them, to logits (N,).

        Raises:
            InputError: Images or labels do not fit.
        """
        self.check_images(x)
        check_labels(labels, self.classes, x.shape[0])
        full = x.dtype
        blocks = list(self.blocks())
        x = self.from_image(x.to(blocks[0].half_dtype or full))
        for block in blocks:
            x = block(x.to(block.half_dtype or full))
        x = x.to(full)
        x = self.conv(torch.cat([x, minibatch_spread(x, self.group, self.grouping)], dim=1))
        logits: Tensor = self.logit(self.dense(x.flatten(1)))
        if self.mapping is None:
            return logits.squeeze(1)
        embedded: Tensor = self.mapping(x.new_empty(x.shape[0], 0), labels)
        return (logits * embedded).sum(dim=1) / math.sqrt(embedded.shape[1])

    def blocks(self) -> Iterator[DiscriminatorBlock]:
        """The blocks, from the largest to the smallest."""
        return (block for block in self.children() if isinstance(block, DiscriminatorBlock))


def minibatch_spread(x: Tensor, group: int, grouping: Grouping = "consecutive") -> Tensor:
    r"""How much the images of a group differ, as a constant plane for each.

    .. math:: \frac{1}{CHW} \sum_{chw} \sqrt{\mathrm{var}_{n \in \text{group}}(x_{nchw}) + 10^{-8}}

    References:
        Karras et al. (2018), Progressive growing of GANs, arXiv:1710.10196, Section 3.

    D8: neighbours form a group by default, so that processes that share a batch form the same ones.

    Args:
        x: Features, (N, C, H, W).
        group: Images of a group, at most; its largest divisor of N is taken.
        grouping: ``consecutive``: neighbours; ``interleaved``: every (N / group)-th image.

    Returns:
        (N, 1, H, W).
    """
    samples = x.shape[0]
    if samples == 0:
        return x[:, :1]
    size = next(g for g in range(min(group, samples), 0, -1) if samples % g == 0)
    if grouping == "consecutive":
        groups = x.reshape(samples // size, size, *x.shape[1:]).transpose(0, 1)
    else:
        groups = x.reshape(size, samples // size, *x.shape[1:])
    variance = (groups - groups.mean(dim=0)).square().mean(dim=0)
    spread: Tensor = (variance + 1e-8).sqrt().mean(dim=(1, 2, 3))
    spread = spread.repeat_interleave(size) if grouping == "consecutive" else spread.repeat(size)
    return spread.view(samples, 1, 1, 1).expand(samples, 1, *x.shape[2:])

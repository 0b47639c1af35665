r"""Layers with an equalised learning rate: weights are stored at unit variance and scaled when they are used.

.. math:: y = \frac{\lambda}{\sqrt{\text{fan-in}}}\, W x + \lambda\, b

Adam moves every parameter by about its learning rate, so storing all weights at the same size makes it move
them equally; a multiplier lambda < 1 slows a layer down.

References:
    Karras et al. (2018), Progressive growing of GANs, arXiv:1710.10196, Section 4.1;
    Karras, Laine and Aila (2019), arXiv:1812.04948, Appendix C, for the multiplier.
"""

import math
from collections.abc import Callable
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from riemann_noise_pytorch.models.convolution import conv3x3
from riemann_noise_pytorch.models.resampling import halving_conv

SLOPE = 0.2
GAIN = math.sqrt(2)
"""The leaky ReLU nearly halves the mean square of what is symmetric; the square root of 2 makes up for it."""
CLAMP = 256.0
"""Bound on activations in half precision (Karras et al. 2020, arXiv:2006.06676, Appendix C.1)."""

Stream = Callable[[str], torch.Generator | None]


def is_half(x: Tensor) -> bool:
    """Whether numbers are stored in 16 bits."""
    return x.dtype.itemsize < 4


def activate(x: Tensor) -> Tensor:
    """The leaky ReLU of slope 0.2; in half precision, kept within +-256.

    It commutes with positive factors, so the layers before multiply their weights and biases by the square
    root of 2 instead of the result, which is large.
    """
    x = F.leaky_relu(x, SLOPE)
    return F.hardtanh(x, -CLAMP, CLAMP) if is_half(x) else x


class EqualisedLayer(nn.Module):
    """A layer whose own tensors start as standard normal numbers, at a constant (biases), or at 0 (averages).

    Attributes:
        lr_multiplier: The multiplier of weight and bias.
        initial_bias: Where biases start, as they are used.
    """

    drawn = frozenset({"weight", "const", "noise_const"})
    lr_multiplier: float = 1.0
    initial_bias: float = 0.0

    @torch.no_grad()
    def reset_parameters(self, stream: Stream = lambda _: None) -> None:
        """Set the layer's own parameters and buffers to their initial values; children keep theirs.

        Args:
            stream: From the name of a tensor to the generator of its numbers; None for torch's own.
        """
        tensors = (*self.named_parameters(recurse=False), *self.named_buffers(recurse=False))
        for name, tensor in tensors:
            if name in self.drawn:
                generator = stream(name)
                device = None if generator is None else generator.device
                normal = torch.randn(tensor.shape, generator=generator, device=device)
                tensor.copy_(normal / self.lr_multiplier)
            else:
                tensor.fill_(self.initial_bias / self.lr_multiplier if name == "bias" else 0.0)


@final
class EqualisedLinear(EqualisedLayer):
    """A fully-connected layer.

    Args:
        inputs: Features in.
        outputs: Features out.
        bias: Initial bias, as it is used.
        lr_multiplier: The multiplier of weight and bias.
        activated: Whether the leaky ReLU follows.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        bias: float = 0.0,
        lr_multiplier: float = 1.0,
        activated: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.empty(outputs))
        self.initial_bias, self.lr_multiplier, self.activated = bias, lr_multiplier, activated
        self.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs) to (N, outputs)."""
        gain = self.lr_multiplier * (GAIN if self.activated else 1.0)
        weight = self.weight * (gain / math.sqrt(self.weight.shape[1]))
        x = F.linear(x, weight.to(x.dtype), (self.bias * gain).to(x.dtype))
        return activate(x) if self.activated else x


@final
class EqualisedConv2d(EqualisedLayer):
    """A convolution that keeps the size of its input, or halves it behind a low-pass filter.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        kernel: Size of the kernel, odd; 1 or 3 where it halves.
        bias: Whether there is one.
        down: Whether height and width, both even, are halved.
        activated: Whether the leaky ReLU follows.
        gain: Positive factor of the result.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        bias: bool = True,
        down: bool = False,
        activated: bool = False,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None
        self.down, self.activated, self.gain = down, activated, gain
        self.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H, W), or half the height and width."""
        gain = self.gain * (GAIN if self.activated else 1.0)
        weight = (self.weight * (gain / math.sqrt(self.weight[0].numel()))).to(x.dtype)
        bias = None if self.bias is None else (self.bias * gain).to(x.dtype)
        if self.down:
            x = halving_conv(x, weight, bias)
        elif self.weight.shape[-1] == 3:
            x = conv3x3(x, weight, bias)
        else:
            x = F.conv2d(x, weight, bias, padding=self.weight.shape[-1] // 2)
        return activate(x) if self.activated else x

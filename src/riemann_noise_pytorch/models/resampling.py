r"""Doubling and halving of images without aliasing: a low-pass filter where pixels are put in or left out.

The filter is the binomial [1, 3, 3, 1] in both directions, with sum 1; where zeros are put between the
pixels it is multiplied by 4, so that constants stay what they are, but for the border, around which all is
zero. A convolution that changes the size is joined with the filter: a transposed convolution and the filter
behind it, or the filter and a strided convolution behind it.

References:
    Karras et al. (2020), Analyzing and improving the image quality of StyleGAN, arXiv:1912.04958, Appendix B;
    Zhang (2019), Making convolutional networks shift-invariant again, arXiv:1904.11486.
"""

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

TAPS = (0.125, 0.375, 0.375, 0.125)

Way = Literal["doubled", "halved", "shrunk", "grown"]
_BACK: dict[Way, Way] = {"doubled": "halved", "halved": "doubled", "shrunk": "grown", "grown": "shrunk"}
"""The transpose of each way, for the filter is symmetric."""


def low_pass(like: Tensor, gain: float = 1.0) -> Tensor:
    """The filter for every channel of (N, C, H, W) by itself: (C, 1, 4, 4), with sum ``gain``."""
    rows = [[a * b * gain for b in TAPS] for a in TAPS]
    kernel = torch.tensor(rows, dtype=like.dtype, device="cpu")
    kernel = kernel.to(like.device, non_blocking=True)  # made on the device, it would wait for all work there
    return kernel.expand(like.shape[1], 1, len(TAPS), len(TAPS))


def doubled(x: Tensor) -> Tensor:
    """Double height and width: (N, C, H, W) to (N, C, 2H, 2W)."""
    return filtered(x, "doubled", 4.0)


def halved(x: Tensor) -> Tensor:
    """Halve height and width, both even: (N, C, H, W) to (N, C, H/2, W/2)."""
    return filtered(x, "halved")


def doubling_conv(x: Tensor, weight: Tensor, groups: int = 1) -> Tensor:
    """Convolve and double: (N, I, H, W) by a kernel (I, O, 3, 3), inputs first, to (N, O, 2H, 2W).

    With G groups the channels are G I and G O, and the kernel is (G I, O, 3, 3).
    """
    return filtered(F.conv_transpose2d(x, weight, stride=2, groups=groups), "shrunk", 4.0)


def halving_conv(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Halve and convolve: (N, I, H, W) by a kernel (O, I, k, k), k 1 or 3, to (N, O, H/2, W/2)."""
    if weight.shape[-1] == 1:
        return F.conv2d(halved(x), weight, bias)
    return F.conv2d(filtered(x, "grown"), weight, bias, stride=2)


def filtered(x: Tensor, way: Way, gain: float = 1.0) -> Tensor:
    """Filter every channel, with borders of zeros.

    A filter is linear and its transpose is one of the four, so derivatives of any order are filters, too;
    torch's own would go through the channels one by one.

    Args:
        x: (N, C, H, W).
        way: ``doubled``: zeros between the pixels, to 2H x 2W; ``halved``: every second pixel;
            ``shrunk`` and ``grown``: to one pixel less or more.
        gain: Sum of the filter.
    """
    if torch.compiler.is_compiling():
        return _applied(x, way, gain)
    result: Tensor = _Filter.apply(x, way, gain)
    return result


class _Filter(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, way: Way, gain: float) -> Tensor:
        return _applied(x, way, gain)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Way, float], output: Tensor) -> None:  # noqa: ARG004
        _, ctx.way, ctx.gain = inputs

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:
        return _Filter.apply(upstream[0], _BACK[ctx.way], ctx.gain), None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        result: Tensor = _Filter.apply(tangents[0], ctx.way, ctx.gain)
        return result


def _applied(x: Tensor, way: Way, gain: float) -> Tensor:
    if way == "doubled" and x.dtype == torch.bfloat16 and x.device.type == "cpu":  # torch is slow there
        return _applied(x.float(), way, gain).bfloat16()
    kernel, channels = low_pass(x, gain), x.shape[1]
    if way == "doubled":
        return F.conv_transpose2d(x, kernel, stride=2, padding=1, groups=channels)
    stride, padding = {"halved": (2, 1), "shrunk": (1, 1), "grown": (1, 2)}[way]
    return F.conv2d(x, kernel, stride=stride, padding=padding, groups=channels)

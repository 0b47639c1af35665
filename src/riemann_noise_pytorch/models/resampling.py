r"""Doubling and halving of images without aliasing: a low-pass filter where pixels are put in or left out.

The filter is the binomial [1, 3, 3, 1] in both directions, with sum 1; where zeros are put between the
pixels it is multiplied by 4, so that constants stay what they are, but for the border, around which all is
zero. A convolution that changes the size is joined with the filter: a transposed convolution and the filter
behind it, or the filter and a strided convolution behind it.

References:
    Karras et al. (2020), Analyzing and improving the image quality of StyleGAN, arXiv:1912.04958, Appendix B;
    Zhang (2019), Making convolutional networks shift-invariant again, arXiv:1904.11486.
"""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

TAPS = (0.125, 0.375, 0.375, 0.125)


def low_pass(like: Tensor, gain: float = 1.0) -> Tensor:
    """The filter for every channel of (N, C, H, W) by itself: (C, 1, 4, 4), with sum ``gain``."""
    rows = [[a * b * gain for b in TAPS] for a in TAPS]
    kernel = torch.tensor(rows, dtype=like.dtype, device="cpu")
    kernel = kernel.to(like.device, non_blocking=True)  # made on the device, it would wait for all work there
    return kernel.expand(like.shape[1], 1, len(TAPS), len(TAPS))


def doubled(x: Tensor) -> Tensor:
    """Double height and width: (N, C, H, W) to (N, C, 2H, 2W)."""
    return F.conv_transpose2d(x, low_pass(x, 4.0), stride=2, padding=1, groups=x.shape[1])


def halved(x: Tensor) -> Tensor:
    """Halve height and width, both even: (N, C, H, W) to (N, C, H/2, W/2)."""
    return F.conv2d(x, low_pass(x), stride=2, padding=1, groups=x.shape[1])


def doubling_conv(x: Tensor, weight: Tensor, groups: int = 1) -> Tensor:
    """Convolve and double: (N, I, H, W) by a kernel (I, O, 3, 3), inputs first, to (N, O, 2H, 2W).

    With G groups the channels are G I and G O, and the kernel is (G I, O, 3, 3).
    """
    x = F.conv_transpose2d(x, weight, stride=2, groups=groups)
    return F.conv2d(x, low_pass(x, 4.0), padding=1, groups=x.shape[1])


def halving_conv(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Halve and convolve: (N, I, H, W) by a kernel (O, I, k, k), k 1 or 3, to (N, O, H/2, W/2)."""
    if weight.shape[-1] == 1:
        return F.conv2d(halved(x), weight, bias)
    x = F.conv2d(x, low_pass(x), padding=2, groups=x.shape[1])
    return F.conv2d(x, weight, bias, stride=2)

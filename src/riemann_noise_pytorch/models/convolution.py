"""The 3x3 convolution of StyleGAN2, by the fastest way that serves.

Large maps of many channels on a CPU take the way of :mod:`.winograd`, with derivatives of any order. All
else, and whatever the transforms of ``torch.func``, forward mode and compilers see, is torch's own. The
environment variable ``RIEMANN_NOISE_NO_WINOGRAD=1`` and :func:`direct_convolutions` leave all to torch.
"""

import contextlib
import functools
import os
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.nn.grad import conv2d_weight

from riemann_noise_pytorch.models import winograd
from riemann_noise_pytorch.noise.ordinary import is_ordinary

LEAST_PIXELS = 1024
"""Pixels of all samples, below which evaluating the kernels costs more than it saves."""
LEAST_CHANNELS = {torch.float32: 128, torch.bfloat16: 256}
"""Channels in and out, below which evaluating the features costs more than it saves."""

_direct = ContextVar("direct", default=os.environ.get("RIEMANN_NOISE_NO_WINOGRAD", "") not in ("", "0"))


@contextlib.contextmanager
def direct_convolutions() -> Iterator[None]:
    """Within the block, every convolution is torch's own; so are derivatives that are taken there.

    Example:
        >>> x, weight = torch.ones(1, 1, 2, 2), torch.ones(1, 1, 3, 3)
        >>> with direct_convolutions():
        ...     conv3x3(x, weight)[0, 0].tolist()
        [[4.0, 4.0], [4.0, 4.0]]
    """
    token = _direct.set(True)
    try:
        yield
    finally:
        _direct.reset(token)


def conv3x3(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve by a 3x3 kernel with borders of zeros.

    Args:
        x: Features, (N, I, H, W).
        weight: Kernel, (O, I, 3, 3).
        bias: (O,), or None.

    Returns:
        (N, O, H, W).
    """
    if _serves(x, weight, *weight.shape[:2]) and x.is_contiguous(memory_format=torch.channels_last):
        try:
            result: Tensor = _Convolution.apply(x, weight, bias, False)
        except RuntimeError as error:
            if "functorch" not in str(error):  # a transform is at work that none of these tensors shows
                raise
        else:
            return result
    return F.conv2d(x, weight, bias, padding=1)


class _Convolution(torch.autograd.Function):
    """The convolution or its transpose; bilinear, so that derivatives are made of it and the next."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, transposed: bool) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.transposed = transposed
        return winograd.convolved(x, weight, bias, transposed=transposed)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (x, weight), g = ctx.saved_tensors, upstream[0]
        of_x, of_weight, of_bias, _ = ctx.needs_input_grad
        return (
            _convolved(g, weight, not ctx.transposed) if of_x else None,
            _kernel_gradient(*((g, x) if ctx.transposed else (x, g))) if of_weight else None,
            g.sum(dim=(0, 2, 3)) if of_bias else None,
            None,
        )


class _KernelGradient(torch.autograd.Function):
    """The derivative of the convolution by its kernel."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, g: Tensor) -> Tensor:
        ctx.save_for_backward(x, g)
        return winograd.kernel_gradient(x, g)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (x, g), kernel = ctx.saved_tensors, upstream[0]
        of_x, of_g = ctx.needs_input_grad
        return (
            _convolved(g, kernel, True) if of_x else None,
            _convolved(x, kernel, False) if of_g else None,
        )


def _convolved(x: Tensor, weight: Tensor, transposed: bool) -> Tensor:
    if _serves(x, weight, *weight.shape[:2]):
        result: Tensor = _Convolution.apply(x, weight, None, transposed)
        return result
    return (F.conv_transpose2d if transposed else F.conv2d)(x, weight, padding=1)


def _kernel_gradient(x: Tensor, g: Tensor) -> Tensor:
    inputs, outputs = x.shape[1], g.shape[1]
    if _serves(x, g, inputs, outputs):
        result: Tensor = _KernelGradient.apply(x, g)
        return result
    gradient: Tensor = conv2d_weight(x, (outputs, inputs, 3, 3), g, padding=1)  # type: ignore[no-untyped-call]
    return gradient


def _serves(x: Tensor, other: Tensor, *channels: int) -> bool:
    """Whether Winograd's way is possible and faster: features, what they meet, and channels in and out."""
    if x.dtype not in winograd.FILTERINGS or _direct.get() or not is_ordinary([x, other]):
        return False
    if x.device.type != "cpu" or other.dtype != x.dtype or torch.is_autocast_enabled("cpu"):
        return False
    samples, _, height, width = x.shape
    size = winograd.FILTERINGS[x.dtype].size
    return (
        min(channels) >= LEAST_CHANNELS[x.dtype]
        and samples * height * width >= LEAST_PIXELS
        and height % size == width % size == 0
        and not (x.dtype == torch.bfloat16 and _multiplies_tiles())
    )


@functools.cache
def _multiplies_tiles() -> bool:
    """Whether the processor has a unit for products of matrices in bfloat16, which favours torch's way."""
    return bool(torch.cpu._is_amx_tile_supported())

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
from torch.nn.grad import conv2d_input, conv2d_weight

from riemann_noise_pytorch.models import winograd
from riemann_noise_pytorch.noise.ordinary import is_ordinary
from riemann_noise_pytorch.statistics.products import keeps_float32

LEAST_PIXELS = 1024
"""Pixels of all samples, below which evaluating the kernels costs more than it saves, by
``benchmarks/bench_convolution.py``."""
LEAST_CHANNELS = {torch.float32: 128, torch.bfloat16: 256}
"""Channels in and out, below which evaluating the features costs more than it saves, likewise."""

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
    served = (
        not torch.compiler.is_compiling()
        and _matches(x, weight, bias)
        and _serves(x, weight, *weight.shape[:2])
        and x.is_contiguous(memory_format=torch.channels_last)
    )
    done = _attempt(_Convolution, x, weight, bias, False) if served else None
    return F.conv2d(x, weight, bias, padding=1) if done is None else done


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
    done = (
        _attempt(_Convolution, x, weight, None, transposed) if _serves(x, weight, *weight.shape[:2]) else None
    )
    if done is not None:
        return done
    with torch.autocast("cpu", enabled=False):  # a derivative keeps the precision of what is differentiated
        if transposed:
            shape = [x.shape[0], weight.shape[1], *x.shape[2:]]
            by_input: Tensor = conv2d_input(shape, weight, x, padding=1)  # type: ignore[no-untyped-call]
            return by_input
        return F.conv2d(x, weight, padding=1)


def _kernel_gradient(x: Tensor, g: Tensor) -> Tensor:
    inputs, outputs = x.shape[1], g.shape[1]
    done = _attempt(_KernelGradient, x, g) if _serves(x, g, inputs, outputs) else None
    if done is not None:
        return done
    by_kernel: Tensor = conv2d_weight(x, [outputs, inputs, 3, 3], g, padding=1)  # type: ignore[no-untyped-call]
    return by_kernel


def _attempt(function: type[torch.autograd.Function], *arguments: Any) -> Tensor | None:
    """Apply a function; None where a transform is at work that none of its arguments shows."""
    try:
        result: Tensor = function.apply(*arguments)
    except RuntimeError as error:
        if "functorch" not in str(error):
            raise
        return None
    return result


def _matches(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether the arguments are of one convolution; for others, torch says what is wrong with them."""
    if x.ndim != 4 or weight.ndim != 4 or weight.shape[1:] != (x.shape[1], 3, 3):
        return False
    return bias is None or (is_ordinary([bias]) and bias.dtype == x.dtype and bias.shape == weight.shape[:1])


def _serves(x: Tensor, other: Tensor, *channels: int) -> bool:
    """Whether Winograd's way is possible and faster: features, what they meet, and channels in and out."""
    if x.dtype not in winograd.FILTERINGS or _direct.get() or not is_ordinary([x, other]):
        return False
    if (
        {x.device.type, other.device.type} != {"cpu"}
        or other.dtype != x.dtype
        or torch.is_autocast_enabled("cpu")
    ):
        return False
    samples, _, height, width = x.shape
    size = winograd.FILTERINGS[x.dtype].size
    return (
        min(channels) >= LEAST_CHANNELS[x.dtype]
        and samples * height * width >= LEAST_PIXELS
        and height % size == width % size == 0
        and (_multiplies_bfloat16() if x.dtype == torch.bfloat16 else keeps_float32())
    )


@functools.cache
def _multiplies_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16, but by no unit for matrices, which favours torch's way."""
    can = torch.cpu.get_capabilities()
    return bool(can.get("avx512_bf16")) and not can.get("amx_bf16")

r"""Modulated convolution: a style scales the input channels of a kernel, and demodulation undoes their size.

.. math:: w'_{oik} = s_i\, w_{oik}, \qquad w''_{oik} = w'_{oik} \Big/ \sqrt{\sum_{ik} w'^2_{oik} + 10^{-8}}

Every sample has a kernel of its own. Fused, it is built, and one grouped convolution applies all; unfused,
the style multiplies the features and the demodulation multiplies the result, with one kernel for all. A
kernel of one pixel is a matrix, and its application a product, which leaves the features as they are.

References:
    Karras et al. (2020), Analyzing and improving the image quality of StyleGAN, arXiv:1912.04958, Eqs. 1, 3.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from riemann_noise_pytorch.models.convolution import conv3x3
from riemann_noise_pytorch.models.resampling import doubling_conv

EPSILON = 1e-8


def modulated_conv(
    x: Tensor,
    weight: Tensor,
    style: Tensor,
    *,
    demodulate: bool = True,
    up: bool = False,
    fused: bool | None = None,
) -> Tensor:
    """Convolve features by a kernel that a style modulates.

    In float16, features within +-256 give finite results: demodulated kernels and styles are brought to a
    largest value of 1 first, which cancels.

    Args:
        x: Features, (N, I, H, W).
        weight: Kernel, (O, I, k, k), k 1 or 3; 3 where ``up``.
        style: Style, (N, I).
        demodulate: Whether the kernel's size is normalised, for every output channel.
        up: Whether height and width are doubled.
        fused: Whether the 3x3 kernels of all samples are built; None for by device, unfused on CPUs, where
            that is faster. Only unfused keeps features channels last.

    Returns:
        (N, O, H, W), or (N, O, 2H, 2W), in the dtype of ``x``.
    """
    if x.dtype == torch.float16 and demodulate:
        weight = weight / (largest(weight) * math.sqrt(weight[0].numel()))
        style = style / largest(style)
    scale = demodulation(weight, style) if demodulate else None
    if weight.shape[-1] == 1:
        return _product(x, weight, style, scale)
    fused = x.device.type != "cpu" if fused is None else fused
    if fused and x.shape[0]:
        return _fused(x, weight, style, scale, up)
    y = _convolved(x * style.to(x.dtype)[:, :, None, None], weight.to(x.dtype), up)
    return y if scale is None else y * scale.to(x.dtype)[:, :, None, None]


def demodulation(weight: Tensor, style: Tensor) -> Tensor:
    """Compute the factor of every output channel: (O, I, k, k) and (N, I) to (N, O), float32 or more."""
    dtype = torch.promote_types(weight.dtype, torch.float32)
    energy = weight.to(dtype).square().sum(dim=(2, 3))
    return (style.to(dtype).square() @ energy.t() + EPSILON).rsqrt()


def largest(values: Tensor) -> Tensor:
    """The largest size of a value along the first axis, without gradient: (A, B, ...) to (A, 1, ...)."""
    axes = tuple(range(1, values.ndim))
    return values.detach().abs().amax(dim=axes, keepdim=True).clamp_min(torch.finfo(torch.float16).tiny)


def _product(x: Tensor, weight: Tensor, style: Tensor, scale: Tensor | None) -> Tensor:
    matrices = weight.flatten(1) * style[:, None, :]
    if scale is not None:
        matrices = matrices * scale[:, :, None]
    y = torch.bmm(x.flatten(2).transpose(1, 2), matrices.to(x.dtype).transpose(1, 2))
    return y.transpose(1, 2).view(x.shape[0], weight.shape[0], *x.shape[2:])


def _fused(x: Tensor, weight: Tensor, style: Tensor, scale: Tensor | None, up: bool) -> Tensor:
    samples, inputs, *size = x.shape
    kernels = weight * style[:, None, :, None, None]
    if scale is not None:
        kernels = kernels * scale[:, :, None, None, None]
    y = x.reshape(1, samples * inputs, *size)
    y = _convolved(y, kernels.flatten(0, 1).to(x.dtype), up, groups=samples)
    return y.view(samples, weight.shape[0], *y.shape[2:])


def _convolved(x: Tensor, weight: Tensor, up: bool, groups: int = 1) -> Tensor:
    if not up:
        return conv3x3(x, weight) if groups == 1 else F.conv2d(x, weight, padding=1, groups=groups)
    outputs, inputs, *kernel = weight.shape
    by_input = weight.view(groups, outputs // groups, inputs, *kernel).transpose(1, 2).flatten(0, 1)
    return doubling_conv(x, by_input, groups)

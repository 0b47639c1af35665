r"""How near a reconstruction is to its target: mean squared error, PSNR and SSIM of each image.

.. math:: \mathrm{PSNR} = 10 \log_{10} \frac{2^2}{\mathrm{MSE}}

for images in [-1, 1], whose range is 2.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from riemann_noise_pytorch.errors import InputError

RANGE = 2.0
"""From -1 to 1."""
GREY_LEVELS = 255 / RANGE
"""Of 255, for each unit of an image."""
FOUND_DB = 30.0
"""From this PSNR on an image counts as found again."""
HIGHEST_DB = 200.0
"""A PSNR beyond the digits of floats is written as this, for JSON has no infinity."""
NO_SPREAD = 0.5
"""Grey levels; noise over whose draws a pixel has a smaller standard deviation does next to nothing, for that
is lost in rounding to 8 bits."""
WINDOW = 11
SIGMA = 1.5
K1, K2 = 0.01, 0.03
"""Window and constants of Wang et al. (2004), Section III-C."""


def mse(images: Tensor, targets: Tensor) -> Tensor:
    """Mean squared difference of each image, (N,).

    Args:
        images: (N, C, H, W), in [-1, 1].
        targets: The same shape.

    Raises:
        InputError: The shapes differ, or the images are not (N, C, H, W) of floating point.
    """
    check_pair(images, targets)
    return (images - targets).square().mean(dim=(1, 2, 3))


def psnr(images: Tensor, targets: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each image in dB, (N,); infinite where the two are equal.

    Args:
        images: (N, C, H, W), in [-1, 1].
        targets: The same shape.

    Raises:
        InputError: The shapes differ, or the images are not (N, C, H, W) of floating point.

    Example:
        >>> psnr(torch.zeros(1, 3, 8, 8), torch.full((1, 3, 8, 8), 0.2))
        tensor([20.])
    """
    return decibels(mse(images, targets))


def decibels(errors: Tensor) -> Tensor:
    """PSNR of mean squared errors of images in [-1, 1]; infinite where there is none.

    Example:
        >>> decibels(torch.tensor([0.04, 0.0]))
        tensor([20., inf])
    """
    return 10 * torch.log10(RANGE**2 / errors)


def ssim(images: Tensor, targets: Tensor) -> Tensor:
    r"""Structural similarity of each image, (N,): 1 where the two are equal.

    .. math::

        \operatorname{mean} \frac{(2 \mu_x \mu_y + c_1)(2 \sigma_{xy} + c_2)}
        {(\mu_x^2 + \mu_y^2 + c_1)(\sigma_x^2 + \sigma_y^2 + c_2)}

    over all places where a Gaussian window of 11 pixels and standard deviation 1.5 fits into the image, and
    over the channels.

    References:
        Wang, Bovik, Sheikh and Simoncelli, Image quality assessment: from error visibility to structural
        similarity, IEEE Trans. Image Processing 2004.

    Args:
        images: (N, C, H, W), in [-1, 1], of at least 11 pixels a side.
        targets: The same shape.

    Raises:
        InputError: The shapes differ, or the images are too small for the window.
    """
    check_pair(images, targets)
    if min(images.shape[2:]) < WINDOW:
        raise InputError(
            f"SSIM needs images of {WINDOW} pixels a side, not {tuple(images.shape[2:])}; use PSNR for these"
        )
    x, y = images, targets
    mean_x, mean_y = _windowed(x), _windowed(y)
    variance_x = _windowed(x * x) - mean_x.square()
    variance_y = _windowed(y * y) - mean_y.square()
    covariance = _windowed(x * y) - mean_x * mean_y
    c1, c2 = (K1 * RANGE) ** 2, (K2 * RANGE) ** 2
    means = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    spreads = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return (means * spreads).mean(dim=(1, 2, 3))


def check_pair(images: Tensor, targets: Tensor) -> None:
    """Refuse images and targets that cannot be compared.

    Raises:
        InputError: The shapes differ, or the images are not (N, C, H, W) of floating point.
    """
    if images.shape != targets.shape or images.ndim != 4 or not images.is_floating_point():
        raise InputError(
            f"images {tuple(images.shape)} and targets {tuple(targets.shape)} cannot be compared; give two "
            "floating-point batches (N, C, H, W) of equal shape"
        )


def _windowed(images: Tensor) -> Tensor:
    offsets = [i - WINDOW // 2 for i in range(WINDOW)]
    taps = images.new_tensor([math.exp(-(offset**2) / (2 * SIGMA**2)) for offset in offsets])
    taps = taps / taps.sum()
    n, c, h, w = images.shape
    planes = functional.conv2d(images.reshape(n * c, 1, h, w), taps.view(1, 1, -1, 1))
    planes = functional.conv2d(planes, taps.view(1, 1, 1, -1))
    return planes.reshape(n, c, *planes.shape[2:])

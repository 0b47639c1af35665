r"""The penalty on noise maps that carry a picture: what is white noise at every scale costs nothing.

.. math::

    L = \sum_{i, j} \Bigl(\frac{1}{r^2} \sum_{x, y} n_{ij}(x, y)\, n_{ij}(x - 1, y)\Bigr)^2
    + \Bigl(\frac{1}{r^2} \sum_{x, y} n_{ij}(x, y)\, n_{ij}(x, y - 1)\Bigr)^2

for layers i and levels j of a pyramid: a level of more than 8 pixels is followed by the mean of its squares
of 2x2 pixels, times 2, which keeps the variance of white noise at 1. Positions wrap around at the borders.
(The official code leaves the factor 2 out; here is what the paper says.)

References:
    Karras et al. (2020), Analyzing and improving the image quality of StyleGAN, arXiv:1912.04958, Appendix D.
"""

import torch
from torch import Tensor
from torch.nn import functional

COARSEST = 8
"""No level is made from one whose shorter side has this many pixels or fewer."""
ROUNDING = 4
"""Steps of floating point by which values of a flat plane may leave their mean."""


def autocorrelation(noise: Tensor) -> Tensor:
    """The penalty of one layer's maps, for each sample; the mean over planes where there are several.

    Args:
        noise: (N, P, H, W): one plane a sample, or one for each channel.

    Returns:
        (N,).

    Example:
        >>> autocorrelation(torch.ones(1, 1, 8, 8))
        tensor([2.])
    """
    total = noise.new_zeros(len(noise))
    for level in levels(noise):
        for axis in (2, 3):
            correlation = (level * level.roll(1, dims=axis)).mean(dim=(2, 3))
            total = total + correlation.square().mean(dim=1)
    return total


def levels(noise: Tensor) -> list[Tensor]:
    """The pyramid of noise maps (N, P, H, W), the finest first."""
    found = [noise]
    while min(found[-1].shape[2:]) > COARSEST:
        found.append(2 * functional.avg_pool2d(found[-1], 2))
    return found


def renormalised(noise: Tensor) -> Tensor:
    """Give every plane of (N, P, H, W) mean 0 and mean square 1; one that is flat but for rounding becomes 0.

    Example:
        >>> renormalised(torch.full((1, 1, 2, 2), 0.1)).abs()
        tensor([[[[0., 0.],
                  [0., 0.]]]])
    """
    centred = noise - noise.mean(dim=(2, 3), keepdim=True)
    power, scale = (each.square().mean(dim=(2, 3), keepdim=True) for each in (centred, noise))
    is_flat = power <= (ROUNDING * torch.finfo(noise.dtype).eps) ** 2 * scale
    return torch.where(is_flat, 0, centred * torch.where(is_flat, 1, power).rsqrt())

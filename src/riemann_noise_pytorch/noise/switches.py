r"""The choices that the paper leaves open, and those in which its author's code differs, each by name.

==============  ===================  =============================================================
switch          value                meaning
==============  ===================  =============================================================
``identifier``  ``sum``              sum over channels (Eq. 13)
..              ``relu_neg_sum``     sum of relu(-mu): what the author ran on FFHQ
..              ``abs_sum``          sum of absolute values: on cats
..              ``neg_max``          largest of -mu: on churches
``range``       ``max_abs``          Eq. 14: centred, divided by the largest absolute value
..              ``max_abs_unit``     the same, mapped from [-1, 1] to [0, 1]
..              ``signed_max_unit``  centred, divided by the signed maximum, then (s + 1) / 2
``alpha_on``    ``affine``           alpha weights s_d, 1 - alpha the ones (Eq. 16)
..              ``ones``             alpha weights the ones
``norm``        ``l2``               unit Euclidean norm (Eq. 16): features shrink by sqrt(HW)
..              ``rms``              unit root mean square: sqrt(HW) times the same
``planes``      ``shared``           one noise plane (N, 1, H, W) for all channels
..              ``per_channel``      one per channel (N, C, H, W)
``strength``    ``tied``             noise as strong as the features, r scales both (Eq. 17)
..              ``own``              the noise has a learned strength w of its own
``law``         ``gaussian``         epsilon ~ N(0, 1)
..              ``clipped``          the same, conditioned on [-2, 2]
..              ``uniform_ball``     uniform in a ball (Section 4.1)
==============  ===================  =============================================================
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise.functional import (
    FeatureMap,
    Scalar,
    SpatialMap,
    flatness_floor,
    local_scale,
    mixed_with_ones,
    positions,
    reduction_dtype,
    root_mean_square_normalised,
    semantic_coefficient,
    semantic_identifier,
)

Identifier = Literal["sum", "relu_neg_sum", "abs_sum", "neg_max"]
Range = Literal["max_abs", "max_abs_unit", "signed_max_unit"]
AlphaOn = Literal["affine", "ones"]
Norm = Literal["l2", "rms"]
Planes = Literal["shared", "per_channel"]
Strength = Literal["tied", "own"]
Law = Literal["gaussian", "clipped", "uniform_ball"]

CLIP = 2.0
"""Where the clipped law ends, in standard deviations of the unclipped one."""
CLIPPED_STD = 0.8796256610342398
"""Standard deviation of N(0, 1) conditioned on [-2, 2]."""


def relu_neg_sum(mu: FeatureMap) -> SpatialMap:
    """Sum over channels of relu(-mu), (N, C, H, W) -> (N, 1, H, W); zero after a ReLU."""
    return (-mu).relu().sum(dim=1, keepdim=True, dtype=reduction_dtype(mu))


def abs_sum(mu: FeatureMap) -> SpatialMap:
    """Sum over channels of abs(mu), (N, C, H, W) -> (N, 1, H, W)."""
    return mu.abs().sum(dim=1, keepdim=True, dtype=reduction_dtype(mu))


def neg_max(mu: FeatureMap) -> SpatialMap:
    """Largest over channels of -mu, (N, C, H, W) -> (N, 1, H, W)."""
    return -mu.amin(dim=1, keepdim=True).to(reduction_dtype(mu))


def max_abs_unit(mu_tilde: SpatialMap, spread: float = 1.0, size: float = 1.0) -> SpatialMap:
    """Eq. 14 mapped from [-1, 1] to [0, 1], (N, 1, H, W) -> (N, 1, H, W)."""
    return (semantic_coefficient(mu_tilde, spread, size) + 1) / 2


def signed_max_unit(mu_tilde: SpatialMap, spread: float = 1.0, size: float = 1.0) -> SpatialMap:
    """Centred, divided by the signed maximum (floored as in D1), then (s + 1) / 2.

    (N, 1, H, W) -> (N, 1, H, W), at most 1; as low as (2 - HW) / 2.
    """
    mean = mu_tilde.mean(dim=positions(mu_tilde), keepdim=True)
    s = mu_tilde - mean
    largest = s.amax(dim=positions(s), keepdim=True)
    return (s / torch.maximum(largest, flatness_floor(mean, spread, size)) + 1) / 2


def rms_local_scale(s_d: SpatialMap, alpha: Scalar) -> SpatialMap:
    """Eq. 16 with the root mean square for the norm: sqrt(HW) times the paper's sigma, so of order 1."""
    return root_mean_square_normalised(mixed_with_ones(s_d, alpha))


def gaussian(normal: Tensor) -> Tensor:
    """The unclipped Gaussian, which the paper chooses: (N, C, H, W) unchanged."""
    return normal


def clipped(normal: Tensor) -> Tensor:
    """A Gaussian conditioned on [-2, 2], rescaled to unit variance (D5), from standard normal values."""
    uniform = torch.special.ndtr(normal.double())
    low = torch.special.ndtr(torch.tensor(-CLIP, dtype=torch.float64, device=normal.device))
    inside = torch.special.ndtri(low + uniform * (1 - 2 * low)).clamp(-CLIP, CLIP)
    epsilon: Tensor = inside / CLIPPED_STD
    return epsilon.to(normal.dtype)


def uniform_ball(normal: Tensor) -> Tensor:
    """Uniform in the ball of radius sqrt(d + 2), d values a sample, so of unit variance a coordinate (D5).

    The squared norm of d standard normals is chi-squared and independent of their direction, so its own
    distribution function supplies the uniform number that the radius needs.
    """
    d = normal[0].numel()
    flat = normal.flatten(1).double()
    square = flat.square().sum(dim=1, keepdim=True)
    shape = torch.full_like(square, d / 2)
    radius = torch.special.gammainc(shape, square / 2).pow(1 / d) * (d + 2) ** 0.5
    epsilon: Tensor = flat * (radius / square.sqrt())
    return epsilon.view_as(normal).to(normal.dtype)


IDENTIFIERS: dict[Identifier, Callable[[FeatureMap], SpatialMap]] = {
    "sum": semantic_identifier,
    "relu_neg_sum": relu_neg_sum,
    "abs_sum": abs_sum,
    "neg_max": neg_max,
}
RANGES: dict[Range, Callable[[SpatialMap, float, float], SpatialMap]] = {
    "max_abs": semantic_coefficient,
    "max_abs_unit": max_abs_unit,
    "signed_max_unit": signed_max_unit,
}
NORMS: dict[Norm, Callable[[SpatialMap, Scalar], SpatialMap]] = {"l2": local_scale, "rms": rms_local_scale}
LAWS: dict[Law, Callable[[Tensor], Tensor]] = {
    "gaussian": gaussian,
    "clipped": clipped,
    "uniform_ball": uniform_ball,
}


def usual_spread(identifier: Identifier, channels: int) -> tuple[float, float]:
    """How much an identifier varies on independent normal features of unit variance, and its size on ones.

    The spread of a sum grows with sqrt(C); that of the largest of many falls slowly, from 1 for one channel
    to 0.37 for 512, and is taken as 0.25.

    Args:
        identifier: Its name.
        channels: Channels of the features.

    Returns:
        Standard deviation over positions, and value on features that are all 1 in size.

    Raises:
        InputError: There is no channel to reduce.
    """
    if channels < 1:
        raise InputError("the feature map has no channels; noise injection needs (N, C, H, W) with C >= 1")
    if identifier == "neg_max":
        return _SPREAD[identifier], 1.0
    return _SPREAD[identifier] * channels**0.5, float(channels)


_SPREAD: dict[Identifier, float] = {
    "sum": 1.0,
    "relu_neg_sum": math.sqrt((1 - 1 / math.pi) / 2),
    "abs_sum": math.sqrt(1 - 2 / math.pi),
    "neg_max": 0.25,
}

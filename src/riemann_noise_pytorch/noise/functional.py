r"""How noise enters a feature map: Section 4 of the paper, one pure function an equation.

An injection is a point :math:`\mu` of the feature manifold, the local geometry :math:`\sigma` at that
point, and a source :math:`\varepsilon`:

.. math:: g(x) = \mu(x) + \sigma(x)\,\varepsilon  \qquad\text{(Eq. 5)}

Euclidean noise injection (ENI) takes the same scalar everywhere (Eqs. 4 and 18). Riemannian noise
injection (RNI) reads :math:`\sigma` off the features: the sum over channels marks where semantics vary
(Eq. 13), is brought into [-1, 1] (Eq. 14), bent by a learned affine map (Eq. 15), kept away from zero and
normalised (Eq. 16), and shapes both the point and the noise (Eq. 17).

All reductions are per sample: over the channels (Eq. 13) or over the positions (Eqs. 14 and 16), never over
the batch. ``mu`` is (N, C, H, W); any number of spatial axes from one up is accepted.

References:
    Feng, Zhao and Zha, Understanding Noise Injection in GANs, ICML 2021.
"""

import math
from typing import TypeAlias

import torch
from torch import Tensor

FeatureMap: TypeAlias = Tensor
"""(N, C, H, W)."""
SpatialMap: TypeAlias = Tensor
"""(N, 1, H, W), or (H, W) where one map serves all samples."""
Scalar: TypeAlias = Tensor | float

FLAT_SHARE = 0.25
"""D1: the share of its usual spread that an identifier must vary by for Eq. 14 to stretch it."""
SMALLEST_NORM = 0.25
"""D2: below this root mean square, s' is divided by this value instead of its own in Eq. 16."""


def euclidean_injection(mu: FeatureMap, a: Scalar, epsilon: Tensor) -> FeatureMap:
    r"""Euclidean noise injection: the same geometry everywhere.

    .. math:: o = \mu + a\,\varepsilon

    Paper: Eqs. 4 and 18 (Sections 4 and 4.3; Eq. 18 writes r for a).

    Args:
        mu: A point of the feature manifold, (N, C, H, W).
        a: The learned strength, a scalar of any sign.
        epsilon: Standard normal noise, (N, C, H, W) or (N, 1, H, W), drawn by the caller.

    Returns:
        The features with noise, (N, C, H, W).

    Example:
        >>> mu = torch.zeros(1, 2, 3, 3)
        >>> euclidean_injection(mu, 0.5, torch.ones(1, 1, 3, 3)).unique()
        tensor([0.5000])
    """
    return mu + a * epsilon


def injection(mu: FeatureMap, sigma: Tensor, epsilon: Tensor) -> FeatureMap:
    r"""The general form of noise injection: a point, and noise shaped by the geometry around it.

    .. math:: g(x) = \mu(x) + \sigma(x)\,\varepsilon

    Paper: Eq. 5 (Section 4).

    Args:
        mu: A point of the feature manifold, (N, C, H, W).
        sigma: The local geometry at ``mu``, broadcastable to (N, C, H, W).
        epsilon: Standard normal noise, (N, C, H, W) or (N, 1, H, W), drawn by the caller.

    Returns:
        The features with noise, (N, C, H, W).
    """
    return mu + sigma * epsilon


def semantic_identifier(mu: FeatureMap) -> SpatialMap:
    r"""The sum over channels, whose variation marks where the semantics vary.

    .. math:: \tilde\mu_{jk} = \sum_{i=1}^{c} \mu_{ijk}

    Paper: Eq. 13 (Section 4.3; its left side keeps the summed index i, a slip).

    Args:
        mu: A point of the feature manifold, (N, C, H, W).

    Returns:
        The identifier, (N, 1, H, W); in float32 where ``mu`` is in half precision.
    """
    return mu.sum(dim=1, keepdim=True, dtype=reduction_dtype(mu))


def semantic_coefficient(mu_tilde: SpatialMap, spread: float = 1.0, size: float = 1.0) -> SpatialMap:
    r"""The identifier, centred and brought into [-1, 1].

    .. math:: s = \frac{\tilde\mu - \mathrm{mean}(\tilde\mu)}{\max|\tilde\mu - \mathrm{mean}(\tilde\mu)|}

    Paper: Eq. 14 (Section 4.3).

    D1: the paper's quotient is 0/0 on a constant map, and its derivatives grow without bound towards one.
    The divisor is kept at or above :func:`flatness_floor`; above it the formula is the paper's, exactly.

    Args:
        mu_tilde: The semantic identifier, (N, 1, H, W).
        spread: Its standard deviation over positions for independent features of unit variance, above 0.
        size: Its value for features that are all 1, above 0.

    Returns:
        The coefficient, (N, 1, H, W), in [-1, 1]; unchanged when ``mu_tilde`` is multiplied by a positive
        number, so long as it is not flat.
    """
    mean = mu_tilde.mean(dim=positions(mu_tilde), keepdim=True)
    s = mu_tilde - mean
    largest = s.abs().amax(dim=positions(s), keepdim=True)
    return s / torch.maximum(largest, flatness_floor(mean, spread, size))


def flatness_floor(mean: Tensor, spread: float, size: float) -> Tensor:
    r"""The smallest variation that Eq. 14 stretches: a quarter of what unit features have, and more beyond.

    .. math:: \mathrm{floor} = \frac{1}{4}\,\mathrm{spread}\,
        \Bigl(1 + \frac{|\mathrm{mean}(\tilde\mu)|}{\mathrm{size}}\Bigr)

    The share is a round value that keeps the derivatives of every preset on a constant map within 100 times
    those on a standard normal map, and that standard normal features practically never reach (D1).

    Args:
        mean: The spatial mean of the identifier, (N, 1, 1, 1).
        spread: As in :func:`semantic_coefficient`.
        size: As in :func:`semantic_coefficient`.

    Returns:
        The floor, shaped like ``mean``, above 0.
    """
    return FLAT_SHARE * spread * (1 + mean.abs() / size)


def affine_decomposition(s: SpatialMap, A: Tensor, b: Tensor) -> SpatialMap:
    r"""The learned affine map that separates the main content from the variance.

    .. math:: s_d = A * s + b

    Paper: Eq. 15 (Section 4.3).

    Args:
        s: The semantic coefficient, (N, 1, H, W).
        A: The learned slope, a map (H, W) or a scalar.
        b: The learned offset, a map (H, W) or a scalar.

    Returns:
        The decomposed coefficient, (N, 1, H, W).
    """
    return A * s + b


def local_scale(s_d: SpatialMap, alpha: Scalar) -> SpatialMap:
    r"""The local geometry: mixed with ones, and of unit Euclidean norm.

    .. math:: s' = \alpha s_d + (1 - \alpha)\mathbf{1}, \qquad \sigma = s' / \|s'\|_2

    Paper: Eq. 16 (Section 4.3).

    D2: where the root mean square of s' is below 0.25, s' is divided by 0.25 sqrt(HW) instead of its norm, so
    that s' = 0 gives sigma = 0 with bounded derivatives.

    Args:
        s_d: The decomposed coefficient, (N, 1, H, W).
        alpha: The weight of ``s_d`` against the ones, a scalar.

    Returns:
        The local geometry, (N, 1, H, W); its values are of the order of 1 / sqrt(HW), of either sign.
    """
    places = math.prod(s_d.shape[2:])
    return root_mean_square_normalised(mixed_with_ones(s_d, alpha)) / math.sqrt(places)


def mixed_with_ones(s_d: SpatialMap, alpha: Scalar) -> SpatialMap:
    """The left half of Eq. 16: ``alpha * s_d + (1 - alpha)``.

    Args:
        s_d: The decomposed coefficient, (N, 1, H, W).
        alpha: The weight of ``s_d`` against the ones, a scalar.

    Returns:
        s', (N, 1, H, W).
    """
    return alpha * s_d + (1 - alpha)


def root_mean_square_normalised(s_prime: SpatialMap) -> SpatialMap:
    """The right half of Eq. 16 without its factor 1 / sqrt(HW): a map of unit root mean square.

    Args:
        s_prime: s', (N, 1, H, W).

    Returns:
        The map divided by its root mean square over the positions, or by 0.25 if that is larger (D2).
    """
    mean_square = s_prime.square().mean(dim=positions(s_prime), keepdim=True)
    return s_prime * mean_square.clamp_min(SMALLEST_NORM**2).rsqrt()


def riemannian_injection(
    mu: FeatureMap, sigma: SpatialMap, r: Scalar, epsilon: Tensor, w: Scalar = 1.0
) -> FeatureMap:
    r"""Riemannian noise injection: the point and the noise, both shaped by the local geometry.

    .. math:: o = r\,\sigma * \mu + r\,\sigma * w\,\varepsilon

    Paper: Eq. 17 (Section 4.3), with w = 1.

    Args:
        mu: A point of the feature manifold, (N, C, H, W).
        sigma: The local geometry at ``mu``, (N, 1, H, W), from :func:`local_scale`.
        r: The radius of the geodesic ball, a scalar.
        epsilon: Standard normal noise, (N, C, H, W) or (N, 1, H, W), drawn by the caller.
        w: The strength of the noise against the features; the author's code learns it, the paper has 1.

    Returns:
        The features with noise, (N, C, H, W), of the dtype of ``mu``.
    """
    gain = (r * sigma).to(mu.dtype)
    noise = w * epsilon
    if noise.shape[1] == 1:  # one plane: shape it before it meets the channels, and pass over them once
        return torch.addcmul((gain * noise).to(mu.dtype), gain, mu)
    return gain * (mu + noise.to(mu.dtype))


def positions(x: Tensor) -> tuple[int, ...]:
    """The spatial axes of (N, C, ...)."""
    return tuple(range(2, x.ndim))


def reduction_dtype(x: Tensor) -> torch.dtype:
    """The dtype in which sums over ``x`` are taken: float32 for half precision, its own otherwise."""
    return torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else x.dtype

"""The local geometry of one sample in Triton's language: Eqs. 14-16 on a plane of P positions.

The formulas, their floors D1 and D2 and the words of the switches are those of
:mod:`~riemann_noise_pytorch.noise.functional` and :mod:`~riemann_noise_pytorch.noise.switches`. A plane is
read twice, some positions at a time, so its size is not limited by registers: once for the mean and the
extremes of the identifier, once for the mean square of s'. The scale
is 1, or 1 / sqrt(P) for the Euclidean norm.
"""
# mypy: ignore-errors

import triton
import triton.language as tl

from riemann_noise_pytorch.noise.functional import FLAT_SHARE, SMALLEST_NORM

FLAT_SHARE_ = tl.constexpr(FLAT_SHARE)
LEAST_MEAN_SQUARE = tl.constexpr(SMALLEST_NORM**2)
WITH_NAN = tl.constexpr(tl.PropagateNan.ALL)


@triton.jit
def larger(x, y):
    """The larger of two, or NaN if one is."""
    return tl.maximum(x, y, propagate_nan=WITH_NAN)


@triton.jit
def smaller(x, y):
    """The smaller of two, or NaN if one is."""
    return tl.minimum(x, y, propagate_nan=WITH_NAN)


@triton.jit
def mean_and_divisor(mu_tilde, P, spread, size, RANGE: tl.constexpr, BLOCK: tl.constexpr):
    """The mean of the identifier, and what Eq. 14 divides by, floored as in D1."""
    total = tl.zeros((BLOCK,), tl.float32)
    high = tl.full((BLOCK,), float("-inf"), tl.float32)
    low = tl.full((BLOCK,), float("inf"), tl.float32)
    for start in range(0, P, BLOCK):
        place = start + tl.arange(0, BLOCK)
        inside = place < P
        value = tl.load(mu_tilde + place, mask=inside, other=0.0)
        total += value
        high = tl.maximum(high, tl.where(inside, value, float("-inf")))
        low = tl.minimum(low, tl.where(inside, value, float("inf")))
    mean = tl.sum(total, axis=0) / P
    largest = tl.max(high, axis=0) - mean
    if RANGE != "signed_max_unit":
        largest = larger(largest, mean - tl.min(low, axis=0))
    return mean, larger(largest, FLAT_SHARE_ * spread * (1 + tl.abs(mean) / size))


@triton.jit
def mixed(
    mu_tilde, A, b, alpha, mean, divisor, map_gain, place, inside,
    RANGE: tl.constexpr, ALPHA_ON: tl.constexpr, MAPS: tl.constexpr,
):  # fmt: skip
    """The mixture s' of Eq. 16 at some positions of a sample, 0 outside."""
    s = (tl.load(mu_tilde + place, mask=inside, other=0.0) - mean) / divisor
    if RANGE != "max_abs":
        s = (s + 1) * 0.5
    if MAPS:
        slope = tl.load(A + place, mask=inside, other=0.0)
        offset = tl.load(b + place, mask=inside, other=0.0)
    else:
        slope = tl.load(A)
        offset = tl.load(b)
    s_d = slope * map_gain * s + offset * map_gain
    weight = tl.load(alpha)
    if ALPHA_ON == "ones":
        weight = 1 - weight
    return tl.where(inside, weight * s_d + (1 - weight), 0.0)


@triton.jit
def geometry_of_sample(
    mu_tilde, A, b, alpha, r, P, spread, size, map_gain, scale,
    RANGE: tl.constexpr, ALPHA_ON: tl.constexpr, MAPS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """What turns the identifier of a sample into r sigma: the mean, the divisor, and the factor of s'."""
    mean, divisor = mean_and_divisor(mu_tilde, P, spread, size, RANGE, BLOCK)
    square = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, P, BLOCK):
        place = start + tl.arange(0, BLOCK)
        s_prime = mixed(
            mu_tilde, A, b, alpha, mean, divisor, map_gain, place, place < P, RANGE, ALPHA_ON, MAPS
        )  # fmt: skip
        square += s_prime * s_prime
    mean_square = tl.sum(square, axis=0) / P
    factor = scale / tl.sqrt(larger(mean_square, LEAST_MEAN_SQUARE))
    if r is not None:
        factor = factor * tl.load(r)
    return mean, divisor, factor


@triton.jit
def geometry_kernel(
    mu_tilde, gain, A, b, alpha, r, P, spread, size, map_gain, scale,
    RANGE: tl.constexpr, ALPHA_ON: tl.constexpr, MAPS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Gain = r sigma (N, 1, P) of an identifier (N, 1, P); a program a sample."""
    start_of_sample = tl.program_id(0).to(tl.int64) * P
    mu_tilde += start_of_sample
    gain += start_of_sample
    mean, divisor, factor = geometry_of_sample(
        mu_tilde, A, b, alpha, r, P, spread, size, map_gain, scale, RANGE, ALPHA_ON, MAPS, BLOCK
    )
    for start in range(0, P, BLOCK):
        place = start + tl.arange(0, BLOCK)
        inside = place < P
        s_prime = mixed(mu_tilde, A, b, alpha, mean, divisor, map_gain, place, inside, RANGE, ALPHA_ON, MAPS)
        tl.store(gain + place, s_prime * factor, mask=inside)

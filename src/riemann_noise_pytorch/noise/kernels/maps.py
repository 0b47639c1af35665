"""The passes over feature maps in Triton's language: each reads a map of C channels and P positions once.

A program walks over its share by tiles of CHANNELS x PLACES values. Maps lie in memory by channels (N, C, P)
or, where LAST, channels last (N, P, C); the compiler gives neighbouring threads neighbouring addresses.
Sums are taken in float32, in an order that does not depend on timing. Offsets within a batch have 64 bits.
"""
# mypy: ignore-errors

import triton
import triton.language as tl

from riemann_noise_pytorch.noise.kernels.planes import geometry_of_sample, larger, mixed, smaller


@triton.jit
def offsets(channel, place, C, P, LAST: tl.constexpr):
    """Where values (channels, places) of a sample lie."""
    channel = channel.to(tl.int64)[:, None]
    place = place.to(tl.int64)[None, :]
    if LAST:
        return place * C + channel
    return channel * P + place


@triton.jit
def identify_kernel(
    mu, mu_tilde, C, P, parts,
    IDENTIFIER: tl.constexpr, LAST: tl.constexpr, CHANNELS: tl.constexpr, PLACES: tl.constexpr,
):  # fmt: skip
    """Identifier (N, 1, P) of features; a program for some positions of a sample, through all channels."""
    program = tl.program_id(0)
    sample = (program // parts).to(tl.int64)
    place = program % parts * PLACES + tl.arange(0, PLACES)
    inside = place < P
    mu += sample * C * P
    if IDENTIFIER == "neg_max":
        found = tl.full((CHANNELS, PLACES), float("inf"), tl.float32)
    else:
        found = tl.zeros((CHANNELS, PLACES), tl.float32)
    for start in range(0, C, CHANNELS):
        channel = start + tl.arange(0, CHANNELS)
        there = (channel < C)[:, None] & inside[None, :]
        x = tl.load(mu + offsets(channel, place, C, P, LAST), mask=there, other=0.0).to(tl.float32)
        if IDENTIFIER == "neg_max":
            found = smaller(found, tl.where(there, x, float("inf")))
        elif IDENTIFIER == "abs_sum":
            found += tl.abs(x)
        elif IDENTIFIER == "relu_neg_sum":
            found += larger(-x, 0.0)
        else:
            found += x
    mu_tilde += sample * P
    if IDENTIFIER == "neg_max":
        tl.store(mu_tilde + place, -tl.reduce(found, 0, smaller), mask=inside)
    else:
        tl.store(mu_tilde + place, tl.sum(found, axis=0), mask=inside)


@triton.jit
def inject_kernel(
    mu, out, plane, A, b, alpha, r, epsilon, w, C, P,
    spread, size, map_gain, scale, epsilon_step, place_parts, places_each, channel_parts, channels_each,
    GEOMETRY: tl.constexpr, RANGE: tl.constexpr, ALPHA_ON: tl.constexpr, MAPS: tl.constexpr,
    LAST: tl.constexpr, EPSILON: tl.constexpr, EPSILON_LAST: tl.constexpr,
    HELD: tl.constexpr, CHANNELS: tl.constexpr, PLACES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Out = gain (mu + w epsilon); the plane is the gain or, where GEOMETRY, the identifier that it follows.

    EPSILON says whether the noise is none, a plane or a map a sample; its samples are epsilon_step apart, 0
    where one serves all; w is HELD by a tensor, or a number. The last samples go first, for they may still be
    in the cache.
    """
    program = tl.num_programs(0) - 1 - tl.program_id(0)
    sample = (program // (place_parts * channel_parts)).to(tl.int64)
    part = program % (place_parts * channel_parts)
    first_channel = part % channel_parts * channels_each
    last_channel = tl.minimum(first_channel + channels_each, C)
    first_place = part // channel_parts * places_each
    mu += sample * C * P
    out += sample * C * P
    plane += sample * P
    if GEOMETRY:
        mean, divisor, factor = geometry_of_sample(
            plane, A, b, alpha, r, P, spread, size, map_gain, scale, RANGE, ALPHA_ON, MAPS, BLOCK
        )
    if EPSILON != "none":
        epsilon += sample * epsilon_step
        strength = tl.load(w).to(tl.float32) if HELD else w
    for start in range(first_place, tl.minimum(first_place + places_each, P), PLACES):
        place = start + tl.arange(0, PLACES)
        inside = place < P
        if GEOMETRY:
            gain = factor * mixed(
                plane, A, b, alpha, mean, divisor, map_gain, place, inside, RANGE, ALPHA_ON, MAPS
            )
        else:
            gain = tl.load(plane + place, mask=inside, other=0.0)
        gain = gain[None, :]
        if EPSILON == "plane":
            noise = strength * tl.load(epsilon + place, mask=inside, other=0.0).to(tl.float32)[None, :]
        for top in range(first_channel, last_channel, CHANNELS):
            channel = top + tl.arange(0, CHANNELS)
            there = (channel < last_channel)[:, None] & inside[None, :]
            at = offsets(channel, place, C, P, LAST)
            x = tl.load(mu + at, mask=there, other=0.0).to(tl.float32)
            if EPSILON == "map":
                e = tl.load(epsilon + offsets(channel, place, C, P, EPSILON_LAST), mask=there, other=0.0)
                noise = strength * e.to(tl.float32)
            if EPSILON != "none":
                x += noise
            tl.store(out + at, (gain * x).to(out.dtype.element_ty), mask=there)


@triton.jit
def dots_kernel(
    a, b, dot, total, C, P, a_step, b_step, parts,
    A_LAST: tl.constexpr, B_LAST: tl.constexpr, CHANNELS: tl.constexpr, PLACES: tl.constexpr,
):  # fmt: skip
    """The sums over the channels of a b and, where there is room for it, of a: (N, 1, P) each."""
    program = tl.num_programs(0) - 1 - tl.program_id(0)
    sample = (program // parts).to(tl.int64)
    place = program % parts * PLACES + tl.arange(0, PLACES)
    inside = place < P
    a += sample * a_step
    b += sample * b_step
    products = tl.zeros((CHANNELS, PLACES), tl.float32)
    values = tl.zeros((CHANNELS, PLACES), tl.float32)
    for start in range(0, C, CHANNELS):
        channel = start + tl.arange(0, CHANNELS)
        there = (channel < C)[:, None] & inside[None, :]
        x = tl.load(a + offsets(channel, place, C, P, A_LAST), mask=there, other=0.0).to(tl.float32)
        y = tl.load(b + offsets(channel, place, C, P, B_LAST), mask=there, other=0.0).to(tl.float32)
        products += x * y
        values += x
    tl.store(dot + sample * P + place, tl.sum(products, axis=0), mask=inside)
    if total is not None:
        tl.store(total + sample * P + place, tl.sum(values, axis=0), mask=inside)


@triton.jit
def gradient_kernel(
    upstream, mu, mu_tilde, gain, of_identifier, out, C, P, parts,
    IDENTIFIER: tl.constexpr, UPSTREAM_LAST: tl.constexpr, LAST: tl.constexpr,
    CHANNELS: tl.constexpr, PLACES: tl.constexpr,
):  # fmt: skip
    """The gradient of mu: gain times upstream, and what comes back through the identifier."""
    program = tl.program_id(0)
    sample = (program // parts).to(tl.int64)
    place = program % parts * PLACES + tl.arange(0, PLACES)
    inside = place < P
    upstream += sample * C * P
    mu += sample * C * P
    out += sample * C * P
    g = tl.load(gain + sample * P + place, mask=inside, other=0.0).to(tl.float32)[None, :]
    k = tl.load(of_identifier + sample * P + place, mask=inside, other=0.0).to(tl.float32)[None, :]
    if IDENTIFIER == "neg_max":
        least = -tl.load(mu_tilde + sample * P + place, mask=inside, other=0.0)[None, :]
        tied = tl.zeros((CHANNELS, PLACES), tl.float32)
        for start in range(0, C, CHANNELS):
            channel = start + tl.arange(0, CHANNELS)
            there = (channel < C)[:, None] & inside[None, :]
            x = tl.load(mu + offsets(channel, place, C, P, LAST), mask=there, other=0.0).to(tl.float32)
            tied += tl.where(there & (x == least), 1.0, 0.0)
        k = -k / tl.maximum(tl.sum(tied, axis=0), 1.0)[None, :]
    for start in range(0, C, CHANNELS):
        channel = start + tl.arange(0, CHANNELS)
        there = (channel < C)[:, None] & inside[None, :]
        at = offsets(channel, place, C, P, LAST)
        if UPSTREAM_LAST == LAST:
            up = tl.load(upstream + at, mask=there, other=0.0).to(tl.float32)
        else:
            up = tl.load(upstream + offsets(channel, place, C, P, UPSTREAM_LAST), mask=there, other=0.0)
            up = up.to(tl.float32)
        if IDENTIFIER == "sum":
            back = k
        else:
            x = tl.load(mu + at, mask=there, other=0.0).to(tl.float32)
            if IDENTIFIER == "abs_sum":
                back = tl.where(x > 0, k, tl.where(x < 0, -k, 0.0))
            elif IDENTIFIER == "relu_neg_sum":
                back = tl.where(x < 0, -k, 0.0)
            else:
                back = tl.where(x == least, k, 0.0)
        tl.store(out + at, (g * up + back).to(out.dtype.element_ty), mask=there)

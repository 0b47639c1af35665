"""The passes over feature maps that Riemannian noise is made of, each in torch's own operations.

On a GPU a kernel does the work where it can (:mod:`~riemann_noise_pytorch.noise.kernels.choice`).
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from riemann_noise_pytorch.noise.functional import Scalar, reduction_dtype, riemannian_injection
from riemann_noise_pytorch.noise.kernels.choice import attempt
from riemann_noise_pytorch.noise.switches import IDENTIFIERS, Identifier

CHUNK_BYTES = 2**22
"""Intermediate maps on a CPU are made a few samples at a time, so that they stay in its cache."""
LARGE_SAMPLE = 2**17
"""Values a sample from which one call a sample costs less than a pass over memory."""


def identified(identifier: Identifier, mu: Tensor) -> Tensor:
    """The semantic identifier (N, 1, ...) of features (N, C, ...), in float32 for half precision."""
    done: Tensor | None = attempt("identified", mu, identifier, mu)
    if done is not None:
        return done
    dtype = reduction_dtype(mu)
    if identifier == "neg_max" or (identifier == "sum" and mu.dtype == dtype):
        return IDENTIFIERS[identifier](mu)
    mu_tilde = mu.new_empty((mu.shape[0], 1, *mu.shape[2:]), dtype=dtype)
    for (part, result), room in _chunks(mu, mu_tilde):
        room.copy_(part)
        if identifier == "abs_sum":
            room.abs_()
        elif identifier == "relu_neg_sum":
            room.clamp_(max=0).neg_()
        torch.sum(room, dim=1, keepdim=True, out=result)
    return mu_tilde


def shaped(mu: Tensor, gain: Tensor, epsilon: Tensor | None, w: Scalar) -> Tensor:
    """Eq. 17 with gain = r sigma: gain (mu + w epsilon), of the dtype of mu (N, C, ...)."""
    done: Tensor | None = attempt("shaped", mu, mu, gain, epsilon, w)
    if done is not None:
        return done
    if _is_narrow_and_strided(mu):
        return _shaped_in_float32(mu, gain, epsilon, w)
    if epsilon is None or epsilon.shape[1] == 1:
        return gain.to(mu.dtype) * mu if epsilon is None else riemannian_injection(mu, gain, 1.0, epsilon, w)
    noisy = torch.addcmul(mu, epsilon, w) if isinstance(w, Tensor) else torch.add(mu, epsilon, alpha=w)
    return noisy.to(mu.dtype).mul_(gain.to(mu.dtype))


def _shaped_in_float32(mu: Tensor, gain: Tensor, epsilon: Tensor | None, w: Scalar) -> Tensor:
    """The same by chunks: torch's half-precision loops over a broadcast inner axis are five times slower."""
    output = torch.empty_like(mu)
    noise = (
        torch.zeros_like(gain) if epsilon is None else (w * epsilon).expand(mu.shape[0], *epsilon.shape[1:])
    )
    for (part, out, g, added), room in _chunks(mu, output, gain, noise):
        out.copy_(room.copy_(part).add_(added).mul_(g))
    return output


def _is_narrow_and_strided(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype != reduction_dtype(x) and not x.is_contiguous()


def feature_gradient(
    identifier: Identifier,
    upstream: Tensor,
    mu: Tensor,
    mu_tilde: Tensor,
    gain: Tensor,
    of_identifier: Tensor,
) -> Tensor:
    """The gradient of mu: gain times the upstream gradient, and what comes back through the identifier."""
    done: Tensor | None = attempt(
        "feature_gradient", mu, identifier, upstream, mu, mu_tilde, gain, of_identifier
    )
    if done is not None:
        return done
    if identifier == "sum" and not _is_narrow_and_strided(mu):
        return torch.addcmul(of_identifier.to(mu.dtype), gain.to(mu.dtype), upstream)
    gradient = torch.empty_like(mu)
    for (part, out, up, value, g, k), room in _chunks(mu, gradient, upstream, mu_tilde, gain, of_identifier):
        if identifier == "abs_sum":
            room.copy_(part).sign_().mul_(k)
        elif identifier == "relu_neg_sum":
            torch.lt(part, 0, out=room).mul_(-k)
        elif identifier == "neg_max":
            torch.eq(part, -value.to(mu.dtype), out=room)
            room.mul_(-k / room.sum(dim=1, keepdim=True))
        back = k if identifier == "sum" else room
        if out.dtype == room.dtype:
            torch.addcmul(back, g, up, out=out)
        else:
            out.copy_(up.to(room.dtype).mul_(g).add_(back))
    return gradient


def channel_dots(a: Tensor, b: Tensor, *, with_total: bool = False) -> tuple[Tensor, Tensor | None]:
    """The sums over the channels of a b, and of a if wanted: (N, 1, ...) each, in float32 for half types."""
    done: tuple[Tensor, Tensor | None] | None = attempt("channel_dots", a, a, b, with_total)
    if done is not None:
        return done
    if _suits_layer_norm(a) and _suits_layer_norm(b):
        return _row_dots(a, b, with_total)
    planes = a.new_empty((2, a.shape[0], 1, *a.shape[2:]), dtype=reduction_dtype(a))
    for (x, y, dot, total), room in _chunks(a, b, planes[0], planes[1]):
        room.copy_(x)
        if with_total:
            torch.sum(room, dim=1, keepdim=True, out=total)
        torch.sum(room.mul_(y), dim=1, keepdim=True, out=dot)
    return planes[0], planes[1] if with_total else None


def _chunks(*maps: Tensor) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
    """Slices of maps, a few samples at a time, each with room for one intermediate map like the first."""
    samples = max(1, maps[0].shape[0])
    dtype = reduction_dtype(maps[0])
    if maps[0].device.type == "cpu":
        bytes_a_sample = maps[0][:1].numel() * dtype.itemsize
        samples = min(samples, max(1, CHUNK_BYTES // max(1, bytes_a_sample)))
    room = torch.empty_like(maps[0][:samples], dtype=dtype)
    for parts in zip(
        *(tensor.split_with_sizes(_sizes(tensor.shape[0], samples)) for tensor in maps), strict=True
    ):
        yield parts, room[: parts[0].shape[0]]


def _sizes(total: int, part: int) -> list[int]:
    return [min(part, total - start) for start in range(0, total, part)]


def _suits_layer_norm(x: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and x.dtype == reduction_dtype(x)
        and x.is_contiguous()
        and x.shape[0] > 0
        and x[0].numel() >= LARGE_SAMPLE
    )


def _row_dots(a: Tensor, b: Tensor, with_total: bool) -> tuple[Tensor, Tensor | None]:
    """The gradients of a layer norm's weight and bias are these sums, and torch takes both in one pass."""
    samples, channels, *size = a.shape
    places = a[0, 0].numel()
    mean, scale, weight = a.new_zeros(channels, 1), a.new_ones(channels, 1), a.new_ones(places)
    layer_norm_backward = torch.ops.aten.native_layer_norm_backward.default
    dots, totals = [], []
    rows = (x.view(samples, channels, places).unbind() for x in (a, b))
    for x, y in zip(*rows, strict=True):
        _, dot, total = layer_norm_backward(
            x, y, [places], mean, scale, weight, weight, [False, True, with_total]
        )
        dots.append(dot)
        totals.append(total)
    shape = (samples, 1, *size)
    return torch.stack(dots).view(shape), torch.stack(totals).view(shape) if with_total else None

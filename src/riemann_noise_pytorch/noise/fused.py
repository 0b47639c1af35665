r"""Riemannian injection in as few passes over the feature map as its formulas need.

A feature map is large, and what Eqs. 14-16 do with it is small: one plane (N, 1, H, W) a sample. So the cost
is the number of times that the map passes through memory. With :math:`G = \partial L / \partial o`,

.. math::

    o = g\,(\mu + w\,\varepsilon), \qquad g = r\,\sigma(\tilde\mu), \qquad
    \frac{\partial L}{\partial g} = \sum_c G\,\mu + w \sum_c G\,\varepsilon, \qquad
    \frac{\partial L}{\partial\mu}
      = g\,G + \frac{\partial L}{\partial\tilde\mu}\,\frac{\partial\tilde\mu}{\partial\mu}

the forward pass reads mu twice and writes o; the backward pass reads G and mu once for the sums over the
channels, lets autograd differentiate the planes alone, then reads G and writes the gradient. Automatic
differentiation of the same formulas moves three times as much. Only mu and planes are kept for backward.

:func:`plain` is the same in the words of :mod:`~riemann_noise_pytorch.noise.functional`: the reference, the
way of second derivatives, and what the transforms of ``torch.func``, forward mode and compilers see.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from riemann_noise_pytorch.noise.functional import (
    FeatureMap,
    Scalar,
    reduction_dtype,
    riemannian_injection,
)
from riemann_noise_pytorch.noise.readings import Reading
from riemann_noise_pytorch.noise.switches import IDENTIFIERS, Identifier

CHUNK_BYTES = 2**22
"""Intermediate maps on a CPU are made a few samples at a time, so that they stay in its cache."""
LARGE_SAMPLE = 2**17
"""Values a sample from which one call a sample costs less than a pass over memory."""


def shaped_injection(
    reading: Reading,
    mu: FeatureMap,
    epsilon: Tensor | None,
    w: Scalar,
    *parameters: Tensor,
) -> FeatureMap:
    """Inject noise by the cheapest way that the situation allows.

    Args:
        reading: Eqs. 14-16 and the factor r, from the identifier and the parameters.
        mu: Features, (N, C, ...).
        epsilon: Noise, broadcastable to ``mu``; None for none.
        w: The strength of the noise against the features.
        *parameters: A, b, alpha, and r if it is learned.

    Returns:
        The features with noise, of the shape and dtype of ``mu``.
    """
    tensors = [t for t in (mu, epsilon, w, *parameters) if isinstance(t, Tensor)]
    if not _is_ordinary(tensors):
        return plain(reading, mu, epsilon, w, *parameters)
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        output: Tensor = _Injection.apply(reading, mu, epsilon, w, *parameters)
        return output
    return _shaped(mu, reading(_identified(reading.settings.identifier, mu), *parameters), epsilon, w)


def plain(
    reading: Reading,
    mu: FeatureMap,
    epsilon: Tensor | None,
    w: Scalar,
    *parameters: Tensor,
) -> FeatureMap:
    """Inject noise formula by formula; arguments and result as in :func:`shaped_injection`."""
    gain = reading(IDENTIFIERS[reading.settings.identifier](mu), *parameters)
    if epsilon is None:
        return gain.to(mu.dtype) * mu
    return riemannian_injection(mu, gain, 1.0, epsilon, w)


class _Injection(torch.autograd.Function):
    """The fast way, for tensors outside of transforms and graphs."""

    @staticmethod
    def forward(
        ctx: Any,
        reading: Reading,
        mu: Tensor,
        epsilon: Tensor | None,
        w: Scalar,
        *parameters: Tensor,
    ) -> Tensor:
        mu_tilde = _identified(reading.settings.identifier, mu)
        ctx.reading = reading
        ctx.fixed_w = None if isinstance(w, Tensor) else w
        ctx.save_for_backward(mu, mu_tilde, epsilon, w if isinstance(w, Tensor) else None, *parameters)
        return _shaped(mu, reading(mu_tilde, *parameters), epsilon, w)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        mu, mu_tilde, epsilon, w, *parameters = ctx.saved_tensors
        strength = ctx.fixed_w if w is None else w
        inputs = [mu, epsilon, strength, *parameters]
        needed = ctx.needs_input_grad[1:]
        if torch.is_grad_enabled() or not _is_ordinary(upstream):
            gradients = _differentiable_gradients(ctx.reading, upstream[0], inputs, needed)
        else:
            gradients = _gradients(ctx.reading, upstream[0], mu_tilde, inputs, needed)
        return (None, *gradients)


def _is_ordinary(tensors: Any) -> bool:
    """Whether tensors are mere numbers in memory: not duals, not wrapped by a transform, not traced."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[no-untyped-call, attr-defined]
        return False
    try:
        for tensor in tensors:
            tensor.data_ptr()  # wrappers of torch.func have no memory of their own
            dual = forward_ad.unpack_dual(tensor)  # type: ignore[no-untyped-call]
            if dual.tangent is not None:
                return False
    except RuntimeError:
        return False
    return True


def _identified(identifier: Identifier, mu: Tensor) -> Tensor:
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


def _shaped(mu: Tensor, gain: Tensor, epsilon: Tensor | None, w: Scalar) -> Tensor:
    if epsilon is None or epsilon.shape[1] == 1:
        return gain.to(mu.dtype) * mu if epsilon is None else riemannian_injection(mu, gain, 1.0, epsilon, w)
    noisy = torch.addcmul(mu, epsilon, w) if isinstance(w, Tensor) else torch.add(mu, epsilon, alpha=w)
    return noisy.to(mu.dtype).mul_(gain.to(mu.dtype))


def _differentiable_gradients(
    reading: Reading, upstream: Tensor, inputs: list[Any], needed: tuple[bool, ...]
) -> list[Tensor | None]:
    wanted = [tensor for tensor, need in zip(inputs, needed, strict=True) if need]
    with torch.enable_grad():
        output = plain(reading, *inputs)
    found = iter(
        torch.autograd.grad(output, wanted, upstream, create_graph=torch.is_grad_enabled(), allow_unused=True)
    )
    return [next(found) if need else None for need in needed]


def _gradients(
    reading: Reading,
    upstream: Tensor,
    mu_tilde: Tensor,
    inputs: list[Any],
    needed: tuple[bool, ...],
) -> list[Tensor | None]:
    mu, epsilon, w, *parameters = inputs
    leaves = [tensor.detach().requires_grad_() for tensor in (mu_tilde, *parameters)]
    with torch.enable_grad():
        recorded = reading(*leaves)
    gain = recorded.detach()
    shared = epsilon is not None and epsilon.shape[1] == 1
    dot, total = _channel_dots(upstream, mu, with_total=shared)
    noise_dot = None
    if epsilon is not None:
        noise_dot = total * epsilon if shared else _channel_dots(upstream, epsilon.expand_as(mu))[0]
        dot = torch.add(dot, w * noise_dot)
    of_identifier, *of_parameters = torch.autograd.grad(recorded, leaves, dot.to(gain.dtype))
    of_mu = of_epsilon = of_w = None
    if needed[0]:
        of_mu = _feature_gradient(reading.settings.identifier, upstream, mu, mu_tilde, gain, of_identifier)
    if needed[1]:
        spread = (w * gain * total) if shared else w * gain * upstream
        of_epsilon = spread.sum_to_size(epsilon.shape).to(epsilon.dtype)
    if needed[2] and noise_dot is not None:
        of_w = (gain * noise_dot).sum().to(w.dtype)
    return [of_mu, of_epsilon, of_w, *of_parameters]


def _feature_gradient(
    identifier: Identifier,
    upstream: Tensor,
    mu: Tensor,
    mu_tilde: Tensor,
    gain: Tensor,
    of_identifier: Tensor,
) -> Tensor:
    gain, of_identifier = gain.to(mu.dtype), of_identifier.to(mu.dtype)
    if identifier == "sum":
        return torch.addcmul(of_identifier, gain, upstream)
    gradient = torch.empty_like(mu)
    for (part, out, up, value, g, k), room in _chunks(mu, gradient, upstream, mu_tilde, gain, of_identifier):
        if identifier == "abs_sum":
            room.copy_(part).sign_().mul_(k)
        elif identifier == "relu_neg_sum":
            torch.lt(part, 0, out=room).mul_(-k)
        else:
            torch.eq(part, -value.to(mu.dtype), out=room)
            room.mul_(-k / room.sum(dim=1, keepdim=True))
        torch.addcmul(room.to(mu.dtype), g, up, out=out)
    return gradient


def _channel_dots(a: Tensor, b: Tensor, *, with_total: bool = False) -> tuple[Tensor, Tensor | None]:
    """The sums over the channels of a b, and of a if wanted: (N, 1, ...) each, in float32 for half types."""
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

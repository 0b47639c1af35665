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

from typing import Any

import torch
from torch import Tensor

from riemann_noise_pytorch.noise import passes
from riemann_noise_pytorch.noise.functional import (
    FeatureMap,
    Scalar,
    riemannian_injection,
)
from riemann_noise_pytorch.noise.kernels.choice import attempt
from riemann_noise_pytorch.noise.ordinary import is_ordinary
from riemann_noise_pytorch.noise.readings import Reading
from riemann_noise_pytorch.noise.switches import IDENTIFIERS

LARGE_MAP = 2**20
"""Values of a feature map below which, on a CPU, the number of calls costs more than what they move."""


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
    if not is_ordinary(tensors):
        return plain(reading, mu, epsilon, w, *parameters)
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        if mu.device.type == "cpu" and mu.numel() < LARGE_MAP:
            return plain(reading, mu, epsilon, w, *parameters)
        try:
            output: Tensor = _Injection.apply(reading, mu, epsilon, w, *parameters)
        except RuntimeError as error:
            if "functorch" not in str(error):  # a transform is at work that none of these tensors shows
                raise
            output = plain(reading, mu, epsilon, w, *parameters)
        return output
    mu_tilde = passes.identified(reading.settings.identifier, mu)
    return _injected(reading, mu, mu_tilde, epsilon, w, *parameters)


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
        mu_tilde = passes.identified(reading.settings.identifier, mu)
        ctx.reading = reading
        ctx.fixed_w = None if isinstance(w, Tensor) else w
        ctx.save_for_backward(mu, mu_tilde, epsilon, w if isinstance(w, Tensor) else None, *parameters)
        return _injected(reading, mu, mu_tilde, epsilon, w, *parameters)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        mu, mu_tilde, epsilon, w, *parameters = ctx.saved_tensors
        strength = ctx.fixed_w if w is None else w
        inputs = [mu, epsilon, strength, *parameters]
        needed = ctx.needs_input_grad[1:]
        if torch.is_grad_enabled() or not is_ordinary(upstream):
            gradients = _differentiable_gradients(ctx.reading, upstream[0], inputs, needed)
        else:
            gradients = _gradients(ctx.reading, upstream[0], mu_tilde, inputs, needed)
        return (None, *gradients)


def _injected(
    reading: Reading, mu: Tensor, mu_tilde: Tensor, epsilon: Tensor | None, w: Scalar, *parameters: Tensor
) -> Tensor:
    """Eqs. 14-17 from the identifier; on a GPU one kernel does both the planes and the map."""
    done: Tensor | None = attempt("injected", mu, reading, mu, mu_tilde, epsilon, w, *parameters)
    if done is not None:
        return done
    return passes.shaped(mu, reading(mu_tilde, *parameters), epsilon, w)


def _differentiable_gradients(
    reading: Reading, upstream: Tensor, inputs: list[Any], needed: tuple[bool, ...]
) -> list[Tensor | None]:
    with torch.enable_grad():  # aliases, for what the inputs themselves depend on is not this function's
        aliases = [t.view_as(t) if isinstance(t, Tensor) else t for t in inputs]
        wanted = [alias for alias, need in zip(aliases, needed, strict=True) if need]
        output = plain(reading, *aliases)
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
    dot, total = passes.channel_dots(upstream, mu, with_total=shared)
    noise_dot = None
    if epsilon is not None:
        noise_dot = total * epsilon if shared else passes.channel_dots(upstream, epsilon.expand_as(mu))[0]
        dot = torch.add(dot, w * noise_dot)
    of_identifier, *of_parameters = torch.autograd.grad(recorded, leaves, dot.to(gain.dtype))
    of_mu = of_epsilon = of_w = None
    if needed[0]:
        of_mu = passes.feature_gradient(
            reading.settings.identifier, upstream, mu, mu_tilde, gain, of_identifier
        )
    if needed[1]:
        spread = (w * gain * total) if shared else w * gain * upstream
        of_epsilon = spread.sum_to_size(epsilon.shape).to(epsilon.dtype)
    if needed[2] and noise_dot is not None:
        of_w = (gain * noise_dot).sum().to(w.dtype)
    return [of_mu, of_epsilon, of_w, *of_parameters]

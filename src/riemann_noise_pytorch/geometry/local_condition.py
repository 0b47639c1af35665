r"""How strongly a generator stretches the worst small step at a point, without a difference quotient.

:func:`~riemann_noise_pytorch.geometry.condition.condition_number` takes a random step of finite length. As
the step shrinks, the largest value over all its directions tends to :math:`\|J\|_2 \|x\| / \|G(x)\|`. The
norm comes from products with J and its transpose alone (Golub and Kahan, SIAM J. Numer. Anal. 1965): a power
iteration that keeps the directions it has seen, and so needs far fewer steps where singular values lie close.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.geometry.rank import rank_report
from riemann_noise_pytorch.geometry.spectrum import Spectrum
from riemann_noise_pytorch.noise.pairs import counted_normal
from riemann_noise_pytorch.seeds import derive

Linear: TypeAlias = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class LocalCondition:
    """The condition number of a map at a point.

    Attributes:
        value: The norm of J times that of the point, over that of the image.
        norm: The largest singular value of J, from below.
        iterations: Number of products with J, and with its transpose.
        residual: Relative distance of the norm to a singular value, at most; above the tolerance where the
            iterations did not suffice.
    """

    value: float
    norm: float
    iterations: int
    residual: float


def local_condition(
    jvp: Linear,
    vjp: Linear,
    x: Tensor,
    image: Tensor,
    *,
    tolerance: float = 1e-6,
    most_iterations: int = 200,
    seed: int = 0,
) -> LocalCondition:
    r"""Compute the condition number of a map at a point, for the worst small step.

    .. math:: \lim_{\delta \to 0} \sup_{\|d\| = \delta} c(x, d) = \frac{\|J\|_2 \|x\|_2}{\|G(x)\|_2}

    Args:
        jvp: From v, shaped as x, to J v, shaped as the image.
        vjp: From u, shaped as the image, to J^T u, shaped as x.
        x: The point, of any shape, float64 or float32.
        image: G(x), of any shape.
        tolerance: The residual to be reached, in (0, 1). The error of the norm is of the order of its
            square, far smaller, where the largest singular value is single.
        most_iterations: Where to stop at the latest, 1 or more.
        seed: Seed of the first direction.

    Returns:
        The condition number, with the norm of J and how well it is known.

    Raises:
        InputError: A tolerance or a number of iterations out of range.
        NonFiniteError: The point, the image, or a product is not finite, or the image is zero everywhere.

    Example:
        >>> x = torch.tensor([1.0, 1.0], dtype=torch.float64)
        >>> stretch = torch.tensor([3.0, 4.0], dtype=torch.float64)
        >>> result = local_condition(lambda v: stretch * v, lambda u: stretch * u, x, stretch * x)
        >>> round(result.value, 6), round(result.norm, 6)
        (1.131371, 4.0)
    """
    if not 0 < tolerance < 1 or most_iterations < 1:
        raise InputError(
            f"the norm needs a tolerance between 0 and 1 and at least one iteration, not {tolerance:g} and "
            f"{most_iterations}; 1e-6 and 200 are usual"
        )
    start = counted_normal(derive(seed, "local condition"), 0, (1, x.numel())).view(x.shape).to(x)
    norm, iterations, residual = _largest(jvp, vjp, start, tolerance, most_iterations)
    value = norm * _length(x) / (_length(image) or math.nan)
    if not math.isfinite(value + residual):
        raise NonFiniteError(
            "the point has no condition number: it, its image or its Jacobian is not finite, or the image is "
            "zero everywhere; check the generator's weights"
        )
    return LocalCondition(value, norm, iterations, residual)


def log_condition(spectrum: Spectrum) -> float:
    r"""Logarithm of the condition number of J^T J, from the singular values of J.

    .. math:: \log cond(J^T J) = 2 \log(\sigma_1 / \sigma_n)

    References:
        Odena et al. (2018), Is generator conditioning causally related to GAN performance?, ICML.

    Args:
        spectrum: The singular values of J, of m outputs and n inputs.

    Returns:
        The logarithm; infinite where a direction of the input is lost: the rank of J is below n.

    Raises:
        InputError: As :func:`~riemann_noise_pytorch.geometry.rank.rank_report`.

    Example:
        >>> from riemann_noise_pytorch.geometry.spectrum import spectrum_of
        >>> log_condition(spectrum_of(torch.diag(torch.tensor([math.e, 1.0, math.e], dtype=torch.float64))))
        2.0
    """
    inputs = spectrum.shape[1]
    if rank_report(spectrum).rank < inputs:
        return math.inf
    return 2 * math.log(float(spectrum.values[0]) / float(spectrum.values[inputs - 1]))


def quotient_error(function: Linear, x: Tensor, v: Tensor, jvp: Linear, step: float) -> float:
    r"""Relative error of a central difference quotient against the derivative that it stands for.

    .. math:: \frac{\|(f(x + h v) - f(x - h v)) / 2h - J v\|_2}{\|J v\|_2}

    It falls with the second power of the step, down to the rounding of f over the step.

    Args:
        function: The map f.
        x: The point, of any shape that the map takes.
        v: The direction, of the same shape.
        jvp: From v to J v.
        step: The h, positive.

    Returns:
        The error; infinite where J v is 0 and the quotient is not.

    Example:
        >>> x, v = torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
        >>> round(quotient_error(torch.sin, x, v, lambda v: v, 1e-3) * 1e6, 3)
        0.167
    """
    with torch.no_grad():
        quotient = (function(x + step * v) - function(x - step * v)) / (2 * step)
    tangent = jvp(v).detach()
    error, size = _length(quotient - tangent), _length(tangent)
    return error / size if size else (math.inf if error else 0.0)


def _largest(
    jvp: Linear, vjp: Linear, start: Tensor, tolerance: float, most: int
) -> tuple[float, int, float]:
    """The largest singular value, how many products it took, and its residual."""
    basis = (start / start.norm()).reshape(1, -1)
    bidiagonal = start.new_zeros((most + 1, most + 1), dtype=torch.float64, device="cpu")
    left, beta, norm, residual = torch.zeros(()), 0.0, 0.0, 0.0
    for k in range(most):
        left = jvp(basis[k].view(start.shape)) - beta * left
        alpha = _length(left)
        if not math.isfinite(alpha):
            return math.nan, k + 1, math.nan
        small = alpha <= torch.finfo(start.dtype).eps * norm
        bidiagonal[k, k] = 0.0 if small else alpha
        vectors, values, _ = torch.linalg.svd(bidiagonal[: k + 1, : k + 1])
        norm = float(values[0])
        if small or norm == 0:
            return norm, k + 1, 0.0
        left = left / alpha
        right = vjp(left).flatten() - alpha * basis[k]
        for _ in range(2):
            right = right - (basis @ right) @ basis
        beta = _length(right)
        residual = beta * abs(float(vectors[k, 0])) / norm
        if residual <= tolerance:
            return norm, k + 1, residual
        bidiagonal[k, k + 1] = beta
        basis = torch.cat([basis, (right / beta).unsqueeze(0)])
    return norm, most, residual


def _length(values: Tensor) -> float:
    return float(torch.linalg.vector_norm(values.detach(), dtype=torch.float64))

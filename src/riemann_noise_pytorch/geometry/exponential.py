r"""The exponential map and its tangent plane: how well a point with linear noise stands for a manifold.

Around a point :math:`\mu` every geodesic ball is an image of a ball of the tangent space (Theorem 2), and to
first order it *is* that ball, moved to :math:`\mu` (Theorem 3). Written with a basis of the tangent space
this is noise injection: a point, and linear noise that follows the local geometry,

.. math:: B_{\mathcal M}(\mu, r) \approx \{\mu + r\,T(\mu)\,\varepsilon : \varepsilon \in B(0, 1)\}

The paper claims an error of o(r). On smooth manifolds it is of order r^2, half the normal curvature times
:math:`r^2`, which :func:`tangent_error` measures.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.geometry.manifolds import Manifold
from riemann_noise_pytorch.noise.pairs import counted_normal
from riemann_noise_pytorch.noise.switches import uniform_ball
from riemann_noise_pytorch.seeds import derive

ROUNDINGS = 1e3
"""Roundings above which an error tells of the manifold and not of the arithmetic."""


@dataclass(frozen=True)
class TangentError:
    r"""How far the tangent ball is from the geodesic ball, by radius.

    Attributes:
        radii: r, (R,), as given.
        errors: The largest distance between :math:`\mu + r\,T\varepsilon` and
            :math:`\mathrm{Exp}_\mu(r\,T\varepsilon)` over directions, (R,), float64.
        order: The measured p of errors ~ r^p; infinite where all errors are roundings, as on a plane.
    """

    radii: Tensor
    errors: Tensor
    order: float


def normal_coordinates(manifold: Manifold, mu: Tensor, x: Tensor) -> Tensor:
    r"""The coordinates in which geodesics through a point are straight lines of the same length.

    .. math:: \mathrm{coordinates}(x) = T(\mu)^\top\, \mathrm{Exp}_\mu^{-1}(x)

    Paper: Theorem 2 (Section 4.1).

    Args:
        manifold: Any manifold.
        mu: One point, (k,).
        x: Points nearer to mu than any that two shortest geodesics reach, (N, k).

    Returns:
        Coordinates, (N, d), of length dist(mu, x).

    Raises:
        InputError: A point has no single shortest geodesic from mu.

    Example:
        >>> from riemann_noise_pytorch.geometry.manifolds import FlatTorus
        >>> circle = FlatTorus(1)
        >>> normal_coordinates(circle, torch.tensor([1.0, 0.0]), torch.tensor([[0.0, -1.0]]))
        tensor([[-1.5708]])
    """
    velocities = manifold.logmap(mu.expand_as(x), x)
    return velocities @ manifold.tangent_basis(mu)


def geodesic_ball(manifold: Manifold, mu: Tensor, r: float, epsilon: Tensor) -> Tensor:
    r"""Points of the geodesic ball around a point, as the image of a ball of the tangent space.

    .. math:: B_{\mathcal M}(\mu, r) = \mathrm{Exp}_\mu(B_{T_\mu\mathcal M}(0, r))
        = \{\tau : \tau = \mathrm{Exp}_\mu(v),\ v \in B_{T_\mu\mathcal M}(0, r)\}

    Paper: Eqs. 6-7 (Section 4.1).

    Args:
        manifold: Any manifold.
        mu: The centre, (k,).
        r: The radius, above 0.
        epsilon: Points of the unit ball, (N, d), from :func:`unit_ball`.

    Returns:
        Points of the manifold, (N, k), no further from mu than r.
    """
    v = r * epsilon @ manifold.tangent_basis(mu).mT
    return manifold.expmap(mu.expand(len(v), -1), v)


def first_order_exponential(manifold: Manifold, mu: Tensor, v: Tensor) -> Tensor:
    r"""The exponential map to first order, in R^m: its differential at the origin is the identity.

    .. math:: \mathrm{Exp}_\mu(v) = \mu + I v + o(\|v\|_2)

    Paper: Eq. 8 (Section 4.1).

    Args:
        manifold: Any manifold.
        mu: Points, (..., k).
        v: Tangent vectors, (..., m).

    Returns:
        Points of the tangent planes in R^m, (..., m).
    """
    return manifold.embed(mu) + v


def tangent_ball(manifold: Manifold, mu: Tensor, r: float, epsilon: Tensor) -> Tensor:
    r"""The geodesic ball to first order: a point, and noise shaped by the local geometry.

    .. math:: B_{\mathcal M}(\mu, r) \approx \mu + I B_{T_\mu\mathcal M}(0, r)
        = \{\tau : \tau = \mu + I v,\ v \in B_{T_\mu\mathcal M}(0, r)\}
        = \{\tau : \tau = \mu + r\,T(\mu)\,\varepsilon,\ \varepsilon \in B(0, 1)\}

    The pair (mu, r T(mu)) is what the paper calls a representative pair.

    Paper: Eqs. 9-12 (Section 4.1).

    Args:
        manifold: Any manifold.
        mu: The centre, (k,).
        r: The radius, above 0.
        epsilon: Points of the unit ball, (N, d), from :func:`unit_ball`.

    Returns:
        Points of the tangent plane in R^m, (N, m).

    Example:
        >>> from riemann_noise_pytorch.geometry.manifolds import FlatTorus
        >>> tangent_ball(FlatTorus(1), torch.tensor([1.0, 0.0]), 0.5, torch.tensor([[1.0]]))
        tensor([[1.0000, 0.5000]])
    """
    return first_order_exponential(manifold, mu, r * epsilon @ manifold.tangent_basis(mu).mT)


def unit_ball(count: int, dimension: int, seed: int = 0) -> Tensor:
    r"""Draw epsilon uniformly from the unit ball, as before the paper turns to the Gaussian.

    Args:
        count: How many.
        dimension: d.
        seed: Each point depends on it and on its own index alone.

    Returns:
        Points, (count, d), float64; their lengths are at most 1.

    Example:
        >>> bool((unit_ball(100, 3).norm(dim=1) <= 1).all())
        True
    """
    normal = counted_normal(derive(seed, "unit ball"), 0, (count, dimension))
    return uniform_ball(normal) / math.sqrt(dimension + 2)


def tangent_error(
    manifold: Manifold, mu: Tensor, radii: Tensor, *, directions: int = 64, seed: int = 0
) -> TangentError:
    r"""Measure how fast the tangent plane leaves the manifold.

    .. math:: \mathrm{error}(r) = \max_{\|\varepsilon\| = 1}
        \|\mathrm{Exp}_\mu(r\,T\varepsilon) - (\mu + r\,T\varepsilon)\|_2

    Paper: Theorem 3 (Section 4.1). It claims o(r), so an order above 1; smooth manifolds show 2, and straight
    ones have no error.

    Args:
        manifold: Any manifold.
        mu: The point, (k,).
        radii: Radii, (R,), above 0, at least 2 of them different.
        directions: Random directions among which the worst counts.
        seed: Seed of the directions.

    Returns:
        Errors by radius, and their order.

    Raises:
        InputError: Radii or directions cannot be used, or geodesics leave where the manifold is one.

    Example:
        >>> from riemann_noise_pytorch.geometry.manifolds import Sphere
        >>> sphere = Sphere(2)
        >>> found = tangent_error(sphere, sphere.random_points(1)[0], torch.tensor([0.01, 0.02, 0.04]))
        >>> round(found.order, 2)
        2.0
    """
    radii = checked_radii(radii)
    if directions < 1:
        raise InputError(f"{directions} directions measure nothing; give 1 or more")
    drawn = counted_normal(derive(seed, "directions"), 0, (directions, manifold.dimension))
    unit = (drawn / drawn.norm(dim=1, keepdim=True)).to(mu)
    every = (radii.to(mu)[:, None, None] * unit).flatten(0, 1)
    apart = manifold.embed(geodesic_ball(manifold, mu, 1.0, every)) - tangent_ball(manifold, mu, 1.0, every)
    errors = apart.norm(dim=1).view(len(radii), directions).amax(dim=1).double().cpu()
    size = float(manifold.embed(mu).norm()) + float(radii.max())
    return TangentError(radii, errors, measured_order(radii, errors, size, mu.dtype))


def measured_order(
    steps: Tensor, errors: Tensor, size: float = 1.0, dtype: torch.dtype = torch.float64
) -> float:
    r"""Fit the power with which an error falls: the slope of log error over log step.

    Args:
        steps: Radii or steps, (R,), above 0.
        errors: Errors, (R,), 0 or above.
        size: The size of the numbers that the errors are differences of.
        dtype: Their dtype; errors below a thousand of its roundings are left out.

    Returns:
        The slope by least squares; infinite where fewer than two errors are above rounding.

    Example:
        >>> steps = torch.tensor([0.1, 0.2, 0.4])
        >>> round(measured_order(steps, 3 * steps**2), 6)
        2.0
    """
    kept = errors > ROUNDINGS * torch.finfo(dtype).eps * size
    if int(kept.sum()) < 2:
        return math.inf
    x, y = steps[kept].double().log(), errors[kept].double().log()
    x = x - x.mean()
    return float((x * (y - y.mean())).sum() / x.square().sum())


def checked_radii(radii: Tensor) -> Tensor:
    """Radii from which an order can be measured, (R,), float64 on the CPU.

    Raises:
        InputError: They are no row of at least two different numbers above 0.
    """
    checked = radii.detach().double().cpu()
    if checked.ndim != 1 or not bool((checked > 0).all()) or not bool(checked.isfinite().all()):
        raise InputError(
            "radii must be a row of finite numbers above 0, (R,); an example is 0.1, 0.05, 0.025"
        )
    if len(set(checked.tolist())) < 2:
        raise InputError("an order is measured over at least 2 different radii; give more")
    return checked

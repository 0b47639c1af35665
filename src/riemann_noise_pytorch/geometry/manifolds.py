r"""Manifolds embedded in R^m, with the metric of the space around them: what Theorems 2-4 speak of.

A manifold offers geodesics from a point (:meth:`~Manifold.expmap`) and to a point
(:meth:`~Manifold.logmap`), projections onto itself (:meth:`~Manifold.projx`) and onto its tangent spaces
(:meth:`~Manifold.proju`), and an orthonormal basis of each tangent space, the paper's :math:`T(\mu)` up to a
rotation. :class:`Sphere` and :class:`FlatTorus` are closed forms; any smooth function from coordinates to
R^m, a generator among them, is one by :class:`~riemann_noise_pytorch.geometry.immersion.Immersion`.

Tangent vectors are always vectors of R^m. Points are in the manifold's own coordinates, which for the closed
forms are those of R^m; :meth:`~Manifold.embed` leads there from any.

References:
    do Carmo, Riemannian Geometry, 1992. Names as in Kochurov, Karimov and Kozlukov, Geoopt, 2020.
"""

import math
from abc import ABC, abstractmethod
from typing import final

import torch
from torch import Tensor

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise.pairs import counted_normal
from riemann_noise_pytorch.seeds import derive

TWIN_ROUNDINGS = 1e3
"""Roundings within which a point counts as the one that no shortest geodesic is alone in reaching."""


class Manifold(ABC):
    """A manifold of dimension d, embedded in R^m.

    A manifold of one's own is a subclass with the abstract methods below. All of them take any leading axes
    and give float64 for float64; points and vectors that belong together have equal leading axes.

    Attributes:
        dimension: d, the number of independent directions.
        ambient: m, the number of coordinates of the space around it.
        compact: Whether finitely many balls of any radius cover it, as Theorem 4 asks.
    """

    dimension: int
    ambient: int
    compact: bool

    @abstractmethod
    def expmap(self, x: Tensor, v: Tensor) -> Tensor:
        """Walk the geodesic that leaves x with velocity v for one unit of time.

        Args:
            x: Points, (..., k).
            v: Tangent vectors at them, (..., m).

        Returns:
            Where the geodesics end, (..., k); as far away along the manifold as v is long.
        """

    @abstractmethod
    def logmap(self, x: Tensor, y: Tensor) -> Tensor:
        """Find the velocity of the shortest geodesic from x to y: the inverse of :meth:`expmap`.

        Args:
            x: Points, (..., k).
            y: Points to be reached, (..., k).

        Returns:
            Tangent vectors at x, (..., m).

        Raises:
            InputError: No geodesic is the shortest, or none was found.
        """

    @abstractmethod
    def projx(self, p: Tensor) -> Tensor:
        """Find the nearest point of the manifold.

        Args:
            p: Points of R^m, (..., m).

        Returns:
            Points of the manifold, (..., k).

        Raises:
            InputError: No point is the nearest, or none was found.
        """

    @abstractmethod
    def tangent_basis(self, x: Tensor) -> Tensor:
        r"""Give an orthonormal basis of each tangent space, :math:`T(\mu)` up to a rotation.

        Args:
            x: Points, (..., k).

        Returns:
            One basis vector a column, (..., m, d).
        """

    @abstractmethod
    def random_points(self, count: int, seed: int = 0) -> Tensor:
        """Draw points that depend on the seed and their own index alone, (count, k), float64."""

    def embed(self, x: Tensor) -> Tensor:
        """Lead points (..., k) to R^m: (..., m)."""
        return x

    def proju(self, x: Tensor, v: Tensor) -> Tensor:
        """Project vectors of R^m orthogonally onto the tangent spaces.

        Args:
            x: Points, (..., k).
            v: Any vectors, (..., m).

        Returns:
            The nearest tangent vectors, (..., m).
        """
        basis = self.tangent_basis(x)
        return (basis @ (basis.mT @ v.unsqueeze(-1))).squeeze(-1)

    def dist(self, x: Tensor, y: Tensor) -> Tensor:
        """Measure the length of the shortest geodesic between points (..., k): (...)."""
        return _norm(self.logmap(x, y)).squeeze(-1)


@final
class Sphere(Manifold):
    r"""The unit sphere of dimension n in R^(n+1).

    .. math:: \mathrm{Exp}_x(v) = \cos\|v\|\, x + \frac{\sin\|v\|}{\|v\|}\, v

    Args:
        n: The dimension, at least 1.

    Raises:
        InputError: The dimension is below 1.

    Example:
        >>> sphere = Sphere(2)
        >>> north, east = torch.tensor([0.0, 0.0, 1.0]), torch.tensor([math.pi / 2, 0.0, 0.0])
        >>> sphere.expmap(north, east).round(decimals=4).abs()
        tensor([1., 0., 0.])
        >>> sphere.dist(north, torch.tensor([1.0, 0.0, 0.0]))
        tensor(1.5708)
    """

    compact = True

    def __init__(self, n: int) -> None:
        check_dimension(n)
        self.dimension, self.ambient = n, n + 1

    def expmap(self, x: Tensor, v: Tensor) -> Tensor:
        """Turn x towards v by the angle of v's length, (..., n + 1)."""
        angle = _norm(v)
        return angle.cos() * x + torch.sinc(angle / math.pi) * v

    def logmap(self, x: Tensor, y: Tensor) -> Tensor:
        """Find the arc from x to y, (..., n + 1).

        Raises:
            InputError: x and y are opposite: every great circle through one leads to the other.
        """
        angle = self.dist(x, y).unsqueeze(-1)
        if bool((math.pi - angle < TWIN_ROUNDINGS * torch.finfo(angle.dtype).eps).any()):
            raise InputError("opposite points of a sphere have no shortest geodesic; move one of them")
        return self.proju(x, y - x) / torch.sinc(angle / math.pi)

    def projx(self, p: Tensor) -> Tensor:
        """Divide by the norm, (..., n + 1).

        Raises:
            InputError: A point is the centre, as near to one point of the sphere as to any other.
        """
        length = _norm(p)
        if bool((length == 0).any()):
            raise InputError("the centre of a sphere has no nearest point on it; leave it out")
        return p / length

    def proju(self, x: Tensor, v: Tensor) -> Tensor:
        """Take away what points along x, (..., n + 1)."""
        return v - (x * v).sum(-1, keepdim=True) * x

    def dist(self, x: Tensor, y: Tensor) -> Tensor:
        """Measure the angle between x and y, exact for small and for large ones, (...)."""
        return 2 * torch.atan2(_norm(y - x), _norm(y + x)).squeeze(-1)

    def tangent_basis(self, x: Tensor) -> Tensor:
        """Reflect the axes so that the first lies along x, and leave it out, (..., n + 1, n)."""
        first = torch.zeros_like(x)
        first[..., 0] = torch.where(x[..., 0] < 0, -1.0, 1.0).to(x)
        mirror = (x + first).unsqueeze(-1)
        eye = torch.eye(self.ambient, dtype=x.dtype, device=x.device)
        reflected = eye - 2 * (mirror @ mirror.mT) / mirror.square().sum(-2, keepdim=True)
        return reflected[..., 1:]

    def random_points(self, count: int, seed: int = 0) -> Tensor:
        """Draw uniform points, (count, n + 1)."""
        return self.projx(counted_normal(derive(seed, "manifold"), 0, (count, self.ambient)))


@final
class FlatTorus(Manifold):
    r"""The product of n unit circles in R^(2n): flat within, curved to one who stands outside.

    .. math:: x = (\cos\theta_1, \sin\theta_1, \dots, \cos\theta_n, \sin\theta_n)

    Args:
        n: The dimension, at least 1.

    Raises:
        InputError: The dimension is below 1.

    Example:
        >>> torus = FlatTorus(2)
        >>> x = torch.tensor([1.0, 0.0, 0.0, 1.0])
        >>> torus.expmap(x, torch.tensor([0.0, math.pi, 0.0, 0.0])).round(decimals=4) + 0.0
        tensor([-1., 0., 0., 1.])
    """

    compact = True

    def __init__(self, n: int) -> None:
        check_dimension(n)
        self.dimension, self.ambient = n, 2 * n

    def expmap(self, x: Tensor, v: Tensor) -> Tensor:
        """Turn each circle by its own part of v, (..., 2n)."""
        circles, turned = self._circles(x), self._turned(x)
        angles = (turned * self._circles(v)).sum(-1, keepdim=True)
        return (angles.cos() * circles + angles.sin() * turned).flatten(-2)

    def logmap(self, x: Tensor, y: Tensor) -> Tensor:
        """Turn each circle the shorter way, (..., 2n).

        Raises:
            InputError: On some circle x and y are opposite: both ways are equally long.
        """
        angles = self._angles(x, y)
        if bool((math.pi - angles.abs() < TWIN_ROUNDINGS * torch.finfo(angles.dtype).eps).any()):
            raise InputError("opposite points of a circle have no shortest geodesic; move one of them")
        return (angles.unsqueeze(-1) * self._turned(x)).flatten(-2)

    def projx(self, p: Tensor) -> Tensor:
        """Divide each pair of coordinates by its norm, (..., 2n).

        Raises:
            InputError: A point has a pair of zeros, the centre of that circle.
        """
        pairs = self._circles(p)
        length = _norm(pairs)
        if bool((length == 0).any()):
            raise InputError("the centre of a circle has no nearest point on it; leave it out")
        return (pairs / length).flatten(-2)

    def dist(self, x: Tensor, y: Tensor) -> Tensor:
        """Take the norm of the angles between x and y, (...)."""
        return _norm(self._angles(x, y)).squeeze(-1)

    def tangent_basis(self, x: Tensor) -> Tensor:
        """Give the direction of each circle, (..., 2n, n)."""
        cosines, sines = self._turned(x).unbind(-1)
        return torch.stack([cosines.diag_embed(), sines.diag_embed()], dim=-2).flatten(-3, -2)

    def random_points(self, count: int, seed: int = 0) -> Tensor:
        """Draw uniform points, (count, 2n)."""
        return self.projx(counted_normal(derive(seed, "manifold"), 0, (count, self.ambient)))

    def _circles(self, x: Tensor) -> Tensor:
        """One pair a circle: (..., n, 2)."""
        return x.reshape(*x.shape[:-1], self.dimension, 2)

    def _turned(self, x: Tensor) -> Tensor:
        """The unit velocity of each circle, a quarter of a turn ahead: (..., n, 2)."""
        cosines, sines = self._circles(x).unbind(-1)
        return torch.stack([-sines, cosines], dim=-1)

    def _angles(self, x: Tensor, y: Tensor) -> Tensor:
        """How far each circle must turn, in (-pi, pi]: (..., n)."""
        to = self._circles(y)
        return torch.atan2((self._turned(x) * to).sum(-1), (self._circles(x) * to).sum(-1))


def check_dimension(n: int) -> None:
    """Refuse what is no dimension.

    Raises:
        InputError: It is below 1.
    """
    if n < 1:
        raise InputError(f"a manifold of dimension {n} has no tangent directions; give 1 or more")


def _norm(x: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return length

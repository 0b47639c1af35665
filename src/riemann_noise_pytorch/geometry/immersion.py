r"""The image of a smooth function as a manifold: graphs, charts of surfaces, what a generator makes.

For coordinates u and :math:`x = f(u)` the metric is the one that f pulls back, :math:`J^\top J`. A geodesic
has no acceleration along the manifold:

.. math:: \ddot u = -\Gamma(\dot u, \dot u) = -J^+\, D^2 f(u)(\dot u, \dot u)

with the Jacobian J and the second derivative along one direction by forward mode. :math:`J^+` comes from a
QR decomposition of J, never from :math:`J^\top J`, which would square its condition number.

A network with kinks (ReLU) has no second derivative at them: its image is a polyhedron, on which geodesics
are straight lines that break at the kinks. Results there hold within one piece.
"""

from collections.abc import Callable
from typing import final

import torch
from torch import Tensor
from torch.func import jacfwd, jvp, vmap

from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.geometry.manifolds import Manifold, check_dimension
from riemann_noise_pytorch.noise.failures import is_out_of_memory, place_of_failure
from riemann_noise_pytorch.noise.pairs import counted_normal
from riemann_noise_pytorch.seeds import derive

Bounds = tuple[float | Tensor, float | Tensor]

DEFAULT_STEPS = 32
"""Runge-Kutta steps: a radian of a great circle is met to 1e-8."""
MOST_TANGENTS = 512
"""Tangents computed at once; more only take memory."""
MOST_ITERATIONS = 100
MOST_HALVINGS = 12
STARTS = 512
"""Random points among which the search for a nearest point begins at the best."""


@final
class Immersion(Manifold):
    r"""The manifold f(u) of a smooth function f from R^d to R^m.

    Points are coordinates u, tangent vectors are vectors of R^m. Geodesics are those of the metric that R^m
    induces, by ``steps`` Runge-Kutta steps of fourth order; they may leave the bounds. :meth:`logmap` shoots,
    by Newton's method from the straight line of the coordinates, and finds the geodesic near that line, the
    shortest one for points that are close.

    Args:
        function: From one vector u (d,) to floating-point values of any shape, by torch operations with
            forward derivatives; smooth, and of full rank d where it is used.
        dimension: d.
        bounds: Where :meth:`random_points` draws u, uniformly: lowest and highest, numbers or tensors (d,).
            None: standard normal u, as for a generator; the manifold then does not count as compact.
        steps: Runge-Kutta steps of a geodesic.
        device: Where u lives.
        dtype: float64, or float32 for a function that has nothing better.

    Raises:
        InputError: The function does not take u, its output is not floating point or has fewer than d values,
            or a setting is out of range.
        NonFiniteError: The output is not finite.

    Example:
        >>> bowl = Immersion(lambda u: torch.stack([u[0], u[1], u.square().sum()]), 2, steps=16)
        >>> u = torch.tensor([0.0, 0.0], dtype=torch.float64)
        >>> bowl.embed(bowl.expmap(u, torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)))
        tensor([0.7639, 0.0000, 0.5836], dtype=torch.float64)

    References:
        Hairer, Norsett and Wanner, Solving Ordinary Differential Equations I, 1993 (Runge-Kutta; shooting).
    """

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        dimension: int,
        *,
        bounds: Bounds | None = None,
        steps: int = DEFAULT_STEPS,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float64,
    ) -> None:
        check_dimension(dimension)
        if steps < 1:
            raise InputError(f"{steps} steps do not make a geodesic; give 1 or more")
        self._function = function
        self._like = torch.zeros(dimension, device=device, dtype=dtype)
        self._bounds = None if bounds is None else _checked_bounds(bounds, self._like)
        self._steps = steps
        self.dimension = dimension
        self.compact = bounds is not None
        self.ambient = self._tried(self.random_points(1)[0])

    def embed(self, x: Tensor) -> Tensor:
        """Evaluate f, (..., d) -> (..., m)."""
        return self._by_rows(vmap(self._flat, chunk_size=MOST_TANGENTS, randomness="same"), x)

    def differential(self, x: Tensor) -> Tensor:
        """Compute the Jacobian of f at u, (..., d) -> (..., m, d)."""
        rows = max(1, MOST_TANGENTS // self.dimension)
        return self._by_rows(
            vmap(jacfwd(self._flat, randomness="same"), chunk_size=rows, randomness="same"), x
        )

    def pull(self, x: Tensor, v: Tensor) -> Tensor:
        """Find the velocity of u that makes f(u) move by the tangential part of v.

        Args:
            x: Coordinates, (..., d).
            v: Vectors of R^m, (..., m).

        Returns:
            Velocities of the coordinates, (..., d).

        Raises:
            InputError: The rank of f is below d there.
        """
        basis, triangle = self._frame(x)
        return _back(basis, triangle, v)

    def flow(self, x: Tensor, velocity: Tensor) -> tuple[Tensor, Tensor]:
        """Walk geodesics in coordinates for one unit of time.

        Args:
            x: Coordinates, (..., d).
            velocity: Their velocities, (..., d).

        Returns:
            Coordinates and velocities at the end, (..., d) each.

        Raises:
            InputError: The rank of f is below d at the end, or on the way, where a geodesic then breaks off.
        """
        u, a = self._walk(x, velocity)
        self._frame(u)
        return u, a

    def expmap(self, x: Tensor, v: Tensor) -> Tensor:
        """Walk the geodesic from u with the tangential part of v, (..., d)."""
        return self.flow(x, self.pull(x, v))[0]

    def logmap(self, x: Tensor, y: Tensor) -> Tensor:
        """Shoot from x until y is met, (..., m).

        Raises:
            InputError: No geodesic was found; the points are far apart, or f is not of full rank between.
        """
        start, end = map(self._rows, (x, y))

        def shoot(velocity: Tensor) -> tuple[Tensor, Tensor]:
            ends, slopes = self._slopes(start, velocity)
            return end - ends, _solved(slopes, end - ends)

        velocity = self._found(end - start, shoot)
        if velocity is None:
            raise InputError(
                f"no geodesic was found in {MOST_ITERATIONS} shots; choose points nearer to one another"
            )
        found = self.differential(start) @ velocity.unsqueeze(-1)
        return found.reshape(*x.shape[:-1], self.ambient)

    def projx(self, p: Tensor, near: Tensor | None = None) -> Tensor:
        """Find the nearest point by Gauss-Newton steps that are halved until they lead nearer.

        Args:
            p: Points of R^m, (..., m).
            near: Where to begin, (..., d); the nearest of 512 random points by default.

        Returns:
            Coordinates, (..., d): a nearest point, or one that is nearer than all around it.

        Raises:
            InputError: None was found.
        """
        goal = p.reshape(-1, self.ambient)

        def look(u: Tensor) -> tuple[Tensor, Tensor]:
            miss = goal - self.embed(u)
            return miss, self.pull(u, miss)

        u = self._found(self._starts(goal) if near is None else self._rows(near), look)
        if u is None:
            raise InputError(f"no nearest point was found in {MOST_ITERATIONS} steps; give near= close to it")
        return u.reshape(*p.shape[:-1], self.dimension)

    def tangent_basis(self, x: Tensor) -> Tensor:
        """Orthonormalise the columns of the Jacobian, (..., m, d)."""
        return self._frame(x)[0]

    def random_points(self, count: int, seed: int = 0) -> Tensor:
        """Draw coordinates, uniform in the bounds or standard normal, (count, d)."""
        normal = counted_normal(derive(seed, "manifold"), 0, (count, self.dimension))
        if self._bounds is None:
            return normal.to(self._like)
        low, high = self._bounds
        share: Tensor = torch.special.ndtr(normal)
        return low + (high - low) * share.to(self._like)

    def _flat(self, u: Tensor) -> Tensor:
        return self._function(u).flatten()

    def _by_rows(self, function: Callable[..., Tensor], *points: Tensor) -> Tensor:
        """Apply what is made for (N, d) to any leading axes."""
        leading = points[0].shape[:-1]
        result = function(*map(self._rows, points))
        return result.reshape(*leading, *result.shape[1:])

    def _rows(self, points: Tensor) -> Tensor:
        """Points (..., d) as (N, d), each with memory of its own: dual numbers need it."""
        return points.reshape(-1, self.dimension).contiguous()

    def _frame(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """QR decompositions of the Jacobians, after a look at their rank."""
        basis, triangle = torch.linalg.qr(self.differential(x))
        sizes = triangle.diagonal(dim1=-2, dim2=-1).abs()
        rounding = self.ambient * torch.finfo(sizes.dtype).eps
        if not bool((sizes.amin(-1) > rounding * sizes.amax(-1)).all()):
            raise InputError(
                f"the function has not the full rank {self.dimension} everywhere, so its image is no "
                "manifold of that dimension; stay away from such points, or use fewer coordinates"
            )
        return basis, triangle

    def _walk(self, x: Tensor, velocity: Tensor) -> tuple[Tensor, Tensor]:
        """Integrate without a look at the rank; where it is lost, the end is not finite."""
        h, u, a = 1 / self._steps, x, velocity
        for _ in range(self._steps):
            first = self._acceleration(u, a)
            second_a = a + h / 2 * first
            second = self._acceleration(u + h / 2 * a, second_a)
            third_a = a + h / 2 * second
            third = self._acceleration(u + h / 2 * second_a, third_a)
            fourth_a = a + h * third
            fourth = self._acceleration(u + h * third_a, fourth_a)
            u = u + h / 6 * (a + 2 * second_a + 2 * third_a + fourth_a)
            a = a + h / 6 * (first + 2 * second + 2 * third + fourth)
        return u, a

    def _acceleration(self, x: Tensor, velocity: Tensor) -> Tensor:
        rows = max(1, MOST_TANGENTS // self.dimension)
        bend = vmap(self._bend, chunk_size=rows, randomness="same")
        differentials, bends = bend(self._rows(x), self._rows(velocity))
        basis, triangle = torch.linalg.qr(differentials)
        return -_back(basis, triangle, bends).reshape(x.shape)

    def _bend(self, u: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
        """The Jacobian, and the second derivative along a: (m, d) and (m,)."""
        both = jvp(jacfwd(self._flat, randomness="same"), (u,), (a,))
        return both[0], both[1] @ a

    def _slopes(self, start: Tensor, velocity: Tensor) -> tuple[Tensor, Tensor]:
        """Where geodesics end, and the derivatives of that in their velocity by differences: (N, d, d)."""
        small = torch.finfo(start.dtype).eps ** 0.5 * (1 + velocity.norm(dim=-1)).view(-1, 1, 1)
        eye = torch.eye(self.dimension).to(start)
        tried = torch.cat([velocity.unsqueeze(1), velocity.unsqueeze(1) + small * eye], dim=1)
        ends = self._walk(start.unsqueeze(1).expand_as(tried), tried)[0]
        return ends[:, 0], ((ends[:, 1:] - ends[:, :1]) / small).mT

    def _found(self, u: Tensor, look: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Tensor | None:
        """Solve by steps that are halved until they lead nearer; None where they do not, or do not end.

        ``look`` gives the miss at u, and the step that would undo it if all were straight.
        """
        miss, step = look(u)
        for _ in range(MOST_ITERATIONS):
            if bool((step.norm(dim=-1) <= torch.finfo(u.dtype).eps ** 0.75 * (1 + u.norm(dim=-1))).all()):
                return u
            share = torch.ones_like(u[:, :1])
            limit = miss.norm(dim=-1, keepdim=True) * (1 + 1e2 * torch.finfo(u.dtype).eps)
            for _ in range(MOST_HALVINGS):
                miss, next_step = look(u + share * step)
                worse = ~(miss.norm(dim=-1, keepdim=True) <= limit)  # NaN is worse, too
                if not bool(worse.any()):
                    break
                share = torch.where(worse, share / 2, share)
            else:
                return None
            u, step = u + share * step, next_step
        return None

    def _starts(self, goal: Tensor) -> Tensor:
        points = self.random_points(STARTS)
        return points[torch.cdist(goal, self.embed(points)).argmin(-1)]

    def _tried(self, u: Tensor) -> int:
        """Call the function once; how many values it gives."""
        try:
            x: object = self._function(u)
        except Exception as error:  # a function of the user's own fails in any way
            if is_out_of_memory(error):
                raise
            raise InputError(
                f"the function does not take one {u.dtype} vector of {self.dimension} coordinates "
                f"({place_of_failure(error)}); give one from R^d to R^m, without a batch axis"
            ) from error
        if not isinstance(x, Tensor) or not x.is_floating_point():
            kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
            raise InputError(f"the function returns {kind}; return a floating-point tensor")
        if not bool(x.isfinite().all()):
            raise NonFiniteError("the function gives NaN or infinity at a random point; set other bounds")
        if x.numel() < self.dimension:
            raise InputError(
                f"the function returns {x.numel()} values for {self.dimension} coordinates, too few for a "
                "manifold of that dimension; use fewer coordinates"
            )
        return x.numel()


def _back(basis: Tensor, triangle: Tensor, v: Tensor) -> Tensor:
    """Solve J a = v by least squares, for J = basis @ triangle: (..., d)."""
    components = basis.mT @ v.unsqueeze(-1)
    solved: Tensor = torch.linalg.solve_triangular(triangle, components, upper=True)
    return solved.squeeze(-1)


def _solved(derivative: Tensor, miss: Tensor) -> Tensor:
    """Solve for the step that undoes a miss; none where the derivative is singular or not finite."""
    step, info = torch.linalg.solve_ex(derivative.nan_to_num(), miss.nan_to_num())
    good = (info == 0) & step.isfinite().all(-1)
    return torch.where(good.unsqueeze(-1), step, miss)


def _checked_bounds(bounds: Bounds, like: Tensor) -> tuple[Tensor, Tensor]:
    low, high = (torch.as_tensor(bound).to(like).expand(like.shape) for bound in bounds)
    if not bool((low < high).all()) or not bool((high - low).isfinite().all()):
        raise InputError("bounds must be finite, the lowest below the highest; give (low, high)")
    return low, high

r"""Skeletons: finitely many points whose tangent balls together stand for a whole manifold.

A compact manifold is covered by finitely many balls of radius r. Their centres are the skeleton set, each
with a piece of its tangent plane, the representative pair :math:`(\mu_i, r\,T(\mu_i))`; all pieces are the
tangent polyhedron. A generator needs to find the centres alone, and those have no dimension that its Jacobian
could lack: the noise fills in the rest.

Centres are chosen farthest first, which needs at most twice the radius that the best choice of as many
centres needs. Distances are those of R^m, chords; of two points r apart along the manifold they differ by
O(r^3).

References:
    Gonzalez, Clustering to minimize the maximum intercluster distance, Theor. Comput. Sci. 1985.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.geometry.exponential import checked_radii, measured_order, unit_ball
from riemann_noise_pytorch.geometry.manifolds import Manifold
from riemann_noise_pytorch.seeds import derive

DEFAULT_CANDIDATES = 8192
LARGEST_GAP_SHARE = 0.75
"""Share of the radius that gaps between candidates may take; near 1 nearly every candidate is a centre."""
GAP_PROBES = 1024


@dataclass(frozen=True)
class Skeleton:
    r"""A skeleton set with its representative pairs.

    Attributes:
        points: The centres in R^m, (k, m).
        tangents: :math:`T(\mu_i)`, orthonormal, (k, m, d).
        r: The radius of the balls.
    """

    points: Tensor
    tangents: Tensor
    r: float

    def distance(self, x: Tensor) -> Tensor:
        """Measure how far points of R^m (N, m) are from the tangent ball of their nearest centre: (N,)."""
        nearest = torch.cdist(x, self.points).argmin(dim=1)
        away, basis = x - self.points[nearest], self.tangents[nearest]
        along = (basis.mT @ away.unsqueeze(-1)).squeeze(-1)
        within = along * (self.r / along.norm(dim=1, keepdim=True).clamp_min(self.r))
        missed: Tensor = (away - (basis @ within.unsqueeze(-1)).squeeze(-1)).norm(dim=1)
        return missed

    def fill(self, count: int, seed: int = 0) -> Tensor:
        r"""Draw points :math:`\mu_i + r\,T(\mu_i)\,\varepsilon`, centre after centre: (count, m)."""
        centres = torch.arange(count) % len(self.points)
        epsilon = unit_ball(count, self.tangents.shape[-1], seed).to(self.points)
        steps = (self.tangents[centres] @ epsilon.unsqueeze(-1)).squeeze(-1)
        return self.points[centres] + self.r * steps


@dataclass(frozen=True)
class PolyhedronError:
    """How well skeletons of falling radius approximate a manifold.

    Attributes:
        radii: r, (R,), as given.
        counts: The number of centres, (R,).
        covering: The largest distance to the nearest centre, of points that had no part in the choice, (R,).
        errors: The largest distance from the same points to the tangent polyhedron, (R,).
        order: The measured p of errors ~ covering^p. Centres are whole, so what they cover falls in steps
            below r: a power of r itself would tell of these steps.
    """

    radii: Tensor
    counts: Tensor
    covering: Tensor
    errors: Tensor
    order: float


def farthest_points(points: Tensor, radius: float, *, first: int = 0) -> tuple[Tensor, Tensor]:
    """Choose centres, each time the point farthest from all before, until every point is near one.

    Args:
        points: Candidates, (N, m).
        radius: How near, above 0.
        first: The index of the first centre.

    Returns:
        The indices of the centres (k,) in the order of choice, and the covering radius of the first 1, 2, ...
        k of them, (k,), which never grows; the last is at most ``radius``.

    Raises:
        InputError: The radius is not above 0, the points are no finite rows, or none of them is the first.

    Example:
        >>> farthest_points(torch.tensor([[0.0], [1.0], [4.0]]), 1.0)
        (tensor([0, 2]), tensor([4., 1.]))
    """
    if not radius > 0:
        raise InputError(f"a radius of {radius:g} is covered by no finite set; give one above 0")
    if points.ndim != 2 or not len(points) or not bool(points.isfinite().all()):
        raise InputError(f"points must be finite rows (N, m), not {tuple(points.shape)}; leave bad ones out")
    if not 0 <= first < len(points):
        raise InputError(f"the first centre is point {first} of {len(points)}; give 0 to {len(points) - 1}")
    chosen, reached = [first], []
    nearest = (points - points[first]).norm(dim=1)
    while float(covering := nearest.amax()) > radius:
        reached.append(covering)
        chosen.append(int(nearest.argmax()))
        nearest = torch.minimum(nearest, (points - points[chosen[-1]]).norm(dim=1))
    return torch.tensor(chosen), torch.stack([*reached, covering])


def skeleton(
    manifold: Manifold, r: float, *, candidates: int = DEFAULT_CANDIDATES, seed: int = 0
) -> Skeleton:
    """Choose a skeleton set of a compact manifold, with its representative pairs.

    Args:
        manifold: A compact manifold.
        r: The radius of the balls, above 0.
        candidates: Random points among which centres are chosen, and which they cover.
        seed: Seed of the candidates.

    Returns:
        Centres and tangents.

    Raises:
        InputError: The manifold is not compact, or r is too small for so few candidates.

    Example:
        >>> from riemann_noise_pytorch.geometry.manifolds import FlatTorus
        >>> circle = FlatTorus(1)
        >>> found = skeleton(circle, 0.5)
        >>> len(found.points), float(found.distance(circle.random_points(100)).max()) < 0.5**2 / 2
        (8, True)
    """
    return _skeletons(manifold, [r], candidates, seed)[0]


def polyhedron_error(
    manifold: Manifold,
    radii: Tensor,
    *,
    candidates: int = DEFAULT_CANDIDATES,
    tries: int = 2048,
    seed: int = 0,
) -> PolyhedronError:
    r"""Measure how well finitely many representative pairs approximate a compact manifold.

    .. math:: \mathrm{error}(r) = \max_{x \in \mathcal M}\
        \min_{\|\varepsilon\| \le 1} \|x - \mu_{i(x)} - r\,T(\mu_{i(x)})\,\varepsilon\|_2

    with the centre :math:`\mu_{i(x)}` that is nearest to x, and the maximum over random points of which none
    was a candidate.

    Paper: Theorem 4 (Section 4.1). It claims a local error of o(r), so an order above 1.

    Args:
        manifold: A compact manifold.
        radii: Radii, (R,), above 0, at least 2 of them different.
        candidates: As in :func:`skeleton`.
        tries: Random points at which the error is measured.
        seed: Seed of candidates and points.

    Returns:
        Counts, covering radii and errors by radius, and the order.

    Raises:
        InputError: The manifold is not compact, or settings are out of range, or so close together that all
            radii have the same centres.
    """
    radii = checked_radii(radii)
    x = manifold.embed(manifold.random_points(tries, derive(seed, "tries")))
    found = _skeletons(manifold, radii.tolist(), candidates, seed)
    counts = [len(one.points) for one in found]
    if len(set(counts)) < 2:
        raise InputError(
            f"all {len(radii)} radii have the same {counts[0]} centres, which tells no order; give radii "
            "further apart"
        )
    covering = torch.stack([torch.cdist(x, one.points).amin(dim=1).amax() for one in found]).double().cpu()
    errors = torch.stack([one.distance(x).amax() for one in found]).double().cpu()
    size = float(x.norm(dim=1).amax())
    return PolyhedronError(
        radii=radii,
        counts=torch.tensor(counts),
        covering=covering,
        errors=errors,
        order=measured_order(covering, errors, size, x.dtype),
    )


def _skeletons(manifold: Manifold, radii: list[float], candidates: int, seed: int) -> list[Skeleton]:
    """A skeleton for each radius, from one choice: farthest first, the sets are nested.

    Candidates are covered to within r less the size of the gaps between them, so the manifold is to within r.
    """
    if not manifold.compact:
        raise InputError(
            "only a compact manifold has a finite skeleton (Theorem 4); give the immersion bounds=(low, high)"
        )
    if candidates < 2:
        raise InputError(f"{candidates} candidates cover nothing; give 2 or more")
    places = manifold.random_points(candidates, derive(seed, "candidates"))
    points = manifold.embed(places)
    gap = _gap(manifold, points, seed)
    if gap > LARGEST_GAP_SHARE * min(radii):
        raise InputError(
            f"{candidates} candidates leave gaps of {gap:.2g}, too wide for a radius of {min(radii):g}; "
            "give more candidates or a larger radius"
        )
    order, reached = farthest_points(points, min(radii) - gap)
    found = []
    for r in radii:
        kept = order[: 1 + int((reached > r - gap).sum())]
        found.append(Skeleton(points[kept], manifold.tangent_basis(places[kept]), r))
    return found


def _gap(manifold: Manifold, points: Tensor, seed: int) -> float:
    """How far random points of the manifold are from the nearest of those given, at most."""
    probes = manifold.embed(manifold.random_points(GAP_PROBES, derive(seed, "gaps")))
    return float(torch.cdist(probes, points).amin(dim=1).amax())

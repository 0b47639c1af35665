"""Immersions against closed forms of the same surfaces, and bad input."""

import math
from itertools import pairwise

import pytest
import torch
from scipy.integrate import solve_ivp

from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.geometry.immersion import Immersion
from riemann_noise_pytorch.geometry.manifolds import FlatTorus, Sphere
from riemann_noise_pytorch.noise.pairs import counted_normal


def stereographic(u):
    square = u.square().sum()
    return torch.cat([2 * u, (1 - square).unsqueeze(0)]) / (1 + square)


def angles(u):
    return torch.stack([u.cos(), u.sin()], dim=-1)


def bowl(u):
    return torch.stack([u[0], u[1], u[0].square() + 0.5 * u[1].square()])


FIRST, SECOND = counted_normal(0, 0, (8, 2)), counted_normal(1, 0, (12, 8))


def network(u):
    """A smooth generator of 3x4 images from 2 coordinates."""
    return (SECOND @ (0.5 * FIRST @ u).tanh()).view(3, 4).tanh()


def surfaces(steps):
    return [
        (Immersion(stereographic, 2, bounds=(-1.0, 1.0), steps=steps), Sphere(2)),
        (Immersion(stereographic, 3, bounds=(-1.0, 1.0), steps=steps), Sphere(3)),
        (Immersion(angles, 2, bounds=(-math.pi, math.pi), steps=steps), FlatTorus(2)),
    ]


GRAPH, IMAGES = Immersion(bowl, 2, bounds=(-1.0, 1.0), steps=8), Immersion(network, 2, steps=8)
IMMERSIONS = [*(pair[0] for pair in surfaces(8)), GRAPH, IMAGES]
IDS = ["sphere2", "sphere3", "torus2", "bowl", "network"]
each = pytest.mark.parametrize("manifold", IMMERSIONS, ids=IDS)


def points_and_tangents(manifold, length, count=4):
    u = manifold.random_points(count, seed=1)
    v = manifold.proju(u, counted_normal(2, 0, (count, manifold.ambient)))
    return u, length * v / v.norm(dim=1, keepdim=True)


@pytest.mark.parametrize(("immersion", "exact"), surfaces(32), ids=IDS[:3])
def test_geodesics_are_those_of_the_closed_form(immersion, exact):
    u, v = points_and_tangents(immersion, 1.0)
    ends = immersion.embed(immersion.expmap(u, v))
    assert torch.allclose(ends, exact.expmap(immersion.embed(u), v), atol=1e-7)


@pytest.mark.parametrize(("immersion", "exact"), surfaces(8), ids=IDS[:3])
def test_logarithms_and_distances_are_those_of_the_closed_form(immersion, exact):
    u, v = points_and_tangents(immersion, 0.3)
    y = immersion.expmap(u, v)
    places, ends = immersion.embed(u), immersion.embed(y)
    velocity = immersion.logmap(u, y)
    assert torch.allclose(velocity, exact.logmap(places, ends), atol=1e-6)
    assert torch.allclose(velocity.norm(dim=1), exact.dist(places, ends), atol=1e-6)


@pytest.mark.parametrize(("immersion", "exact"), surfaces(8), ids=IDS[:3])
def test_projections_are_those_of_the_closed_form(immersion, exact):
    u, v = immersion.random_points(4), counted_normal(5, 0, (4, immersion.ambient))
    places = immersion.embed(u)
    assert torch.allclose(immersion.proju(u, v), exact.proju(places, v), atol=1e-12)
    p = places + 0.3 * v
    assert torch.allclose(immersion.embed(immersion.projx(p, near=u)), exact.projx(p), atol=1e-9)


@each
def test_logmap_undoes_expmap(manifold):
    u, v = points_and_tangents(manifold, 0.5)
    assert torch.allclose(manifold.logmap(u, manifold.expmap(u, v)), v, atol=1e-10)


@each
def test_geodesics_keep_their_speed(manifold):
    u, v = points_and_tangents(manifold, 0.4)
    end, velocity = manifold.flow(u, manifold.pull(u, v))
    speed = (manifold.differential(end) @ velocity.unsqueeze(-1)).squeeze(-1).norm(dim=1)
    assert torch.allclose(speed, torch.full_like(speed, 0.4), rtol=1e-4)


@each
def test_proju_is_idempotent_and_keeps_tangents(manifold):
    u, v = manifold.random_points(3), counted_normal(4, 0, (3, manifold.ambient))
    once = manifold.proju(u, v)
    assert torch.allclose(manifold.proju(u, once), once, atol=1e-12)
    moved = (manifold.differential(u) @ manifold.pull(u, v).unsqueeze(-1)).squeeze(-1)
    assert torch.allclose(moved, once, atol=1e-12)


@each
def test_projx_finds_points_of_the_manifold_again(manifold):
    u = manifold.random_points(4, seed=9)
    found = manifold.projx(manifold.embed(u))
    assert torch.allclose(manifold.embed(found), manifold.embed(u), atol=1e-10)


def test_projx_is_orthogonal_to_the_manifold():
    manifold = GRAPH
    p = manifold.embed(manifold.random_points(6)) + 0.2 * counted_normal(4, 0, (6, 3))
    u = manifold.projx(p)
    assert float(manifold.proju(u, p - manifold.embed(u)).abs().max()) < 1e-10


def test_geodesics_of_a_graph_are_those_of_scipy():
    """The equation of geodesics of z = h(x, y), written out by hand and solved by another solver."""
    start, velocity = [0.3, -0.2], [0.8, 0.5]

    def right_side(_, state):
        x, y, a, b = state
        gradient, bend = (2 * x, y), 2 * a * a + b * b
        factor = -bend / (1 + gradient[0] ** 2 + gradient[1] ** 2)
        return [a, b, gradient[0] * factor, gradient[1] * factor]

    exact = solve_ivp(right_side, (0, 1), [*start, *velocity], rtol=1e-12, atol=1e-12).y[:, -1]
    ends = Immersion(bowl, 2, steps=32).flow(
        *(torch.tensor([one], dtype=torch.float64) for one in (start, velocity))
    )
    assert torch.allclose(torch.cat(ends, 1)[0], torch.from_numpy(exact), atol=1e-8)


def test_the_solver_has_order_four():
    u = torch.tensor([[0.3, -0.2]], dtype=torch.float64)
    v = torch.tensor([[1.0, 0.7, 0.0]], dtype=torch.float64)
    ends = [Immersion(bowl, 2, bounds=(-1.0, 1.0), steps=n).expmap(u, v) for n in (4, 8, 16, 64)]
    errors = [float((end - ends[-1]).norm()) for end in ends[:-1]]
    orders = [math.log2(a / b) for a, b in pairwise(errors)]
    assert orders == pytest.approx([4, 4], abs=0.3)


def test_leading_axes_and_single_points_are_kept():
    manifold = GRAPH
    u = manifold.random_points(6).unflatten(0, (2, 3))
    v = manifold.proju(u, torch.ones(2, 3, 3, dtype=torch.float64))
    y = manifold.expmap(u, 0.1 * v)
    assert y.shape == (2, 3, 2)
    assert manifold.logmap(u, y).shape == (2, 3, 3)
    assert manifold.projx(manifold.embed(u)).shape == (2, 3, 2)
    assert torch.allclose(manifold.expmap(u[0, 0], 0.1 * v[0, 0]), y[0, 0], atol=1e-14)


def test_random_points_stay_in_the_bounds_or_are_normal():
    low, high = torch.tensor([0.0, -3.0]), torch.tensor([1.0, -2.0])
    u = Immersion(bowl, 2, bounds=(low, high)).random_points(500)
    assert bool(((u > low) & (u < high)).all())
    assert float(Immersion(network, 2).random_points(4000).std()) == pytest.approx(1, abs=0.05)


def test_only_bounded_immersions_count_as_compact():
    assert Immersion(bowl, 2, bounds=(-1.0, 1.0)).compact
    assert not Immersion(network, 2).compact


def test_lost_rank_is_refused():
    folded = Immersion(lambda u: torch.stack([u[0] + u[1], u[0] + u[1], (u[0] + u[1]).sin()]), 2)
    with pytest.raises(InputError, match="not the full rank 2 everywhere"):
        folded.tangent_basis(folded.random_points(2))


def test_points_out_of_reach_are_refused():
    torus = IMMERSIONS[2]
    pole = Immersion(lambda u: torch.stack([u[0], 1 / u[0]]), 1, bounds=(0.5, 1.0), steps=4)
    with pytest.raises(InputError, match="no geodesic was found"):
        pole.logmap(torch.tensor([[-1.0]]).double(), torch.tensor([[1.0]]).double())
    assert torus.logmap(torch.zeros(1, 2).double(), torch.zeros(1, 2).double()).abs().max() == 0


@pytest.mark.parametrize(
    ("function", "dimension", "options", "message"),
    [
        (bowl, 0, {}, "give 1 or more"),
        (bowl, 2, {"steps": 0}, "steps do not make a geodesic"),
        (bowl, 2, {"bounds": (1.0, -1.0)}, "lowest below the highest"),
        (bowl, 2, {"bounds": (-math.inf, 1.0)}, "must be finite"),
        (bowl, 1, {}, "does not take one torch.float64 vector of 1"),
        (lambda u: u.long(), 2, {}, "returns torch.int64"),
        (lambda u: 1.0, 2, {}, "returns float"),
        (lambda u: u.sum(), 2, {}, "1 values for 2 coordinates"),
    ],
)
def test_what_is_no_immersion_is_refused_in_one_line(function, dimension, options, message):
    with pytest.raises(InputError, match=message) as caught:
        Immersion(function, dimension, **options)
    assert "\n" not in str(caught.value)


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(NonFiniteError, match="NaN or infinity"):
        Immersion(lambda u: u / 0, 2)

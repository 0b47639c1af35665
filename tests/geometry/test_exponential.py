"""Theorems 2 and 3, Eqs. 6-12: the exponential map and its tangent plane."""

import math

import pytest
import torch

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.geometry.exponential import (
    first_order_exponential,
    geodesic_ball,
    measured_order,
    normal_coordinates,
    tangent_ball,
    tangent_error,
    unit_ball,
)
from riemann_noise_pytorch.geometry.immersion import Immersion
from riemann_noise_pytorch.geometry.manifolds import FlatTorus, Sphere
from riemann_noise_pytorch.noise.functional import injection
from tests.geometry.test_immersion import bowl, network

MANIFOLDS = {
    "sphere": Sphere(2),
    "torus": FlatTorus(2),
    "graph": Immersion(bowl, 2, bounds=(-1.0, 1.0), steps=8),
    "image manifold": Immersion(network, 2, steps=8),
}
each = pytest.mark.parametrize("manifold", MANIFOLDS.values(), ids=MANIFOLDS)
RADII = torch.tensor([0.02, 0.04, 0.08])


def centre(manifold):
    return manifold.random_points(1, seed=3)[0]


@each
def test_theorem2_normal_coordinates_undo_the_exponential_map(manifold):
    mu, epsilon = centre(manifold), unit_ball(8, manifold.dimension)
    x = geodesic_ball(manifold, mu, 0.4, epsilon)
    assert torch.allclose(normal_coordinates(manifold, mu, x), 0.4 * epsilon, atol=1e-9)


@each
def test_theorem2_the_exponential_map_is_one_to_one_on_the_ball(manifold):
    """Neighbours in the ball of the tangent space stay apart on the manifold."""
    mu, epsilon = centre(manifold), unit_ball(24, manifold.dimension)
    x = manifold.embed(geodesic_ball(manifold, mu, 0.4, epsilon))
    apart = torch.pdist(x) / torch.pdist(0.4 * epsilon)
    assert float(apart.min()) > 0.8
    assert float(apart.max()) < 1.2


@pytest.mark.parametrize("manifold", [Sphere(2), FlatTorus(2)])
def test_eq6_the_ball_holds_the_points_no_further_than_r_and_no_others(manifold):
    mu, r = centre(manifold), 0.7
    x = geodesic_ball(manifold, mu, r, unit_ball(500, 2))
    assert bool((manifold.dist(mu.expand_as(x), x) <= r + 1e-12).all())
    others = manifold.random_points(500)
    inside = manifold.dist(mu.expand_as(others), others) <= r
    coordinates = normal_coordinates(manifold, mu, others) / r
    assert torch.equal(inside, coordinates.norm(dim=1) <= 1)


def test_eq7_the_ball_of_a_sphere_is_its_cap():
    mu = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    rim = torch.tensor([[0.0, 1.0], [1.0, 0.0], [-0.6, 0.8]], dtype=torch.float64)
    heights = geodesic_ball(Sphere(2), mu, 0.5, rim)[:, 2]
    assert torch.allclose(heights, torch.full((3,), math.cos(0.5), dtype=torch.float64), atol=1e-14)


@each
def test_eq8_the_differential_at_the_origin_is_the_identity(manifold):
    mu, h = centre(manifold), 1e-5
    v = unit_ball(6, manifold.dimension) @ manifold.tangent_basis(mu).mT
    ahead = manifold.embed(manifold.expmap(mu.expand(6, -1), h * v))
    behind = manifold.embed(manifold.expmap(mu.expand(6, -1), -h * v))
    assert torch.allclose((ahead - behind) / (2 * h), v, atol=1e-8)
    assert torch.equal(first_order_exponential(manifold, mu, v), manifold.embed(mu) + v)


@each
def test_eq9_the_first_order_ball_is_flat_tangent_and_of_radius_r(manifold):
    mu = centre(manifold)
    away = tangent_ball(manifold, mu, 0.3, unit_ball(200, manifold.dimension)) - manifold.embed(mu)
    assert torch.allclose(manifold.proju(mu.expand(200, -1), away), away, atol=1e-13)
    assert float(away.norm(dim=1).max()) <= 0.3 + 1e-13


@each
def test_eq10_the_first_order_ball_is_the_first_order_exponential_of_the_ball(manifold):
    mu, epsilon = centre(manifold), unit_ball(5, manifold.dimension)
    v = normal_coordinates(manifold, mu, geodesic_ball(manifold, mu, 0.3, epsilon))
    expected = first_order_exponential(manifold, mu, v @ manifold.tangent_basis(mu).mT)
    assert torch.allclose(tangent_ball(manifold, mu, 0.3, epsilon), expected, atol=1e-9)


def test_eq11_the_tangent_ball_literally():
    """mu + r T(mu) epsilon, sum by sum."""
    manifold, r = Sphere(2), 0.3
    mu, epsilon = centre(manifold), unit_ball(4, 2)
    T = manifold.tangent_basis(mu)
    for point, e in zip(tangent_ball(manifold, mu, r, epsilon), epsilon, strict=True):
        for i in range(3):
            literal = float(mu[i]) + sum(r * float(T[i, j]) * float(e[j]) for j in range(2))
            assert float(point[i]) == pytest.approx(literal, abs=1e-14)


def test_eq12_the_tangent_ball_is_noise_injection_where_the_tangent_space_is_spanned_by_axes():
    """With T diagonal, (mu, r T) is Eq. 5 with sigma = r on the axes of the manifold, 0 on others."""
    flat = Immersion(lambda u: torch.cat([u, torch.zeros_like(u)]), 2)
    u, epsilon = centre(flat), unit_ball(5, 2)
    signs = flat.tangent_basis(u).diagonal()
    sigma = 0.3 * torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=torch.float64)
    noise = torch.cat([signs * epsilon, torch.ones(5, 2)], dim=1)
    expected = injection(flat.embed(u), sigma, noise)
    assert torch.allclose(tangent_ball(flat, u, 0.3, epsilon), expected, atol=1e-13)


@each
def test_theorem3_the_tangent_error_has_order_two(manifold):
    assert tangent_error(manifold, centre(manifold), RADII, directions=16).order == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("manifold", [Sphere(1), Sphere(4), FlatTorus(1)])
def test_theorem3_the_error_of_circles_and_spheres_in_closed_form(manifold):
    radii = torch.tensor([0.01, 0.1, 1.0, 2.0], dtype=torch.float64)
    found = tangent_error(manifold, centre(manifold), radii, directions=3)
    exact = torch.hypot(1 - radii.cos(), radii - radii.sin())
    assert torch.allclose(found.errors, exact, rtol=1e-9)


def test_theorem3_the_error_is_half_the_normal_curvature():
    """At the bottom of z = x^2 + y^2 / 2 the largest normal curvature is 2, along x."""
    found = tangent_error(MANIFOLDS["graph"], torch.zeros(2, dtype=torch.float64), RADII, directions=256)
    assert float(found.errors[0] / RADII[0] ** 2) == pytest.approx(1, rel=0.01)


def test_theorem3_a_plane_has_no_error():
    plane = Immersion(lambda u: torch.stack([u[0], u[1], u[0] - 2 * u[1]]), 2)
    assert tangent_error(plane, centre(plane), RADII).order == math.inf


def test_the_unit_ball_is_filled_uniformly():
    epsilon = unit_ball(20_000, 3)
    inside = (epsilon.norm(dim=1) < 0.5).double().mean()
    assert float(inside) == pytest.approx(0.125, abs=0.01)
    assert float(epsilon.norm(dim=1).max()) <= 1
    assert torch.equal(unit_ball(9, 3)[:4], unit_ball(4, 3))


def test_orders_of_known_powers_are_found_despite_roundings():
    steps = torch.logspace(-9, -1, 9, dtype=torch.float64)
    for p in (1, 2, 4):
        errors = 0.3 * steps**p + 1e-16
        assert measured_order(steps, errors) == pytest.approx(p, abs=0.02)


@pytest.mark.parametrize(
    ("radii", "message"),
    [
        (torch.tensor([0.1]), "at least 2 different radii"),
        (torch.tensor([0.1, 0.1]), "at least 2 different radii"),
        (torch.tensor([0.1, 0.0]), "finite numbers above 0"),
        (torch.tensor([0.1, math.nan]), "finite numbers above 0"),
        (torch.tensor(0.1), "finite numbers above 0"),
    ],
)
def test_radii_without_an_order_are_refused(radii, message):
    with pytest.raises(InputError, match=message):
        tangent_error(Sphere(2), centre(Sphere(2)), radii)


def test_no_directions_are_refused():
    with pytest.raises(InputError, match="0 directions measure nothing"):
        tangent_error(Sphere(2), centre(Sphere(2)), RADII, directions=0)

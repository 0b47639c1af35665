"""The laws of manifolds in closed form: sphere and flat torus."""

import math

import pytest
import torch
from scipy.stats import kstest

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.geometry.manifolds import FlatTorus, Sphere
from riemann_noise_pytorch.noise.pairs import counted_normal

MANIFOLDS = [Sphere(1), Sphere(2), Sphere(9), FlatTorus(1), FlatTorus(2), FlatTorus(5)]
IDS = [f"{type(m).__name__}-{m.dimension}" for m in MANIFOLDS]

each = pytest.mark.parametrize("manifold", MANIFOLDS, ids=IDS)


def points_and_tangents(manifold, length=1.0, count=32):
    x = manifold.random_points(count, seed=1)
    v = manifold.proju(x, counted_normal(2, 0, (count, manifold.ambient)))
    return x, length * v / v.norm(dim=1, keepdim=True)


@each
def test_logmap_undoes_expmap_within_the_injectivity_radius(manifold):
    for length in (1e-12, 1e-3, 1.0, 3.0):
        x, v = points_and_tangents(manifold, length)
        assert torch.allclose(manifold.logmap(x, manifold.expmap(x, v)), v, rtol=1e-9, atol=1e-15)


@each
def test_expmap_undoes_logmap(manifold):
    x, y = manifold.random_points(32, seed=3), manifold.random_points(32, seed=4)
    assert torch.allclose(manifold.expmap(x, manifold.logmap(x, y)), y, atol=1e-12)


@each
def test_points_stay_on_the_manifold_and_vectors_tangent(manifold):
    x, v = points_and_tangents(manifold, 2.5)
    y = manifold.expmap(x, v)
    assert torch.allclose(manifold.projx(y), y, atol=1e-13)
    assert torch.allclose(manifold.proju(x, v), v, atol=1e-13)


@each
def test_proju_is_an_orthogonal_projection(manifold):
    x, v = manifold.random_points(16), counted_normal(5, 0, (16, manifold.ambient))
    w = counted_normal(6, 0, (16, manifold.ambient))
    once = manifold.proju(x, v)
    assert torch.allclose(manifold.proju(x, once), once, atol=1e-13)
    assert torch.allclose((once * w).sum(1), (v * manifold.proju(x, w)).sum(1), atol=1e-12)


@each
def test_proju_is_that_of_the_tangent_basis(manifold):
    x, v = manifold.random_points(16), counted_normal(5, 0, (16, manifold.ambient))
    basis = manifold.tangent_basis(x)
    eye = torch.eye(manifold.dimension, dtype=torch.float64)
    assert torch.allclose(basis.mT @ basis, eye.expand(16, -1, -1), atol=1e-13)
    expected = torch.einsum("pmd,pkd,pk->pm", basis, basis, v)
    assert torch.allclose(manifold.proju(x, v), expected, atol=1e-13)


@each
def test_projx_finds_the_nearest_of_many_points(manifold):
    p = 2 * counted_normal(7, 0, (8, manifold.ambient))
    nearest = (manifold.projx(p) - p).norm(dim=1)
    others = torch.cdist(p, manifold.random_points(2000)).amin(dim=1)
    assert bool((nearest <= others).all())


@each
def test_distance_is_symmetric_and_the_length_of_the_logarithm(manifold):
    x, v = points_and_tangents(manifold, 3.0)
    y = manifold.expmap(x, v)
    assert torch.allclose(manifold.dist(x, y), manifold.dist(y, x), atol=1e-12)
    assert torch.allclose(manifold.dist(x, y), torch.tensor(3.0, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(manifold.logmap(x, y).norm(dim=1), manifold.dist(x, y), atol=1e-12)


@each
def test_distance_fulfils_the_triangle_inequality(manifold):
    x, y, z = (manifold.random_points(64, seed=s) for s in range(3))
    assert bool((manifold.dist(x, z) <= manifold.dist(x, y) + manifold.dist(y, z) + 1e-12).all())


@each
def test_geodesics_have_the_speed_they_begin_with(manifold):
    x, v = points_and_tangents(manifold, 0.7)
    for t in (0.0, 0.5, 1.0, 2.0):
        (_, speed) = torch.func.jvp(
            lambda t: manifold.expmap(x, t * v),
            (torch.tensor(t, dtype=torch.float64),),
            (torch.tensor(1.0, dtype=torch.float64),),
        )
        assert torch.allclose(speed.norm(dim=1), v.norm(dim=1), atol=1e-12)


@each
def test_formulas_are_those_of_quadrature_along_the_curve(manifold):
    """The length of the curve t -> expmap(x, t v), added up from chords, is the length of v."""
    x, v = points_and_tangents(manifold, 2.0, count=1)
    times = torch.linspace(0, 1, 2001, dtype=torch.float64).unsqueeze(1)
    curve = manifold.expmap(x.expand(2001, -1), times * v)
    assert float((curve[1:] - curve[:-1]).norm(dim=1).sum()) == pytest.approx(2.0, rel=1e-6)


@each
def test_zero_vectors_lead_nowhere_and_have_finite_derivatives(manifold):
    x = manifold.random_points(3)
    v = torch.zeros(3, manifold.ambient, dtype=torch.float64, requires_grad=True)
    y = manifold.expmap(x, v)
    assert torch.allclose(y, x, atol=1e-15)
    y.sum().backward()
    assert bool(v.grad.isfinite().all())
    assert float(manifold.dist(x, x).abs().max()) == 0.0
    assert float(manifold.logmap(x, x).abs().max()) == 0.0


@each
def test_leading_axes_are_kept(manifold):
    x = manifold.random_points(6).unflatten(0, (2, 3))
    v = manifold.proju(x, torch.ones(2, 3, manifold.ambient, dtype=torch.float64))
    y = manifold.expmap(x, v)
    assert y.shape == x.shape
    assert manifold.dist(x, y).shape == (2, 3)
    assert manifold.tangent_basis(x).shape == (2, 3, manifold.ambient, manifold.dimension)


@each
def test_random_points_depend_on_their_own_index_alone(manifold):
    assert torch.equal(manifold.random_points(8, seed=3)[:5], manifold.random_points(5, seed=3))
    assert not torch.equal(manifold.random_points(5, seed=3), manifold.random_points(5, seed=4))


def test_random_points_are_uniform():
    height = Sphere(2).random_points(4000)[:, 2]  # Archimedes: uniform in [-1, 1]
    assert kstest(height.numpy(), "uniform", (-1, 2)).pvalue > 1e-3
    x = FlatTorus(2).random_points(4000)
    assert kstest(torch.atan2(x[:, 1], x[:, 0]).numpy(), "uniform", (-math.pi, 2 * math.pi)).pvalue > 1e-3


def test_a_great_circle_of_the_sphere_is_the_circle_of_the_torus():
    circle, torus = Sphere(1), FlatTorus(1)
    x, v = points_and_tangents(circle, 2.0)
    assert torch.allclose(circle.expmap(x, v), torus.expmap(x, v), atol=1e-14)


@pytest.mark.parametrize("manifold", [Sphere(2), FlatTorus(1)])
def test_opposite_points_are_refused(manifold):
    x = manifold.random_points(2)
    with pytest.raises(InputError, match="no shortest geodesic; move one"):
        manifold.logmap(x, -x)


@pytest.mark.parametrize("manifold", [Sphere(2), FlatTorus(2)])
def test_centres_are_refused(manifold):
    with pytest.raises(InputError, match="no nearest point on it; leave it out"):
        manifold.projx(torch.zeros(1, manifold.ambient))


@pytest.mark.parametrize("kind", [Sphere, FlatTorus])
def test_dimension_zero_is_refused(kind):
    with pytest.raises(InputError, match="give 1 or more"):
        kind(0)

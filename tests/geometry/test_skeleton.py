"""Theorem 4: skeletons, farthest points and tangent polyhedra."""

import math

import pytest
import torch
from scipy.spatial.distance import cdist

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.geometry.exponential import unit_ball
from riemann_noise_pytorch.geometry.immersion import Immersion
from riemann_noise_pytorch.geometry.manifolds import FlatTorus, Sphere
from riemann_noise_pytorch.geometry.skeleton import Skeleton, farthest_points, polyhedron_error, skeleton
from riemann_noise_pytorch.noise.pairs import counted_normal
from tests.geometry.test_immersion import bowl, network

COMPACT = {
    "circle": (FlatTorus(1), [0.1, 0.2, 0.4]),
    "sphere": (Sphere(2), [0.25, 0.35, 0.5]),
    "torus": (FlatTorus(2), [0.5, 0.7, 1.0]),
    "graph": (Immersion(bowl, 2, bounds=(-1.0, 1.0)), [0.15, 0.25, 0.4]),
}
each = pytest.mark.parametrize(("manifold", "radii"), COMPACT.values(), ids=COMPACT)


@pytest.fixture(scope="module")
def found():
    return {
        name: polyhedron_error(manifold, torch.tensor(radii), candidates=6000, tries=500)
        for name, (manifold, radii) in COMPACT.items()
    }


@pytest.mark.parametrize("name", COMPACT)
def test_theorem4_the_error_of_the_tangent_polyhedron_is_of_higher_order_than_r(name, found):
    assert found[name].order > 1.5
    assert bool((found[name].errors < 0.75 * found[name].radii).all())


def test_theorem4_the_order_is_two_where_the_curvature_is_the_same_everywhere(found):
    assert found["circle"].order == pytest.approx(2, abs=0.01)
    assert found["sphere"].order == pytest.approx(2, abs=0.02)


def test_theorem4_the_order_is_that_of_what_is_covered_which_falls_in_steps():
    """Of 64, 16 and 4 centres the first cover half of what they were asked to, the last nearly all."""
    radii = torch.logspace(math.log10(0.1), math.log10(0.8), 3)
    found = polyhedron_error(FlatTorus(1), radii, candidates=4096)
    assert float((found.covering / found.radii).min()) < 0.6
    assert found.order == pytest.approx(2, abs=0.01)


def test_radii_of_the_same_centres_tell_no_order():
    with pytest.raises(InputError, match="have the same 8 centres, which tells no order"):
        polyhedron_error(FlatTorus(1), torch.tensor([0.5, 0.501]))


@pytest.mark.parametrize("name", COMPACT)
def test_theorem4_finitely_many_balls_cover_the_manifold(name, found):
    assert bool((found[name].covering <= found[name].radii).all())
    assert bool((found[name].counts.diff() < 0).all())


def test_theorem4_the_number_of_centres_grows_with_the_dimension_of_the_manifold(found):
    """Balls of radius r take r^d of the volume each, so r^-d of them are needed."""
    for name, dimension in (("circle", 1), ("sphere", 2)):
        counts, radii = found[name].counts.double(), found[name].radii
        slope = (counts[0] / counts[-1]).log() / (radii[-1] / radii[0]).log()
        assert float(slope) == pytest.approx(dimension, abs=0.5)


def test_theorem4_the_error_of_a_circle_in_closed_form():
    """The worst point of a circle lies at the rim of an arc, at most r from a centre (as a chord)."""
    found = polyhedron_error(FlatTorus(1), torch.tensor([0.2, 0.4]), tries=4000)
    assert bool((found.errors <= found.covering**2 / 2 * 1.001).all())
    assert bool((found.errors >= 0.97 * found.covering**2 / 2).all())


def test_farthest_points_equal_the_literal_greedy_choice():
    points = counted_normal(0, 0, (60, 3))
    indices, covering = farthest_points(points, 0.8, first=7)
    distances, chosen, literal = cdist(points.numpy(), points.numpy()), [7], []
    while (reached := max(min(row[c] for c in chosen) for row in distances)) > 0.8:
        literal.append(reached)
        chosen.append(max(range(60), key=lambda i: min(distances[i][c] for c in chosen)))
    assert indices.tolist() == chosen
    assert covering.tolist() == pytest.approx([*literal, reached])


def test_farthest_points_are_as_far_apart_as_the_radius_that_one_fewer_covers():
    points = counted_normal(1, 0, (500, 4))
    indices, covering = farthest_points(points, 0.9)
    assert float(torch.pdist(points[indices]).min()) >= float(covering[-2]) - 1e-12
    assert bool((covering.diff() <= 0).all())
    assert float(covering[-1]) <= 0.9


def test_one_point_covers_equal_points():
    assert farthest_points(torch.ones(5, 2), 1e-9)[0].tolist() == [0]


def test_distance_to_the_polyhedron_literally():
    one = Skeleton(points=torch.tensor([[0.0, 0.0, 1.0]]), tangents=torch.eye(3)[:, :2].unsqueeze(0), r=0.5)
    x = torch.tensor([[0.3, 0.0, 1.0], [0.0, 0.4, 0.8], [0.0, 2.0, 1.0], [0.3, 0.4, 0.0], [3.0, 4.0, 1.0]])
    assert one.distance(x).tolist() == pytest.approx([0, 0.2, 1.5, 1.0, 4.5], abs=1e-6)


def test_what_noise_fills_in_lies_on_the_polyhedron():
    found = skeleton(Sphere(2), 0.4)
    x = found.fill(1000)
    centres = torch.arange(1000) % len(found.points)
    assert float((x - found.points[centres]).norm(dim=1).max()) <= 0.4
    assert float((x.norm(dim=1) - 1).abs().max()) <= math.sqrt(1 + 0.4**2) - 1 + 1e-12
    eye = torch.eye(2, dtype=torch.float64)
    assert torch.allclose(found.tangents.mT @ found.tangents, eye.expand(len(found.points), -1, -1))


def test_noise_of_one_centre_fills_its_ball_uniformly():
    flat = Skeleton(points=torch.zeros(1, 2), tangents=torch.eye(2).unsqueeze(0), r=2.0)
    assert torch.allclose(flat.fill(50), 2.0 * unit_ball(50, 2).float())


def test_the_image_manifold_of_normal_latents_is_refused():
    with pytest.raises(InputError, match="only a compact manifold has a finite skeleton"):
        skeleton(Immersion(network, 2), 0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"r": 0.01}, "leave gaps of"),
        ({"r": 0.5, "candidates": 1}, "1 candidates cover nothing"),
        ({"r": 0.5, "candidates": 20}, "give more candidates or a larger radius"),
    ],
)
def test_too_few_candidates_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        skeleton(Sphere(2), **options)


@pytest.mark.parametrize(
    ("points", "radius", "message"),
    [
        (torch.zeros(3, 2), 0.0, "covered by no finite set"),
        (torch.zeros(3, 2), math.nan, "covered by no finite set"),
        (torch.zeros(3), 1.0, "finite rows"),
        (torch.zeros(0, 2), 1.0, "finite rows"),
        (torch.full((3, 2), math.nan), 1.0, "finite rows"),
    ],
)
def test_points_that_cannot_be_covered_are_refused(points, radius, message):
    with pytest.raises(InputError, match=message):
        farthest_points(points, radius)


@pytest.mark.parametrize("first", [3, 9, -1])
def test_a_first_centre_that_is_not_there_is_refused(first):
    with pytest.raises(InputError, match=f"the first centre is point {first} of 3; give 0 to 2"):
        farthest_points(torch.zeros(3, 2), 1.0, first=first)

"""Estimates of dimension: their formulas, their limits, what the interval covers, what is refused."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.geometry.dimension import mle_dimension, twonn_dimension
from riemann_noise_pytorch.statistics.neighbours import Neighbours, nearest


def cloud(n, d, ambient=None, seed=0, law="normal"):
    stream = torch.Generator().manual_seed(seed)
    draw = torch.randn if law == "normal" else torch.rand
    points = draw(n, d, dtype=torch.float64, generator=stream)
    return points @ torch.eye(d, ambient or d, dtype=torch.float64)


def test_mle_is_the_inverse_of_the_mean_inverse_written_out():
    neighbours = nearest(cloud(80, 3), 6)
    total = 0.0
    for row in neighbours.distances.tolist():
        total += sum(math.log(row[4] / row[j]) for j in range(4)) / 4
    found = mle_dimension(neighbours, 5)
    assert found.value == pytest.approx(80 / total, rel=1e-12)
    assert (found.k, found.count, found.method) == (5, 80, "MLE, k = 5")
    assert float((1 / found.local).mean()) == pytest.approx(1 / found.value, rel=1e-12)


def test_twonn_is_the_line_through_the_origin_written_out():
    neighbours = nearest(cloud(200, 3), 2)
    ratios = sorted(row[1] / row[0] for row in neighbours.distances.tolist())[:180]
    xs = [math.log(mu) for mu in ratios]
    ys = [-math.log(1 - i / 200) for i in range(1, 181)]
    slope = sum(x * y for x, y in zip(xs, ys, strict=True)) / sum(x * x for x in xs)
    assert twonn_dimension(neighbours).value == pytest.approx(slope, rel=1e-12)


def test_on_exact_power_laws_both_are_exact():
    d, k, n = 5.0, 400, 60
    # T_j = (j / k)^(1 / d) is the law in the mean; the sum over j tends to k / d
    distances = (torch.arange(1, k + 1, dtype=torch.float64) / k).pow(1 / d).expand(n, k)
    found = mle_dimension(Neighbours(distances, torch.zeros(n, k, dtype=torch.int64), 10**4, False), k)
    assert found.value == pytest.approx(d, rel=0.02)
    share = torch.arange(1, n + 1, dtype=torch.float64) / n
    ratios = (1 - share).pow(-1 / d).clamp(max=100)  # the last, of share 1, is never used
    pair = torch.stack([torch.ones(n, dtype=torch.float64), ratios], dim=1)
    for discard in (0.0, 0.1):
        pairs = Neighbours(pair, torch.zeros(n, 2, dtype=torch.int64), 10**4, False)
        assert twonn_dimension(pairs, discard=discard).value == pytest.approx(d, rel=1e-12)


@pytest.mark.parametrize(("n", "d", "k"), [(300, 2, 20), (1000, 7, 20), (400, 12, 5)])
def test_both_agree_with_scikit_dimension_on_the_same_neighbours(n, d, k):
    skdim = pytest.importorskip("skdim")
    neighbours = nearest(cloud(n, d), k)
    arrays = neighbours.distances.numpy(), neighbours.indices.numpy()
    theirs = skdim.id.MLE().fit(np.zeros((n, d)), precomputed_knn_arrays=arrays, n_neighbors=k)
    ours = mle_dimension(neighbours, k)
    assert ours.value == pytest.approx(theirs.dimension_, abs=1e-6)
    np.testing.assert_allclose(ours.local.numpy(), theirs.dimension_pw_, atol=1e-6)
    theirs = skdim.id.TwoNN(dist=True).fit(neighbours.distances[:, :2].numpy())
    assert twonn_dimension(neighbours).value == pytest.approx(theirs.dimension_, abs=1e-6)


@pytest.mark.parametrize("d", [1, 2, 4])
@pytest.mark.parametrize("estimate", [mle_dimension, twonn_dimension])
def test_low_dimensions_are_found_in_a_larger_space(d, estimate):
    found = estimate(nearest(cloud(3000, d, 20), 20))
    assert found.value == pytest.approx(d, rel=0.06)


def test_neither_motion_nor_scale_changes_an_estimate():
    points = cloud(400, 3)
    moved = 7 * points @ torch.from_numpy(Rotation.from_rotvec([1, 2, 3]).as_matrix()) + 5
    for estimate in (mle_dimension, twonn_dimension):
        first, second = (estimate(nearest(each, 20)) for each in (points, moved))
        assert first.value == pytest.approx(second.value, rel=1e-9)


def test_curvature_adds_no_dimension():
    angles = 2 * math.pi * cloud(4000, 2, law="uniform")
    torus = torch.cat([angles.cos(), angles.sin()], dim=1)
    assert mle_dimension(nearest(torus, 10), 10).value == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize(("estimate", "k"), [(mle_dimension, 20), (twonn_dimension, 2)])
def test_the_interval_tells_how_estimates_of_new_points_spread(estimate, k):
    found = [estimate(nearest(cloud(500, 2, seed=seed), k)) for seed in range(60)]
    values = torch.tensor([each.value for each in found])
    stated = torch.tensor([math.log(each.interval.high / each.interval.low) / (2 * 1.96) for each in found])
    spread = float(values.log().std())
    assert 0.75 < float(stated.mean()) / spread < 1.35


def test_given_queries_are_estimated_from_all_points():
    points = cloud(2000, 2)
    found = mle_dimension(nearest(points, 20, queries=cloud(300, 2, seed=1)))
    assert found.count == 300
    assert found.value == pytest.approx(2, rel=0.1)


def test_rounded_images_of_a_manifold_have_its_dimension_at_small_d():
    from riemann_noise_pytorch.data.manifold import manifold_images

    pixels = torch.unique(manifold_images(3, count=2000).pixels.flatten(1), dim=0).float()
    assert mle_dimension(nearest(pixels, 20)).value == pytest.approx(3, rel=0.12)


def constant(value):
    distances = torch.full((60, 4), value, dtype=torch.float64)
    return Neighbours(distances, torch.zeros(60, 4, dtype=torch.int64), 1000, False)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: mle_dimension(nearest(cloud(49, 2), 20)), "49 of 49 points are too few .* at least 50"),
        (lambda: mle_dimension(nearest(cloud(80, 2), 45), 45), "at least 91"),
        (lambda: twonn_dimension(nearest(cloud(30, 2), 2)), "too few"),
        (lambda: mle_dimension(nearest(cloud(80, 2), 5), 6), "k is 6, but 2 to 5"),
        (lambda: mle_dimension(nearest(cloud(80, 2), 5), 1), "k is 1, but 2 to 5"),
        (lambda: twonn_dimension(nearest(cloud(80, 2), 1)), "k is 2, but 2 to 1"),
        (lambda: twonn_dimension(nearest(cloud(80, 2), 2), discard=1.0), r"\[0, 1\), not 1; 0.1 is usual"),
        (lambda: mle_dimension(nearest(cloud(80, 2).repeat(2, 1), 5), 5), "160 of 160 .* torch.unique"),
        (lambda: mle_dimension(constant(1.0), 4), "equally far"),
        (lambda: twonn_dimension(constant(1.0)), "equally far"),
    ],
)
def test_what_tells_no_dimension_is_refused(call, words):
    with pytest.raises(InputError, match=words):
        call()

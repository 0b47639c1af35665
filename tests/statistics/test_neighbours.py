"""Nearest neighbours are those of all differences, to the last bit that float64 has."""

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.statistics import neighbours
from riemann_noise_pytorch.statistics.neighbours import nearest


def normal(n, d, seed=0, dtype=torch.float64):
    return torch.randn(n, d, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def brute(points, queries, k):
    """All distances one by one; for own queries a point is left out of its own neighbours."""
    own = queries is None
    found = []
    for i, query in enumerate(points if own else queries):
        distances = np.sqrt(((points.double().numpy() - query.double().numpy()) ** 2).sum(axis=1))
        if own:
            distances = np.delete(distances, i)
        found.append(np.sort(distances)[:k])
    return torch.from_numpy(np.stack(found))


def check(points, k, queries=None):
    found = nearest(points, k, queries=queries)
    asked = points if queries is None else queries
    torch.testing.assert_close(found.distances, brute(points, queries, k), rtol=1e-12, atol=0)
    again = torch.stack([points[rows] for rows in found.indices]).double() - asked.double()[:, None]
    torch.testing.assert_close(found.distances, again.norm(dim=2), rtol=1e-12, atol=0)
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("n", "d", "k"), [(5, 1, 4), (300, 2, 20), (400, 50, 5), (200, 700, 3)])
def test_neighbours_are_those_of_all_differences(n, d, k, dtype):
    found = check(normal(n, d, dtype=dtype), k)
    assert found.distances.dtype == torch.float64
    assert (found.indices != torch.arange(n)[:, None]).all()


def test_neighbours_of_given_queries_include_the_same_point():
    points = normal(300, 4)
    found = check(points, 3, queries=torch.cat([points[:10], normal(40, 4, seed=1)]))
    assert not found.own
    assert (found.distances[:10, 0] == 0).all()
    assert torch.equal(found.indices[:10, 0], torch.arange(10))


def test_copies_are_neighbours_at_distance_0():
    points = normal(200, 6)
    points[50:90] = points[0]
    found = check(points, 20)
    assert (found.distances[50:90] == 0).all()
    assert (found.distances[100:, 0] > 0).all()


@pytest.mark.parametrize("blocks", [(7, 11), (64, 64), (8192, 4096)])
def test_neither_blocks_nor_spare_candidates_change_the_result(monkeypatch, blocks):
    points = normal(150, 5)
    expected = nearest(points, 6)
    monkeypatch.setattr(neighbours, "QUERIES", blocks[0])
    monkeypatch.setattr(neighbours, "BLOCK", blocks[1])
    monkeypatch.setattr(neighbours, "NUMBERS_AT_ONCE", 100)
    monkeypatch.setattr(neighbours, "SPARE", 0)
    found = nearest(points, 6)
    assert torch.equal(found.distances, expected.distances)
    assert torch.equal(found.indices, expected.indices)


def test_a_curve_far_from_the_origin_is_resolved_below_the_rounding_of_float32():
    t = torch.linspace(0, 1, 800, dtype=torch.float64) ** 2
    points = torch.stack([t, t**2, 1e3 + t], dim=1) @ normal(3, 60)
    found = check(points, 4)
    assert found.distances.min() < 1e-4


def test_scale_does_not_matter():
    points = normal(120, 8)
    expected = nearest(points, 5)
    for scale in (2.0**-200, 2.0**200):
        found = nearest(points * scale, 5)
        assert torch.equal(found.indices, expected.indices)
        torch.testing.assert_close(found.distances / scale, expected.distances, rtol=1e-12, atol=0)


def test_a_grid_of_ties_has_the_right_distances():
    line = torch.arange(12.0)
    points = torch.cartesian_prod(line, line)
    check(points, 7)
    check(points.repeat(3, 1), 9)


def test_an_outlier_does_not_blur_the_others():
    points = normal(300, 3)
    points[0] *= 1e7
    check(points, 5)


def test_the_error_of_the_products_is_within_the_bound_that_is_counted():
    for d in (1, 3, 40, 900):
        points = normal(200, d, seed=d)
        search = neighbours._Search(points, points, 1, True)
        scaled = (points - search._centre) / search._scale
        exact = torch.cdist(scaled, scaled, compute_mode="donot_use_mm_for_euclid_dist").square()
        for dtype in (torch.float32, torch.float64):
            x = scaled.to(dtype)
            rough = torch.addmm(search._point_squares.to(dtype), x, x.mT, alpha=-2).double()
            errors = (rough + search._query_squares[:, None] - exact).abs()
            assert (errors <= search._error(torch.arange(200), dtype)[:, None]).all()


def test_the_known_tree_agrees():
    points = normal(3000, 3)
    distances, indices = cKDTree(points.numpy()).query(points.numpy(), 11)
    found = nearest(points, 10)
    assert np.array_equal(found.indices.numpy(), indices[:, 1:])
    np.testing.assert_allclose(found.distances.numpy(), distances[:, 1:], rtol=1e-12)


def test_lower_precision_of_products_is_not_used():
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        assert neighbours._dtypes(torch.device("cpu")) == (torch.float64,)
        check(normal(200, 40), 3)
    finally:
        torch.set_float32_matmul_precision(before)
    assert neighbours._dtypes(torch.device("cpu")) == (torch.float32, torch.float64)


def test_progress_counts_queries_to_the_end(monkeypatch):
    monkeypatch.setattr(neighbours, "QUERIES", 30)
    told = []
    nearest(normal(100, 4), 3, progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1] == (100, 100)
    assert len(told) > 3


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: nearest(normal(9, 2), 9),
            "9 neighbours cannot be found among 8 other points; ask for 1 to 8",
        ),
        (lambda: nearest(normal(9, 2), 0), "0 neighbours"),
        (lambda: nearest(normal(9, 2), 10, queries=normal(2, 2)), "among 9"),
        (lambda: nearest(normal(9, 2)[0], 1), "rows"),
        (lambda: nearest(torch.zeros(9, 2, dtype=torch.uint8), 1), "turn integers into floats"),
        (lambda: nearest(normal(9, 2), 1, queries=normal(9, 3)), "no distance to points of 2"),
        (lambda: nearest(torch.zeros(0, 2), 1), "rows"),
    ],
)
def test_unfit_requests_are_refused(call, words):
    with pytest.raises(InputError, match=words):
        call()


def test_the_first_bad_row_is_named():
    points = normal(9, 2)
    points[4, 1] = torch.nan
    with pytest.raises(NonFiniteError, match="row 4 of the points"):
        nearest(points, 2)
    with pytest.raises(NonFiniteError, match="row 4 of the queries"):
        nearest(normal(9, 2), 2, queries=points)

"""Singular values from columns: whole and sketched Jacobians, against LAPACK on the matrix itself."""

import math

import numpy as np
import pytest
import torch

from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.geometry import spectrum as home
from riemann_noise_pytorch.geometry.sketch import Sketch, embedding_error, least_rows
from riemann_noise_pytorch.geometry.spectrum import Columns, default_tolerance, spectrum_of
from riemann_noise_pytorch.noise.pairs import counted_normal


def random(m, n, seed=0):
    return counted_normal(seed, 0, (m, n))


def planted(m, values, seed=0, dtype=torch.float64):
    """A matrix with known singular values, from random orthonormal factors."""
    n = len(values)
    left, right = (torch.linalg.qr(random(rows, n, seed + i))[0] for i, rows in enumerate((m, n)))
    return ((left * torch.as_tensor(values, dtype=torch.float64)) @ right.T).to(dtype)


def collected(jacobian, chunk=3, **settings):
    m, n = jacobian.shape
    columns = Columns(m, n, dtype=jacobian.dtype, **settings)
    for first in range(0, n, chunk):
        columns.add(first, jacobian.T[first : first + chunk])
    return columns.spectrum()


@pytest.mark.parametrize("shape", [(1, 1), (40, 7), (7, 40), (9, 9), (1, 5), (5, 1)])
def test_columns_give_the_singular_values_of_the_matrix(shape):
    matrix = random(*shape)
    truth = np.linalg.svd(matrix.numpy(), compute_uv=False)
    for result in (collected(matrix), spectrum_of(matrix)):
        np.testing.assert_allclose(result.values, truth, rtol=1e-13, atol=1e-14)
        assert result.values.dtype == torch.float64
        assert (result.shape, result.error) == (shape, 0)


def test_blocks_of_rows_change_nothing(monkeypatch):
    matrix = planted(500, np.logspace(0, -10, 11))
    whole = spectrum_of(matrix).values
    monkeypatch.setattr(home, "BLOCK_BYTES", 1)
    for tall in (matrix, matrix.T):
        np.testing.assert_allclose(spectrum_of(tall).values, whole, rtol=0, atol=1e-15)


def test_small_singular_values_are_not_squared_away():
    """Down to 1e-14 of the largest, where J^T J ends at 1e-8."""
    values = np.logspace(0, -14, 15)
    ours = spectrum_of(planted(300, values)).values
    np.testing.assert_allclose(ours, values, rtol=0, atol=1e-15)
    assert ours[-1] < 2e-14


def test_the_order_of_columns_is_free():
    matrix = random(20, 6)
    columns = Columns(20, 6, dtype=torch.float64)
    for first in (4, 0, 2):
        columns.add(first, matrix.T[first : first + 2])
    assert torch.equal(columns.spectrum().values, collected(matrix).values)


def test_a_jacobian_in_float32_keeps_its_name():
    matrix = random(30, 8).float()
    result = collected(matrix)
    assert result.dtype == torch.float32
    np.testing.assert_allclose(result.values, np.linalg.svd(matrix.double().numpy())[1], rtol=1e-13)


def test_what_fits_is_kept_whole():
    mib = 100 * 8 * 8 / 2**20
    assert Columns(100, 8, dtype=torch.float64, memory_mib=mib).exact
    assert not Columns(101, 8, dtype=torch.float64, memory_mib=mib).exact
    assert Columns(200, 8, dtype=torch.float32, memory_mib=mib).exact


def budget(rows, n):
    return rows * n * 8 / 2**20


def coherent(m, n):
    """Each input moves one output alone: nothing is averaged by the folds."""
    matrix = torch.zeros(m, n, dtype=torch.float64)
    matrix[torch.arange(n) * (m // n), torch.arange(n)] = torch.logspace(0, -3, n, dtype=torch.float64)
    return matrix


def periodic(m, n):
    """Rows that recur with the length of a layer of the sketch."""
    return random(2000, n).repeat(m // 2000, 1) * torch.logspace(0, -3, n, dtype=torch.float64)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", [random, coherent, periodic])
def test_a_sketch_is_within_its_stated_error(kind, seed):
    n, rows = 8, 16_000
    matrix = kind(40_000, n)
    truth = np.linalg.svd(matrix.numpy(), full_matrices=False)[1]
    result = collected(matrix, memory_mib=budget(rows, n), seed=seed)
    off = np.abs(result.values.numpy() / truth - 1).max()
    assert off <= result.error <= 0.25
    assert off <= 3 * math.sqrt(n / rows)


def test_the_error_of_a_sketch_falls_with_its_rows():
    matrix = planted(60_000, np.logspace(0, -3, 8))
    coarse, fine = (collected(matrix, memory_mib=budget(rows, 8)).error for rows in (4000, 40_000))
    assert fine < coarse / 2


def test_a_sketch_too_small_to_tell_promises_nothing():
    result = collected(planted(2000, [1.0, 0.5]), memory_mib=budget(400, 2))
    assert result.error == math.inf
    np.testing.assert_allclose(result.values, [1.0, 0.5], rtol=0.5)


@pytest.mark.parametrize("rank", [0, 1, 5, 16])
@pytest.mark.parametrize("rows", [64, 4000])
def test_a_sketch_has_the_rank_of_the_matrix(rank, rows):
    matrix = planted(5000, [1.0] * rank + [0.0] * (16 - rank))
    values = collected(matrix, memory_mib=budget(rows, 16)).values
    assert int((values > 1e-12).sum()) == rank


def test_lost_directions_do_not_count_into_the_error():
    matrix = planted(40_000, [1.0, 0.5, 0.1, 0, 0, 0])
    result = collected(matrix, memory_mib=budget(20_000, 6))
    assert result.error < 0.3
    assert result.values[3] < 1e-14


def test_a_sketch_depends_on_its_seed_alone():
    matrix = random(5000, 4)
    settings = {"memory_mib": budget(1000, 4)}
    first = collected(matrix, chunk=1, **settings).values
    np.testing.assert_allclose(collected(matrix, chunk=4, **settings).values, first, rtol=1e-13)
    assert not torch.allclose(collected(matrix, seed=1, **settings).values, first, rtol=1e-6)


def test_the_embedding_keeps_squared_lengths_with_the_stated_variance():
    """Over 400 seeds; for both halves of 40 rows, 2 / 40 is the most."""
    for vector in (torch.ones(300), torch.eye(300)[0] + torch.eye(300)[299]):
        unit = (vector / vector.norm()).double()[None]
        lengths = torch.stack(
            [
                half.square().sum()
                for seed in range(200)
                for half in Sketch(300, 80, seed=seed)(unit).chunk(2, dim=1)
            ]
        )
        error = lengths.std() / math.sqrt(len(lengths))
        assert abs(lengths.mean() - 1) < 4 * error
        assert 0.3 < lengths.var() / (2 / 40) < 1.3


def test_the_error_bounds_what_both_halves_do():
    """Of halves that stretch all lengths by known factors, for the rest is Chebyshev's."""
    one = torch.eye(3, dtype=torch.float64)
    for factor in (1.0, 1.1):
        error = embedding_error(one, factor * one, 8_000_000, 1e-12)
        eta = 0.01
        low = math.sqrt((1 - eta) * (factor**-2 + factor**2) / 2)
        high = math.sqrt((1 + eta) * (factor**-2 + factor**2) / 2)
        assert error == pytest.approx(max(1 - low, high - 1), rel=1e-9)


def test_too_little_memory_is_told_with_what_is_needed():
    need = budget(least_rows(100), 100)
    Columns(10_000, 100, dtype=torch.float64, memory_mib=need)
    with pytest.raises(InputError, match=r"need 0\.305 MiB, not 0\.2; give more memory"):
        Columns(10_000, 100, dtype=torch.float64, memory_mib=0.2)
    for bad in (0, -1, math.nan):
        with pytest.raises(InputError, match="give more memory"):
            Columns(10, 3, dtype=torch.float64, memory_mib=bad)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("rows", [1000, 100])
def test_columns_that_are_not_finite_are_named(bad, rows):
    matrix = random(1000, 4)
    matrix[17, 2] = bad
    with pytest.raises(NonFiniteError, match="column 2 of the Jacobian"):
        collected(matrix, memory_mib=budget(rows, 4))
    with pytest.raises(NonFiniteError, match="column 2 of the Jacobian"):
        spectrum_of(matrix)


@pytest.mark.parametrize(
    ("first", "columns", "cause"),
    [
        (0, torch.zeros(2, 9).double(), "do not fit a Jacobian of 10 x 4"),
        (3, torch.zeros(2, 10).double(), "do not fit"),
        (-1, torch.zeros(2, 10).double(), "do not fit"),
        (0, torch.zeros(10).double(), "do not fit"),
        (0, torch.zeros(2, 10), "columns are torch.float32, but the Jacobian is torch.float64"),
    ],
)
def test_columns_that_do_not_fit_are_refused(first, columns, cause):
    with pytest.raises(InputError, match=cause):
        Columns(10, 4, dtype=torch.float64).add(first, columns)


def test_missing_columns_are_named():
    columns = Columns(10, 4, dtype=torch.float64)
    columns.add(0, torch.zeros(1, 10).double())
    columns.add(2, torch.zeros(2, 10).double())
    with pytest.raises(InputError, match="column 1 of 4 was not added"):
        columns.spectrum()


@pytest.mark.parametrize(
    ("jacobian", "cause"),
    [
        (torch.zeros(3), "flatten both"),
        (torch.zeros(0, 3), "at least one output"),
        (torch.zeros(3, 3, dtype=torch.bfloat16), "torch.bfloat16"),
        (torch.zeros(3, 3, dtype=torch.long), "torch.int64"),
    ],
)
def test_what_is_no_jacobian_is_refused(jacobian, cause):
    with pytest.raises(InputError, match=cause):
        spectrum_of(jacobian)


def test_gradients_do_not_matter():
    matrix = random(6, 3).requires_grad_()
    assert not collected(matrix).values.requires_grad
    assert not spectrum_of(matrix).values.requires_grad


def test_the_default_tolerance_is_numpys():
    matrix = planted(200, [1.0] * 5 + [200 * 2.0**-52 * factor for factor in (0.5, 2.0)])
    values = spectrum_of(matrix).values
    counted = int((values > default_tolerance((200, 7), torch.float64) * values[0]).sum())
    assert counted == np.linalg.matrix_rank(matrix.numpy()) == 6
    assert default_tolerance((7, 200), torch.float32) == pytest.approx(200 * np.finfo(np.float32).eps)

"""Lemma 1: ranks of known maps with their tolerance and margins."""

import math

import numpy as np
import pytest
import torch
from torch.func import jacfwd

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.geometry.rank import AMBIGUOUS, default_tolerance, rank_report
from riemann_noise_pytorch.geometry.spectrum import Columns, Spectrum, spectrum_of
from tests.geometry.test_spectrum import budget, planted, random


def report_of(matrix, **settings):
    return rank_report(spectrum_of(matrix), **settings)


def given(values, **settings):
    values = torch.as_tensor(values, dtype=torch.float64)
    return Spectrum(values, (len(values), len(values)), torch.float64, **settings)


def sphere(u):
    """Two angles, and a third input that moves nothing."""
    return torch.stack([u[0].sin() * u[1].cos(), u[0].sin() * u[1].sin(), u[0].cos()]) + 0 * u[2]


def torus(u):
    return torch.cat([u.cos(), u.sin()])


def product(u):
    """A curve in the plane, drawn by two inputs."""
    return torch.stack([(u[0] * u[1]).sin(), (u[0] * u[1]).cos()])


@pytest.mark.parametrize(("surface", "inputs", "dimension"), [(sphere, 3, 2), (torus, 5, 5), (product, 2, 1)])
def test_lemma1_the_rank_is_the_dimension_of_a_known_surface(surface, inputs, dimension):
    for seed in range(5):
        report = report_of(jacfwd(surface)(random(1, inputs, seed)[0]))
        assert report.rank == dimension
        assert not report.ambiguous


def test_lemma1_a_linear_map_has_the_rank_of_its_matrix():
    for rank in (1, 3, 8):
        matrix = random(20, rank) @ random(rank, 8, seed=1)
        jacobian = jacfwd(lambda z, matrix=matrix: matrix @ z)(random(1, 8, seed=2)[0])
        assert report_of(jacobian).rank == np.linalg.matrix_rank(matrix.numpy()) == rank


def test_planted_drops_are_counted_exactly():
    """64 dimensions, then 48, then 20, each lost in one linear map of a chain, with no doubt."""
    jacobian = torch.eye(64, dtype=torch.float64)
    for seed, rank in enumerate((64, 48, 48, 20, 20)):
        jacobian = planted(64, [1.0] * rank + [0.0] * (64 - rank), seed=2 * seed) @ jacobian
        report = report_of(jacobian)
        assert report.rank == rank
        assert min(report.margin_kept, report.margin_lost) > AMBIGUOUS
        assert not report.ambiguous


def test_a_nonlinear_chain_keeps_its_planted_drops():
    narrow = [random(16, 64), random(64, 16, 1), random(5, 64, 2), random(32, 5, 3)]
    x = random(1, 64, 4)[0]

    def chain(depth):
        def layers(z):
            for matrix in narrow[:depth]:
                z = (matrix @ z / 8).tanh()
            return z

        return layers

    assert [report_of(jacfwd(chain(depth))(x)).rank for depth in (1, 2, 3, 4)] == [16, 16, 5, 5]


def test_the_rank_of_a_diagonal_map():
    report = report_of(torch.diag(torch.arange(10.0).double()))
    assert report.rank == 9
    assert report.stable_rank == pytest.approx(sum(i * i for i in range(10)) / 81, rel=1e-13)
    shares = [i / 45 for i in range(1, 10)]
    entropy = -sum(share * math.log(share) for share in shares)
    assert report.effective_rank == pytest.approx(math.exp(entropy), rel=1e-12)
    assert report.margin_lost == math.inf


def test_all_ranks_of_an_orthogonal_map_are_equal():
    report = report_of(torch.linalg.qr(random(50, 12))[0])
    assert report.rank == 12
    assert report.stable_rank == pytest.approx(12, rel=1e-12)
    assert report.effective_rank == pytest.approx(12, rel=1e-12)
    assert report.margin_kept == pytest.approx(1 / default_tolerance((50, 12), torch.float64), rel=1e-9)


def test_a_map_that_loses_everything():
    report = report_of(torch.zeros(4, 3))
    assert (report.rank, report.stable_rank, report.effective_rank) == (0, 0, 0)
    assert report.margin_kept == report.margin_lost == math.inf
    assert not report.ambiguous


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e30, 1e200])
def test_scale_changes_nothing(scale):
    matrix = planted(30, [1.0, 0.5, 0.25, 0.0])
    plain, scaled = report_of(matrix), report_of(scale * matrix)
    assert scaled.rank == plain.rank == 3
    assert scaled.stable_rank == pytest.approx(plain.stable_rank, rel=1e-12)
    assert scaled.effective_rank == pytest.approx(plain.effective_rank, rel=1e-9)


def test_a_jacobian_in_float32_has_its_own_tolerance():
    """Rank 8 of 64 stays 8, where the tolerance of float64 would count rounding as dimensions."""
    matrix = random(256, 8) @ random(8, 64, seed=1)
    single = spectrum_of(random(256, 8).float() @ random(8, 64, seed=1).float())
    assert rank_report(single).rank == report_of(matrix).rank == 8
    assert rank_report(single).tolerance == default_tolerance((256, 64), torch.float32)
    naive = default_tolerance((256, 64), torch.float64)
    assert int((single.values > naive * single.values[0]).sum()) == 64
    with pytest.raises(InputError, match=r"at least 3\.1e-05, the rounding .* in float32, .*in float64"):
        rank_report(single, tolerance=naive)


def test_margins_are_distances_from_the_tolerance():
    report = rank_report(given([1.0, 1e-3, 1e-7]), tolerance=1e-5)
    assert report.rank == 2
    assert report.margin_kept == pytest.approx(100, rel=1e-12)
    assert report.margin_lost == pytest.approx(100, rel=1e-12)
    assert not report.ambiguous


@pytest.mark.parametrize(("values", "rank"), [([1, 5e-5], 2), ([1, 2e-6], 1), ([1, 5e-5, 2e-6], 2)])
def test_values_near_the_tolerance_are_ambiguous(values, rank):
    report = rank_report(given(values), tolerance=1e-5)
    assert report.rank == rank
    assert report.ambiguous


def test_the_error_of_a_sketch_makes_margins_narrower():
    values = [1.0, 20e-5]
    for error, ambiguous in ((0.0, False), (0.2, False), (0.4, True), (math.inf, True)):
        assert rank_report(given(values, error=error), tolerance=1e-5).ambiguous == ambiguous


def test_a_sketched_jacobian_has_its_rank():
    matrix = planted(40_000, [1.0, 0.8, 0.5, 0.1, 0, 0, 0, 0])
    columns = Columns(40_000, 8, dtype=torch.float64, memory_mib=budget(20_000, 8))
    columns.add(0, matrix.T)
    report = rank_report(columns.spectrum())
    assert not columns.exact
    assert report.rank == 4
    assert not report.ambiguous
    assert report.stable_rank == pytest.approx(1 + 0.64 + 0.25 + 0.01, rel=0.1)


@pytest.mark.parametrize("tolerance", [0.0, -1e-3, 1e-17, 1.0, 2.0, math.nan, math.inf])
def test_tolerances_that_mean_nothing_are_refused(tolerance):
    with pytest.raises(InputError, match=r"tolerance must be below 1 and at least 4\.4e-16"):
        rank_report(given([1.0, 0.5]), tolerance=tolerance)


def test_a_jacobian_too_large_for_float32_is_told_to_be_in_float64():
    wide = Spectrum(torch.ones(2, dtype=torch.float64), (2**23, 2), torch.float32)
    with pytest.raises(InputError, match="compute it in float64"):
        rank_report(wide)
    assert rank_report(Spectrum(wide.values, wide.shape, torch.float64)).rank == 2

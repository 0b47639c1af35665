"""Theorem 1 in words: what growth and divergence say of a generator of too low a rank."""

import math

import numpy as np
import pytest
from scipy import stats

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.geometry.divergence import JSBound
from riemann_noise_pytorch.geometry.trap import jacobian_growth, trap_report

KIMG = [4.0, 8.0, 12.0, 16.0, 20.0]


def bound(value):
    return JSBound(value, value + 0.01, value, value + 0.02, 0.95, 0.9, 500)


def test_the_slope_is_that_of_scipy():
    norms = [1.0, 1.9, 3.3, 3.9, 5.3]
    found = jacobian_growth(KIMG, norms, level=0.9)
    expected = stats.linregress(np.log(KIMG), np.log(norms))
    reach = stats.t.ppf(0.95, 3) * expected.stderr
    assert found.slope == pytest.approx(expected.slope)
    assert (found.low, found.high) == pytest.approx((expected.slope - reach, expected.slope + reach))
    assert found.factor == 5.3


@pytest.mark.parametrize(("power", "verb", "grows"), [(0.5, "grows", True), (-0.5, "falls", False)])
def test_a_power_is_found_exactly(power, verb, grows):
    found = jacobian_growth(KIMG, [3 * t**power for t in KIMG])
    assert found.slope == pytest.approx(power)
    assert found.grows == grows
    assert f" {verb} as kimg^{power:g}" in found.words


def test_a_norm_that_wavers_shows_no_growth():
    found = jacobian_growth(KIMG, [1.0, 1.2, 0.9, 1.1, 1.0])
    assert not found.grows
    assert "shows no growth" in found.words


GROWING = jacobian_growth(KIMG, KIMG)
STILL = jacobian_growth(KIMG, [1.0, 1.2, 0.9, 1.1, 1.0])


@pytest.mark.parametrize(
    ("rank", "growth", "js", "case", "words"),
    [
        (64, GROWING, 0.6, "no premise", "rank 64 is not below the dimension 64 of the data"),
        (8, GROWING, 0.6, "both", "both cases of Theorem 1 are seen"),
        (8, STILL, 0.6, "divergence", "the second case of Theorem 1 is seen"),
        (8, None, 0.35, "divergence", "at least 0.35, above log"),
        (8, GROWING, 0.2, "norm", "no finite training can show it whole"),
        (8, STILL, 0.2, "neither", "though neither is excluded: the divergence is at least 0.2, not shown"),
    ],
)
def test_theorem1_each_case_is_named_with_its_numbers(rank, growth, js, case, words):
    report = trap_report(rank, 64, growth, bound(js))
    assert report.case == case
    assert words in report.sentence
    assert "\n" not in report.sentence


@pytest.mark.parametrize(
    ("kimg", "norms", "words"),
    [
        ([1.0, 2.0], [1.0, 2.0], "3 norms or more"),
        ([1.0, 1.0, 2.0], [1.0, 1.0, 2.0], "at 2; keep more snapshots"),
        (KIMG, [1.0], "not 1 at 5"),
        ([0.0, 1.0, 2.0], [1.0, 1.0, 2.0], "leave the untrained generator out"),
        (KIMG, [0.0, 1.0, 2.0, 3.0, 4.0], "positive"),
    ],
)
def test_unfit_growths_are_refused(kimg, norms, words):
    with pytest.raises(InputError, match=words):
        jacobian_growth(kimg, norms)


@pytest.mark.parametrize("d_x", [math.nan, math.inf, 0, -3])
def test_data_without_a_dimension_are_refused(d_x):
    with pytest.raises(
        InputError, match=f"the dimension of the data is {d_x:g}; give a finite number above 0"
    ):
        trap_report(8, d_x, None, bound(0.6))

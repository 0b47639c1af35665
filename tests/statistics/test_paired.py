"""Paired differences against SciPy, the smallest detectable difference against simulation."""

import numpy as np
import pytest
from scipy import integrate, special, stats

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.statistics.paired import paired_difference, verdict

RNG = np.random.default_rng


def test_interval_and_p_value_agree_with_scipys_paired_test():
    rng = RNG(0)
    a, b = rng.normal(1.0, 1.0, 6), rng.normal(0.0, 2.0, 6)
    theirs = stats.ttest_rel(a, b)
    low, high = theirs.confidence_interval(0.95)
    ours = paired_difference(a, b)
    assert (ours.low, ours.high, ours.p_value) == pytest.approx((low, high, theirs.pvalue), rel=1e-10)
    assert ours.difference == pytest.approx((a - b).mean(), rel=1e-12)


def test_the_sign_turns_with_the_order():
    a, b = [1.0, 2.0, 4.0], [0.0, 2.5, 3.0]
    forth, back = paired_difference(a, b), paired_difference(b, a)
    assert (back.difference, back.low, back.high) == pytest.approx(
        (-forth.difference, -forth.high, -forth.low)
    )
    assert back.smallest_detectable == forth.smallest_detectable


def test_what_pairs_share_does_not_count():
    rng = RNG(1)
    shared, a, b = 100 * rng.normal(size=5), rng.normal(size=5), rng.normal(size=5)
    assert paired_difference(a + shared, b + shared).low == pytest.approx(
        paired_difference(a, b).low, rel=1e-10
    )


def unit_differences(n):
    """n values of mean 0 and standard deviation 1."""
    values = np.linspace(-1.0, 1.0, n)
    return values / values.std(ddof=1)


@pytest.mark.parametrize("n", [2, 3, 4, 6, 11, 50])
def test_the_smallest_detectable_difference_is_detected_with_the_stated_power(n):
    """Against SciPy's adaptive quadrature over the chi-square law of the estimated variance."""
    noncentrality = paired_difference(unit_differences(n), np.zeros(n)).smallest_detectable * np.sqrt(n)
    df, critical = n - 1, stats.t.ppf(0.975, n - 1)

    def rejection(v):
        reach = critical * np.sqrt(v / df)
        tails = special.ndtr(noncentrality - reach) + special.ndtr(-noncentrality - reach)
        return stats.chi2.pdf(v, df) * tails

    power, _ = integrate.quad(rejection, 0, stats.chi2.isf(1e-13, df), epsabs=1e-12, limit=500)
    assert power == pytest.approx(0.8, abs=1e-9)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_simulated_tests_detect_it_as_often_as_stated(n):
    rng = RNG(n)
    shift = paired_difference(unit_differences(n), np.zeros(n)).smallest_detectable
    differences = rng.normal(shift, 1.0, size=(200_000, n))
    error = differences.std(axis=1, ddof=1) / np.sqrt(n)
    rejected = np.abs(differences.mean(axis=1)) / error > stats.t.ppf(0.975, n - 1)
    assert rejected.mean() == pytest.approx(0.8, abs=0.005)


@pytest.mark.parametrize("n", [4, 11])
def test_the_noncentral_t_of_scipy_agrees_where_it_is_right(n):
    shift = paired_difference(unit_differences(n), np.zeros(n), power=0.9).smallest_detectable * np.sqrt(n)
    assert stats.nct.sf(stats.t.ppf(0.975, n - 1), n - 1, shift) == pytest.approx(0.9, abs=1e-5)


def test_a_paired_interval_covers_the_true_difference():
    differences = RNG(2).normal(0.5, 1.0, size=(4000, 3))
    results = [paired_difference(row, np.zeros(3)) for row in differences]
    covered = np.mean([result.low <= 0.5 <= result.high for result in results])
    assert 0.94 <= covered <= 0.96


def test_no_difference_is_rarely_shown_where_there_is_none():
    differences = RNG(3).normal(size=(4000, 3))
    shown = np.mean([paired_difference(row, np.zeros(3)).shown for row in differences])
    assert 0.04 <= shown <= 0.06


def test_equal_arms_show_no_difference():
    result = paired_difference([1.0, 2.0], [1.0, 2.0])
    assert (result.difference, result.p_value, result.shown) == (0.0, 1.0, False)


def test_a_constant_difference_is_shown():
    result = paired_difference([2.0, 3.0], [1.0, 2.0])
    assert (result.low, result.high, result.p_value, result.shown) == (1.0, 1.0, 0.0, True)


def test_the_verdict_says_no_difference_shown_and_what_could_have_been():
    result = paired_difference([1.0, 3.0, 2.0], [2.0, 1.0, 3.0])
    sentence = verdict(result, metric="MC", arm="riemannian", against="none")
    assert sentence.startswith(
        "MC: no difference shown between riemannian and none (+0, 95 % interval -4.3 to 4.3"
    )
    assert sentence.endswith(f"with 80 % probability is {result.smallest_detectable:.3g}")


def test_the_verdict_names_the_higher_arm():
    sentence = verdict(
        paired_difference([10.0, 11.1, 12.0], [1.0, 2.0, 3.0]), metric="MC", arm="euclidean", against="none"
    )
    assert sentence.startswith(
        "MC: euclidean is higher than none by 9.03 (95 % interval 8.89 to 9.18, 3 pairs)"
    )


@pytest.mark.parametrize(
    ("a", "b", "cause"),
    [
        ([1.0, 2.0], [1.0, 2.0, 3.0], "cannot be paired"),
        ([1.0], [1.0], "at least 2"),
        ([], [], "at least 2"),
        ([1.0, float("nan")], [1.0, 2.0], "value 1 of 2 is nan"),
    ],
)
def test_arms_that_cannot_be_paired_are_refused(a, b, cause):
    with pytest.raises(InputError, match=cause):
        paired_difference(a, b)


def test_settings_out_of_range_are_refused():
    with pytest.raises(InputError, match="power"):
        paired_difference([1.0, 2.0], [1.0, 2.5], power=0.01)
    with pytest.raises(InputError, match="level"):
        paired_difference([1.0, 2.0], [1.0, 2.5], level=1.5)

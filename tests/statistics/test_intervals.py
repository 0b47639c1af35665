"""Intervals against SciPy, and their coverage over simulated samples."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.statistics.intervals import (
    _resampled_means,
    bootstrap_mean,
    bootstrap_top_mean,
    bootstrap_trimmed_mean,
    kept_ranks,
    redraw_interval,
)

RNG = np.random.default_rng


def top_mean(values, count):
    return np.sort(values)[-count:].mean()


@pytest.mark.parametrize("n", [12, 200])
def test_bootstrap_of_a_mean_agrees_with_scipys_bca(n):
    """At n = 12 both corrections matter: each alone would move an end by 3 % of the width or more."""
    values = RNG(0).lognormal(sigma=1.2, size=n)
    ours = bootstrap_mean(values, resamples=50_000)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=50_000, method="BCa", rng=RNG(1), batch=1000
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.value == pytest.approx(values.mean(), rel=1e-12)
    assert ours.low == pytest.approx(theirs.low, abs=0.015 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.015 * width)


def test_bootstrap_of_the_largest_agrees_with_scipys_percentiles():
    values = RNG(0).exponential(size=2000)
    ours = bootstrap_top_mean(values, 200, resamples=4000)
    theirs = stats.bootstrap(
        (values,),
        lambda x: top_mean(x, 200),
        n_resamples=4000,
        vectorized=False,
        method="percentile",
        rng=RNG(1),
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.value == pytest.approx(top_mean(values, 200), rel=1e-12)
    assert ours.low == pytest.approx(theirs.low, abs=0.1 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.1 * width)


@pytest.mark.parametrize(("first", "last"), [(3, 4), (2, 4), (1, 3), (0, 2), (0, 4)])
def test_ranks_of_resamples_have_the_law_of_all_resamples(first, last):
    """Against all 4^4 of them: the mean between ranks, and its square, within five standard errors."""
    ordered = np.array([0.0, 1.0, 4.0, 9.0])
    every = np.array([np.sort(row)[first:last].mean() for row in itertools.product(ordered, repeat=4)])
    drawn = _resampled_means(ordered, first, last, 100_000, RNG(0))
    for power in (1, 2):
        error = (every**power).std() / math.sqrt(len(drawn))
        assert abs((drawn**power).mean() - (every**power).mean()) < 5 * error


@pytest.mark.parametrize("n", [100, 101, 1000, 1234])
def test_trimming_is_numpys_lower_and_higher_percentile(n):
    values = RNG(n).normal(size=n)
    low = np.percentile(values, 1, method="lower")
    high = np.percentile(values, 99, method="higher")
    kept = values[(values >= low) & (values <= high)]
    first, last = kept_ranks(n, (1.0, 99.0))
    assert last - first == len(kept)
    assert bootstrap_trimmed_mean(values, resamples=100).value == pytest.approx(kept.mean(), rel=1e-12)


def test_special_cases_of_the_bootstrap_agree():
    values = RNG(0).normal(size=300)
    whole = bootstrap_mean(values)
    assert bootstrap_top_mean(values, 300) == whole
    assert bootstrap_trimmed_mean(values, (0.0, 100.0)) == whole


def test_bootstrap_is_a_function_of_its_seed_and_of_no_order():
    values = RNG(0).normal(size=300)
    assert bootstrap_mean(values, seed=1) == bootstrap_mean(values[::-1], seed=1)
    assert bootstrap_mean(values, seed=1) != bootstrap_mean(values, seed=2)


def test_bootstrap_scales_with_its_values():
    values = RNG(0).exponential(size=500)
    plain, scaled = bootstrap_top_mean(values, 10), bootstrap_top_mean(-3.0 + 7.0 * values, 10)
    assert scaled.low == pytest.approx(7 * plain.low - 3, rel=1e-10)
    assert scaled.high == pytest.approx(7 * plain.high - 3, rel=1e-10)


def test_equal_values_have_an_interval_of_no_width():
    for interval in (bootstrap_mean([2.0] * 5), bootstrap_top_mean([2.0] * 5, 2), redraw_interval([2.0] * 5)):
        assert (interval.low, interval.value, interval.high) == (2.0, 2.0, 2.0)


def test_largest_values_that_are_equal_have_a_finite_interval():
    interval = bootstrap_top_mean([0.0] * 50 + [1.0] * 50, 10)
    assert (interval.low, interval.high) == (1.0, 1.0)


def coverage(truth, intervals):
    return np.mean([interval.low <= truth <= interval.high for interval in intervals])


def test_bootstrap_covers_the_mean_of_normals():
    rows = RNG(0).normal(3.0, 2.0, size=(2000, 100))
    intervals = [bootstrap_mean(row, resamples=300, seed=i) for i, row in enumerate(rows)]
    assert 0.92 <= coverage(3.0, intervals) <= 0.98


def test_bootstrap_covers_the_mean_of_skewed_values():
    rows = RNG(1).exponential(size=(2000, 100))
    intervals = [bootstrap_mean(row, resamples=300, seed=i) for i, row in enumerate(rows)]
    assert 0.92 <= coverage(1.0, intervals) <= 0.98


def test_bootstrap_covers_the_mean_of_the_largest():
    rows = RNG(2).exponential(size=(500, 500))
    truth = 1.0 - np.log(0.1)  # the exponential law has no memory: its mean beyond q is q + 1
    intervals = [bootstrap_top_mean(row, 50, resamples=400, seed=i) for i, row in enumerate(rows)]
    assert 0.92 <= coverage(truth, intervals) <= 0.98


def test_bootstrap_covers_the_trimmed_mean():
    rows = RNG(3).normal(size=(1000, 200))
    intervals = [
        bootstrap_trimmed_mean(row, (5.0, 95.0), resamples=200, seed=i) for i, row in enumerate(rows)
    ]
    assert 0.92 <= coverage(0.0, intervals) <= 0.98


def test_redraws_cover_the_mean_of_few_normals():
    rows = RNG(4).normal(size=(4000, 3))
    assert 0.94 <= coverage(0.0, [redraw_interval(row) for row in rows]) <= 0.96


def test_redraws_agree_with_scipys_t_interval():
    values = RNG(5).normal(size=7)
    low, high = stats.t.interval(0.9, 6, loc=values.mean(), scale=stats.sem(values))
    ours = redraw_interval(values, level=0.9)
    assert (ours.low, ours.high) == pytest.approx((low, high), rel=1e-12)
    assert ours.label == "90 % redraws"


def test_tensors_and_lists_are_taken_alike():
    values = [0.5, 1.0, 4.0, 2.0]
    assert bootstrap_mean(torch.tensor(values, requires_grad=True)) == bootstrap_mean(values)


@pytest.mark.parametrize("function", [bootstrap_mean, bootstrap_trimmed_mean, redraw_interval])
@pytest.mark.parametrize(
    "values", [[], [1.0], [1.0, float("nan")], [1.0, float("inf")], [[1.0, 2.0], [3.0, 4.0]]]
)
def test_values_that_cannot_be_used_are_refused(function, values):
    with pytest.raises(InputError):
        function(np.array(values))


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, float("nan")])
@pytest.mark.parametrize("function", [bootstrap_mean, redraw_interval])
def test_a_level_out_of_range_is_refused(function, level):
    with pytest.raises(InputError, match="level"):
        function([1.0, 2.0], level=level)


def test_other_settings_out_of_range_are_refused():
    with pytest.raises(InputError, match="largest 3 of 2"):
        bootstrap_top_mean([1.0, 2.0], 3)
    with pytest.raises(InputError, match="resamples"):
        bootstrap_mean([1.0, 2.0], resamples=10)
    with pytest.raises(InputError, match="percentiles"):
        bootstrap_trimmed_mean([1.0, 2.0], (99.0, 1.0))

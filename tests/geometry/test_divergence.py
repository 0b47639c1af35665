"""The lower bound of the divergence: below the truth, near it, and 0 where there is nothing to tell."""

import math

import pytest
import torch
from scipy import integrate, stats

from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.geometry.divergence import TRAP_FLOOR, JSBound, _bound, js_lower_bound


def normal(n, d=1, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def divergence(m):
    """That of N(0, 1) and N(m, 1), by quadrature."""

    def integrand(x):
        p, q = stats.norm.logpdf(x), stats.norm.logpdf(x, m)
        middle = torch.logsumexp(torch.tensor([p, q], dtype=torch.float64), 0).item() - math.log(2)
        return (math.exp(p) * (p - middle) + math.exp(q) * (q - middle)) / 2

    return integrate.quad(integrand, -12, 12 + m, limit=200)[0]


@pytest.mark.parametrize("m", [2, *(pytest.param(m, marks=pytest.mark.slow) for m in (1, 4))])
def test_eq3_the_bound_of_two_gaussians_lies_below_the_truth_and_within_three_percent(m):
    found = js_lower_bound(normal(120_000), normal(120_000, seed=1) + m, epochs=6)
    truth = divergence(m)
    assert 0.97 * truth < found.value < truth
    assert found.low <= found.estimate <= found.high <= math.log(2)
    assert found.count == 120_000
    assert found.accuracy == pytest.approx(stats.norm.cdf(m / 2), abs=0.006)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))])
def test_eq3_equal_distributions_have_an_interval_that_contains_0(seed):
    found = js_lower_bound(normal(8000, 3, seed), normal(8000, 3, seed + 10), seed=seed)
    assert found.low <= 0 <= found.high
    assert found.value == 0
    assert not found.above_floor
    assert found.high < 0.01


def test_eq3_separate_distributions_come_near_log_2_and_never_above():
    found = js_lower_bound(normal(4000, 2), normal(4000, 2) + 20, epochs=8)
    assert 0.97 * math.log(2) < found.value <= found.estimate <= math.log(2)
    assert found.above_floor
    assert found.floor == TRAP_FLOOR == math.log(2) / 2
    assert found.accuracy == 1


def test_images_are_told_apart_by_a_texture_of_equal_mean():
    stream = torch.Generator().manual_seed(0)
    real = torch.randn(800, 1, 12, 12, generator=stream)
    fake = torch.randn(800, 1, 12, 12, generator=stream)
    fake = (fake + fake.roll(1, dims=3)) / math.sqrt(2)
    assert js_lower_bound(real, fake, epochs=4).above_floor


def test_a_thin_manifold_is_told_from_a_thick_one():
    flat = normal(4000, 3)
    flat[:, 2] = 0
    assert js_lower_bound(normal(4000, 3, seed=1), flat, epochs=10).above_floor


def test_few_samples_show_less_than_many():
    few = js_lower_bound(normal(200, 2), normal(200, 2) + 20, epochs=8)
    many = js_lower_bound(normal(2000, 2), normal(2000, 2) + 20, epochs=8)
    assert few.value < many.value


def test_mistakes_cost_no_more_than_as_many_samples_can_show():
    found = _bound(torch.full((98,), -1e9), torch.full((98,), 1e9), 0.95)
    assert found.estimate == pytest.approx(math.log(2) - math.log(100))
    assert found.accuracy == 0


def test_equal_seeds_give_equal_bounds_and_global_randomness_is_untouched():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, again = (js_lower_bound(normal(400), normal(400, seed=1) + 1, seed=5, epochs=3) for _ in range(2))
    assert first == again
    assert torch.equal(before, torch.get_rng_state())
    assert first != js_lower_bound(normal(400), normal(400, seed=1) + 1, seed=6, epochs=3)


def test_it_works_where_gradients_are_off_and_tells_its_progress():
    told = []
    with torch.no_grad():
        js_lower_bound(normal(400), normal(400) + 9, epochs=2, progress=lambda *at: told.append(at))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4), (4, 4)]


@pytest.mark.parametrize(
    ("real", "fake", "words"),
    [
        (normal(199), normal(300), "199 samples are too few .* 200"),
        (normal(300, 2), normal(300, 3), "of one shape"),
        (normal(300)[:, 0], normal(300)[:, 0], "of one shape"),
        (normal(300), torch.zeros(300, 1, dtype=torch.uint8), "fake samples must be floats"),
    ],
)
def test_unfit_samples_are_refused(real, fake, words):
    with pytest.raises(InputError, match=words):
        js_lower_bound(real, fake)


def test_a_bad_sample_is_named():
    real = normal(300)
    real[7] = torch.inf
    with pytest.raises(NonFiniteError, match="real sample 7"):
        js_lower_bound(real, normal(300))


def test_a_bound_is_a_plain_record():
    bound = JSBound(value=0.5, estimate=0.51, low=0.5, high=0.52, level=0.95, accuracy=0.9, count=10)
    assert bound.above_floor


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": 0}, "0 epochs teach a classifier nothing; give 1 or more"),
        ({"level": 1.0}, "between 0 and 1, not 1"),
        ({"level": math.nan}, "between 0 and 1, not nan"),
    ],
)
def test_settings_out_of_range_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        js_lower_bound(normal(300), normal(300), **options)

"""Theorem 5: smooth in expectation, for closed forms and for the layers of this package."""

import math

import pytest
import torch
from scipy import special

from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.geometry.lipschitz import expected_distances, mean_and_scale
from riemann_noise_pytorch.noise.channels import PerChannelNoise
from riemann_noise_pytorch.noise.layers import EuclideanNoise, RiemannNoise
from riemann_noise_pytorch.noise.pairs import counted_normal

LAYERS = {
    "euclidean": EuclideanNoise(strength=0.3, dtype=torch.float64),
    "euclidean, per channel": EuclideanNoise(strength=0.3, planes="per_channel", dtype=torch.float64),
    "by channel": PerChannelNoise(3, dtype=torch.float64),
    "neutral": RiemannNoise(4, preset="neutral", w=0.3, dtype=torch.float64),
    "paper": RiemannNoise(4, preset="paper", dtype=torch.float64),
    "seed": RiemannNoise(4, preset="seed", dtype=torch.float64),
}
LAYERS["by channel"].a.data = torch.tensor([0.1, -0.2, 0.3], dtype=torch.float64)
each = pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)


def pairs(count=24, shape=(3, 4, 4)):
    """Pairs of features at distances from 1e-3 to 3."""
    x = counted_normal(0, 0, (count, *shape))
    step = counted_normal(1, 0, (count, *shape)).flatten(1)
    lengths = torch.logspace(-3, 0.5, count, dtype=torch.float64).unsqueeze(1)
    return x, x + (lengths * step / step.norm(dim=1, keepdim=True)).view_as(x)


def measured(layer, x, y, **options):
    return expected_distances(mean_and_scale(layer), x, y, noise_shape=layer.noise_shape, **options)


@each
def test_theorem5_holds_for_the_layers_of_this_package(layer):
    x, y = pairs()
    for noise in ("same", "independent"):
        found = measured(layer, x, y, noise=noise, draws=128)
        assert found.holds
        assert bool((found.expected <= found.bounds * (1 + 1e-9) + 4 * found.errors).all())
        assert bool((found.bounds <= found.lines * (1 + 1e-9)).all())


@each
def test_theorem5_the_same_noise_needs_no_remainder(layer):
    x, y = pairs()
    found = measured(layer, x, y, noise="same", draws=64)
    assert found.remainder == 0
    assert found.holds


def test_theorem5_the_remainder_is_of_first_order_in_the_noise():
    x, y = pairs(8)
    remainders = [
        measured(EuclideanNoise(strength=a, dtype=torch.float64), x, y).remainder for a in (0.4, 0.2, 0.1)
    ]
    assert remainders == pytest.approx([a * math.sqrt(2 * 48) for a in (0.4, 0.2, 0.1)])


def test_theorem5_is_broken_by_a_constant_that_is_too_small():
    x, y = pairs()
    found = expected_distances(lambda x: (3 * x, 0.001 * torch.ones_like(x)), x, y, constant=2.0)
    assert not found.holds
    assert expected_distances(lambda x: (3 * x, 0.001 * torch.ones_like(x)), x, y, constant=3.0).holds


def test_the_mean_distance_of_pure_noise_in_closed_form():
    """|N(0, 2 a^2 I_m)| has the mean of a chi variable."""
    x, y = pairs(40, (6,))
    found = expected_distances(lambda x: (0 * x, 0.5 * torch.ones_like(x)), x, y, draws=2000)
    chi = math.sqrt(2) * math.exp(special.gammaln(3.5) - special.gammaln(3.0))
    exact = 0.5 * math.sqrt(2) * chi
    pulls = (found.expected - exact) / found.errors
    assert float(pulls.abs().max()) < 4
    assert float(pulls.square().mean()) == pytest.approx(1, abs=0.7)
    assert found.bounds.tolist() == pytest.approx([math.sqrt(6 * 2) * 0.5] * 40)


def test_the_same_constant_noise_cancels():
    x, y = pairs(8)
    found = expected_distances(lambda x: (2 * x, torch.ones_like(x)), x, y, noise="same", draws=4)
    assert torch.allclose(found.expected, 2 * found.distances, rtol=1e-9)
    assert float(found.errors.max()) < 1e-9


def test_shared_planes_have_the_second_moment_of_all_values_they_reach():
    x, y = pairs(30)
    shared = expected_distances(
        lambda x: (0 * x, torch.ones_like(x[:, :1])), x, y, noise_shape=lambda x: (30, 1, 4, 4), draws=4000
    )
    assert float(shared.bounds[0]) == pytest.approx(math.sqrt(2 * 48))
    chi = math.sqrt(2) * math.exp(special.gammaln(8.5) - special.gammaln(8.0))  # 16 independent values
    exact = math.sqrt(2 * 3) * chi
    assert float(((shared.expected - exact) / shared.errors).abs().max()) < 4


@each
def test_mean_and_scale_put_together_are_the_layer(layer):
    x = counted_normal(3, 0, (2, 3, 4, 4))
    mu, sigma = mean_and_scale(layer)(x)
    epsilon = counted_normal(4, 0, layer.noise_shape(x))
    assert torch.allclose(mu + sigma * epsilon, layer.inject(x, epsilon), atol=1e-14)


def good(x):
    return x, torch.ones_like(x)


X, Y = pairs(2, (5,))


@pytest.mark.parametrize(
    ("f", "x", "y", "options", "message"),
    [
        (good, X, X, {}, "a pair of points coincides"),
        (good, X, Y[:1], {}, "of one shape"),
        (good, X[0], Y[0], {}, "of one shape"),
        (good, X, Y, {"draws": 1}, "give 2 or more"),
        (good, X, Y, {"constant": -1.0}, "cannot be -1"),
        (good, X, Y, {"constant": math.nan}, "cannot be nan"),
        (good, X, Y, {"noise": "sane"}, "did you mean 'same'"),
        (lambda x: (x, x[:, :2]), X, Y, {}, "sigma of the shape of mu"),
        (lambda x: (x, x[:1]), X, Y, {}, "one row each"),
        (lambda x: (x[:1], x[:1]), X, Y, {}, "one row each"),
        (lambda x: (x, x.unsqueeze(1)), X, Y, {}, "sigma of the shape of mu"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(f, x, y, options, message):
    with pytest.raises(InputError, match=message) as caught:
        expected_distances(f, x, y, **options)
    assert "\n" not in str(caught.value)


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(NonFiniteError, match="check the weights"):
        expected_distances(lambda x: (x / 0, x), X, Y)

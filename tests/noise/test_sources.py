"""Laws of the places epsilon comes from."""

import copy
import io
import pickle

import pytest
import scipy.stats
import torch
from torch import nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise.control import fresh, frozen, given, noise_layers, off, scaled
from riemann_noise_pytorch.noise.layers import EuclideanNoise, RiemannNoise
from riemann_noise_pytorch.noise.sources import Fresh, Frozen
from riemann_noise_pytorch.noise.switches import LAWS


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(0)
    noises = RiemannNoise(4, w=0.5), EuclideanNoise(strength=0.5)
    return nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), noises[0], nn.Conv2d(3, 2, 3, padding=1), noises[1])


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(5, 2, 4, 4, generator=torch.Generator().manual_seed(1))


def normals(seed=0, samples=2000, places=64, first=0, law="gaussian"):
    return Frozen(seed, first).epsilon((samples, 1, places // 8, 8), law, torch.empty(0, dtype=torch.float64))


def test_frozen_noise_belongs_to_the_sample_not_to_the_batch(network, x):
    with frozen(network, 3):
        whole = network(x)
    parts = []
    for i in range(5):
        with frozen(network, 3, first_sample=i):
            parts.append(network(x[i : i + 1]))
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-6, atol=1e-6)


def test_frozen_noise_is_the_same_in_float32_and_float64():
    layer = EuclideanNoise(strength=1.0)
    with frozen(layer, 3):
        single, double = layer.draw(torch.zeros(2, 3, 4, 4)), layer.draw(torch.zeros(2, 3, 4, 4).double())
    assert torch.equal(single.double(), double)


def test_frozen_noise_is_standard_normal():
    values = normals().flatten().numpy()
    assert scipy.stats.kstest(values, "norm").pvalue > 1e-3
    assert abs(values.mean()) < 5 / values.size**0.5
    assert abs(scipy.stats.kurtosis(values)) < 0.05


def test_frozen_noise_is_uncorrelated_over_samples_places_and_seeds():
    a, b = normals(0).flatten(1), normals(1).flatten(1)
    n = a.numel() ** 0.5
    assert abs((a[:, 1:] * a[:, :-1]).mean()) < 5 / n
    assert abs((a[1:] * a[:-1]).mean()) < 5 / n
    assert abs((a * b).mean()) < 5 / n
    assert a.unique(dim=0).shape == a.shape


def test_fresh_noise_follows_its_generator(network, x):
    with fresh(network, torch.Generator().manual_seed(1)):
        first, second = network(x), network(x)
    with fresh(network, torch.Generator().manual_seed(1)):
        assert torch.equal(network(x), first)
        assert torch.equal(network(x), second)
    assert not torch.equal(first, second)


def test_a_copy_never_shares_a_generator():
    layer = EuclideanNoise(strength=1.0)
    with fresh(layer, torch.Generator()):
        twins = [copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))]
    assert all(twin.source == Fresh() for twin in twins)


@pytest.mark.parametrize(
    "block", [frozen, off, lambda n: scaled(n, 2.0), lambda n: given(n, {"*": torch.zeros(1)})]
)
def test_a_copy_made_inside_a_block_has_fresh_noise(network, x, block):
    def saved(model):
        file = io.BytesIO()
        torch.save(model, file)
        file.seek(0)
        return torch.load(file, weights_only=False)

    with block(network):
        inside = [layer.source for layer in noise_layers(network).values()]
        twins = [copy.deepcopy(network), pickle.loads(pickle.dumps(network)), saved(network)]
        assert [layer.source for layer in noise_layers(network).values()] == inside
    for twin in twins:
        assert [layer.source for layer in noise_layers(twin).values()] == [Fresh(), Fresh()]
        assert not torch.equal(twin(x), twin(x))
        with frozen(twin, 3), frozen(network, 3):
            assert torch.equal(twin(x), network(x))


def test_scaled_noise_is_linear_in_its_factor():
    layer, mu = EuclideanNoise(strength=1.0), torch.zeros(1, 1, 4, 4)
    with frozen(layer, 3):
        plain = layer(mu)
        with scaled(layer, -2.0), scaled(layer, 3.0):
            torch.testing.assert_close(layer(mu), -6 * plain)
        with scaled(layer, torch.tensor(2.0)):
            torch.testing.assert_close(layer(mu), 2 * plain)


def test_frozen_inside_of_scaled_is_not_scaled():
    layer, mu = EuclideanNoise(strength=1.0), torch.zeros(1, 1, 4, 4)
    with frozen(layer, 3):
        plain = layer(mu)
    with scaled(layer, 2.0), frozen(layer, 3):
        assert torch.equal(layer(mu), plain)
    with frozen(layer, 3), scaled(layer, 2.0):
        assert torch.equal(layer(mu), 2 * plain)


@pytest.mark.parametrize("shape", [(4, 4), (1, 4, 4), (1, 1, 4, 4), (2, 1, 4, 4), (2, 3, 4, 4)])
def test_given_noise_is_used_and_receives_gradients(shape):
    layer, mu = EuclideanNoise(strength=2.0), torch.zeros(2, 3, 4, 4)
    maps = torch.randn(shape, requires_grad=True)
    with given(layer, {"": maps}):
        o = layer(mu)
    torch.testing.assert_close(o, (2 * maps).expand_as(mu))
    o.sum().backward()
    torch.testing.assert_close(maps.grad, torch.full(shape, 2.0 * mu.numel() / maps.numel()))


@pytest.mark.parametrize("shape", [(5, 4), (3, 1, 4, 4), (2, 2, 4, 4), (1, 1, 1, 4, 4), ()])
def test_given_noise_of_a_wrong_shape_is_refused(shape):
    layer = RiemannNoise(4)
    with (
        given(layer, {"": torch.zeros(shape)}),
        pytest.raises(InputError, match=r"give \(1 or 2, 1 or 3, 4, 4\)"),
    ):
        layer(torch.zeros(2, 3, 4, 4))


@pytest.mark.parametrize("law", sorted(LAWS))
def test_every_law_has_unit_variance_and_no_mean(law):
    epsilon = normals(law=law)
    assert abs(epsilon.mean()) < 5 / epsilon.numel() ** 0.5
    torch.testing.assert_close(epsilon.var(), torch.tensor(1.0, dtype=torch.float64), rtol=0.02, atol=0)


def test_clipped_law_is_the_truncated_normal():
    epsilon = normals(law="clipped").flatten().numpy()
    truncated = scipy.stats.truncnorm(-2, 2)
    assert abs(epsilon).max() <= 2 / truncated.std() + 1e-6
    assert scipy.stats.kstest(epsilon * truncated.std(), truncated.cdf).pvalue > 1e-3


def test_ball_law_is_uniform_in_the_ball():
    d = 8
    epsilon = normals(samples=5000, places=d, law="uniform_ball").flatten(1)
    radius = (epsilon.norm(dim=1) / (d + 2) ** 0.5).numpy()
    assert radius.max() <= 1 + 1e-6
    assert scipy.stats.kstest(radius**d, "uniform").pvalue > 1e-3
    assert abs((epsilon[:, 0] * epsilon[:, 1]).mean()) < 5 / 5000**0.5

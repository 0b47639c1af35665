"""Laws of the blocks that say which noise a network sees."""

import pytest
import torch
from torch import nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise.control import fresh, frozen, given, noise_layers, off, scaled
from riemann_noise_pytorch.noise.layers import EuclideanNoise, RiemannNoise


class Network(nn.Module):
    """Two blocks with noise of either kind."""

    def __init__(self) -> None:
        super().__init__()
        self.low = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), RiemannNoise(4, w=0.5))
        self.high = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), EuclideanNoise(strength=0.5))

    def forward(self, x):
        return self.high(self.low(x))


class Draw(nn.Module):
    """A foreign layer."""

    def forward(self, x):
        return x + torch.randn_like(x)


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    return Network()


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(5, 2, 4, 4, generator=torch.Generator().manual_seed(1))


def test_noise_layers_are_named_as_in_the_network(network):
    assert list(noise_layers(network)) == ["low.1", "high.1"]
    assert list(noise_layers(network.low[1])) == [""]
    assert noise_layers(nn.Linear(2, 2)) == {}


def test_wrappers_around_a_network_do_not_change_its_noise(network, x):
    with frozen(network, 3):
        expected = network(x)
    torch.compiler.reset()
    for wrapped in (torch.compile(network, backend="eager"), nn.DataParallel(network)):
        assert list(noise_layers(wrapped)) == ["low.1", "high.1"]
        with frozen(wrapped, 3), scaled(wrapped, 1.0, "low.*"):
            torch.testing.assert_close(wrapped(x), expected)


def test_two_calls_under_one_frozen_source_see_the_same_noise(network, x):
    assert not torch.equal(network(x), network(x))
    with frozen(network, 3):
        first = network(x)
        assert torch.equal(network(x), first)
    assert not torch.equal(network(x), first)
    with frozen(network, 3):
        assert torch.equal(network(x), first)
    with frozen(network, 4):
        assert not torch.equal(network(x), first)


def test_layers_and_samples_have_noise_of_their_own(network):
    with frozen(network, 3):
        a, b = network.low[1].draw(torch.zeros(2, 3, 4, 4)), network.high[1].draw(torch.zeros(2, 2, 4, 4))
    assert not torch.equal(a, b)
    assert not torch.equal(a[0], a[1])


def test_frozen_noise_does_not_touch_the_random_state(network, x):
    before = torch.get_rng_state()
    with frozen(network, 3):
        network(x)
    assert torch.equal(torch.get_rng_state(), before)


def test_off_leaves_the_point_and_its_gain(network, x):
    euclidean, riemannian = network.high[1], RiemannNoise(4, preset="author-cat", w=1.0)
    mu = torch.randn(2, 3, 4, 4)
    with off(euclidean), off(riemannian):
        assert torch.equal(euclidean(mu), mu)
        torch.testing.assert_close(riemannian(mu), riemannian.local_scale(mu) * mu)
    with off(network):
        assert torch.equal(network(x), network(x))


def test_scaled_by_zero_is_off_and_by_one_is_unchanged(network, x):
    with frozen(network, 3):
        plain = network(x)
        with scaled(network, 1.0):
            assert torch.equal(network(x), plain)
        with scaled(network, 0.0):
            silent = network(x)
    with off(network):
        torch.testing.assert_close(silent, network(x), rtol=1e-6, atol=1e-7)


def test_a_pattern_reaches_the_layers_it_matches_alone(network, x):
    with off(network, "low.*"), frozen(network, 1, "high.1"):
        assert torch.equal(network(x), network(x))
    with off(network, "low.*"):
        assert not torch.equal(network(x), network(x))


def test_an_unknown_layer_is_refused_with_the_nearest(network):
    for block in (
        off(network, "lo.1"),
        frozen(network, layers="lo.1"),
        given(network, {"lo.1": torch.zeros(1)}),
    ):
        with pytest.raises(InputError, match=r"unknown noise layer 'lo.1'; did you mean 'low.1'"), block:
            pass


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_an_infinite_factor_is_refused(network, factor):
    with pytest.raises(InputError, match="finite factor"), scaled(network, factor):
        pass


def test_sources_are_restored_when_the_block_raises(network):
    before = [layer.source for layer in noise_layers(network).values()]
    with pytest.raises(ZeroDivisionError), frozen(network, 1), off(network, "low.1"):
        1 / 0  # noqa: B018
    assert [layer.source for layer in noise_layers(network).values()] == before


def test_a_network_without_noise_can_be_frozen():
    with frozen(nn.Linear(2, 2), 1):
        assert nn.Linear(2, 2)(torch.zeros(1, 2)).shape == (1, 2)


@pytest.mark.parametrize("block", [frozen, off, lambda n, layers: scaled(n, 0.0, layers)])
def test_several_patterns_reach_what_any_of_them_matches(network, x, block):
    with block(network, layers=["low.1", "high.*"]):
        listed = [layer.source for layer in noise_layers(network).values()]
    with block(network, layers="*"):
        assert [layer.source for layer in noise_layers(network).values()] == listed


@pytest.mark.parametrize("layers", [[], (), 3, None, ["low.1", 3]])
def test_patterns_that_are_none_are_refused(network, layers):
    with pytest.raises(InputError, match="layers must be a name"), frozen(network, layers=layers):
        pass


def test_every_one_of_several_patterns_must_match(network):
    with pytest.raises(InputError, match=r"unknown noise layer 'lo.1'"), off(network, ["high.1", "lo.1"]):
        pass


@pytest.mark.parametrize("pattern", ["low", "low.0"])
def test_a_part_that_cannot_draw_is_no_noise_layer(network, pattern):
    with pytest.raises(InputError, match=r"did you mean 'low.1'"), frozen(network, layers=pattern):
        pass


def test_a_network_without_noise_says_so():
    with pytest.raises(InputError, match="has no noise layer"), frozen(nn.Linear(2, 2), layers="noise"):
        pass


@pytest.mark.parametrize(
    "block",
    [
        lambda n: off(n, "0"),
        lambda n: scaled(n, 0.5, "0"),
        lambda n: given(n, {"0": torch.zeros(1)}),
        lambda n: given(n, {"*": torch.zeros(1)}),
        lambda n: fresh(n, layers="0"),
    ],
)
def test_foreign_noise_can_only_be_frozen(block):
    with (
        pytest.raises(InputError, match=r"foreign noise can only be frozen; .* inject\(\)"),
        block(nn.Sequential(Draw(), nn.ReLU())),
    ):
        pass


def test_off_and_scaled_leave_a_network_without_layers_alone():
    x = torch.zeros(3)
    with off(Draw()), scaled(Draw(), 0.0):
        assert Draw()(x).norm() > 0


def test_an_injected_network_is_frozen_by_its_own_layers_and_the_rest_by_torch(network, x):
    mixed = nn.Sequential(network, Draw())
    with frozen(mixed, 3):
        assert torch.equal(mixed(x), mixed(x))
    with frozen(mixed, 3, layers="0.*"):
        assert not torch.equal(mixed(x), mixed(x))
        assert torch.equal(mixed[0](x), mixed[0](x))


def test_a_network_of_torch_s_own_parts_gets_no_hooks():
    network = nn.Sequential(nn.Conv2d(2, 2, 1), RiemannNoise(4), nn.BatchNorm2d(2), nn.ReLU())
    with frozen(network, 1):
        assert not any(part._forward_hooks or part._forward_pre_hooks for part in network.modules())

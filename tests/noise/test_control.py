"""Laws of the blocks that say which noise a network sees."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

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


def loss_of(network, x, checkpointed):
    """With a derivative that depends on the noise."""

    def cube(x):
        return network(x).pow(3)

    return (checkpoint(cube, x, use_reentrant=False) if checkpointed else cube(x)).sum()


def gradient(network, x, checkpointed):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(loss_of(network, x, checkpointed), x)[0]


@pytest.mark.parametrize("block", [lambda n: frozen(n, 3), lambda n: given(n, {"*": torch.ones(5, 1, 4, 4)})])
def test_checkpointed_parts_see_the_same_noise_again_inside_the_block(network, x, block):
    with block(network):
        plain = gradient(network, x, False)
        assert torch.equal(gradient(network, x, True), plain)
        late = x.clone().requires_grad_()
        loss = loss_of(network, late, True)
    assert not torch.equal(torch.autograd.grad(loss, late)[0], plain)


def test_checkpointed_parts_recompute_fresh_noise_but_not_that_of_a_generator(network, x):
    torch.manual_seed(0)
    plain = gradient(network, x, False)
    torch.manual_seed(0)
    assert torch.equal(gradient(network, x, True), plain)
    gradients = []
    for checkpointed in (True, False):
        with fresh(network, torch.Generator().manual_seed(0)):
            gradients.append(gradient(network, x, checkpointed))
    assert not torch.equal(*gradients)


@pytest.mark.parametrize(
    "three", [np.int64(3), np.uint8(3), torch.tensor(3), torch.tensor(3, dtype=torch.int16)]
)
def test_integers_of_every_type_give_the_same_stream(network, x, three):
    mixed = nn.Sequential(network, Draw())
    with frozen(mixed, 3, first_sample=3):
        expected = mixed(x)
    with frozen(mixed, three, first_sample=three):
        assert torch.equal(mixed(x), expected)


def test_truth_values_are_integers(network, x):
    mixed = nn.Sequential(network, Draw())
    with frozen(mixed, 1, first_sample=0):
        expected = mixed(x)
    with frozen(mixed, True, first_sample=False):
        assert torch.equal(mixed(x), expected)


BLOCKS = {
    "frozen": frozen,
    "off": off,
    "fresh": fresh,
    "scaled": lambda n: scaled(n, 1.0),
    "given": lambda n: given(n, {"*": torch.zeros(1)}),
    "given nothing": lambda n: given(n, {}),
}


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
@pytest.mark.parametrize("network", [3, None, nn.ReLU, torch.relu])
def test_what_is_no_module_is_refused(block, network):
    with (
        pytest.raises(InputError, match=r"^the network must be an nn.Module, not of type \w+;"),
        block(network),
    ):
        pass


MAP = torch.zeros(1)
REFUSED = {
    "a seed that is no integer": (lambda n: frozen(n, 1.0), r"^seed must be an integer, not 1.0;"),
    "a seed that is a word": (lambda n: frozen(n, "a"), r"^seed must be an integer, not 'a';"),
    "no seed": (lambda n: frozen(n, None), r"^seed must be an integer, not None;"),
    "a seed of many": (lambda n: frozen(n, torch.ones(2, 2)), r"^seed must be an integer, not tensor"),
    "a float tensor": (lambda n: frozen(n, torch.tensor(1.0)), r"^seed must be an integer, not tensor"),
    "a sample that is no integer": (
        lambda n: frozen(n, first_sample=0.0),
        r"^first_sample must be an integer",
    ),
    "a sample before the first": (lambda n: frozen(n, first_sample=-1), r"^first_sample must be 0 or more"),
    "a sample beyond integers": (lambda n: frozen(n, first_sample=1 << 63), r"^first_sample .* below 2\^62"),
    "a seed for a generator": (lambda n: fresh(n, 3), r"torch.Generator or None, not 3; .*manual_seed"),
    "a word for a factor": (lambda n: scaled(n, "2"), r"^noise cannot be scaled by '2'; give a finite"),
    "no factor": (lambda n: scaled(n, None), r"^noise cannot be scaled by None; give a finite"),
    "a complex factor": (lambda n: scaled(n, 1j), r"^noise cannot be scaled by 1j; give a finite"),
    "a factor beyond floats": (
        lambda n: scaled(n, 10**400),
        r"^noise cannot be scaled by 1000.*; give a finite",
    ),
    "many factors": (lambda n: scaled(n, torch.ones(2)), r"by a tensor of shape \(2,\); give a finite"),
    "a complex tensor": (
        lambda n: scaled(n, torch.tensor(1j)),
        r"^noise cannot be scaled by .* give a finite",
    ),
    "a tensor that is no number": (lambda n: scaled(n, torch.tensor(torch.nan)), r"give a finite"),
    "a map without a name": (lambda n: given(n, MAP), r"^given noise must be a dict .* \{'\*': map\}"),
    "a number for a map": (
        lambda n: given(n, {"low.1": 3.0}),
        r"for 'low.1' must be a real tensor, not of type float",
    ),
    "a complex map": (lambda n: given(n, {"low.1": MAP + 1j}), r"must be a real tensor, not torch.complex64"),
    "a number for a name": (lambda n: given(n, {3: MAP}), r"^layers must be a name"),
}


@pytest.mark.parametrize(("block", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_in_one_line(network, block, message):
    before = [layer.source for layer in noise_layers(network).values()]
    with pytest.raises(InputError, match=message) as caught, block(network):
        pass
    assert "\n" not in str(caught.value)
    assert [layer.source for layer in noise_layers(network).values()] == before

"""Laws of the lists of noise: what is there, and what is drawn."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise.control import frozen, noise_layers, off
from riemann_noise_pytorch.noise.layers import EuclideanNoise, RiemannNoise
from riemann_noise_pytorch.noise.listing import NoiseRow, find_noise


class Style(nn.Module):
    """Noise of every origin: this package's, torch's in a part and at the top, a generator of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.low = nn.Sequential(nn.Conv2d(2, 3, 1), RiemannNoise(4, w=0.5))
        self.norm = nn.BatchNorm2d(3)
        self.drop = nn.Dropout(0.5)
        self.unused = EuclideanNoise()
        self.own = torch.Generator()

    def forward(self, x, scale=1.0):
        x = self.drop(self.norm(self.low(x)))
        x = x + scale * x.new_empty(len(x), 1, 1, 1).normal_()
        return x + torch.rand(4, 4, generator=self.own)


OURS = NoiseRow("low.1", "riemannian", (2, 1, 4, 4), "shared", "gaussian", 0.5)
DROPOUT = NoiseRow("drop", "foreign: bernoulli_", (2, 3, 4, 4))
REST = [
    NoiseRow("", "foreign: normal_", (2, 1, 1, 1)),
    NoiseRow("", "foreign: rand, own generator", (4, 4)),
]
X = torch.ones(2, 2, 4, 4)


def test_layers_print_as_a_table():
    layers = noise_layers(nn.Sequential(EuclideanNoise(strength=0.1), RiemannNoise((4, 8), w=0.5)))
    assert str(layers).splitlines() == [
        "name  kind        shape  planes  law       strength",
        "0     euclidean   any    shared  gaussian  0.1",
        "1     riemannian  4x8    shared  gaussian  0.5",
    ]


def test_a_network_without_layers_says_so():
    assert str(noise_layers(nn.ReLU())) == "no noise layers"
    assert str(find_noise(nn.ReLU(), X)) == "no noise"


def test_names_leave_every_wrapper_out():
    network = nn.Sequential(EuclideanNoise())
    wrapped = torch.compile(nn.DataParallel(torch.compile(network, backend="eager")), backend="eager")
    assert list(noise_layers(wrapped)) == ["0"]


def test_all_noise_that_is_drawn_is_found():
    assert find_noise(Style(), X) == [OURS, DROPOUT, *REST]


def test_modes_stay_as_they_are():
    network = Style().eval()
    assert find_noise(network, X) == [OURS, *REST]
    assert not network.training


@pytest.mark.parametrize("block", [off, frozen])
def test_noise_is_found_whatever_its_source(block):
    network = Style()
    with block(network):
        assert find_noise(network, X) == [OURS, DROPOUT, *REST]


def test_a_search_leaves_nothing_behind():
    network = Style()
    state, buffers = torch.get_rng_state(), {name: b.clone() for name, b in network.named_buffers()}
    find_noise(network, X)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in network.named_buffers())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in network.modules())


@pytest.mark.parametrize("example", [X, (X,), (X, 2.0), {"x": X, "scale": 2.0}])
def test_an_example_is_a_tensor_a_tuple_or_keywords(example):
    assert find_noise(Style(), example) == [OURS, DROPOUT, *REST]


@pytest.mark.parametrize("example", [torch.ones(2, 5), (X, 1.0, 2.0), {"y": X}, 3])
def test_an_example_that_does_not_fit_is_refused_and_leaves_nothing_behind(example):
    network = Style()
    with pytest.raises(InputError, match="does not take the example input"):
        find_noise(network, example)
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in network.modules())


def test_attention_draws_only_where_it_drops():
    class Attention(nn.Module):
        def forward(self, x, dropout):
            return functional.scaled_dot_product_attention(x, x, x, dropout_p=dropout)

    x = torch.ones(1, 1, 3, 4)
    assert find_noise(Attention(), (x, 0.0)) == []
    assert len(find_noise(Attention(), (x, 0.5))) == 1


def test_a_compiled_network_is_searched_too():
    compiled = torch.compile(Style(), backend="eager")
    assert find_noise(compiled, X) == [OURS, DROPOUT, *REST]


def test_what_is_no_module_has_no_noise_to_list():
    for search in (noise_layers, lambda network: find_noise(network, X)):
        with pytest.raises(
            InputError, match=r"^the network must be an nn.Module, not of type builtin_function"
        ):
            search(torch.relu)


def test_the_whole_reason_is_told_in_one_line():
    with pytest.raises(
        InputError, match=r"conv2d\(\) received an invalid .* but expected one of: .*\); give a tensor"
    ) as caught:
        find_noise(nn.Conv2d(2, 2, 1), None)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("lazy", [nn.LazyConv2d(2, 1), nn.LazyBatchNorm2d()])
def test_lazy_modules_are_refused_and_stay_lazy(lazy):
    network = nn.Sequential(nn.ReLU(), lazy)
    with pytest.raises(InputError, match=r"^1: it is lazy and not initialised; call the network once before"):
        find_noise(network, X)
    assert isinstance(lazy, nn.modules.lazy.LazyModuleMixin)
    network(X)
    assert find_noise(network, X) == []


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError])
def test_a_lack_of_memory_passes_through(error):
    network = nn.ReLU()
    network.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(error()))
    with pytest.raises(error):
        find_noise(network, X)

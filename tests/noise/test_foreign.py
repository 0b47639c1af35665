"""Laws of noise that is not this package's: held by the call, without a trace in torch's generators."""

import copy
import pickle

import pytest
import torch
from torch import nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise.control import fresh, frozen
from riemann_noise_pytorch.noise.foreign import generators_of, may_draw, seeded
from riemann_noise_pytorch.noise.layers import EuclideanNoise


class Rows(nn.Module):
    """One noise row for all points, by ``torch.randn``."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 5, dtype=torch.float64)

    def forward(self, x, fail=None):
        x = torch.tanh(self.linear(x)) * torch.randn(x.shape[-1], dtype=x.dtype)
        if fail is not None:
            raise fail
        return x


class Block(nn.Module):
    """StyleGAN's way: a strength of its own, noise drawn in place."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 5, dtype=torch.float64)
        self.strength = nn.Parameter(torch.tensor(0.5, dtype=torch.float64))

    def forward(self, x):
        x = self.linear(x)
        return torch.tanh(x + self.strength * x.new_empty(x.shape).normal_())


class Style(nn.Module):
    """A mapping, and synthesis in blocks that draw their noise inside."""

    def __init__(self) -> None:
        super().__init__()
        self.mapping = nn.Linear(5, 5, dtype=torch.float64)
        self.blocks = nn.ModuleList(Block() for _ in range(3))

    def forward(self, z):
        x = self.mapping(z)
        for block in self.blocks:
            x = block(x)
        return x


def dropping() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 5, dtype=torch.float64), nn.Dropout(0.5))


NETWORKS = {"rows": Rows, "style": Style, "dropout": dropping}
X = torch.linspace(-1, 1, 15, dtype=torch.float64).view(3, 5)


@pytest.fixture(params=sorted(NETWORKS))
def network(request) -> nn.Module:
    torch.manual_seed(0)
    return NETWORKS[request.param]()


@pytest.fixture
def style() -> Style:
    torch.manual_seed(0)
    return Style()


def hooks_of(module):
    return [
        hooks
        for part in module.modules()
        for hooks in (part._forward_hooks, part._forward_pre_hooks, part._forward_hooks_always_called)
        if hooks
    ]


def test_two_calls_are_bitwise_equal(network):
    assert not torch.equal(network(X), network(X))
    with frozen(network, 3):
        first = network(X)
        torch.randn(7)
        assert torch.equal(network(X), first)
    assert not torch.equal(network(X), first)
    with frozen(network, 3):
        assert torch.equal(network(X), first)
        assert torch.equal(network(x=X) if isinstance(network, Rows) else network(X), first)


def test_seed_and_first_sample_choose_the_noise(network):
    outputs = []
    for seed, first_sample in ((3, 0), (4, 0), (3, 1)):
        with frozen(network, seed, first_sample=first_sample):
            outputs.append(network(X))
    assert not any(torch.equal(outputs[i], outputs[i - 1]) for i in range(3))


def test_a_call_leaves_no_trace_in_the_generators(network):
    state = torch.get_rng_state()
    with frozen(network, 3):
        assert torch.equal(torch.get_rng_state(), state)
        network(X)
        assert torch.equal(torch.get_rng_state(), state)
        torch.randn(3)
        state = torch.get_rng_state()
        network(X)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_everything_is_put_back_when_a_call_raises(error):
    network, state = Rows(), torch.get_rng_state()
    with pytest.raises(error), frozen(network, 3):
        network(X, fail=error())
    assert torch.equal(torch.get_rng_state(), state)
    assert not hooks_of(network)


def test_an_error_inside_the_block_does_not_spoil_the_next_call():
    network = Rows()
    with frozen(network, 3):
        first, state = network(X), torch.get_rng_state()
        with pytest.raises(ValueError, match=r"^$"):
            network(X, fail=ValueError())
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.equal(network(X), first)


def test_hooks_of_others_stay_and_are_held_as_well():
    network = nn.Linear(5, 5, dtype=torch.float64)
    network.register_forward_pre_hook(lambda module, args: (args[0] + torch.randn_like(args[0]),))
    network.register_forward_hook(lambda module, args, output: output + torch.randn_like(output))
    before = hooks_of(network)
    with frozen(network, 3):
        assert torch.equal(network(X), network(X))
    assert hooks_of(network) == before


def test_the_innermost_block_governs(network):
    with frozen(network, 4):
        inner = network(X)
    with frozen(network, 3):
        outer = network(X)
        with frozen(network, 4):
            assert torch.equal(network(X), inner)
        assert torch.equal(network(X), outer)
        with fresh(network):
            assert not torch.equal(network(X), network(X))
            with frozen(network, 4):
                assert torch.equal(network(X), inner)
        assert torch.equal(network(X), outer)
    assert not hooks_of(network)


def test_a_part_held_apart_draws_nothing_from_the_stream_of_the_whole():

    class Draws(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = nn.ModuleList([nn.Dropout(), nn.Dropout()])

        def forward(self, x):
            return torch.stack([part(x) for part in self.parts])

    draws, x = Draws(), torch.ones(100)
    with frozen(draws, 3):
        whole = draws(x)
        with frozen(draws, 4, layers="parts.0"):
            apart, following = draws(x)
            assert torch.equal(draws.parts[0](x), apart)
        assert torch.equal(following, whole[0])
        assert not torch.equal(apart, whole[0])
        assert torch.equal(draws(x), whole)


def test_a_call_within_a_call_goes_on_with_its_stream():
    class Twice(nn.Module):
        def forward(self, x, deeper=True):
            noise = torch.randn_like(x)
            return (noise, self(x, deeper=False)) if deeper else noise

    network = Twice()
    with frozen(network, 3):
        one, two = network(X), network(X)
    assert not torch.equal(one[0], one[1])
    assert torch.equal(one[0], two[0])
    assert torch.equal(one[1], two[1])


def test_parts_are_held_by_their_names(style):
    with frozen(style, 3, layers=["blocks.0", "blocks.2"]):
        assert torch.equal(style.blocks[0](X), style.blocks[0](X))
        assert torch.equal(style.blocks[2](X), style.blocks[2](X))
        assert not torch.equal(style.blocks[1](X), style.blocks[1](X))
        assert not torch.equal(style(X), style(X))
    with frozen(style, 3, layers="blocks.*"):
        assert torch.equal(style(X), style(X))
        assert not torch.equal(style.blocks[0](X) - X, style.blocks[1](X) - X)


def test_wrappers_do_not_show_in_the_names_of_parts(style):
    with frozen(style, 3, layers="blocks.1"):
        expected = style.blocks[1](X)
    with frozen(nn.DataParallel(style), 3, layers="blocks.1"):
        assert torch.equal(style.blocks[1](X), expected)


def test_the_network_inside_a_parallel_wrapper_is_held_too(style):
    wrapper = nn.DataParallel(style)
    with frozen(wrapper, 3):
        assert torch.equal(wrapper(X), style(X))


@pytest.mark.parametrize("layers", ["blocks", "block.1", "blocks.7", "mapping", "blocks.1.linear"])
def test_a_pattern_without_anything_that_draws_is_refused(style, layers):
    with (
        pytest.raises(InputError, match=r"did you mean 'blocks\.|Valid: blocks.0"),
        frozen(style, layers=layers),
    ):
        pass


def whole_jacobian(network, chunk_size):
    """Forward mode, all directions under one vmap, in chunks."""

    def derivative(tangent):
        return torch.func.jvp(network, (X,), (tangent,))[1]

    directions = torch.eye(X.numel(), dtype=X.dtype).view(-1, *X.shape)
    return torch.func.vmap(derivative, chunk_size=chunk_size, randomness="same")(directions)


def test_every_chunk_of_a_batched_derivative_sees_the_same_noise(network):
    with frozen(network, 3):
        whole, chunked = whole_jacobian(network, None), whole_jacobian(network, 4)
        forward = torch.func.jacfwd(network, randomness="same")(X)
        reverse = [torch.func.jacrev(network, chunk_size=size)(X) for size in (None, 4)]
    for other in (chunked.view(15, 15).T, whole.view(15, 15).T, *reverse):
        torch.testing.assert_close(other.view(3, 5, 3, 5), forward, rtol=1e-12, atol=1e-12)
    assert not torch.equal(whole_jacobian(network, 4), whole)


def test_every_chunk_of_a_batch_of_calls_sees_the_same_noise(network):
    calls = X.repeat(3, 1)
    with frozen(network, 3):
        outputs = [torch.func.vmap(network, chunk_size=n, randomness="same")(calls) for n in (None, 2)]
    torch.testing.assert_close(*outputs, rtol=1e-12, atol=1e-12)


def test_copies_made_inside_a_block_are_free(style):
    network = Rows()
    with frozen(network, 3):
        copies = [copy.deepcopy(network), pickle.loads(pickle.dumps(network))]
        assert not any(torch.equal(twin(X), twin(X)) for twin in copies)
    assert not torch.equal(copies[0](X), copies[0](X))


@pytest.mark.parametrize("first", ["compiled before", "compiled inside"])
@pytest.mark.parametrize("held", ["wrapper", "inner", "in place"])
def test_a_compiled_network_is_held_in_one_graph(held, first):
    torch.compiler.reset()
    network = Rows()
    if held == "in place":
        network.compile(backend="eager", fullgraph=True)
    call = network if held == "in place" else torch.compile(network, backend="eager", fullgraph=True)
    if first == "compiled before":
        call(X)
    outputs = []
    for _ in range(10):
        with frozen(call if held == "wrapper" else network, 3):
            outputs.append(call(X))
    assert all(torch.equal(output, outputs[0]) for output in outputs)
    assert not torch.equal(call(X), outputs[0])


def test_noise_in_the_midst_of_a_graph_is_held_by_breaking_the_graph_or_refused(style):
    torch.compiler.reset()
    with frozen(style, 3):
        outer = torch.compile(lambda x: 1.0 * style(x), backend="eager")
        assert torch.equal(outer(X), outer(X))
        whole = torch.compile(lambda x: 2.0 * style(x), backend="eager", fullgraph=True)
        with pytest.raises(Exception, match="give the compiled one to frozen"):
            whole(X)


def test_a_part_inside_a_compiled_network_is_refused(style):
    compiled = torch.compile(style, backend="eager")
    with (
        pytest.raises(InputError, match=r"'blocks.1' cannot be told apart"),
        frozen(compiled, layers="blocks.1"),
    ):
        pass


@pytest.mark.parametrize(
    ("network", "draws"),
    [
        (nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1), nn.Flatten()), False),
        (nn.Sequential(EuclideanNoise(), nn.ReLU()), False),
        (nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)), False),
        (nn.Sequential(nn.ReLU(), nn.RReLU()), True),
        (nn.LSTM(2, 2, num_layers=2, dropout=0.5), True),
        (nn.TransformerEncoderLayer(4, 2), True),
        (Block(), True),
    ],
)
def test_it_is_known_which_parts_may_draw(network, draws):
    assert may_draw(network) == draws


def test_a_part_whose_forward_was_replaced_may_draw():
    layer = nn.Linear(5, 5, dtype=torch.float64)
    layer.forward = lambda x: x + torch.randn_like(x)
    with frozen(layer, 3):
        assert torch.equal(layer(X), layer(X))


def test_seeded_puts_back_after_an_error():
    state = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), seeded(1, generators_of(None)):
        torch.randn(1 // 0)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_network_without_tensors_may_draw_on_every_device_in_use(monkeypatch):
    devices = [torch.Generator(), torch.Generator()]
    monkeypatch.setattr(torch.cuda, "default_generators", devices)
    assert generators_of(nn.ReLU()) == generators_of(None) == [torch.default_generator]
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    assert generators_of(nn.Linear(2, 2)) == [torch.default_generator]
    assert generators_of(nn.ReLU()) == generators_of(None) == [torch.default_generator, *devices]


def test_methods_beside_the_call_are_not_held():
    network = Rows()
    with frozen(network, 3):
        assert torch.equal(network(X), network(X))
        assert not torch.equal(network.forward(X), network.forward(X))


def test_torchscript_is_held_within_a_network_and_refused_alone():
    scripted = torch.jit.trace(nn.Dropout(), (X,), check_trace=False)
    network = nn.Sequential(scripted, nn.Dropout())
    with frozen(network, 3):
        assert torch.equal(network(X), network(X))
    with pytest.raises(InputError, match="TorchScript"), frozen(scripted, 3):
        pass


def test_a_network_can_be_exported_inside_a_block():
    network = nn.Sequential(nn.Linear(4, 4), EuclideanNoise(strength=1.0), nn.Tanh())
    model = nn.ModuleDict({"inner": network})
    model.forward = lambda x: 2 * network(x)
    assert may_draw(model)
    x = torch.ones(2, 4)
    with frozen(model, 3):
        expected = model(x)
        torch.testing.assert_close(torch.export.export(model, (x,)).module()(x), expected)


@pytest.mark.gpu
def test_noise_on_a_gpu_is_held():
    network, x = Style().float().cuda(), X.float().cuda()
    with frozen(network, 3):
        first, second = network(x), network(x)
        whole = torch.func.jacfwd(network, randomness="same")(x)
        torch.testing.assert_close(torch.func.jacfwd(network, randomness="same")(x), whole, rtol=0, atol=0)
    assert torch.equal(first, second)
    assert not torch.equal(network(x), first)
    with frozen(network, 3):
        state = torch.cuda.get_rng_state()
        network(x)
        with pytest.raises(RuntimeError):
            network(x[:, :2])
        assert torch.equal(torch.cuda.get_rng_state(), state)


@pytest.mark.gpu
def test_a_network_without_tensors_is_held_on_a_gpu():
    network, x = nn.Dropout(), X.cuda()
    with frozen(network, 3):
        state = torch.cuda.get_rng_state()
        assert torch.equal(network(x), network(x))
        assert torch.equal(torch.cuda.get_rng_state(), state)

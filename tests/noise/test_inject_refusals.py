"""What injection refuses, by name and in one line, leaving the network as it was; and what it accepts."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise.control import noise_layers
from riemann_noise_pytorch.noise.inject import inject, remove
from riemann_noise_pytorch.noise.layers import EuclideanNoise, RiemannNoise
from tests.noise.networks import ResNet, Table, UNet, sound, x, z
from tests.noise.test_inject import everything_of


class Returns(nn.Module):
    """Puts out what it is told to, aside."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@dataclass
class Record:
    """Neither a tuple nor a dict."""

    features: Tensor


class Iterates(nn.Module):
    """Runs its children itself, whatever they are."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        for child in self.children():
            x = child(x)
        return x


class OddSequential(nn.Sequential):
    def forward(self, x):
        return super().forward(x) + 1


class Odd(nn.Module):
    """Modules of every kind that cannot have noise, beside some that can."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, 1, 1)
        self.convs = nn.ModuleList([nn.Conv2d(3, 3, 1)])
        self.table = nn.ModuleDict({"a": nn.Conv2d(3, 3, 1)})
        self.unused = nn.Linear(3, 3)
        self.pair = Returns(lambda x: (x, "text"))
        self.dictionary = Returns(lambda x: {"a": x, "b": 3})
        self.text = Returns(lambda x: "text")
        self.whole = Returns(lambda x: x.long())
        self.complex = Returns(torch.fft.fft2)
        self.single = Returns(lambda x: x.sum())
        self.vector = Returns(lambda x: x.sum(dim=(1, 2, 3)))
        self.fc = nn.Linear(3, 4)
        self.tokens = nn.Linear(6, 6)
        self.nested = Returns(lambda x: ((x, x), "text"))
        self.record = Returns(Record)
        self.taken = Returns(lambda x: x)
        self.taken.noise = 3
        self.iterates = Iterates()
        self.sequence = OddSequential(nn.Conv2d(3, 3, 1))
        self.plain = nn.Sequential(Table())
        self.sizes = nn.Conv2d(3, 3, 1)
        self.twice = nn.Conv2d(3, 3, 1)
        self.alias = self.known = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        for part in [
            self.pair,
            self.dictionary,
            self.text,
            self.whole,
            self.complex,
            self.single,
            self.vector,
            self.tokens,
            self.nested,
            self.record,
        ]:
            part(x)
        self.fc(x.mean(dim=(2, 3)))
        self.plain(x)
        self.sizes(self.sizes(x)[..., ::2])
        x = self.table["a"](self.convs[0](self.conv(x)))
        return self.alias(self.twice(self.twice(self.sequence(self.iterates(self.taken(x))))))


REFUSED = {
    "a pattern that matches nothing": (
        {"where": "cnov"},
        r"^'cnov' matches no module of the model; there are 'conv'",
    ),
    "a type that matches nothing": (
        {"where": nn.Conv1d},
        "^Conv1d matches no module of the model; .*'Conv2d'",
    ),
    "types that match nothing": ({"where": (nn.Conv1d, nn.GRU)}, "^Conv1d or GRU matches no module"),
    "a predicate that matches nothing": ({"where": lambda *_: False}, "^the predicate matches no module"),
    "one rule of several": ({"where": ["conv", "cnov"]}, "^'cnov' matches no module"),
    "no rule": ({"where": []}, "empty list; give a pattern"),
    "a tuple of patterns": (
        {"where": ("conv", "fc")},
        r"^where= takes a tuple of types only; give a list of patterns: \['conv', 'fc'\]$",
    ),
    "a predicate of one argument": (
        {"where": lambda module: True},
        r"^the model: the predicate of where= fails on it \(TypeError: .*\); it takes a qualified name and",
    ),
    "a predicate that fails": (
        {"where": lambda name, module: module.kernel_size},
        r"^the model: the predicate of where= fails on it \(AttributeError: 'Odd' object has no",
    ),
    "no type": ({"where": ()}, "^where= takes a pattern .* not tuple without types"),
    "a module for a rule": ({"where": nn.ReLU()}, "^where= takes a pattern .* not ReLU"),
    "a number for a rule": ({"where": 3}, "^where= takes a pattern .* not int"),
    "a module that is never called": (
        {"where": "unused"},
        r"^unused: the model never calls this .* in evaluation mode; match",
    ),
    "a list of modules": (
        {"where": "convs"},
        "^convs: a ModuleList is never called; match the modules in it",
    ),
    "a dict of modules": ({"where": "table"}, "^table: a ModuleDict is never called"),
    "an output that is a tuple": ({"where": "pair"}, "^pair: its output is of type tuple with .* output=0"),
    "an output that is a dict": ({"where": "dictionary"}, "^dictionary: its output is .* output='a'"),
    "an output that is no tensor": (
        {"where": "text"},
        "^text: its output is of type str and holds no tensor",
    ),
    "tensors within tensors' place": (
        {"where": "nested", "output": 0},
        "^nested: its output is of type tuple and holds tensors deeper; match the module that makes it",
    ),
    "an output that is a dataclass": (
        {"where": "record"},
        "^record: its output is of type Record and holds tensors deeper; match the module that makes it",
    ),
    "a list of indices": (
        {"where": "pair", "output": [0]},
        r"^output must be None, an index or a key, not \[0\]; give one, as in output=0",
    ),
    "a slice": (
        {"where": "pair", "output": slice(1)},
        r"^output must be None, .* not slice\(None, 1, None\)",
    ),
    "a truth value for an index": ({"where": "pair", "output": True}, "^output must be None, .* not True"),
    "channels along the last axis": (
        {"where": "tokens", "noise": "euclidean"},
        r"^tokens: a Linear puts channels last, but noise takes axis 1 of \(2, 3, 6, 6\) for them; match a",
    ),
    "an index that is not there": (
        {"where": "pair", "output": 2},
        "^pair: unknown member .* '2'.* Valid: 0, 1",
    ),
    "an index before the first": ({"where": "pair", "output": -3}, "^pair: unknown member"),
    "a key that is not there": ({"where": "dictionary", "output": "aa"}, "'aa'; did you mean 'a'"),
    "a member that is no tensor": (
        {"where": "pair", "output": 1},
        "^pair: member 1 .* type str; .* output=0",
    ),
    "a member of a tensor": (
        {"where": "conv", "output": 0},
        "^conv: its output is one tensor.* leave output= out",
    ),
    "a member of a Sequential's": ({"where": "plain", "output": "features"}, "^plain: .* match the child"),
    "integers": ({"where": "whole"}, "^whole: .* torch.int64; convert"),
    "complex numbers": ({"where": "complex"}, "^complex: .* torch.complex64; convert"),
    "features without axes": ({"where": "single"}, r"^single: .* features \(N, C, ...\), but these are \(\)"),
    "features (N,)": ({"where": "vector"}, r"^vector: .* but these are \(2,\); reshape"),
    "Riemannian noise without positions": (
        {"where": "fc"},
        "^fc: riemannian noise .* or use Euclidean noise",
    ),
    "a name that is taken": ({"where": "taken"}, "^taken: it has an attribute named 'noise' already"),
    "a module that iterates": (
        {"where": "iterates"},
        "^iterates: a noise layer in it would run 2 times, not 1",
    ),
    "a Sequential with its own forward": (
        {"where": "sequence"},
        "^sequence: a noise layer in it would run 2 times",
    ),
    "a module called twice": ({"where": "twice"}, "^twice: it is called 2 times; give shared=True"),
    "a module with two names": (
        {"where": "alias"},
        "^alias: it is known as alias and known; give shared=True",
    ),
    "two sizes for one map": (
        {"where": "sizes", "shared": True},
        r"^sizes: it runs on several sizes \(6x3, 6x6\), .* give maps=False",
    ),
    "an input of another shape": (
        {"example_input": torch.zeros(2, 5, 6, 6)},
        r"^the model fails on example_input \(RuntimeError: .*\); give what its forward takes$",
    ),
    "too many inputs": ({"example_input": (x(), x())}, "fails on example_input .TypeError"),
    "an unknown keyword": ({"example_input": {"y": x()}}, "fails on example_input .TypeError"),
    "an input that is no tensor": (
        {"example_input": [x()]},
        "^example_input must be .* list; put it into a tuple",
    ),
    "an unknown noise": (
        {"noise": "euclidian"},
        "unknown kind of noise 'euclidian'; did you mean 'euclidean'",
    ),
    "an unknown preset": ({"noise": "riemannian", "preset": "papre"}, "did you mean 'paper'"),
    "a number for a preset": (
        {"noise": "euclidean", "preset": 3},
        r"^unknown preset of Riemannian noise '3'. Valid: author-cat",
    ),
    "a list for a preset": ({"noise": "none", "preset": []}, r"^unknown preset of Riemannian noise '\[\]'."),
    "a noise that fails": (
        {"noise": lambda shape: shape[9]},
        r"^conv: noise= fails on features \(2, 3, 6, 6\) \(IndexError: .*\); it takes their shape",
    ),
    "a noise without an argument": (
        {"noise": lambda: RiemannNoise(6)},
        r"^conv: noise= fails on features \(2, 3, 6, 6\) \(TypeError: .*\); it takes their shape",
    ),
    "a noise that refuses": (
        {"noise": lambda _: RiemannNoise("small")},
        "^conv: size must be a positive integer",
    ),
    "an unknown option": (
        {"sttrength": 1.0},
        "^unknown option of inject 'sttrength'; did you mean 'strength'",
    ),
    "a preset beside a preset": ({"preset": "paper"}, "^preset= has no effect .* give noise='paper'"),
    "a strength that is tied": ({"noise": "paper", "strength": 1.0}, "^conv: preset 'paper' ties"),
    "a strength that is not finite": (
        {"strength": float("nan")},
        "^strength must be a finite number, not nan",
    ),
    "a class for a noise": ({"noise": EuclideanNoise}, "^noise= must be a name, or a function .* not Euclid"),
    "a layer for a noise": ({"noise": EuclideanNoise()}, "^noise= must be a name.*lambda shape"),
    "a noise that makes no layer": (
        {"noise": lambda _: nn.ReLU()},
        "^noise= must return a NoiseLayer, not a ReLU",
    ),
    "options for a function": (
        {"noise": lambda _: EuclideanNoise(), "strength": 1.0},
        "^strength= has no effect",
    ),
    "no maps for a function": ({"noise": lambda _: EuclideanNoise(), "maps": False}, "^maps= has no effect"),
    "a layer of another size": (
        {"noise": lambda _: RiemannNoise(9)},
        "^conv: this noise layer has maps of 9x9",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_in_one_line_and_rolled_back(arguments, message):
    torch.manual_seed(0)
    model = Odd()
    model.unused.eval()
    before = everything_of(model)
    with pytest.raises(InputError, match=message) as caught:
        inject(model, **({"where": "conv", "example_input": x()} | arguments))
    assert "\n" not in str(caught.value)
    assert everything_of(model) == before


def test_one_failure_among_many_rolls_all_back():
    model = Odd()
    before = everything_of(model)
    with pytest.raises(InputError, match=r"^iterates: "):
        inject(model, ["conv", "iterates", "convs.0"], example_input=x())
    assert everything_of(model) == before


def test_a_model_must_be_a_module():
    for function in (remove, lambda model: inject(model, "*", example_input=x())):
        with pytest.raises(InputError, match=r"must be an nn.Module, not of type int; build it first"):
            function(3)


def test_wrapped_and_compiled_models_are_refused():
    model = ResNet()
    for wrapped in (DataParallel(model), torch.compile(model, backend="eager")):
        with pytest.raises(InputError, match=r"^the model is wrapped in a .*; give the module within"):
            inject(wrapped, nn.Conv2d, example_input=x())
        with pytest.raises(InputError, match=r"^the model is wrapped in a"):
            remove(wrapped)
        outer = nn.Sequential(wrapped, nn.Conv2d(3, 3, 1))
        with pytest.raises(InputError, match=r"^0\..*blocks.0.conv1: it is within 0, which is wrapped"):
            inject(outer, nn.Conv2d, example_input=x())
        assert list(noise_layers(inject(outer, "1", example_input=x()))) == ["1.noise"]
    model.blocks[0].compile()
    with pytest.raises(InputError, match=r"^blocks.0: this module is compiled already"):
        inject(model, nn.Conv2d, example_input=x())


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_torchscript_is_refused():
    model = nn.Sequential(torch.jit.script(nn.Conv2d(3, 3, 1)), nn.ReLU())
    with pytest.raises(InputError, match=r"^0: TorchScript cannot be changed; inject before torch.jit"):
        inject(model, "0", example_input=x())


def test_a_second_injection_goes_to_other_modules_only():
    model = inject(UNet(), "down", example_input=x())
    before = everything_of(model)
    with pytest.raises(InputError, match=r"^down: noise was injected here already; remove\(model\) it first"):
        inject(model, ["up", "down"], example_input=x())
    assert everything_of(model) == before
    inject(model, "up", "euclidean", example_input=x())
    assert [layer.kind for layer in noise_layers(model).values()] == ["riemannian", "euclidean"]
    assert not noise_layers(remove(model))


def test_removal_of_nothing_is_refused():
    with pytest.raises(InputError, match=r"^no noise was injected into this model"):
        remove(UNet())
    model = inject(UNet(), "down", example_input=x())
    remove(model)
    with pytest.raises(InputError, match=r"^no noise was injected"):
        remove(model)


def test_scalars_serve_every_size():
    model = inject(UNet(), nn.Conv2d, "paper", maps=False, example_input=x())
    assert {layer.size for layer in noise_layers(model).values()} == {None}
    assert model(torch.randn(2, 3, 8, 8)).shape == (2, 3, 8, 8)
    model = inject(Odd(), "sizes", maps=False, shared=True, example_input=x())
    assert list(noise_layers(model)) == ["sizes.noise"]


def test_a_module_with_two_names_shares_one_layer_knowingly():
    model = inject(Odd(), "known", "euclidean", shared=True, example_input=x())
    assert model.alias.noise is model.known.noise
    assert {"alias.noise.a", "known.noise.a"} <= set(model.state_dict())
    assert not noise_layers(remove(model))


def test_noise_of_ones_own_is_built_from_the_shape():
    shapes = []

    def build(shape: torch.Size) -> RiemannNoise:
        shapes.append(tuple(shape))
        return RiemannNoise(tuple(shape[2:]), planes="per_channel", w=0.1, dtype=torch.float64)

    model = inject(UNet(), ["down", "up"], build, example_input=x())
    assert shapes == [(2, 6, 3, 3), (2, 4, 6, 6)]
    assert {layer.planes for layer in noise_layers(model).values()} == {"per_channel"}
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    one = EuclideanNoise()
    with pytest.raises(InputError, match="returned a layer that is in use; build a new one"):
        inject(UNet(), ["down", "up"], lambda _: one, example_input=x())


def test_no_noise_is_a_noise_that_puts_in_nothing():
    model = UNet()
    before = everything_of(model)
    assert inject(model, nn.Conv2d, "none", example_input=x()) is model
    assert everything_of(model) == before


def test_scalars_serve_one_dimension():
    model = inject(sound(), nn.Conv1d, "author-cat", maps=False, example_input=z())
    assert isinstance(model(torch.randn(5, 8)), Tensor)

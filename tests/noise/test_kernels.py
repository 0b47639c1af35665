"""The Triton kernels: their laws, in an interpreter; that they compile for GPUs; and when they are used."""

import importlib
import math
import os
import subprocess
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from riemann_noise_pytorch.noise import fused, passes
from riemann_noise_pytorch.noise.kernels import choice as kernels_choice
from riemann_noise_pytorch.noise.kernels import walks as kernels_walks
from riemann_noise_pytorch.noise.layers import RiemannNoise
from riemann_noise_pytorch.noise.presets import RIEMANN_PRESETS, RiemannPreset
from riemann_noise_pytorch.noise.readings import Reading
from riemann_noise_pytorch.noise.sources import Given

ROOT = Path(__file__).parents[2]
LAWS = "tests/noise/kernel_laws.py"
TRITON = importlib.util.find_spec("triton") is not None
needs_triton = pytest.mark.skipif(not TRITON, reason="this torch came without Triton")
DTYPES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
PUBLISHED = (32, 256, 64, 64)


def run_laws(**environment: str) -> None:
    command = [sys.executable, "-m", "pytest", LAWS, "-q", "-x", "-p", "no:cacheprovider"]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    if "only 0-dimensional arrays can be converted" in done.stdout:
        pytest.skip("the interpreter of this Triton does not know this NumPy")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


@needs_triton
def test_the_kernels_keep_their_laws_in_the_interpreter():
    run_laws(TRITON_INTERPRET="1")


# How a launch is compiled where there is no GPU: it is recorded, and its arguments say which variant it is.


class Recorder:
    def __init__(self, kernel, launches):
        self.kernel, self.launches = kernel, launches

    def __getitem__(self, grid):
        assert math.prod(grid) < 2**31
        return lambda *inputs, **settings: self.launches.append((self.kernel, inputs, settings))


@pytest.fixture
def launches(monkeypatch, tmp_path):
    """What is launched, on tensors without memory as a device of 132 multiprocessors gets it."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernels = importlib.import_module("riemann_noise_pytorch.noise.kernels.launches")
    recorded = []
    for step in ("identify", "geometry", "inject", "dots", "gradient"):
        name = f"{step}_kernel"
        monkeypatch.setattr(kernels, name, Recorder(getattr(kernels, name), recorded))
    monkeypatch.setattr(kernels, "programs", lambda device: 4 * 132)
    return recorded


def variant(kernel, inputs):
    """Types, constants and alignments of a launch, as Triton distinguishes them."""
    types, constants, aligned = {}, {}, {}
    for position, (parameter, value) in enumerate(zip(kernel.params, inputs, strict=True)):
        is_one = type(value) is int and value == 1
        if parameter.is_constexpr or value is None or is_one:
            types[parameter.name] = "constexpr"
            constants[(position,)] = value
        elif isinstance(value, torch.Tensor):
            types[parameter.name] = f"*{DTYPES[value.dtype]}"
        elif isinstance(value, float):
            types[parameter.name] = "fp32"
        else:
            types[parameter.name] = "i32" if value < 2**31 else "i64"
        if isinstance(value, torch.Tensor) or (type(value) is int and value % 16 == 0):
            aligned[(position,)] = [["tt.divisibility", 16]]
    aligned = {position: value for position, value in aligned.items() if position not in constants}
    return types, constants, aligned


def compiled(launches, *capabilities):
    """The assembly of every distinct launch, by the name of its kernel."""
    from triton import compile as build
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    found = {}
    for kernel, inputs, settings in launches:
        types, constants, aligned = variant(kernel, inputs)
        for capability in capabilities:
            key = (kernel.__name__, capability, str(types), str(constants), str(aligned))
            if key not in found:
                source = ASTSource(fn=kernel, signature=types, constexprs=constants, attrs=aligned)
                target = GPUTarget("cuda", capability, 32)
                found[key] = build(source, target=target, options=settings).asm
    return [(key[0], asm) for key, asm in found.items()]


def nothing(*shape, dtype=torch.float32, last=False):
    x = torch.empty(shape, dtype=dtype, device="meta")
    return x.contiguous(memory_format=torch.channels_last) if last else x


def launch_all(shape, dtype, last, settings, epsilon, identifiers):
    """A forward pass and the passes of a backward one."""
    from riemann_noise_pytorch.noise.kernels import launches as kernels

    mu, plane = nothing(*shape, dtype=dtype, last=last), nothing(shape[0], 1, *shape[2:])
    maps, number = nothing(*shape[2:]), nothing()
    noise = {"none": None, "plane": nothing(*plane.shape, dtype=dtype), "map": mu}[epsilon]
    results = [
        kernels.injected(Reading(settings, shape[1]), mu, plane, noise, number, maps, maps, number, number),
        kernels.shaped(mu, plane, noise, 1.0),
        kernels.gain_of(Reading(settings, shape[1]), plane, maps, maps, number),
        kernels.channel_dots(mu, mu, epsilon == "plane"),
    ]
    for identifier in identifiers:
        results.append(kernels.identified(identifier, mu))
        results.append(kernels.feature_gradient(identifier, mu, mu, plane, plane, plane))
    assert all(result is not None for result in results)


@needs_triton
def test_a_published_pass_compiles_and_moves_16_bytes_at_a_time(launches):
    launch_all(PUBLISHED, torch.float32, False, RIEMANN_PRESETS["neutral"], "plane", ["sum"])
    assembly = compiled(launches, 90)
    assert {name for name, _ in assembly} >= {"identify_kernel", "inject_kernel"}
    for name, asm in assembly:
        assert "ld.global.v4" in asm["ptx"], name
        if name in ("inject_kernel", "gradient_kernel"):
            assert "st.global.v4" in asm["ptx"], name


@pytest.mark.slow
@needs_triton
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("shape", [PUBLISHED, (2, 3, 7, 9), (5, 1, 1, 1), (3, 2048, 1024, 1024)])
def test_every_kernel_compiles_for_every_layout(dtype, last, shape, launches):
    for epsilon in ("none", "plane", "map"):
        settings = RIEMANN_PRESETS["neutral"]
        if math.prod(shape[2:]) > 2**16:
            from riemann_noise_pytorch.noise.kernels import launches as kernels

            mu, plane = nothing(*shape, dtype=dtype, last=last), nothing(shape[0], 1, *shape[2:])
            assert (
                kernels.shaped(mu, plane, {"none": None, "plane": plane, "map": mu}[epsilon], 1.0) is not None
            )
            assert kernels.channel_dots(mu, mu) is not None
        else:
            identifiers = ["sum", "relu_neg_sum", "abs_sum", "neg_max"] if epsilon == "plane" else ["sum"]
            launch_all(shape, dtype, last, settings, epsilon, identifiers)
    assert len(compiled(launches, 80, 90)) >= 8


@pytest.mark.slow
@needs_triton
@pytest.mark.parametrize("range_", ["max_abs", "max_abs_unit", "signed_max_unit"])
@pytest.mark.parametrize("alpha_on", ["affine", "ones"])
def test_every_geometry_compiles(range_, alpha_on, launches):
    settings = RiemannPreset(range=range_, alpha_on=alpha_on, norm="l2")
    launch_all((4, 8, 16, 16), torch.float32, False, settings, "plane", ["sum"])
    assert len(compiled(launches, 80, 90)) >= 10


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("N", [1, 32, 300])
@pytest.mark.parametrize("C", [1, 3, 256, 5000])
@pytest.mark.parametrize("P", [1, 49, 4096, 2**20])
def test_the_programs_of_a_walk_take_all_and_none_is_idle(N, C, P, last):
    channels, places, parts = kernels_walks.columns(N, C, P, last, 528)
    assert channels * places <= kernels_walks.TILE
    assert (parts - 1) * places < P <= parts * places
    for itemsize, wanted in ((4, 396), (2, 2112)):
        walk = kernels_walks.spans(N, C, P, last, itemsize, wanted)
        channels, places, place_parts, places_each, channel_parts, channels_each = walk
        assert channels * places * itemsize <= 4 * kernels_walks.TILE
        assert (place_parts - 1) * places_each < P <= place_parts * places_each
        assert (channel_parts - 1) * channels_each < C <= channel_parts * channels_each
        assert N * place_parts * channel_parts <= max(wanted, N * math.ceil(P / places))


# When the kernels are used.


@pytest.fixture
def cpu_counts(monkeypatch):
    """As if a CPU were a device for kernels, which nobody has tried yet."""
    monkeypatch.setattr(kernels_choice, "suits", lambda x: x.dtype in kernels_choice.DTYPES)
    monkeypatch.setattr(kernels_choice, "_chosen", {})
    monkeypatch.setattr(fused, "LARGE_MAP", 0)
    monkeypatch.delenv(kernels_choice.OFF, raising=False)


def stand_in(monkeypatch, kernels, compare=lambda device, dtype: None):
    """Other modules in the place of the kernels and of their trial; what is asked for is listed."""
    asked = []
    modules = {"launches": kernels, "trial": SimpleNamespace(compare=compare)}

    def load(name):
        asked.append(name.rpartition(".")[2])
        if isinstance(kernels, Exception):
            raise kernels
        return modules[asked[-1]]

    monkeypatch.setattr(kernels_choice, "importlib", SimpleNamespace(import_module=load))
    return asked


def layer_and_features():
    torch.manual_seed(0)
    layer = RiemannNoise((4, 4), w=0.3)
    layer.source = Given(torch.randn(2, 1, 4, 4))
    return layer, torch.randn(2, 3, 4, 4).requires_grad_()


def values_and_gradients(layer, mu):
    output = layer(mu)
    return [output.detach(), *torch.autograd.grad(output.square().sum(), [mu, *layer.parameters()])]


@contextmanager
def no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def wrong(*inputs):
    raise RuntimeError("the compiler says no\nat length")


def disagreeing(device, dtype):
    raise ArithmeticError("the kernel 'dots' differs from torch in torch.float32")


@pytest.mark.parametrize(
    ("kernels", "compare", "cause"),
    [
        (ImportError("No module named 'triton'"), None, r"ImportError: No module named 'triton'"),
        (SimpleNamespace(), disagreeing, r"ArithmeticError: the kernel 'dots' differs"),
        (SimpleNamespace(), wrong, r"RuntimeError: the compiler says no\)"),
        (SimpleNamespace(identified=wrong), lambda device, dtype: None, r"RuntimeError: the compiler says"),
    ],
    ids=["no triton", "wrong values", "fails on trial", "fails later"],
)
def test_a_failure_is_told_once_and_torch_does_the_work(kernels, compare, cause, cpu_counts, monkeypatch):
    layer, mu = layer_and_features()
    with monkeypatch.context() as patch:
        patch.setattr(kernels_choice, "suits", lambda x: False)
        expected = values_and_gradients(layer, mu)
    asked = stand_in(monkeypatch, kernels, compare)
    with pytest.warns(RuntimeWarning, match=cause) as told:
        first = values_and_gradients(layer, mu)
    assert len(told) == 1
    assert "RIEMANN_NOISE_NO_KERNELS=1" in str(told[0].message)
    asked.clear()
    with no_warning():
        second = values_and_gradients(layer, mu)
        layer.to(torch.bfloat16)(mu.bfloat16())
    assert asked == []
    for one, two, truth in zip(first, second, expected, strict=True):
        assert torch.equal(one, truth)
        assert torch.equal(two, truth)


def test_the_kernels_are_tried_once_for_a_dtype_and_torch_does_the_work_meanwhile(cpu_counts, monkeypatch):
    mu, answer, trials = torch.randn(2, 3, 4, 4), torch.full((2, 1, 4, 4), 7.0), []

    def compare(device, dtype):
        trials.append(dtype)
        own = mu.to(dtype)
        torch.testing.assert_close(passes.identified("sum", own), own.sum(1, keepdim=True, dtype=mu.dtype))

    stand_in(monkeypatch, SimpleNamespace(identified=lambda identifier, mu: answer), compare)
    with no_warning():
        for _ in range(2):
            assert passes.identified("sum", mu) is answer
            assert passes.identified("sum", mu.half()) is answer
            assert passes.identified("sum", mu.double()).dtype == torch.float64
    assert trials == [torch.float32, torch.float16]


def test_what_a_kernel_declines_is_done_by_torch(cpu_counts, monkeypatch):
    names = ("identified", "injected", "shaped", "channel_dots", "feature_gradient")
    layer, mu = layer_and_features()
    declined = []
    declining = {name: lambda *inputs, name=name: declined.append(name) for name in names}
    stand_in(monkeypatch, SimpleNamespace(**declining))
    found = values_and_gradients(layer, mu)
    assert declined == [*names]
    monkeypatch.setattr(kernels_choice, "suits", lambda x: False)
    for one, truth in zip(found, values_and_gradients(layer, mu), strict=True):
        assert torch.equal(one, truth)


def test_a_device_without_memory_is_told_as_it_is(cpu_counts, monkeypatch):
    def full(*inputs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    stand_in(monkeypatch, SimpleNamespace(identified=full))
    with pytest.raises(torch.OutOfMemoryError):
        passes.identified("sum", torch.randn(2, 3, 4, 4))
    assert list(kernels_choice._chosen.values()) != [None]
    kernels_choice._chosen.clear()
    stand_in(monkeypatch, SimpleNamespace(), full)
    with pytest.raises(torch.OutOfMemoryError):
        passes.identified("sum", torch.randn(2, 3, 4, 4))
    assert kernels_choice._chosen == {}


def test_an_environment_variable_switches_them_off(cpu_counts, monkeypatch):
    asked = stand_in(monkeypatch, SimpleNamespace(identified=lambda *inputs: "a kernel's"))
    mu = torch.randn(2, 3, 4, 4)
    monkeypatch.setenv("RIEMANN_NOISE_NO_KERNELS", "1")
    assert torch.equal(passes.identified("sum", mu), mu.sum(1, keepdim=True))
    assert asked == []
    monkeypatch.setenv("RIEMANN_NOISE_NO_KERNELS", "0")
    kernels_choice._chosen.clear()
    assert passes.identified("sum", mu) == "a kernel's"


def test_a_cpu_never_loads_them():
    script = (
        "import sys, torch; from riemann_noise_pytorch import RiemannNoise\n"
        "x = torch.randn(4, 256, 32, 32).requires_grad_(); RiemannNoise(32)(x).sum().backward()\n"
        "sys.exit(any(name.endswith(('kernels.launches', 'kernels.trial')) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0

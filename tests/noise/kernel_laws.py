"""The laws of the kernels: run by test_kernels.py, in Triton's interpreter (TRITON_INTERPRET=1) or on a GPU.

The truth is that of the formulas in float64. Uninitialised memory is NaN here, so what is not written shows.
"""

import itertools
import os
import warnings

import pytest
import torch
from torch import nn

from riemann_noise_pytorch.noise import fused
from riemann_noise_pytorch.noise.kernels import choice as kernels_choice
from riemann_noise_pytorch.noise.kernels import launches as kernels
from riemann_noise_pytorch.noise.kernels import trial as kernels_trial
from riemann_noise_pytorch.noise.kernels import walks as kernels_walks
from riemann_noise_pytorch.noise.layers import RiemannNoise
from riemann_noise_pytorch.noise.presets import RIEMANN_PRESETS, RiemannPreset
from riemann_noise_pytorch.noise.readings import Reading
from riemann_noise_pytorch.noise.sources import Given, Off
from riemann_noise_pytorch.noise.switches import IDENTIFIERS

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"
PRESETS = sorted(RIEMANN_PRESETS)
SHAPE = (3, 5, 6, 7)
LONG = (2, 19, 3, 5)
"""More channels and positions than a small tile has."""
STEPS = {"identified", "injected", "channel_dots", "feature_gradient"}
NOISES = {"plane": (3, 1), "plane for all": (1, 1), "map": (3, 5), "map for all": (1, 5), "none": None}
HALF = {torch.bfloat16: 2**-7 if INTERPRETED else 2**-8, torch.float16: 2**-11}
"""Largest relative error of rounding; the interpreter rounds bfloat16 towards zero."""


@pytest.fixture(autouse=True)
def surroundings(monkeypatch):
    """Kernels serve tensors of the device at hand, and memory that nobody wrote is NaN."""
    monkeypatch.setattr(
        kernels_choice, "suits", lambda x: x.device.type == DEVICE and x.dtype in kernels_choice.DTYPES
    )
    monkeypatch.setattr(fused, "LARGE_MAP", 0)
    index = torch.empty(0, device=DEVICE).get_device()
    chosen = {(index, dtype): kernels for dtype in kernels_choice.DTYPES}
    monkeypatch.setattr(kernels_choice, "_chosen", chosen)
    torch.use_deterministic_algorithms(True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def on_trial():
    """The kernels are being tried: torch does the work elsewhere."""
    kernels_choice._chosen.update(dict.fromkeys(kernels_choice._chosen))


@pytest.fixture
def small_tiles(monkeypatch):
    """Tiles so small that every loop turns more than once, and ends within a tile."""
    for module, name, value in (
        (kernels_walks, "TILE", 64),
        (kernels_walks, "PLACES_IN_A_ROW", 8),
        (kernels, "BLOCK", 8),
    ):
        monkeypatch.setattr(module, name, value)
    clear = (kernels_walks.columns.cache_clear, kernels_walks.spans.cache_clear)
    for forget in clear:
        forget()
    yield
    for forget in clear:
        forget()


def normal(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE, dtype)


def near(found, exact, tolerance=1e-5):
    assert found.shape == exact.shape
    assert not found.isnan().any()
    assert (found.double() - exact.double()).norm() <= tolerance * exact.double().norm() + 1e-30


def build(preset, size=SHAPE[2:], **changes):
    layer = RiemannNoise(size, preset=preset, **changes)
    for number, p in enumerate(layer.parameters()):
        p.data = 0.3 * normal(*p.shape, seed=number) + (0.7 if p.ndim == 0 else 0)
    return layer.to(DEVICE)


def with_count(monkeypatch, compute):
    """What is computed, and how often each kernel did the work."""
    done = {}
    attempt = kernels_choice.attempt

    def counted(work, *inputs):
        result = attempt(work, *inputs)
        if result is not None:
            done[work] = done.get(work, 0) + 1
        return result

    with monkeypatch.context() as patch:
        patch.setattr(fused, "attempt", counted)
        patch.setattr(fused.passes, "attempt", counted)
        return compute(), done


def compare_layer(monkeypatch, layer, mu, noise, upstream, tolerance=1e-5):
    """The layer by kernels against the formulas in float64: its values, then its gradients."""

    def compute(features, epsilon, cotangent):
        features = features.detach().requires_grad_()
        epsilon = None if epsilon is None else epsilon.detach().requires_grad_()
        layer.source = Off() if epsilon is None else Given(epsilon)
        output = layer(features)
        inputs = [features] if epsilon is None else [features, epsilon]
        gradients = torch.autograd.grad(output, [*inputs, *layer.parameters()], cotangent, allow_unused=True)
        of_parameters = [g.flatten() for g in gradients[len(inputs) :] if g is not None]
        return [output.detach(), *gradients[: len(inputs)], torch.cat(of_parameters)]

    found, done = with_count(monkeypatch, lambda: compute(mu, noise, upstream))
    layer.double()
    with monkeypatch.context() as patch:
        patch.setattr(fused, "is_ordinary", lambda tensors: False)
        exact = compute(mu.double(), None if noise is None else noise.double(), upstream.double())
    assert len(found) == len(exact)
    for one, other in zip(found, exact, strict=True):
        near(one, other, tolerance)
    return found, done


@pytest.mark.parametrize("dtype", kernels_choice.DTYPES)
def test_the_trial_is_passed(dtype, on_trial):
    kernels_trial.compare(torch.device(DEVICE), dtype)


@pytest.mark.parametrize(
    "work", ["identified", "gain_of", "injected", "shaped", "channel_dots", "feature_gradient"]
)
def test_the_trial_finds_a_wrong_kernel(work, on_trial, monkeypatch):
    right = getattr(kernels, work)

    def wrong(*inputs):
        result = right(*inputs)
        (result if torch.is_tensor(result) else result[1]).view(-1)[7] += 0.5
        return result

    monkeypatch.setattr(kernels, work, wrong)
    with pytest.raises(ArithmeticError, match="differs from torch"):
        kernels_trial.compare(torch.device(DEVICE), torch.float32)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("preset", PRESETS)
def test_layers_keep_their_values_and_gradients(preset, noise, monkeypatch):
    layer, mu, upstream = build(preset), normal(*SHAPE), normal(*SHAPE, seed=1)
    epsilon = None if NOISES[noise] is None else normal(*NOISES[noise], *SHAPE[2:], seed=2)
    _, done = compare_layer(monkeypatch, layer, mu, epsilon, upstream)
    dots = 2 if noise.startswith("map") else 1
    assert done == {"identified": 1, "injected": 1, "channel_dots": dots, "feature_gradient": 1}


@pytest.mark.parametrize("noise", [1, 19], ids=["plane", "map"])
@pytest.mark.parametrize("preset", ["neutral", "author-ffhq", "author-cat", "author-church"])
@pytest.mark.parametrize("last", [False, True], ids=["by channels", "channels last"])
def test_every_loop_of_every_walk_is_right(preset, noise, last, small_tiles, monkeypatch):
    mu, upstream = normal(*LONG), normal(*LONG, seed=1)
    if last:
        mu, upstream = (x.contiguous(memory_format=torch.channels_last) for x in (mu, upstream))
    layer, epsilon = build(preset, LONG[2:]), normal(2, noise, *LONG[2:], seed=2)
    found, done = compare_layer(monkeypatch, layer, mu, epsilon, upstream)
    assert done.keys() == STEPS
    if last:
        assert found[0].stride() == found[1].stride() == mu.stride()


@pytest.mark.parametrize("layouts", list(itertools.product([False, True], repeat=3)))
def test_features_noise_and_gradients_may_lie_in_memory_each_in_its_way(layouts, small_tiles, monkeypatch):
    """With so many programs, too, that several share the channels of a sample."""
    monkeypatch.setattr(kernels, "programs", lambda device: 64)
    maps = [
        normal(*LONG, seed=seed).contiguous(
            memory_format=torch.channels_last if last else torch.contiguous_format
        )
        for seed, last in enumerate(layouts)
    ]
    _, done = compare_layer(monkeypatch, build("author-cat", LONG[2:]), *maps)
    assert done.keys() == STEPS


@pytest.mark.parametrize("size", [(1,), (37,), (2, 3, 4), (1, 1)])
@pytest.mark.parametrize("channels", [1, 3, 33])
def test_any_number_of_channels_positions_and_axes(size, channels, monkeypatch):
    shape = (2, channels, *size)
    layer = build("author-church", size)
    noise = normal(2, 1, *size, seed=2)
    _, done = compare_layer(monkeypatch, layer, normal(*shape), noise, normal(*shape, seed=1))
    assert done.keys() == STEPS


@pytest.mark.parametrize("scale", [1.0, 1e-3, 0.0], ids=["usual", "nearly flat", "flat"])
@pytest.mark.parametrize("range_", ["max_abs", "max_abs_unit", "signed_max_unit"])
@pytest.mark.parametrize("alpha_on", ["affine", "ones"])
@pytest.mark.parametrize("norm", ["l2", "rms"])
def test_the_geometry_is_that_of_the_formulas(range_, alpha_on, norm, scale, small_tiles, monkeypatch):
    """Its floors too: a flat identifier, D1, and s' near 0, D2."""
    settings = RiemannPreset(identifier="abs_sum", range=range_, alpha_on=alpha_on, norm=norm)
    mu_tilde = 9 + scale * normal(2, 1, 3, 5)
    for size, gain, small, count in (((3, 5), 0.4, 1.0, 4), ((), 1.0, 1.0, 3), ((3, 5), 1.0, 1e-2, 4)):
        A, b = normal(*size, seed=1) * small, normal(*size, seed=2) * small
        alpha, r = (torch.tensor(v, device=DEVICE) for v in (1.0 if small < 1 else 0.3, 1.7))
        if small < 1 and alpha_on == "ones":
            alpha = 1 - alpha
        reading = Reading(settings, 12, gain)
        parameters = (A, b, alpha, r)[:count]
        found = kernels.gain_of(reading, mu_tilde, *parameters)
        near(found, reading(mu_tilde.double(), *(p.double() for p in parameters)))


@pytest.mark.parametrize("planes", [41, 20], ids=["a launch of its own", "too large"])
def test_large_planes_get_a_launch_or_torch(planes, monkeypatch):
    """(6, 7) positions: above what an injection works out itself, and above what a program does."""
    monkeypatch.setattr(kernels, "FUSED_PLACES", 20)
    monkeypatch.setattr(kernels, "MOST_PLACES", 2**16 if planes == 41 else 20)
    mu, noise, upstream = normal(*SHAPE), normal(3, 1, 6, 7, seed=2), normal(*SHAPE, seed=1)
    _, done = compare_layer(monkeypatch, build("neutral"), mu, noise, upstream)
    assert done.keys() == (STEPS if planes == 41 else STEPS - {"injected"} | {"shaped"})


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("identifier", IDENTIFIERS)
@pytest.mark.parametrize("last", [False, True])
def test_half_precision_is_rounded_once(dtype, identifier, last):
    """Each value is that of float64 on the same numbers, rounded, and a little for float32 on the way."""
    memory = torch.channels_last if last else torch.contiguous_format
    mu, upstream, noise = (
        normal(*SHAPE, seed=s, dtype=dtype).contiguous(memory_format=memory) for s in range(3)
    )
    mu[:, 1] = mu[:, 3]
    gain, k = normal(3, 1, 6, 7, seed=3), normal(3, 1, 6, 7, seed=4)
    mu_tilde, w = IDENTIFIERS[identifier](mu.double()), torch.tensor(0.3, device=DEVICE)
    near(kernels.identified(identifier, mu), mu_tilde, 1e-6)
    dot, total = kernels.channel_dots(upstream, mu, True)
    near(dot, (upstream.double() * mu.double()).sum(1, keepdim=True), 1e-6)
    near(total, upstream.double().sum(1, keepdim=True), 1e-6)
    found = kernels.shaped(mu, gain, noise, w)
    rounded(found, gain.double() * (mu.double() + w.double() * noise.double()), HALF[dtype])
    leaf = mu.double().requires_grad_()
    (back,) = torch.autograd.grad(IDENTIFIERS[identifier](leaf), leaf, k.double())
    found = kernels.feature_gradient(identifier, upstream, mu, mu_tilde.float(), gain, k)
    rounded(found, gain.double() * upstream.double() + back, HALF[dtype])


def rounded(found, exact, unit):
    assert ((found.double() - exact).abs() <= 1.01 * unit * exact.abs() + 1e-6).all()


@pytest.mark.parametrize("w", [0.5, 1, torch.tensor(0.5), torch.tensor(0.5, dtype=torch.bfloat16)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_strength_may_be_a_number_or_a_tensor_and_the_noise_of_any_precision(w, dtype):
    mu, gain, epsilon = normal(*SHAPE), normal(3, 1, 6, 7, seed=1), normal(3, 1, 6, 7, seed=2, dtype=dtype)
    w = w.to(DEVICE) if torch.is_tensor(w) else w
    near(kernels.shaped(mu, gain, epsilon, w), gain.double() * (mu.double() + float(w) * epsilon.double()))


def test_ties_share_evenly(small_tiles, monkeypatch):
    mu = nn.functional.relu(normal(2, 9, 4, 4))
    assert ((mu == 0).sum(1) > 1).any()
    compare_layer(
        monkeypatch,
        build("author-church", (4, 4)),
        mu,
        normal(2, 1, 4, 4, seed=1),
        normal(2, 9, 4, 4, seed=2),
    )


@pytest.mark.parametrize("preset", PRESETS)
def test_a_feature_that_is_no_number_shows_in_its_own_sample_as_it_does_in_torch(preset):
    layer, mu = build(preset), normal(*SHAPE)
    mu[1, 2, 3, 4] = float("nan")
    layer.source = Off()
    found = layer(mu)
    assert found[1].isnan().all()
    assert found[0].isfinite().all()
    assert found[2].isfinite().all()


def test_what_kernels_do_not_serve_is_declined():
    mu, plane = normal(*SHAPE), normal(3, 1, 6, 7)
    reading = Reading(RIEMANN_PRESETS["neutral"], 5)
    A, alpha = normal(6, 7), torch.tensor(0.5, device=DEVICE)
    strided = normal(3, 5, 6, 14)[..., ::2]
    assert kernels.identified("sum", strided) is None
    assert kernels.identified("sum", mu[:0]) is None
    assert kernels.shaped(strided, plane, None, 1.0) is None
    assert kernels.shaped(mu, plane.double(), None, 1.0) is None
    assert kernels.shaped(mu, plane, plane.double(), 1.0) is None
    assert kernels.shaped(mu, plane, plane[..., :1], 1.0) is None
    assert kernels.shaped(mu, plane, plane, torch.ones(3, 1, 1, 1, device=DEVICE)) is None
    assert kernels.channel_dots(mu, strided) is None
    assert kernels.channel_dots(mu, plane[:, :, :1].expand_as(mu)) is None
    assert kernels.feature_gradient("sum", strided, mu, plane, plane, plane) is None
    assert kernels.feature_gradient("sum", mu, mu, plane, plane.double(), plane) is None
    assert kernels.injected(reading, mu, plane, None, 1.0, A.double(), A, alpha) is None
    assert kernels.injected(reading, mu, plane, None, 1.0, A.bfloat16(), A.bfloat16(), alpha) is None
    assert kernels.injected(reading, mu, plane, None, 1.0, A.T, A.T, alpha) is None
    assert kernels.injected(reading, mu, plane, None, 1.0, A, alpha, alpha) is None


def test_declined_layouts_and_dtypes_still_get_their_values(monkeypatch):
    upstream = normal(1, 1, 1, 1).expand(SHAPE)
    strided = normal(3, 5, 6, 14)[..., ::2]
    for mu, noise in ((strided, normal(3, 1, 6, 7)), (normal(*SHAPE), normal(3, 1, 6, 1).expand(3, 1, 6, 7))):
        compare_layer(monkeypatch, build("author-cat"), mu, noise, upstream)
    _, done = with_count(monkeypatch, lambda: build("neutral").double()(normal(*SHAPE).double()))
    assert not done


def test_without_gradients_the_kernels_do_the_work_too(monkeypatch):
    layer, mu = build("neutral").requires_grad_(False), normal(*SHAPE)
    layer.source = Given(normal(3, 1, 6, 7, seed=2))
    found, done = with_count(monkeypatch, lambda: layer(mu))
    assert done == {"identified": 1, "injected": 1}
    with monkeypatch.context() as patch:
        patch.setattr(fused, "is_ordinary", lambda tensors: False)
        near(found, layer(mu))

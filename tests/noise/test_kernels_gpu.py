"""The Triton kernels on a GPU: their laws, their launches, and what they leave to torch."""

import math

import pytest
import torch

from riemann_noise_pytorch.noise import fused
from riemann_noise_pytorch.noise.control import frozen
from riemann_noise_pytorch.noise.kernels import choice as kernels_choice
from riemann_noise_pytorch.noise.layers import RiemannNoise
from riemann_noise_pytorch.noise.presets import RIEMANN_PRESETS
from riemann_noise_pytorch.noise.sources import Given
from tests.noise.test_kernels import DTYPES, no_warning, run_laws

pytestmark = pytest.mark.gpu


def launched(work):
    """The names of the kernels that some work launches, in order."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        work()
        torch.cuda.synchronize()
    events = [e for e in profile.events() if e.device_type == torch.autograd.DeviceType.CUDA]
    return [e.name for e in sorted(events, key=lambda e: e.time_range.start) if "Memset" not in e.name]


def on_gpu(preset="neutral", shape=(4, 32, 16, 16), dtype=torch.float32):
    layer = RiemannNoise(shape[2:], "cuda", preset=preset)
    with torch.no_grad():
        for p in layer.parameters():
            p.add_(0.1 * torch.randn_like(p))
    layer.source = Given(torch.randn(shape[0], 1, *shape[2:], device="cuda", dtype=dtype))
    return layer, torch.randn(shape, device="cuda", dtype=dtype).requires_grad_()


def test_the_kernels_keep_their_laws():
    run_laws()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_forward_pass_is_two_launches(dtype):
    layer, mu = on_gpu(dtype=dtype)
    with no_warning():
        layer(mu)
    assert launched(lambda: layer(mu)) == ["identify_kernel", "inject_kernel"]
    with torch.no_grad():
        assert launched(lambda: layer(mu)) == ["identify_kernel", "inject_kernel"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("preset", sorted(RIEMANN_PRESETS))
def test_a_published_size_is_that_of_the_formulas(preset, dtype, monkeypatch):
    layer, mu = on_gpu(preset, (8, 256, 64, 64), dtype)
    upstream = torch.randn_like(mu)

    def compute(layer, mu):
        output = layer(mu)
        of_mu, *of_parameters = torch.autograd.grad(output, [mu, *layer.parameters()], upstream.to(mu.dtype))
        return [output.detach(), of_mu, torch.cat([g.flatten() for g in of_parameters])]

    with no_warning():
        found = compute(layer, mu)
    exact = mu.detach().double().requires_grad_()
    layer.double().source = Given(layer.source.maps.double())
    unit = max(torch.finfo(dtype).eps, 1e-5)
    for one, truth in zip(found, compute(layer, exact), strict=True):
        assert (one.double() - truth).norm() <= unit * truth.norm()


def test_float64_and_strided_features_go_torchs_way():
    layer, mu = on_gpu()
    strided = torch.randn(4, 32, 16, 32, device="cuda")[..., ::2]
    assert not {"identify_kernel", "inject_kernel"} & {*launched(lambda: layer(strided))}
    torch.testing.assert_close(layer(strided), layer(strided.contiguous()))
    layer.double().source = Given(layer.source.maps.double())
    assert not {"identify_kernel", "inject_kernel"} & {*launched(lambda: layer(mu.double()))}


def test_a_pass_waits_for_nothing_and_draws_nothing(monkeypatch):
    layer, mu = on_gpu()
    upstream = torch.randn_like(mu)
    monkeypatch.setattr(kernels_choice, "_chosen", {})
    state = torch.cuda.get_rng_state()
    layer(mu).backward(upstream)
    assert torch.equal(torch.cuda.get_rng_state(), state)
    torch.cuda.set_sync_debug_mode("error")
    try:
        layer(mu).backward(upstream)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_forward_pass_can_be_captured(monkeypatch):
    layer, mu = on_gpu()
    still = mu.detach().clone()
    with torch.no_grad():
        expected = layer(mu)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            output = layer(still)
        output.zero_()
        graph.replay()
        assert torch.equal(output, expected)
        still.mul_(2)
        graph.replay()
        assert torch.equal(output, layer(mu * 2))
    monkeypatch.setattr(kernels_choice, "_chosen", {})
    with torch.no_grad(), torch.cuda.graph(torch.cuda.CUDAGraph()):
        layer(still)
    assert kernels_choice._chosen == {}, "a capture is no time for a trial"


def test_more_than_2_to_the_31_values_are_reached():
    if torch.cuda.get_device_properties(0).total_memory < 20 * 2**30:
        pytest.skip("needs 20 GiB of device memory")
    shape = (9, 1024, 512, 512)
    assert math.prod(shape) > 2**31
    layer = RiemannNoise(None, "cuda", preset="author-cat", w=0.5, map_std=0.0, b=0.3)
    layer.source = Given(torch.randn(1, 1, *shape[2:], device="cuda", dtype=torch.bfloat16))
    mu = torch.empty(shape, device="cuda", dtype=torch.bfloat16).normal_()
    with torch.no_grad():
        torch.testing.assert_close(layer(mu)[-1:], layer(mu[-1:].contiguous()))


def test_second_derivatives_are_those_of_the_formulas(monkeypatch):
    layer, mu = on_gpu()

    def compute():
        (first,) = torch.autograd.grad(layer(mu).square().sum(), mu, create_graph=True)
        return torch.autograd.grad(first.square().sum(), mu)[0]

    found = compute()
    monkeypatch.setattr(fused, "is_ordinary", lambda tensors: False)
    torch.testing.assert_close(found, compute(), rtol=1e-3, atol=1e-3)


def test_frozen_noise_in_float32_serves_features_of_half_precision():
    layer, mu = on_gpu(dtype=torch.bfloat16)
    with frozen(layer, 1), no_warning():
        output = layer(mu)
    with frozen(layer, 1):
        exact = layer(mu.float())
    assert output.dtype == torch.bfloat16
    assert (output.float() - exact).norm() <= torch.finfo(torch.bfloat16).eps * exact.norm()

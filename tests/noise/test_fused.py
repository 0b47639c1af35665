"""The fast way of Riemannian noise gives what its formulas give, in value and in every derivative."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from riemann_noise_pytorch.noise import fused, passes
from riemann_noise_pytorch.noise.control import frozen
from riemann_noise_pytorch.noise.layers import RiemannNoise
from riemann_noise_pytorch.noise.presets import RIEMANN_PRESETS
from riemann_noise_pytorch.noise.sources import Given, Off

PRESETS = sorted(RIEMANN_PRESETS)
SHAPE = (3, 4, 5, 6)
NOISES = {
    "shared": (3, 1, 5, 6),
    "one plane for all samples": (1, 1, 5, 6),
    "positions alone": (5, 6),
    "per channel": (3, 4, 5, 6),
    "per channel, for all samples": (1, 4, 5, 6),
    "none": None,
}


def normal(*shape: int, seed: int = 0, dtype=torch.float64) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def build(preset: str, size=SHAPE[2:], dtype=torch.float64, **changes) -> RiemannNoise:
    own = RIEMANN_PRESETS[preset].strength == "own"
    torch.manual_seed(3)
    layer = RiemannNoise(size, preset=preset, dtype=dtype, **({"w": 0.3} if own else {}), **changes)
    for p in layer.parameters():
        p.data += 0.1 * normal(*p.shape, seed=p.ndim, dtype=dtype)
    return layer


def both_ways(monkeypatch, compute):
    """What is computed by the fast way, and by the formulas one after the other."""
    calls = []
    apply = fused._Injection.apply
    with monkeypatch.context() as patch:
        patch.setattr(fused._Injection, "apply", lambda *inputs: calls.append(1) or apply(*inputs))
        fast = compute()
        assert calls, "the fast way was not taken"
    with monkeypatch.context() as patch:
        patch.setattr(fused, "is_ordinary", lambda tensors: False)
        plain = compute()
    return fast, plain


@pytest.fixture(autouse=True)
def maps_of_any_size(monkeypatch):
    monkeypatch.setattr(fused, "LARGE_MAP", 0)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("preset", PRESETS)
def test_values_and_gradients_are_those_of_the_formulas(preset, noise, monkeypatch):
    layer = build(preset)
    mu, upstream = normal(*SHAPE).requires_grad_(), normal(*SHAPE, seed=1)
    epsilon = None if NOISES[noise] is None else normal(*NOISES[noise], seed=2).requires_grad_()
    layer.source = Off() if epsilon is None else Given(epsilon)
    inputs = [mu, *([] if epsilon is None else [epsilon]), *layer.parameters()]

    def compute():
        output = layer(mu)
        return [output, *torch.autograd.grad(output, inputs, upstream, allow_unused=True)]

    for fast, plain in zip(*both_ways(monkeypatch, compute), strict=True):
        if plain is not None:
            torch.testing.assert_close(fast, plain, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("size", [(7,), (2, 3, 4)])
def test_features_may_have_one_or_three_spatial_axes(size, monkeypatch):
    layer, mu = build("neutral", size), normal(2, 3, *size).requires_grad_()

    def compute():
        with frozen(layer, 1):
            output = layer(mu)
        return [output, *torch.autograd.grad(output.square().sum(), [mu, *layer.parameters()])]

    for fast, plain in zip(*both_ways(monkeypatch, compute), strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("planes", ["shared", "per_channel"])
@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("limits", [(1, 1), (2**11, 2**40), (2**40, 2**40)], ids=["rows", "chunks", "whole"])
def test_the_slices_of_the_work_do_not_change_it(preset, planes, limits, monkeypatch):
    """Sums by layer norm, intermediate maps by 8 samples and the 3 that are left, or all at once."""
    layer = build(preset, (4, 4), planes=planes)
    mu, upstream = normal(11, 4, 4, 4).requires_grad_(), normal(11, 4, 4, 4, seed=1)

    def compute():
        with frozen(layer, 1):
            output = layer(mu)
        return [output, *torch.autograd.grad(output, [mu, *layer.parameters()], upstream)]

    monkeypatch.setattr(passes, "CHUNK_BYTES", limits[0])
    monkeypatch.setattr(passes, "LARGE_SAMPLE", limits[1])
    for fast, plain in zip(*both_ways(monkeypatch, compute), strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("preset", ["neutral", "author-cat"])
def test_a_published_size_in_float32(preset, monkeypatch):
    layer = build(preset, (64, 64), dtype=torch.float32)
    mu = normal(2, 128, 64, 64, dtype=torch.float32).requires_grad_()
    upstream = normal(*mu.shape, seed=1, dtype=torch.float32)

    def compute():
        with frozen(layer, 1):
            output = layer(mu)
        return [output, *torch.autograd.grad(output, [mu, *layer.parameters()], upstream)]

    for fast, plain in zip(*both_ways(monkeypatch, compute), strict=True):
        assert (fast - plain).norm() <= 1e-5 * plain.norm()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("preset", PRESETS)
def test_values_and_gradients_in_half_precision_follow_those_in_float32(preset, dtype, layout):
    layer = build(preset, (16, 16), dtype=torch.float32)
    mu, upstream = (
        normal(2, 64, 16, 16, seed=seed, dtype=dtype).contiguous(memory_format=layout) for seed in (0, 1)
    )

    def gradients(features, cotangent):
        features = features.detach().requires_grad_()
        with frozen(layer, 1):
            output = layer(features)
        of_features, *of_parameters = torch.autograd.grad(output, [features, *layer.parameters()], cotangent)
        return output, of_features, torch.cat([gradient.flatten() for gradient in of_parameters])

    for half, exact in zip(gradients(mu, upstream), gradients(mu.float(), upstream.float()), strict=True):
        assert (half.float() - exact).norm() <= 8 * torch.finfo(dtype).eps * exact.norm()


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("layout", ["channels last", "every second place", "transposed", "one for all"])
def test_layouts_give_the_same_and_channels_last_is_kept(preset, layout):
    layer = build(preset, (6, 6))
    mu = normal(2, 4, 6, 6)
    if layout == "channels last":
        strided = mu.contiguous(memory_format=torch.channels_last)
    elif layout == "every second place":
        strided = torch.zeros(2, 4, 6, 12, dtype=mu.dtype)[..., ::2].copy_(mu)
    elif layout == "transposed":
        strided = mu.transpose(2, 3).contiguous().transpose(2, 3)
    else:
        mu = mu[:1].expand(2, 4, 6, 6).contiguous()
        strided = mu[:1].expand(2, 4, 6, 6)
    results = []
    for values in (strided, mu):
        features = values.detach().requires_grad_()
        with frozen(layer, 1):
            output = layer(features)
        results.append([output, *torch.autograd.grad(output.square().sum(), [features, *layer.parameters()])])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    if layout == "channels last":
        assert results[0][0].stride() == strided.stride()
        assert results[0][1].stride() == strided.stride()


@pytest.mark.parametrize("preset", PRESETS)
def test_third_derivatives_are_those_of_the_formulas(preset, monkeypatch):
    layer, mu = build(preset), normal(*SHAPE).requires_grad_()
    directions = [normal(*SHAPE, seed=seed) for seed in (5, 6)]

    def compute():
        with frozen(layer, 1):
            value = layer(mu).square().sum()
        for direction in directions:
            (first,) = torch.autograd.grad(value, mu, create_graph=True)
            value = (first * direction).sum()
        return [value, *torch.autograd.grad(value, [mu, *layer.parameters()], allow_unused=True)]

    for fast, plain in zip(*both_ways(monkeypatch, compute), strict=True):
        if plain is not None:
            torch.testing.assert_close(fast, plain, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("preset", PRESETS)
def test_transforms_see_the_formulas(preset):
    layer, mu = build(preset), normal(1, 2, 5, 6)

    def f(x):
        with frozen(layer, 1):
            return layer(x)

    expected = torch.autograd.functional.jacobian(f, mu).flatten(0, 3)
    for jacobian in (torch.func.jacrev, torch.func.jacfwd):
        torch.testing.assert_close(jacobian(f)(mu).flatten(0, 3), expected)
    mu.requires_grad_()
    basis = torch.eye(mu.numel(), dtype=mu.dtype).view(-1, *mu.shape)
    (batched,) = torch.autograd.grad(f(mu), mu, basis, is_grads_batched=True)
    torch.testing.assert_close(batched, expected)


class Twice(nn.Module):
    """One layer whose second input depends on its parameters."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(self.layer(x).tanh())


@pytest.mark.parametrize("preset", PRESETS)
def test_a_layer_applied_twice_counts_no_path_twice(preset):
    layer = build(preset)
    network, mu = Twice(layer), normal(*SHAPE).requires_grad_()
    inputs = [mu, *layer.parameters()]
    results = []
    for create_graph in (False, True):
        with frozen(layer, 1):
            value = network(mu).square().sum()
        results.append(torch.autograd.grad(value, inputs, create_graph=create_graph))
    for once, with_graph in zip(*results, strict=True):
        torch.testing.assert_close(once, with_graph.detach(), rtol=1e-10, atol=1e-12)


def test_hooks_and_kept_gradients_count_once_under_a_graph():
    layer = build("neutral")
    leaf = normal(*SHAPE).requires_grad_()
    mu = leaf * 1
    mu.retain_grad()
    calls = []
    mu.register_hook(lambda g: calls.append("mu"))
    layer.A.register_hook(lambda g: calls.append("A"))
    with frozen(layer, 1):
        value = layer(mu).square().sum()
    (expected,) = torch.autograd.grad(value, mu, retain_graph=True)
    calls.clear()
    mu.grad = None
    value.backward(create_graph=True)
    assert sorted(calls) == ["A", "mu"]
    torch.testing.assert_close(mu.grad.detach(), expected)


def test_a_transform_that_no_tensor_shows_is_noticed():
    layer, start = build("neutral"), normal(1, 4, 5, 6).requires_grad_()
    z = normal(7, 1)

    def generator(z):
        with frozen(layer, 1):
            return (layer(start) * z).sum()

    expected = torch.stack([generator(one) for one in z])
    torch.testing.assert_close(torch.func.vmap(generator)(z), expected)


def test_fake_tensors_take_no_kernel():
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        assert not fused.is_ordinary([torch.zeros(3)])


def test_mixed_second_derivatives_agree_in_every_order():
    layer, mu, v = build("neutral"), normal(*SHAPE), normal(*SHAPE, seed=4)

    def loss(x):
        with frozen(layer, 1):
            return layer(x).square().sum()

    forward_reverse = torch.func.jvp(torch.func.grad(loss), (mu,), (v,))[1]
    reverse_forward = torch.func.grad(lambda x: torch.func.jvp(loss, (x,), (v,))[1])(mu)
    reverse_reverse = torch.func.vjp(torch.func.grad(loss), mu)[1](v)[0]
    forward_forward = torch.func.jvp(lambda x: torch.func.jvp(loss, (x,), (v,))[1], (mu,), (v,))[1]
    torch.testing.assert_close(forward_reverse, reverse_reverse)
    torch.testing.assert_close(reverse_forward, reverse_reverse)
    torch.testing.assert_close(forward_forward, (reverse_reverse * v).sum())


def test_derivatives_of_parameters_alone_pass_through_transforms():
    layer, mu = build("neutral"), normal(*SHAPE)
    layer.source = Given(normal(3, 1, 5, 6, seed=2))
    values = dict(layer.named_parameters())

    def loss(values):
        return torch.func.functional_call(layer, values, (mu,)).square().sum()

    expected = torch.autograd.grad(loss(values), list(values.values()))
    found = torch.func.grad(loss)({name: p.detach() for name, p in values.items()})
    for name, gradient in zip(values, expected, strict=True):
        torch.testing.assert_close(found[name], gradient)


def test_only_what_is_asked_for_is_returned():
    layer, mu = build("neutral"), normal(*SHAPE)
    layer(mu).sum().backward()
    assert mu.grad is None
    assert all(p.grad is not None for p in layer.parameters())
    layer.requires_grad_(False)
    mu.requires_grad_()
    layer(mu).sum().backward()
    assert mu.grad is not None
    assert not layer(mu.detach()).requires_grad


def test_checkpointing_and_retained_graphs_change_nothing():
    layer, mu = build("author-cat"), normal(*SHAPE).requires_grad_()
    with frozen(layer, 1):
        output = layer(mu)
        (expected,) = torch.autograd.grad(output.square().sum(), mu, retain_graph=True)
        (again,) = torch.autograd.grad(output.square().sum(), mu)
        (recomputed,) = torch.autograd.grad(checkpoint(layer, mu, use_reentrant=False).square().sum(), mu)
    assert torch.equal(expected, again)
    assert torch.equal(expected, recomputed)


def test_features_that_change_before_backward_are_noticed():
    layer = build("neutral")
    mu = normal(*SHAPE).requires_grad_() * 1
    output = layer(mu)
    mu.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


@pytest.mark.parametrize(
    ("preset", "planes", "limit"),
    [
        *(
            (preset, "shared", 1.1 if RIEMANN_PRESETS[preset].identifier == "sum" else 2.1)
            for preset in PRESETS
        ),
        ("seed", "per_channel", 2.1),
    ],
)
def test_little_more_than_the_features_is_kept_for_backward(preset, planes, limit):
    layer = build(preset, (16, 16), torch.float32, planes=planes)
    mu = normal(4, 64, 16, 16, dtype=torch.float32).requires_grad_()
    kept = {}

    def note(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        output = layer(mu)
    assert output.requires_grad
    assert mu.numel() * 4 <= sum(kept.values()) <= limit * mu.numel() * 4


def test_ties_share_the_gradient_of_the_largest():
    layer = build("author-church", (4, 4))
    mu = nn.functional.relu(normal(2, 3, 4, 4)).requires_grad_()
    assert ((mu == 0).sum(1) > 1).any()
    with frozen(layer, 1):
        (found,) = torch.autograd.grad(layer(mu).square().sum(), mu)
        (expected,) = torch.autograd.grad(layer(mu).square().sum(), mu, create_graph=True)
    torch.testing.assert_close(found, expected.detach())


def test_autocast_keeps_what_comes_in():
    layer = build("neutral", dtype=torch.float32)
    mu = normal(*SHAPE, dtype=torch.bfloat16).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        output = layer(mu)
    assert output.dtype == torch.bfloat16
    output.float().sum().backward()
    assert mu.grad.dtype == torch.bfloat16
    assert layer.A.grad.dtype == torch.float32

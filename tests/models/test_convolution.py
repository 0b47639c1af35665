"""Which way a 3x3 convolution takes, and that all ways agree, with derivatives of any order."""

import functools
import subprocess
import sys

import pytest
import torch
from torch.autograd import forward_ad
from torch.nn import functional as F  # noqa: N812
from torch.utils.checkpoint import checkpoint

from riemann_noise_pytorch.models import convolution, winograd
from riemann_noise_pytorch.models.convolution import conv3x3, direct_convolutions
from riemann_noise_pytorch.models.modulation import modulated_conv
from riemann_noise_pytorch.models.stylegan2_discriminator import StyleGAN2Discriminator


def drawn(*shape, seed=0, dtype=torch.float64):
    values = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).to(dtype)
    return values.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else values


@pytest.fixture
def taken(monkeypatch):
    """Which of Winograd's functions were called."""
    calls = []

    def noted(function, *args, **options):
        calls.append(function.__name__)
        return function(*args, **options)

    for function in (winograd.convolved, winograd.kernel_gradient):
        monkeypatch.setattr(winograd, function.__name__, functools.partial(noted, function))
    monkeypatch.setattr(convolution, "_multiplies_bfloat16", lambda: True)
    turned_on = convolution._direct.set(False)
    yield calls
    convolution._direct.reset(turned_on)


@pytest.fixture
def everywhere(monkeypatch):
    """Winograd's way for any number of channels and pixels, and for float64."""
    monkeypatch.setattr(convolution, "LEAST_PIXELS", 0)
    monkeypatch.setattr(convolution, "LEAST_CHANNELS", dict.fromkeys(torch_types(), 0))
    monkeypatch.setitem(winograd.FILTERINGS, torch.float64, winograd.FILTERINGS[torch.float32])


def torch_types():
    return (torch.float64, torch.float32, torch.bfloat16)


def wide(dtype=torch.float32):
    channels = convolution.LEAST_CHANNELS.get(dtype, 256)
    return drawn(4, channels, 16, 16, dtype=dtype), drawn(channels, channels, 3, 3, dtype=dtype, seed=1)


@pytest.mark.parametrize("size", [2, 4])
def test_derivatives_of_second_order_are_right(everywhere, taken, monkeypatch, size):
    of_size = {filtering.size: filtering for filtering in winograd.FILTERINGS.values()}
    monkeypatch.setitem(winograd.FILTERINGS, torch.float64, of_size[size])
    inputs = [drawn(2, 2, 4, 4), drawn(3, 2, 3, 3, seed=1), drawn(3, seed=2)]
    for tensor in inputs:
        tensor.requires_grad_()
    assert torch.autograd.gradcheck(conv3x3, inputs)
    assert torch.autograd.gradgradcheck(conv3x3, inputs)
    assert set(taken) == {"convolved", "kernel_gradient"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_wide_maps_take_winograds_way_in_every_derivative(taken, dtype):
    x, weight = (tensor.requires_grad_() for tensor in wide(dtype))
    y = conv3x3(x, weight)
    of_x, of_weight = torch.autograd.grad(y.float().square().sum(), (x, weight), create_graph=True)
    assert taken == ["convolved", "convolved", "kernel_gradient"]
    (of_x.float().square().sum() + of_weight.float().square().sum()).backward()
    assert len(taken) == 3 + 2 + 2 + 2  # of both derivatives by both arguments, and of y by both
    assert x.grad is not None
    assert weight.grad is not None


def refusing(x, weight):
    yield "few pixels", x[:1, :, :12, :16], weight
    yield "few channels in", x[:, :127], weight[:, :127]
    yield "few channels out", x, weight[:127]
    yield "a height that is no multiple", x[:, :, :15], weight
    yield "a width that is no multiple", x[..., :15], weight
    yield "channels first", x.contiguous(), weight
    yield "float64", x.double(), weight.double()
    yield "no samples", x[:0], weight


@pytest.mark.parametrize("case", range(8))
def test_what_winograds_way_does_not_serve_is_torchs_own(taken, case):
    name, x, weight = list(refusing(*wide()))[case]
    if name != "channels first":
        x = x.contiguous(memory_format=torch.channels_last)
    assert torch.equal(conv3x3(x, weight), F.conv2d(x, weight, padding=1))
    assert taken == []


def test_a_block_and_a_variable_of_the_environment_turn_it_off(taken):
    x, weight = wide()
    with direct_convolutions():
        assert torch.equal(conv3x3(x, weight), F.conv2d(x, weight, padding=1))
    assert taken == []
    conv3x3(x, weight)
    assert taken == ["convolved"]
    code = "from riemann_noise_pytorch.models import convolution; print(convolution._direct.get())"
    for value, off in (("1", "True"), ("0", "False"), ("", "False")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={"RIEMANN_NOISE_NO_WINOGRAD": value, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == off


def test_a_block_turns_it_off_for_the_derivatives_taken_there(taken):
    x, weight = (tensor.requires_grad_() for tensor in wide())
    y = conv3x3(x, weight)
    upstream = torch.ones_like(y)
    with direct_convolutions():
        found = torch.autograd.grad(y, (x, weight), upstream)
        expected = torch.autograd.grad(conv3x3(x, weight), (x, weight), upstream)
    assert taken == ["convolved"]
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5 * b.abs().max().item())


def test_bfloat16_takes_winograds_way_where_processors_multiply_it_but_not_by_matrices(taken, monkeypatch):
    monkeypatch.undo()
    for can, serves in (
        ({"avx512_bf16": True}, True),
        ({"avx512_bf16": True, "amx_bf16": True}, False),
        ({"avx2": True}, False),
    ):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda can=can: can)
        convolution._multiplies_bfloat16.cache_clear()
        assert convolution._multiplies_bfloat16() is serves
    convolution._multiplies_bfloat16.cache_clear()
    monkeypatch.setattr(convolution, "_multiplies_bfloat16", lambda: False)
    x, weight = wide(torch.bfloat16)
    assert torch.equal(conv3x3(x, weight), F.conv2d(x, weight, padding=1))


def test_autocast_decides_the_precision_as_ever(taken):
    with torch.autocast("cpu", torch.bfloat16):
        assert conv3x3(*wide()).dtype == torch.bfloat16
    assert taken == []


def test_a_derivative_taken_under_autocast_keeps_its_precision(taken):
    x, weight = (tensor.requires_grad_() for tensor in wide())
    y = conv3x3(x, weight)
    expected = torch.autograd.grad(y, (x, weight), torch.ones_like(y), retain_graph=True)
    with torch.autocast("cpu", torch.bfloat16):
        found = torch.autograd.grad(y, (x, weight), torch.ones_like(y))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * b.abs().max().item())


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_products_in_fewer_digits_are_left_to_torch(taken, precision):
    torch.set_float32_matmul_precision(precision)
    try:
        conv3x3(*wide())
    finally:
        torch.set_float32_matmul_precision("highest")
    assert taken == []
    conv3x3(*wide())
    assert taken == ["convolved"]


def test_results_and_gradients_are_tensors_of_their_own_channels_last(taken):
    x, weight = (tensor.requires_grad_() for tensor in wide())
    y = conv3x3(x, weight)
    for tensor in (y, *torch.autograd.grad(y, (x, weight), y.detach(), retain_graph=True)):
        assert tensor._base is None
        assert tensor.is_contiguous(memory_format=torch.channels_last)
    F.leaky_relu(y, 0.2, inplace=True).sum().backward()
    assert len(taken) == 1 + 2 + 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_same_numbers_elsewhere_in_memory_give_the_same_bits(taken, dtype):
    x, weight = wide(dtype)

    def derivatives(x, weight):
        inputs = [x.clone().requires_grad_(), weight.clone().requires_grad_()]
        y = conv3x3(*inputs)
        return y.detach(), *torch.autograd.grad(y, inputs, y.detach())

    first, held = derivatives(x, weight), []
    for size in (1, 17, 1001, 65_537):
        held.append(torch.zeros(size, dtype=torch.uint8))
        for a, b in zip(first, derivatives(x, weight), strict=True):
            assert torch.equal(a, b)
    assert len(taken) == 3 * 5


def mismatched(x, weight):
    yield x, weight[:, :64], None
    yield x, weight, torch.zeros(weight.shape[0] + 1)
    yield x, weight, torch.zeros(weight.shape[0], dtype=torch.float64)


@pytest.mark.parametrize("case", range(3))
def test_what_does_not_fit_is_refused_as_torch_refuses_it(taken, case):
    x, weight, bias = list(mismatched(*wide()))[case]
    with pytest.raises(RuntimeError) as expected:
        F.conv2d(x, weight, bias, padding=1)
    with pytest.raises(RuntimeError) as refused:
        conv3x3(x, weight, bias)
    assert str(refused.value) == str(expected.value)
    assert taken == []


def test_one_image_without_a_batch_is_torchs_own(taken):
    x, weight = wide()
    assert torch.equal(conv3x3(x[0], weight), F.conv2d(x[0], weight, padding=1))
    assert taken == []


class Marked(torch.Tensor):
    """A tensor with a mind of its own."""


def test_tensors_of_other_types_are_torchs_own(taken):
    x, weight = wide()
    assert type(conv3x3(x.as_subclass(Marked), weight)) is Marked
    assert type(conv3x3(x, weight, torch.zeros(len(weight)).as_subclass(Marked))) is Marked
    assert taken == []


@pytest.mark.parametrize("asked", ["x", "weight", "bias"])
def test_only_the_derivatives_that_are_asked_for_are_taken(everywhere, taken, asked):
    inputs = {"x": drawn(2, 2, 4, 4), "weight": drawn(3, 2, 3, 3, seed=1), "bias": drawn(3, seed=2)}
    inputs[asked].requires_grad_()
    conv3x3(**inputs).square().sum().backward()
    assert (
        taken
        == {"x": ["convolved"] * 2, "weight": ["convolved", "kernel_gradient"], "bias": ["convolved"]}[asked]
    )
    found = inputs[asked].grad.clone()
    inputs[asked].grad = None
    F.conv2d(inputs["x"], inputs["weight"], inputs["bias"], padding=1).square().sum().backward()
    torch.testing.assert_close(found, inputs[asked].grad, rtol=1e-12, atol=1e-12)


def test_derivatives_of_third_order_and_through_checkpoints_are_right(everywhere, taken):
    x, weight = drawn(1, 2, 4, 4).requires_grad_(), drawn(2, 2, 3, 3, seed=1).requires_grad_()

    def third(convolve):
        value = convolve(x, weight).pow(3).sum()
        for _ in range(2):
            gradients = torch.autograd.grad(value, (x, weight), create_graph=True)
            value = sum((gradient * gradient).sum() for gradient in gradients)
        return torch.autograd.grad(value, (x, weight))

    def own(x, weight):
        return F.conv2d(x, weight, padding=1)

    def checkpointed(x, weight):
        return checkpoint(conv3x3, x, weight, use_reentrant=False)

    for way in (conv3x3, checkpointed):
        for a, b in zip(third(way), third(own), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9 * b.abs().max().item())
    assert {"convolved", "kernel_gradient"} == set(taken)


def transformed(x, weight):
    tangent = torch.ones_like(x)

    def dual(which):
        inputs = [x, weight, torch.zeros(weight.shape[0])]
        with forward_ad.dual_level():
            inputs[which] = forward_ad.make_dual(inputs[which], torch.ones_like(inputs[which]))
            return forward_ad.unpack_dual(conv3x3(*inputs)).tangent

    def batched(which):
        inputs = [x.clone().requires_grad_(), weight.clone().requires_grad_()]
        y = conv3x3(*inputs)
        upstream = torch.stack([y, 2 * y]).detach()
        return torch.autograd.grad(y, inputs[which], upstream, is_grads_batched=True)[0]

    def within(which):
        inputs = [x.clone().requires_grad_(), weight.clone().requires_grad_()]
        y = conv3x3(*inputs)
        upstream = torch.ones_like(y)

        def scaled(a):
            return a * torch.autograd.grad(y, inputs[which], upstream, retain_graph=True)[0].sum()

        return torch.vmap(scaled)(torch.ones(2))

    yield "jvp", lambda: torch.func.jvp(lambda x: conv3x3(x, weight), (x,), (tangent,))[1]
    yield "forward mode by features", lambda: dual(0)
    yield "forward mode by kernel", lambda: dual(1)
    yield "forward mode by bias", lambda: dual(2)
    yield "vmap", lambda: torch.vmap(lambda x: conv3x3(x[None], weight))(x)
    yield "vmap of constants", lambda: torch.vmap(lambda a: a * conv3x3(x, weight))(torch.ones(2))
    yield "grad", lambda: torch.func.grad(lambda x: conv3x3(x, weight).square().sum())(x)
    yield (
        "grad of constants",
        lambda: torch.func.grad(lambda a: (a * conv3x3(x, weight)).sum())(torch.ones(())),
    )
    yield (
        "jvp of constants",
        lambda: torch.func.jvp(lambda a: a * conv3x3(x, weight), (torch.ones(()),), (torch.ones(()),))[1],
    )
    yield "batched derivatives by features", lambda: batched(0)
    yield "batched derivatives by kernel", lambda: batched(1)
    yield "derivatives by features within a transform", lambda: within(0)
    yield "derivatives by kernel within a transform", lambda: within(1)
    yield "compiled", lambda: compiled(x, weight)


def compiled(x, weight):
    torch.compiler.reset()
    return torch.compile(conv3x3, backend="aot_eager", fullgraph=True)(x, weight)


@pytest.mark.parametrize("case", range(14))
def test_every_transform_gives_what_it_gives_of_torchs_own(case):
    x, weight = wide()
    _, found = list(transformed(x, weight))[case]
    result = found()
    with direct_convolutions():
        expected = found()
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


def test_the_penalty_of_a_discriminator_is_the_same_both_ways(everywhere, taken):
    torch.manual_seed(0)
    network = (
        StyleGAN2Discriminator((3, 16, 16), channel_max=8).double().to(memory_format=torch.channels_last)
    )
    images = drawn(4, 3, 16, 16).requires_grad_()

    def gradients():
        (slope,) = torch.autograd.grad(network(images).sum(), images, create_graph=True)
        loss = slope.square().sum() + network(images).square().sum()
        return torch.autograd.grad(loss, list(network.parameters()))

    found = gradients()
    assert {"convolved", "kernel_gradient"} == set(taken)
    with direct_convolutions():
        expected = gradients()
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9 * b.abs().max().item())


def test_the_modulated_convolution_takes_winograds_way_too(everywhere, taken):
    x, weight, style = drawn(2, 3, 8, 8), drawn(4, 3, 3, 3, seed=1), drawn(2, 3, seed=2)
    found = modulated_conv(x, weight, style, fused=False)
    assert taken == ["convolved"]
    with direct_convolutions():
        torch.testing.assert_close(
            found, modulated_conv(x, weight, style, fused=True), rtol=1e-12, atol=1e-12
        )

import pytest
import torch

from riemann_noise_pytorch.models.modulation import demodulation, modulated_conv
from tests.reference import stylegan2 as reference


def drawn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def inputs(kernel=3, size=(5, 4), **options):
    return (
        drawn(3, 4, *size, **options),
        drawn(2, 4, kernel, kernel, seed=1, **options),
        1 + drawn(3, 4, seed=2, **options),
    )


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("demodulate", [False, True])
@pytest.mark.parametrize(("kernel", "up"), [(1, False), (3, False), (3, True)])
def test_modulated_convolution_equals_its_transcription(kernel, up, demodulate, fused):
    x, weight, style = inputs(kernel)
    found = modulated_conv(x, weight, style, demodulate=demodulate, up=up, fused=fused)
    expected = reference.modulated_conv(x.numpy(), weight.numpy(), style.numpy(), demodulate, up)
    torch.testing.assert_close(found, torch.from_numpy(expected), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("up", [False, True])
def test_fused_and_unfused_have_the_same_gradients(up):
    upstream = drawn(3, 2, *(10, 8) if up else (5, 4), seed=3)
    found = []
    for fused in (False, True):
        tensors = [t.requires_grad_() for t in inputs()]
        y = modulated_conv(*tensors, up=up, fused=fused)
        found.append(torch.autograd.grad(y, tensors, upstream))
    for unfused, fused in zip(*found, strict=True):
        torch.testing.assert_close(unfused, fused, rtol=1e-12, atol=1e-12)


def test_a_style_of_any_size_is_undone_by_demodulation():
    x, weight, style = inputs()
    once = modulated_conv(x, weight, style)
    torch.testing.assert_close(modulated_conv(x, weight, style * 1000), once, rtol=1e-6, atol=1e-6)


def test_demodulated_kernels_have_unit_size():
    _, weight, style = inputs()
    kernels = weight * style[:, None, :, None, None] * demodulation(weight, style)[:, :, None, None, None]
    torch.testing.assert_close(kernels.square().sum(dim=(2, 3, 4)), torch.ones(3, 2, dtype=torch.float64))


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("up", [False, True])
def test_empty_batches_pass(up, fused):
    x, weight, style = inputs()
    y = modulated_conv(x[:0], weight, style[:0], up=up, fused=fused)
    assert y.shape == (0, 2, *((10, 8) if up else (5, 4)))


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_follows_float32_for_styles_of_any_size(dtype, up, fused):
    x, weight, style = inputs(dtype=torch.float32)
    for size in (1e-3, 1.0, 1e6):
        exact = modulated_conv(x, weight, style * size, up=up)
        half = modulated_conv(x.to(dtype), weight, style * size, up=up, fused=fused)
        assert half.dtype == dtype
        error = (half.float() - exact).abs().max() / exact.abs().max()
        assert error < 4 * torch.finfo(dtype).eps


@pytest.mark.parametrize("up", [False, True])
def test_float16_is_finite_for_the_largest_features_and_many_channels(up):
    x = torch.full((1, 512, 4, 4), 256.0, dtype=torch.float16)
    weight = torch.full((2, 512, 3, 3), 3.0)
    y = modulated_conv(x, weight, torch.full((1, 512), 1e5), up=up)
    assert y.isfinite().all()
    assert y.max() > 10_000


def test_float16_takes_kernels_and_styles_of_zeros():
    x, weight, style = inputs(dtype=torch.float32)
    zero = modulated_conv(x.half(), weight * 0, style * 0)
    assert torch.equal(zero, torch.zeros_like(zero))


def test_float16_gradients_do_not_see_the_rescaling():
    x, weight, style = inputs(dtype=torch.float32)
    found = []
    for features in (x.half(), x):
        tensors = [weight.clone().requires_grad_(), style.clone().requires_grad_()]
        y = modulated_conv(features, *tensors).float()
        found.append(torch.autograd.grad(y.square().sum() / 2 + y.sum(), tensors))
    for half, full in zip(*found, strict=True):
        assert (half - full).abs().max() < 0.01 * full.abs().max()

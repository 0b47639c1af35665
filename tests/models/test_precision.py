import pytest
import torch
from torch import nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.models.dcgan import DCGANGenerator
from riemann_noise_pytorch.models.equalised import activate
from riemann_noise_pytorch.models.precision import first_non_finite, in_full_precision, use_half
from riemann_noise_pytorch.models.stylegan2 import StyleGAN2Generator
from riemann_noise_pytorch.models.stylegan2_discriminator import StyleGAN2Discriminator
from riemann_noise_pytorch.noise.control import frozen

HALF = [torch.float16, torch.bfloat16]
KINDS = ["none", "euclidean", "riemannian"]
TOLERANCES = {torch.float16: 0.01, torch.bfloat16: 0.05}
"""Relative to the largest value: about 10 roundings of 2^-11 or 2^-9 in a row, at three resolutions."""


def generator(noise="euclidean"):
    torch.manual_seed(0)
    strength = None if noise == "none" else 0.2
    return StyleGAN2Generator((3, 32, 32), 16, 16, 2, channel_max=16, noise=noise, noise_strength=strength)


def discriminator():
    torch.manual_seed(0)
    return StyleGAN2Discriminator((3, 32, 32), channel_max=16)


def dtypes(network):
    seen = []
    for part in network.modules():
        if type(part).__name__ in ("SynthesisLayer", "DiscriminatorBlock"):
            part.register_forward_hook(lambda _m, _a, out: seen.append(out.dtype))
    return seen


def relative(found, expected):
    return ((found - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("noise", KINDS)
def test_half_images_follow_those_in_float32(noise, fused, dtype):
    network, z = generator(noise), torch.randn(3, 16)
    with frozen(network), torch.no_grad():
        expected = network(z)
        use_half(network, dtype, 3)
        network.synthesis.fused = fused
        found = network(z)
    assert found.dtype == torch.float32
    assert 0 < relative(found, expected) < TOLERANCES[dtype]


@pytest.mark.parametrize("dtype", HALF)
def test_half_logits_follow_those_in_float32(dtype):
    network, x = discriminator(), torch.randn(4, 3, 32, 32)
    expected = network(x)
    use_half(network, dtype, 3)
    found = network(x)
    assert found.dtype == torch.float32
    assert 0 < relative(found, expected) < TOLERANCES[dtype]


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("noise", KINDS)
def test_half_gradients_reach_every_parameter_and_follow_float32(noise, dtype):
    gradients = []
    for resolutions in (0, 2):
        network, critic = generator(noise), discriminator()
        use_half(network, dtype, resolutions)
        use_half(critic, dtype, resolutions)
        z = torch.randn(4, 16, generator=torch.Generator().manual_seed(1))
        with frozen(network):
            critic(network(z)).sum().backward()
        gradients.append([p.grad for p in (*network.parameters(), *critic.parameters())])
    full, half = (torch.cat([g.flatten() for g in found]) for found in gradients)
    assert half.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(full, half, dim=0) > 0.99


def test_the_highest_resolutions_are_meant_and_the_setting_is_whole():
    network, critic = generator(), discriminator()
    for resolutions in (2, 1, 9, 0):
        use_half(network, torch.bfloat16, resolutions)
        use_half(critic, torch.float16, resolutions)
        chosen = [block.half_dtype for block in network.synthesis.blocks()]
        assert chosen == [None] * (4 - min(resolutions, 4)) + [torch.bfloat16] * min(resolutions, 4)
        chosen = [block.half_dtype for block in critic.blocks()]
        assert chosen == [torch.float16] * min(resolutions, 3) + [None] * (3 - min(resolutions, 3))


def test_features_have_the_precision_of_their_block():
    network, critic = generator(), discriminator()
    use_half(network, torch.bfloat16, 1)
    use_half(critic, torch.float16, 1)
    made, seen = dtypes(network), dtypes(critic)
    images = network(torch.randn(2, 16))
    critic(images)
    assert made == [torch.float32] * 5 + [torch.bfloat16] * 2
    assert seen == [torch.float16] + [torch.float32] * 2


def test_full_precision_holds_for_the_block_and_is_undone():
    network, z = generator("none"), torch.randn(2, 16)
    expected = network(z)
    use_half(network, torch.bfloat16, 2)
    before = [block.half_dtype for block in network.synthesis.blocks()]
    half = network(z)
    with in_full_precision(network):
        assert torch.equal(network(z), expected)
    assert torch.equal(network(z), half)
    with pytest.raises(RuntimeError, match="stop"), in_full_precision(network):
        raise RuntimeError("stop")
    assert [block.half_dtype for block in network.synthesis.blocks()] == before
    with in_full_precision(DCGANGenerator(16, width=2)) as nothing:
        assert nothing is None


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("size", [1e3, 1e7])
def test_large_styles_and_weights_are_clamped_and_never_infinite(dtype, size):
    network, z = generator("riemannian"), torch.randn(4, 16)
    use_half(network, dtype, 4)
    highest = []
    for part in network.synthesis.modules():
        if hasattr(part, "affine"):
            part.affine.weight.data *= size
            part.weight.data *= size
            part.bias.data.fill_(1e3)
            part.register_forward_hook(lambda _m, _a, out: highest.append(out.abs().max().item()))
    images = network(z)
    assert images.isfinite().all()
    assert max(highest) == 256
    images.sum().backward()


def test_activations_of_the_discriminator_are_clamped_in_half_precision_only():
    network, x = discriminator(), 1e4 * torch.randn(4, 3, 32, 32)
    highest = []
    network.block32.conv0.register_forward_hook(lambda _m, _a, out: highest.append(out.abs().max().item()))
    network(x)
    use_half(network, torch.float16, 3)
    assert network(x).isfinite().all()
    assert highest[0] > 256 == highest[1]


def test_the_first_layer_that_is_not_finite_is_named():
    network, z = generator(), torch.randn(2, 16)
    assert first_non_finite(network, z) is None
    network.synthesis.block16.to_image.bias.data[0] = torch.nan
    assert first_non_finite(network, z) == "synthesis.block16.to_image"
    network.synthesis.block8.conv1.affine.bias.data[0] = torch.inf
    assert first_non_finite(network, z) == "synthesis.block8.conv1.affine"
    assert first_non_finite(network, z * torch.nan) == "the input"
    assert not any(part._forward_hooks for part in network.modules())


def test_what_overflows_in_float16_is_named():
    network, x = discriminator(), torch.randn(2, 3, 32, 32)
    network.block16.skip.weight.data *= 1e6
    assert first_non_finite(network, x) is None
    use_half(network, torch.float16, 2)
    assert first_non_finite(network, x) == "block16.skip"


def test_a_network_whose_own_arithmetic_fails_is_named_by_its_type():
    class Divides(nn.Module):
        def forward(self, x, by=1.0):
            return {"ratio": [x / by]}

    assert first_non_finite(Divides(), torch.ones(1), by=0.0) == "Divides"
    assert first_non_finite(Divides(), torch.ones(1), by=2.0) is None


def test_what_cannot_be_in_half_precision_is_refused():
    with pytest.raises(InputError, match="unknown half precision 'float32'"):
        use_half(generator(), torch.float32, 1)
    with pytest.raises(InputError, match="resolutions is -1"):
        use_half(generator(), torch.float16, -1)
    with pytest.raises(InputError, match="DCGANGenerator has no blocks that can be in half precision"):
        use_half(DCGANGenerator(16, width=2), torch.float16, 1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_activations_in_half_precision_have_no_derivative_beyond_their_bound(dtype):
    x = torch.tensor([255.0, 257.0, 1e4, -5.0, -1200.0, -1400.0, torch.nan], dtype=dtype, requires_grad=True)
    y = activate(x)
    assert y[:6].tolist() == pytest.approx([255, 256, 256, -1, -240, -256], rel=0.01)
    assert y[6].isnan()
    (slope,) = torch.autograd.grad(y[:6].sum(), x)
    assert slope[:6].tolist() == pytest.approx([1, 0, 0, 0.2, 0.2, 0], abs=1e-3)

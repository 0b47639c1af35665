"""Laws of lucidrains' network beside what that code computes: its noise by name, derivatives, bad input."""

import copy
import math

import pytest
import torch
from scipy import stats

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.models.lucidrains import LucidrainsGenerator
from riemann_noise_pytorch.models.lucidrains_discriminator import LucidrainsDiscriminator
from riemann_noise_pytorch.models.lucidrains_layers import LucidrainsBlock
from riemann_noise_pytorch.models.lucidrains_noise import ImageNoise
from riemann_noise_pytorch.noise.control import fresh, frozen, given, noise_layers, off, scaled
from riemann_noise_pytorch.noise.foreign import may_draw
from riemann_noise_pytorch.noise.listing import find_noise


def numbers(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@torch.no_grad()
def with_strengths(module: torch.nn.Module) -> torch.nn.Module:
    for i, layer in enumerate(noise_layers(module).values()):
        layer.a.copy_(torch.linspace(0.5, 1.5, len(layer.a)) * (i + 1))
    return module


@pytest.fixture
def generator():
    torch.manual_seed(0)
    return with_strengths(LucidrainsGenerator((6, 4, 3), z_dim=8, mapping_layers=2).double())


@pytest.fixture
def z():
    return torch.randn(3, 8, generator=numbers(1), dtype=torch.float64)


def test_noise_layers_have_the_names_of_their_convolutions(generator):
    layers = noise_layers(generator)
    assert list(layers) == [f"synthesis.block{r}.conv{k}.noise" for r in (4, 8, 16) for k in (0, 1)]
    assert {layer.kind for layer in layers.values()} == {"uniform-image"}
    assert not may_draw(generator)


@torch.no_grad()
def test_fresh_noise_is_one_uniform_image_for_all_layers(generator, z):
    with fresh(generator, numbers(2)):
        images = generator(z)
    drawn = torch.rand(3, 1, 16, 16, generator=numbers(2), dtype=torch.float64)
    with given(generator, generator.noise_maps(drawn)):
        assert torch.equal(generator(z), images)


@torch.no_grad()
def test_each_call_draws_anew(generator, z):
    assert not torch.equal(generator(z), generator(z))


@torch.no_grad()
def test_scaled_noise_is_a_scaled_image(generator, z):
    drawn = torch.rand(3, 1, 16, 16, generator=numbers(2), dtype=torch.float64)
    with fresh(generator, numbers(2)), scaled(generator, 0.25):
        images = generator(z)
    with given(generator, generator.noise_maps(0.25 * drawn)):
        torch.testing.assert_close(generator(z), images, rtol=1e-12, atol=1e-12)
    with scaled(generator, 0.0):
        silent = generator(z)
    with off(generator):
        assert torch.equal(generator(z), silent)


@torch.no_grad()
@pytest.mark.parametrize("side", [4, 16])
def test_one_layer_is_off_or_given_by_name(generator, z, side):
    layer = f"synthesis.block{side}.conv1.noise"
    with frozen(generator, 3):
        whole = generator(z)
        with off(generator, layer):
            without = generator(z)
        with given(generator, {layer: torch.zeros(side, side)}):
            assert torch.equal(generator(z), without)
        assert not torch.equal(without, whole)
        assert torch.equal(generator(z), whole)


@torch.no_grad()
def test_frozen_noise_of_a_sample_depends_on_the_sample_alone(generator, z):
    with frozen(generator, 3):
        whole = generator(z)
    with frozen(generator, 3, first_sample=2):
        torch.testing.assert_close(generator(z[2:]), whole[2:], rtol=1e-12, atol=1e-12)
    with frozen(generator, 4):
        assert not torch.equal(generator(z), whole)


@torch.no_grad()
@pytest.mark.parametrize("source", ["fresh", "frozen"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_noise_is_uniform_in_0_1_with_the_stated_strength(source, dtype):
    layer = ImageNoise(1).to(dtype)
    layer.a.fill_(1.0)
    with fresh(layer, numbers(5)) if source == "fresh" else frozen(layer, 5):
        epsilon = layer(torch.zeros(40, 1, 16, 16, dtype=dtype)).double()
    assert 0 <= epsilon.min() < 0.01
    assert 0.99 < epsilon.max() <= 1
    budget = 5 * math.sqrt(1 / 12 / epsilon.numel()) + 2**-8 * (dtype == torch.bfloat16)
    assert abs(epsilon.mean() - 0.5) < budget
    assert abs(epsilon.std() - float(layer.strength())) < 0.01
    if dtype == torch.float32:
        assert stats.kstest(epsilon.flatten().numpy(), "uniform").pvalue > 1e-3


@torch.no_grad()
def test_given_maps_reach_the_layer_as_they_are():
    layer = ImageNoise(2)
    layer.a.copy_(torch.tensor([1.0, -2.0]))
    plane = torch.randn(4, 4)
    with given(layer, {"": plane}):
        torch.testing.assert_close(
            layer(torch.ones(3, 2, 4, 4)), torch.stack([1 + plane, 1 - 2 * plane]).expand(3, -1, -1, -1)
        )


def test_listing_by_running_finds_no_foreign_noise(generator, z):
    assert {row.kind for row in find_noise(generator, z)} == {"uniform-image"}


@torch.no_grad()
def test_a_copy_draws_by_itself_and_computes_the_same(generator, z):
    twin = copy.deepcopy(generator)
    with frozen(generator, 0), frozen(twin, 0):
        assert torch.equal(twin(z), generator(z))


def test_derivatives_of_a_block_with_its_noise():
    torch.manual_seed(0)
    block = with_strengths(LucidrainsBlock(2, 2, 3, 1, first=False, last=False).double())
    x, rgb, w, plane = (
        torch.randn(*shape, generator=numbers(6), dtype=torch.float64).requires_grad_()
        for shape in ((1, 2, 2, 2), (1, 1, 4, 4), (1, 3), (1, 1, 4, 4))
    )

    def outputs(x, rgb, w, plane):
        with given(block, {"conv*.noise": plane}):
            return block(x, rgb, w)

    assert torch.autograd.gradcheck(outputs, (x, rgb, w, plane))
    assert torch.autograd.gradgradcheck(outputs, (x, rgb, w, plane))


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_forward_and_reverse_derivatives_agree(generator, z, network):
    if network == "generator":
        function, point = generator, z
    else:
        torch.manual_seed(0)
        function = LucidrainsDiscriminator((4, 6, 6)).double()
        point = torch.rand(2, 3, 8, 8, generator=numbers(7), dtype=torch.float64)
    direction = torch.randn(point.shape, generator=numbers(8), dtype=torch.float64)
    with frozen(function, 0):
        output, forward = torch.func.jvp(function, (point,), (direction,))
        cotangent = torch.randn(output.shape, generator=numbers(9), dtype=torch.float64)
        (reverse,) = torch.func.vjp(function, point)[1](cotangent)
    torch.testing.assert_close((forward * cotangent).sum(), (reverse * direction).sum(), rtol=1e-10, atol=0)


def test_every_parameter_gets_a_gradient(generator, z):
    discriminator = LucidrainsDiscriminator((4, 6, 6, 6)).double()
    discriminator(generator(z)).sum().backward()
    for network in (generator, discriminator):
        assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_no_samples_give_no_images(generator):
    images = generator(torch.empty(0, 8).double())
    assert images.shape == (0, 3, 16, 16)
    assert LucidrainsDiscriminator((4, 6, 6, 6)).double()(images).shape == (0,)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: g(torch.zeros(2, 7)), r"\(N, 8\)"),
        (lambda g: g(torch.zeros(2, 8, dtype=torch.int64)), "floating point"),
        (lambda g: g(torch.zeros(2, 8).double(), truncation_psi=math.nan), "truncation_psi is nan"),
        (lambda g: g.synthesis(torch.zeros(2, 2, 8)), r"\(N, 3, 8\)"),
        (lambda g: g.noise_maps(torch.zeros(2, 16, 16, 1)), r"\(1 or N, 1, 16, 16\)"),
        (lambda g: g.synthesis.block8.conv0.noise(torch.zeros(2, 3, 8, 8)), r"\(N, 4, S, S\)"),
        (lambda g: g.synthesis.block8.conv0.noise(torch.zeros(2, 4, 8, 4)), "square features"),
        (lambda g: LucidrainsGenerator((4,)), "1 blocks; give channels for 2 to 9"),
        (lambda g: LucidrainsGenerator((4,) * 10), "10 blocks; give channels for 2 to 9"),
        (lambda g: LucidrainsGenerator((4, 0)), r"widths\[1\] is 0"),
        (lambda g: LucidrainsGenerator((4, 4), z_dim=0), "z_dim is 0"),
        (lambda g: LucidrainsGenerator((4, 4), mapping_layers=0), "mapping_layers is 0"),
        (lambda g: LucidrainsDiscriminator((4,)), "1 blocks; give channels for 2 to 10"),
        (lambda g: LucidrainsDiscriminator((4, 4), channels=-1), "channels is -1"),
        (lambda g: LucidrainsDiscriminator((4, 4))(torch.zeros(2, 3, 8, 8)), r"\(N, 3, 4, 4\)"),
    ],
)
def test_bad_input_is_refused_in_one_line(generator, call, message):
    with pytest.raises(InputError, match=message) as caught:
        call(generator)
    assert "\n" not in str(caught.value)

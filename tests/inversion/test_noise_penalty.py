"""The penalty on noise maps: its transcription, its gradient, and what white noise costs."""

import pytest
import torch

from riemann_noise_pytorch.inversion.noise_penalty import autocorrelation, levels, renormalised
from tests.reference import inversion as literal


def noise(n=2, planes=1, size=16, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, planes, size, size, generator=rng, dtype=torch.float64)


@pytest.mark.parametrize("size", [4, 8, 16, 32])
def test_the_penalty_is_its_transcription(size):
    maps = noise(size=size)
    found = autocorrelation(maps)
    for i in range(2):
        assert float(found[i]) == pytest.approx(literal.autocorrelation(maps[i, 0].tolist()), rel=1e-12)


def test_planes_of_each_channel_count_by_their_mean():
    maps = noise(planes=3)
    alone = torch.stack([autocorrelation(maps[:, c : c + 1]) for c in range(3)])
    assert torch.allclose(autocorrelation(maps), alone.mean(dim=0), rtol=1e-12)


def test_the_pyramid_ends_at_8_pixels_and_keeps_the_variance_of_white_noise():
    found = levels(noise(n=64, size=64))
    assert [level.shape[-1] for level in found] == [64, 32, 16, 8]
    for level in found:
        assert float(level.var()) == pytest.approx(1, abs=0.05)


def test_a_picture_costs_far_more_than_white_noise():
    x = torch.linspace(0, 2 * torch.pi, 32, dtype=torch.float64)
    picture = renormalised((x.sin()[:, None] * x.cos()).expand(1, 1, 32, 32))
    assert float(autocorrelation(picture)) > 100 * float(autocorrelation(noise(64, size=32)).mean())


def test_the_penalty_passes_gradcheck():
    assert torch.autograd.gradcheck(autocorrelation, (noise(2, 2).requires_grad_(),))


def test_renormalised_planes_have_mean_0_and_mean_square_1():
    maps = renormalised(3 + 2 * noise(3, 2))
    assert torch.allclose(maps.mean(dim=(2, 3)), torch.zeros(3, 2, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(maps.square().mean(dim=(2, 3)), torch.ones(3, 2, dtype=torch.float64))


@pytest.mark.parametrize("value", [1.0, 0.1, -1 / 3, 1e-20, 3e4, 0.0])
@pytest.mark.parametrize("size", [4, 7, 16, 257])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_flat_planes_become_0_though_their_mean_is_rounded(value, size, dtype):
    maps = torch.full((1, 2, size, size), value, dtype=dtype)
    assert torch.equal(renormalised(maps), torch.zeros_like(maps))


def test_planes_that_are_hardly_flat_are_still_normalised():
    maps = renormalised(3 + 1e-4 * noise(3, 2).float())
    assert torch.allclose(maps.square().mean(dim=(2, 3)), torch.ones(3, 2), rtol=1e-3)
    assert torch.isfinite(renormalised(1e-15 * noise().float())).all()

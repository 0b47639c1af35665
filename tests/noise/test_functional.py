"""Laws of the equations of Section 4, against the paper transcribed index by index."""

import pytest
import torch
from torch import Tensor

from riemann_noise_pytorch.noise import functional
from tests.reference import noise_injection as literal

SHAPE = (3, 4, 5, 6)


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def normal(rng: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=rng, dtype=torch.float64)


def tensor(values: list) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_eq4_equals_its_transcription(rng):
    mu, epsilon = normal(rng, *SHAPE), normal(rng, *SHAPE)
    expected = [literal.eq4(m, 0.3, e) for m, e in zip(mu.tolist(), epsilon.tolist(), strict=True)]
    torch.testing.assert_close(
        functional.euclidean_injection(mu, 0.3, epsilon), tensor(expected), rtol=1e-14, atol=0
    )


def test_eq4_has_the_features_for_mean_and_abs_a_for_standard_deviation(rng):
    mu, a = normal(rng, 1, 2, 4, 4), -0.7
    o = functional.euclidean_injection(mu, a, normal(rng, 20_000, 2, 4, 4))
    assert (o.mean(dim=0) - mu[0]).abs().max() < 5 * abs(a) / 20_000**0.5
    torch.testing.assert_close(o.std(dim=0), torch.full_like(mu[0], abs(a)), rtol=0.03, atol=0)


def test_eq5_equals_its_transcription(rng):
    mu, sigma, epsilon = (normal(rng, *SHAPE) for _ in range(3))
    rows = zip(mu.tolist(), sigma.tolist(), epsilon.tolist(), strict=True)
    expected = tensor([literal.eq5(*row) for row in rows])
    torch.testing.assert_close(functional.injection(mu, sigma, epsilon), expected, rtol=1e-14, atol=0)


def test_eq18_is_eq5_with_one_sigma_everywhere(rng):
    mu, epsilon = normal(rng, *SHAPE), normal(rng, *SHAPE)
    everywhere = torch.full((3, 1, 5, 6), 0.4, dtype=torch.float64)
    torch.testing.assert_close(
        functional.euclidean_injection(mu, 0.4, epsilon),
        functional.injection(mu, everywhere, epsilon),
        rtol=0,
        atol=0,
    )


def test_eq13_equals_its_transcription(rng):
    mu = normal(rng, *SHAPE)
    expected = tensor([literal.eq13(m) for m in mu.tolist()]).unsqueeze(1)
    torch.testing.assert_close(functional.semantic_identifier(mu), expected, rtol=1e-13, atol=1e-14)


def test_eq13_does_not_see_the_order_of_the_channels(rng):
    mu = normal(rng, *SHAPE)
    shuffled = mu[:, torch.tensor([2, 0, 3, 1])]
    torch.testing.assert_close(functional.semantic_identifier(shuffled), functional.semantic_identifier(mu))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_eq13_sums_half_precision_in_float32(dtype):
    mu = torch.full((1, 4096, 2, 2), 1.0 + 2**-7, dtype=dtype)
    mu_tilde = functional.semantic_identifier(mu)
    assert mu_tilde.dtype == torch.float32
    torch.testing.assert_close(mu_tilde, torch.full((1, 1, 2, 2), 4096 * (1 + 2**-7)))


def test_eq14_equals_its_transcription(rng):
    mu_tilde = normal(rng, 3, 1, 5, 6)
    expected = tensor([literal.eq14(m[0]) for m in mu_tilde.tolist()]).unsqueeze(1)
    torch.testing.assert_close(functional.semantic_coefficient(mu_tilde), expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("gain", [0.25, 3.0, 1e3, 1e9])
def test_eq14_does_not_see_a_positive_gain(rng, gain):
    mu_tilde = normal(rng, 3, 1, 5, 6)
    torch.testing.assert_close(
        functional.semantic_coefficient(gain * mu_tilde),
        functional.semantic_coefficient(mu_tilde),
        rtol=1e-12,
        atol=1e-14,
    )


def test_eq14_leaves_features_alone_that_are_far_below_the_usual_size(rng):
    s = functional.semantic_coefficient(1e-6 * normal(rng, 3, 1, 5, 6))
    assert 0 < s.abs().max() < 1e-4


def test_eq14_turns_sign_with_its_argument(rng):
    mu_tilde = normal(rng, 3, 1, 5, 6)
    torch.testing.assert_close(
        functional.semantic_coefficient(-mu_tilde), -functional.semantic_coefficient(mu_tilde)
    )


def test_eq14_is_centred_and_reaches_one(rng):
    s = functional.semantic_coefficient(normal(rng, 3, 1, 5, 6) + 2)
    torch.testing.assert_close(s.mean(dim=(2, 3)), torch.zeros(3, 1, dtype=torch.float64), rtol=0, atol=1e-15)
    torch.testing.assert_close(s.abs().amax(dim=(2, 3)), torch.ones(3, 1, dtype=torch.float64))


@pytest.mark.parametrize("constant", [0.0, 1.0, -7.0, 1e8])
def test_eq14_of_a_constant_map_is_zero(constant):
    flat = torch.full((2, 1, 4, 4), constant, dtype=torch.float64)
    assert torch.equal(functional.semantic_coefficient(flat), torch.zeros_like(flat))


def test_eq14_does_not_stretch_the_rounding_of_a_flat_float32_map():
    flat = 1000 + torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 1e-4
    assert functional.semantic_coefficient(flat).abs().max() < 1e-4


def test_eq15_equals_its_transcription(rng):
    s, A, b = normal(rng, 3, 1, 5, 6), normal(rng, 5, 6), normal(rng, 5, 6)
    expected = tensor([literal.eq15(m[0], A.tolist(), b.tolist()) for m in s.tolist()]).unsqueeze(1)
    torch.testing.assert_close(functional.affine_decomposition(s, A, b), expected, rtol=1e-14, atol=0)


def test_eq15_with_scalars_is_eq15_with_constant_maps(rng):
    s = normal(rng, 3, 1, 5, 6)
    A, b = torch.tensor(0.3, dtype=torch.float64), torch.tensor(-2.0, dtype=torch.float64)
    torch.testing.assert_close(
        functional.affine_decomposition(s, A, b),
        functional.affine_decomposition(s, A.expand(5, 6), b.expand(5, 6)),
    )


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_eq16_equals_its_transcription(rng, alpha):
    s_d = normal(rng, 3, 1, 5, 6)
    expected = tensor([literal.eq16(m[0], alpha) for m in s_d.tolist()]).unsqueeze(1)
    torch.testing.assert_close(functional.local_scale(s_d, alpha), expected, rtol=1e-13, atol=1e-15)


def test_eq16_has_unit_norm(rng):
    sigma = functional.local_scale(normal(rng, 3, 1, 5, 6), 0.6)
    torch.testing.assert_close(sigma.square().sum(dim=(1, 2, 3)), torch.ones(3, dtype=torch.float64))


def test_eq16_without_alpha_is_uniform(rng):
    sigma = functional.local_scale(normal(rng, 3, 1, 5, 6), 0.0)
    torch.testing.assert_close(sigma, torch.full_like(sigma, 30**-0.5))


def test_eq16_of_zero_is_zero_with_bounded_derivatives():
    s_d = torch.zeros(1, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    sigma = functional.local_scale(s_d, 1.0)
    (first,) = torch.autograd.grad(sigma.sum(), s_d, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), s_d, allow_unused=True)
    assert torch.equal(sigma, torch.zeros_like(sigma))
    torch.testing.assert_close(first, torch.full_like(first, 1 / (functional.SMALLEST_NORM * 4)))
    assert second is None or second.abs().max() == 0


def test_eq17_equals_its_transcription(rng):
    mu, sigma, epsilon = normal(rng, *SHAPE), normal(rng, 3, 1, 5, 6), normal(rng, *SHAPE)
    rows = zip(mu.tolist(), sigma[:, 0].tolist(), epsilon.tolist(), strict=True)
    expected = tensor([literal.eq17(m, s, 1.7, e) for m, s, e in rows])
    torch.testing.assert_close(
        functional.riemannian_injection(mu, sigma, 1.7, epsilon), expected, rtol=1e-13, atol=1e-14
    )


def test_eq17_with_one_plane_is_eq17_with_that_plane_in_every_channel(rng):
    mu, sigma, plane = normal(rng, *SHAPE), normal(rng, 3, 1, 5, 6), normal(rng, 3, 1, 5, 6)
    torch.testing.assert_close(
        functional.riemannian_injection(mu, sigma, 1.7, plane),
        functional.riemannian_injection(mu, sigma, 1.7, plane.expand(SHAPE)),
    )


def test_eq17_has_r_sigma_mu_for_mean_and_abs_r_sigma_for_standard_deviation(rng):
    mu, sigma, r = normal(rng, 1, 2, 3, 3), normal(rng, 1, 1, 3, 3), -1.3
    draws = 20_000
    o = functional.riemannian_injection(mu, sigma, r, normal(rng, draws, 2, 3, 3))
    scale = (r * sigma).abs().expand_as(mu)[0]
    assert ((o.mean(dim=0) - (r * sigma * mu)[0]) / scale).abs().max() < 5 / draws**0.5
    torch.testing.assert_close(o.std(dim=0), scale, rtol=0.03, atol=0)


def test_eq17_is_eq5_at_the_scaled_point(rng):
    mu, sigma, epsilon = normal(rng, *SHAPE), normal(rng, 3, 1, 5, 6), normal(rng, *SHAPE)
    torch.testing.assert_close(
        functional.riemannian_injection(mu, sigma, 1.7, epsilon),
        functional.injection(1.7 * sigma * mu, 1.7 * sigma, epsilon),
    )


@pytest.mark.parametrize("axes", [(7,), (5, 6), (3, 4, 5)])
def test_the_chain_accepts_any_number_of_spatial_axes(rng, axes):
    mu = normal(rng, 2, 3, *axes)
    sigma = functional.local_scale(functional.semantic_coefficient(functional.semantic_identifier(mu)), 0.5)
    assert sigma.shape == (2, 1, *axes)
    torch.testing.assert_close(sigma.flatten(1).norm(dim=1), torch.ones(2, dtype=torch.float64))

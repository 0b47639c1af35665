import numpy as np
import pytest
import torch

from riemann_noise_pytorch.models import resampling
from tests.reference import stylegan2 as reference


def drawn(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def each(function, x):
    return torch.from_numpy(np.stack([np.stack([function(plane) for plane in s]) for s in x.numpy()]))


@pytest.mark.parametrize("size", [(4, 4), (4, 6), (10, 8)])
def test_doubling_and_halving_equal_scipys(size):
    x = drawn(2, 3, *size)
    torch.testing.assert_close(resampling.doubled(x), each(reference.doubled, x), rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(resampling.halved(x), each(reference.halved, x), rtol=1e-13, atol=1e-13)


def test_halving_is_the_transpose_of_doubling():
    small, large = drawn(2, 3, 4, 5), drawn(2, 3, 8, 10, seed=1)
    above = (resampling.doubled(small) * large).sum()
    below = (small * resampling.halved(large)).sum() * 4
    torch.testing.assert_close(above, below)


def test_constants_stay_within_the_border():
    x = torch.full((1, 2, 8, 8), 3.0, dtype=torch.float64)
    for y in (resampling.doubled(x), resampling.halved(x)):
        torch.testing.assert_close(y[..., 1:-1, 1:-1], torch.full_like(y[..., 1:-1, 1:-1], 3.0))


def test_the_filter_is_the_binomial_with_the_wanted_sum():
    kernel = resampling.low_pass(torch.zeros(1, 5, 1, 1, dtype=torch.float64), 4.0)
    assert kernel.shape == (5, 1, 4, 4)
    assert np.array_equal(kernel[3, 0].numpy(), 4 * reference.FILTER)


@pytest.mark.parametrize("size", [(4, 4), (4, 5)])
def test_doubling_convolution_equals_zeros_between_and_scipy(size):
    x, weight = drawn(2, 3, *size), drawn(2, 3, 3, 3, seed=1)
    expected = np.stack([reference.convolved(s, weight.numpy(), up=True) for s in x.numpy()])
    found = resampling.doubling_conv(x, weight.transpose(0, 1))
    torch.testing.assert_close(found, torch.from_numpy(expected), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kernel", [1, 3])
def test_halving_convolution_equals_scipy(kernel):
    x, weight, bias = drawn(2, 3, 8, 6), drawn(2, 3, kernel, kernel, seed=1), drawn(2, seed=2)
    expected = np.stack([reference.convolved(s, weight.numpy(), down=True) for s in x.numpy()])
    found = resampling.halving_conv(x, weight, bias) - bias[:, None, None]
    torch.testing.assert_close(found, torch.from_numpy(expected), rtol=1e-12, atol=1e-12)


def test_groups_of_a_doubling_convolution_are_separate_convolutions():
    x, weight = drawn(1, 6, 4, 4), drawn(6, 2, 3, 3, seed=1)
    parts = [resampling.doubling_conv(x[:, 3 * g : 3 * g + 3], weight[3 * g : 3 * g + 3]) for g in (0, 1)]
    torch.testing.assert_close(resampling.doubling_conv(x, weight, groups=2), torch.cat(parts, dim=1))

"""PSNR, SSIM and MSE of each image, by their formulas."""

import math

import pytest
import torch

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.inversion.quality import mse, psnr, ssim
from tests.reference import inversion as literal


def images(n=2, channels=2, height=13, width=15, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(n, channels, height, width, generator=rng, dtype=torch.float64) * 2 - 1


def test_ssim_is_its_transcription():
    x = images()
    y = 0.7 * x + 0.3 * images(seed=1)
    found = ssim(x, y)
    for i in range(2):
        planes = [literal.ssim(x[i, c].tolist(), y[i, c].tolist()) for c in range(2)]
        assert float(found[i]) == pytest.approx(sum(planes) / 2, rel=1e-10)


def test_ssim_is_one_for_equal_images_and_symmetric():
    x, y = images(), images(seed=1)
    assert torch.allclose(ssim(x, x), torch.ones(2, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(ssim(x, y), ssim(y, x), atol=1e-14)


def test_psnr_and_mse_are_their_formulas_for_each_image():
    x, y = images(), images(seed=1)
    for i in range(2):
        error = sum(
            (a - b) ** 2 for a, b in zip(x[i].flatten().tolist(), y[i].flatten().tolist(), strict=True)
        )
        error /= x[i].numel()
        assert float(mse(x, y)[i]) == pytest.approx(error)
        assert float(psnr(x, y)[i]) == pytest.approx(10 * math.log10(4 / error))


def test_equal_images_have_infinite_psnr():
    assert psnr(images(), images()).isposinf().all()


def test_images_that_cannot_be_compared_are_refused():
    with pytest.raises(InputError, match="cannot be compared"):
        mse(images(), images(height=14))
    with pytest.raises(InputError, match="cannot be compared"):
        psnr(torch.zeros(1, 1, 4, 4, dtype=torch.uint8), torch.zeros(1, 1, 4, 4, dtype=torch.uint8))
    with pytest.raises(InputError, match="11 pixels"):
        ssim(images(height=10), images(height=10))

"""The pyramid against its literal transcription."""

import numpy as np
import pytest
import torch

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.metrics.pyramid import downsampled, laplacian_pyramid, upsampled
from tests.reference import sliced_wasserstein as literal


def images(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("size", [(16, 16), (15, 17), (16, 24)])
def test_levels_are_the_transcriptions(size):
    batch = images(2, 2, *size)
    levels = laplacian_pyramid(batch)
    for i in range(2):
        for c in range(2):
            expected = literal.pyramid(batch[i, c].numpy())
            assert len(levels) == len(expected)
            for ours, theirs in zip(levels, expected, strict=True):
                np.testing.assert_allclose(ours[i, c].numpy(), theirs, atol=1e-12)


@pytest.mark.parametrize(
    ("size", "sides"),
    [(7, [7]), (8, [8]), (14, [14]), (15, [15, 8]), (16, [16, 8]), (28, [28, 14]), (64, [64, 32, 16, 8])],
)
def test_levels_go_down_to_8_pixels(size, sides):
    assert [level.shape[2] for level in laplacian_pyramid(images(1, 1, size, size + 3))] == sides


@pytest.mark.parametrize("size", [(32, 32), (33, 47)])
def test_the_image_is_put_together_again_without_loss(size):
    image = images(2, 3, *size)
    *details, whole = laplacian_pyramid(image)
    for detail in reversed(details):
        whole = detail + upsampled(whole, tuple(detail.shape[2:]))
    assert torch.allclose(whole, image, atol=1e-12)


def test_smooth_levels_keep_constants_exactly():
    constant = torch.full((1, 1, 16, 16), 0.7, dtype=torch.float64)
    assert torch.allclose(downsampled(constant), torch.full((1, 1, 8, 8), 0.7, dtype=torch.float64))
    detail, coarse = laplacian_pyramid(constant)
    assert detail.abs().max() < 1e-15
    assert coarse.sub(0.7).abs().max() < 1e-15


def test_levels_are_linear_and_differentiable():
    a, b = images(1, 1, 16, 16), images(1, 1, 16, 16, seed=1)
    for x, y, z in zip(laplacian_pyramid(a), laplacian_pyramid(b), laplacian_pyramid(2 * a - b), strict=True):
        assert torch.allclose(z, 2 * x - y, atol=1e-12)
    assert torch.autograd.gradcheck(laplacian_pyramid, a.requires_grad_())


@pytest.mark.parametrize("bad", [torch.zeros(3, 16, 16), torch.zeros(1, 1, 16, 16, dtype=torch.uint8)])
def test_other_tensors_are_refused(bad):
    with pytest.raises(InputError, match="floating-point images"):
        laplacian_pyramid(bad)

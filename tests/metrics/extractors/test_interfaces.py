"""What all extractors share: images that they refuse, and a processor left as it was."""

import pytest
import torch

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.metrics.extractors.interfaces import flushed_denormals
from riemann_noise_pytorch.metrics.extractors.random_conv import RandomConv


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((1, 3, 16, 16), torch.float32),
        ((1, 1, 16, 16), torch.int32),
        ((1, 2, 16, 16), torch.uint8),
        ((3, 16, 16), torch.uint8),
    ],
)
def test_other_images_are_refused(shape, dtype):
    images = torch.zeros(shape, dtype=dtype)
    with pytest.raises(InputError, match=r"uint8 \(N, 1 or 3, H, W\).*to_uint8"):
        RandomConv()(images)


def test_images_that_are_too_small_are_refused():
    with pytest.raises(InputError, match="8 pixels or more, not 7x16; enlarge"):
        RandomConv()(torch.zeros(1, 1, 7, 16, dtype=torch.uint8))


def test_an_empty_batch_has_no_features():
    assert RandomConv()(torch.zeros(0, 1, 16, 16, dtype=torch.uint8))["features"].shape == (0, 224)


def tiny():
    return float(torch.tensor(1e-30) * torch.tensor(1e-9))


@pytest.mark.parametrize("before", [False, True])
def test_denormals_are_flushed_inside_and_as_before_outside(before):
    if not torch.set_flush_denormal(before):
        pytest.skip("this processor cannot flush denormals")
    try:
        with flushed_denormals():
            assert tiny() == 0
        assert (tiny() == 0) is before
    finally:
        torch.set_flush_denormal(False)

import pytest
import torch

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.models.face_region import face_region


@pytest.mark.parametrize(("height", "width"), [(8, 8), (64, 64), (63, 64), (16, 40)])
def test_the_region_begins_at_3_and_2_eighths_and_is_half_as_high_and_wide(height, width):
    images = torch.arange(2.0 * 3 * height * width).view(2, 3, height, width)
    region = face_region(images)
    assert region.shape == (2, 3, 4 * (height // 8), 4 * (width // 8))
    assert torch.equal(region[..., 0, 0], images[..., 3 * (height // 8), 2 * (width // 8)])


@pytest.mark.parametrize("shape", [(1, 1, 7, 8), (1, 1, 64, 7), (2, 3, 4, 4)])
def test_images_too_small_for_eighths_are_refused(shape):
    with pytest.raises(
        InputError, match=f"images of {shape[2]}x{shape[3]} are too small for the crop .* 8 pixels"
    ):
        face_region(torch.zeros(shape))


def test_what_is_no_image_has_no_face():
    with pytest.raises(InputError, match=r"shape \(4, 5\), not images"):
        face_region(torch.zeros(4, 5))

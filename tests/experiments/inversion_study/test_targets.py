"""Laws of the targets: turned as SciPy turns, a quarter hidden, none of them seen in training."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.inversion_study.targets import (
    GREY,
    HARD,
    OCCLUDED,
    PLAIN,
    hidden_squares,
    make_targets,
    rotated,
)
from riemann_noise_pytorch.experiments.options import CompareConfig
from riemann_noise_pytorch.training.real_images import open_data

TRAINING = CompareConfig(holdout=50, resolution=16).training("none", 0)


def some_images(shape=(2, 3, 8, 8)):
    return torch.rand(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 2 - 1


def hashes(images):
    return {image.numpy().tobytes() for image in images}


def test_a_quarter_turn_is_exact_and_counter_clockwise():
    images = some_images()
    assert torch.allclose(rotated(images, 90), torch.rot90(images, 1, (2, 3)), atol=1e-12)
    assert torch.allclose(rotated(images, 0), images, atol=1e-12)


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (1, 1, 6, 11)])
@pytest.mark.parametrize("degrees", [30.0, -77.0])
def test_images_are_turned_as_scipy_turns_them(shape, degrees):
    images = some_images(shape)
    for image, turned in zip(images, rotated(images, degrees), strict=True):
        for plane, found in zip(image.numpy(), turned.numpy(), strict=True):
            edge = np.concatenate([plane[0], plane[-1], plane[1:-1, 0], plane[1:-1, -1]])
            fill = np.sort(edge)[(len(edge) - 1) // 2]
            expected = ndimage.rotate(
                plane, degrees, reshape=False, order=1, mode="grid-constant", cval=fill, prefilter=False
            )
            assert np.allclose(found, expected, atol=1e-10)


def test_a_flat_image_stays_flat():
    flat = torch.full((1, 2, 5, 7), 0.3)
    assert torch.allclose(rotated(flat, 30), flat)


@pytest.mark.parametrize("size", [(16, 16), (9, 20), (2, 2)])
def test_hidden_squares_have_half_the_side_and_lie_inside_anywhere(size):
    masks = hidden_squares(40, size, seed=3)
    side = min(size) // 2
    assert set((1 - masks).sum(dim=(1, 2, 3)).tolist()) == {side**2}
    for mask in 1 - masks[:, 0]:
        assert mask.any(dim=0).sum() == mask.any(dim=1).sum() == side
    assert len(hashes(masks)) > (1 if size == (2, 2) else 10)
    assert torch.equal(masks, hidden_squares(40, size, seed=3))


def test_targets_are_of_one_size_and_were_not_trained_on():
    targets = make_targets(TRAINING, 20, seed=0)
    assert set(targets.images) == {PLAIN, *HARD}
    assert {tuple(images.shape) for images in targets.images.values()} == {(20, 1, 16, 16)}
    trained = open_data(TRAINING)
    assert hashes(targets.images[PLAIN]).isdisjoint(hashes(trained.batch(torch.arange(len(trained)))))
    assert targets.held_out
    assert targets.told[PLAIN] == "drawn from 50 held out of digits, which no training saw"
    assert "photos" in targets.told["off"]


def test_hidden_parts_are_grey_and_the_rest_is_the_plain_image():
    targets = make_targets(TRAINING, 20, seed=0)
    seen = targets.visible.bool()
    occluded = targets.images[OCCLUDED]
    assert (occluded[~seen] == GREY).all()
    assert torch.equal(occluded[seen], targets.images[PLAIN][seen])


def test_targets_that_a_training_saw_are_said_to_be_so():
    seen = make_targets(CompareConfig(resolution=16, data="photos", channels=1).training("none", 0), 5, 0)
    assert not seen.held_out
    assert "which the trainings saw" in seen.told[PLAIN]
    assert "digits" in seen.told["off"]


def test_more_targets_than_images_are_refused():
    with pytest.raises(InputError, match="has 50 images; give --images 50 or fewer"):
        make_targets(TRAINING, 51, seed=0)

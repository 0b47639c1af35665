"""A set is parted in two without loss, evenly, with labels; what cannot be parted is refused."""

import pytest
import torch

from riemann_noise_pytorch.data.builtin import digits
from riemann_noise_pytorch.data.holdout import PartImages, split
from riemann_noise_pytorch.data.imageset import TensorImages
from riemann_noise_pytorch.errors import InputError


@pytest.mark.parametrize("holdout", [1, 2, 197, 898, 1796])
def test_every_image_is_on_one_side(holdout):
    images = digits()
    training, held_out = split(images, holdout)
    assert len(held_out) == holdout
    positions = torch.cat([training.positions, held_out.positions])
    assert torch.equal(positions.sort().values, torch.arange(len(images)))


def test_images_kept_out_lie_evenly():
    images = TensorImages(torch.zeros(1000, 1, 4, 4, dtype=torch.uint8))
    gaps = split(images, 30)[1].positions.diff()
    assert set(gaps.tolist()) == {33, 34}


def test_a_part_has_the_pixels_and_labels_of_its_positions():
    images = digits()
    part = PartImages(images, torch.tensor([7, 3, 3]), "three")
    assert torch.equal(part.batch(torch.tensor([2, 0])), images.batch(torch.tensor([3, 7])))
    assert torch.equal(part.image(1), images.image(3))
    assert torch.equal(part.labels, images.labels[[7, 3, 3]])
    assert part.image_shape == images.image_shape
    with pytest.raises(IndexError, match="no image 3"):
        part.image(3)


def test_a_part_has_the_hash_of_the_same_images_in_memory():
    images = digits()
    part = split(images, 1700)[0]
    same = TensorImages(images.pixels[part.positions], labels=images.labels[part.positions])
    assert part.content_hash() == same.content_hash()


@pytest.mark.parametrize("holdout", [-1, 0, 1797, 5000])
def test_too_many_or_too_few_are_refused(holdout):
    with pytest.raises(InputError, match=f"{holdout} images cannot be kept out of the 1797 of digits; give"):
        split(digits(), holdout)

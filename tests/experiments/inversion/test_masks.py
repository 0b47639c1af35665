"""Masks and classes: one for all or one for each, and those that do not fit."""

import numpy as np
import pytest
import torch
from PIL import Image

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.inversion.masks import classes_of, read_masks
from riemann_noise_pytorch.experiments.inversion.options import InvertConfig
from riemann_noise_pytorch.experiments.inversion.target_images import TargetImages
from tests.data.pictures import encoded, noise_pixels, picture, write_zip

NAMES = ("a", "cats/0")


def images(labels=None, count=2):
    pixels = torch.zeros(count, 1, 12, 12, dtype=torch.uint8)
    return TargetImages(tuple(map(str, range(count))), pixels, ("in",), labels)


def test_one_mask_serves_all_images_and_a_folder_has_one_for_each(tmp_path):
    one, other = noise_pixels(0, channels=1), noise_pixels(1, channels=1)
    (tmp_path / "masks/cats").mkdir(parents=True)
    Image.fromarray(one).save(tmp_path / "masks/a.png")
    Image.fromarray(other).save(tmp_path / "masks/cats/0.webp", lossless=True)
    found = read_masks(tmp_path / "masks/a.png", NAMES, (12, 12), resize=True)
    assert torch.equal(found, torch.from_numpy(one).float().div(255).expand(2, 1, 12, 12))
    found = read_masks(tmp_path / "masks", NAMES, (12, 12), resize=True)
    assert torch.equal(found[0], torch.from_numpy(one)[None].float() / 255)
    difference = (found[1, 0] * 255).round() - torch.from_numpy(other).float()
    assert difference.abs().max() <= 2
    archive = write_zip(
        tmp_path / "m.zip", {f"{name}.png": encoded(picture(0, channels=1)) for name in NAMES}
    )
    assert read_masks(archive, NAMES, (12, 12), resize=True).shape == (2, 1, 12, 12)


def test_a_larger_mask_counts_by_the_share_of_each_pixel(tmp_path):
    pixels = np.zeros((24, 24), np.uint8)
    pixels[:, :13] = 255
    Image.fromarray(pixels).save(tmp_path / "m.png")
    found = read_masks(tmp_path / "m.png", ("a",), (12, 12), resize=True)[0, 0]
    assert found[0].tolist() == [1.0] * 6 + [pytest.approx(0.5, abs=0.01)] + [0.0] * 5
    with pytest.raises(InputError, match=r"is 24x24 pixels, .*--no-resize"):
        read_masks(tmp_path / "m.png", ("a",), (12, 12), resize=False)


def test_missing_masks_are_named(tmp_path):
    with pytest.raises(InputError, match="there is no mask at"):
        read_masks(tmp_path / "none.png", NAMES, (12, 12), resize=True)
    picture(0, channels=1).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"no mask for image 'cats/0' \(1 such\); add cats/0.png there"):
        read_masks(tmp_path, NAMES, (12, 12), resize=True)


def test_classes_come_from_the_options_and_then_from_the_images():
    own = torch.tensor([2, 1])
    assert classes_of(images(own), InvertConfig(), 3).tolist() == [2, 1]
    assert classes_of(images(own), InvertConfig(labels=(0,)), 3).tolist() == [0, 0]
    assert classes_of(images(), InvertConfig(labels=(0, 2)), 3).tolist() == [0, 2]
    assert classes_of(images(own), InvertConfig(), 0) is None


@pytest.mark.parametrize(
    ("own", "labels", "classes", "told"),
    [
        (None, None, 3, "nothing tells those of the images; give --labels"),
        (None, (0, 1, 2), 3, "has 3 classes for 2 images; give 1 or 2"),
        (None, (0, 3), 3, "class 3 is asked for, but the generator has 3, from 0 to 2"),
        (torch.tensor([0, 5]), None, 3, "class 5 is asked for"),
        (None, (1,), 0, "has no classes; leave them out"),
    ],
)
def test_classes_that_do_not_fit_are_refused(own, labels, classes, told):
    with pytest.raises(InputError, match=told):
        classes_of(images(own), InvertConfig(labels=labels), classes)

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits, load_sample_image

from riemann_noise_pytorch.data.builtin import BUILTIN_SETS, digits, photos
from riemann_noise_pytorch.errors import InputError


def test_digits_at_their_own_size_are_the_scans_stretched_to_8_bits():
    scans = load_digits().images
    expected = torch.tensor([round(255 * k / 16) for k in range(17)])[torch.from_numpy(scans).long()]
    images = digits(8)
    assert torch.equal(images.pixels[:, 0].long(), expected)
    assert len(images.pixels.unique()) == 17


@pytest.mark.parametrize("resize_filter", ["nearest", "bicubic"])
def test_digits_are_resized_by_pillow(resize_filter):
    small, large = digits(8), digits(20, resize_filter=resize_filter)
    for index in (0, 700, 1796):
        scan = Image.fromarray(small.image(index)[0].numpy())
        expected = np.asarray(scan.resize((20, 20), Image.Resampling[resize_filter.upper()]))
        assert np.array_equal(large.image(index)[0].numpy(), expected)


def test_digits_default_and_labels():
    images = digits()
    assert (len(images), images.image_shape, images.num_classes) == (1797, (1, 16, 16), 10)
    assert torch.equal(images.labels, torch.from_numpy(load_digits().target).long())
    assert torch.equal(digits(channels=3).pixels, images.pixels.expand(-1, 3, -1, -1))


def test_photos_are_patches_cut_every_16_pixels():
    photographs = [load_sample_image("china.jpg"), load_sample_image("flower.jpg")]
    expected = [
        photograph[top : top + 32, left : left + 32]
        for photograph in photographs
        for top in range(0, 427 - 32 + 1, 16)
        for left in range(0, 640 - 32 + 1, 16)
    ]
    images = photos()
    assert images.image_shape == (3, 32, 32)
    assert np.array_equal(images.pixels.permute(0, 2, 3, 1).numpy(), np.stack(expected))


def test_photos_as_grey_and_oblong_patches():
    images = photos((48, 64), channels=1)
    grey = np.asarray(Image.fromarray(load_sample_image("china.jpg")).convert("L"))
    assert images.image_shape == (1, 48, 64)
    assert np.array_equal(images.image(1)[0].numpy(), grey[:48, 16:80])


@pytest.mark.parametrize("name", sorted(BUILTIN_SETS))
def test_builtin_sets_are_deterministic_and_bear_their_names(name):
    first, second = BUILTIN_SETS[name](), BUILTIN_SETS[name]()
    assert first.name == name
    assert first.content_hash() == second.content_hash()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"resolution": 0}, "resolution 0"),
        ({"resolution": 640}, "at most 427"),
        ({"channels": 2}, "1 .grey. or 3"),
        ({"resize_filter": "lancsoz"}, "did you mean 'lanczos'"),
    ],
)
def test_unfit_requests_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        photos(**options)

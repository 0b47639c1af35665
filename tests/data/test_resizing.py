import numpy as np
import pytest
from PIL import Image

from riemann_noise_pytorch.data.resizing import RESIZE_FILTERS, as_size, fit, pillow_filter
from riemann_noise_pytorch.errors import InputError
from tests.data.pictures import picture


@pytest.mark.parametrize("resize_filter", RESIZE_FILTERS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_square_image_is_resized_by_pillows_filter(resize_filter, channels):
    image = picture(0, 30, 30, channels)
    expected = image.resize((16, 16), Image.Resampling[resize_filter.upper()])
    assert np.array_equal(fit(image, (16, 16), resize_filter), expected)


def test_filters_differ():
    image = picture(0, 30, 30)
    assert len({fit(image, (16, 16), name).tobytes() for name in RESIZE_FILTERS}) == 5


@pytest.mark.parametrize(
    ("height", "width", "box"),
    [(20, 31, (5, 0, 25, 20)), (31, 20, (0, 5, 20, 25)), (20, 30, (5, 0, 25, 20))],
)
def test_an_oblong_image_is_cropped_around_its_centre_first(height, width, box):
    image = picture(0, height, width)
    expected = image.crop(box).resize((10, 10), Image.Resampling.BICUBIC)
    assert np.array_equal(fit(image, (10, 10), "bicubic"), expected)


def test_oblong_shapes_crop_to_their_ratio():
    image = picture(0, 40, 40)
    expected = image.crop((0, 10, 40, 30)).resize((20, 10), Image.Resampling.BOX)
    assert np.array_equal(fit(image, (10, 20), "box"), expected)


def test_an_image_of_the_asked_size_is_untouched():
    image = picture(0, 8, 12)
    assert fit(image, (8, 12), "lanczos") is image


def test_unknown_filters_are_refused_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'bilinear'"):
        pillow_filter("bilinar")


@pytest.mark.parametrize("resolution", [0, -4, 10**6, (32, 0), (1, 2, 3), 1.5])
def test_impossible_resolutions_are_refused(resolution):
    with pytest.raises(InputError, match="ask for 1 to 16384 pixels"):
        as_size(resolution)

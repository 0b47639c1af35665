import io

import numpy as np
import pytest
from PIL import Image

from riemann_noise_pytorch.report.pictures import deviation_view, sigma_view
from riemann_noise_pytorch.report.pixels import (
    deviation_strip,
    grid,
    shrunk,
    signed_grid,
    signed_strip,
    strip,
)


def _pixels(picture):
    image = np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGBA"))
    assert image.shape[:2] == (picture.height, picture.width)
    return image


def _images(count, channels, height=5, width=4):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, channels, height, width), dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_every_pixel_of_every_image_is_in_the_grid(channels):
    images = _images(5, channels)
    sheet = _pixels(grid(images, columns=3, rows=2))
    assert sheet.shape == (2 * 5 + 1, 3 * 4 + 2, 4)
    for i, image in enumerate(images):
        top, left = i // 3 * 6, i % 3 * 5
        tile = sheet[top : top + 5, left : left + 4]
        np.testing.assert_array_equal(tile[..., :3], np.broadcast_to(image.transpose(1, 2, 0), (5, 4, 3)))
        assert (tile[..., 3] == 255).all()


def test_gaps_and_missing_images_are_transparent():
    sheet = _pixels(grid(_images(5, 1), columns=3, rows=2))
    assert (sheet[5, :, 3] == 0).all()
    assert (sheet[:, 4, 3] == 0).all()
    assert (sheet[6:, 10:, 3] == 0).all()


def test_a_grid_holds_no_more_than_it_was_asked_for():
    assert _pixels(grid(_images(9, 1), columns=2, rows=2)).shape == (11, 9, 4)
    assert _pixels(grid(_images(1, 1), columns=4, rows=4)).shape == (5, 4, 4)


def test_rgba_images_show_their_colours():
    images = _images(3, 4)
    assert grid(images, 2, 2) == grid(images[:, :3], 2, 2)
    assert strip(images, (10, 8), 1) == strip(images[:, :3], (10, 8), 1)


@pytest.mark.parametrize("channels", [2, 5])
def test_other_channel_counts_show_their_first_channel(channels):
    images = _images(1, channels)
    sheet = _pixels(grid(images, 1, 1))
    np.testing.assert_array_equal(sheet[..., 0], images[0, 0])


def test_enlarging_repeats_pixels():
    images = _images(2, 1, 4, 4)
    sheet = _pixels(strip(images, tile=(8, 8), gap=3))
    np.testing.assert_array_equal(sheet[:, :8, 0], images[0, 0].repeat(2, 0).repeat(2, 1))
    np.testing.assert_array_equal(sheet[:, 11:, 0], images[1, 0].repeat(2, 0).repeat(2, 1))


def test_zero_is_the_middle_of_the_signed_scale():
    maps = np.array([[[0.0, 2.0], [-2.0, 1.0]]], dtype=np.float32)
    drawn = signed_strip(maps, tile=(2, 2), gap=0)
    sheet = _pixels(drawn.picture)[..., :3].astype(int)
    assert sheet[0, 0].min() > 235
    assert np.ptp(sheet[0, 0]) < 10
    assert sheet[0, 1].max() < sheet[1, 1].max()
    assert (drawn.lowest, drawn.highest, drawn.negative_share) == (-2.0, 2.0, 0.25)


def test_the_signed_scale_reaches_equally_far_on_both_sides():
    up = _pixels(signed_strip(np.array([[[3.0, -1.0]]]), (1, 2), 0).picture)
    down = _pixels(signed_strip(np.array([[[1.0, -3.0]]]), (1, 2), 0).picture)
    both = _pixels(signed_strip(np.array([[[3.0, -3.0]]]), (1, 2), 0).picture)
    np.testing.assert_array_equal(up[0, 0], both[0, 0])
    np.testing.assert_array_equal(down[0, 1], both[0, 1])


def test_maps_of_zero_are_drawn_without_a_scale():
    assert signed_strip(np.zeros((2, 3, 3)), (3, 3), 1).negative_share == 0
    assert (_pixels(deviation_strip(np.zeros((1, 3, 3)), 0.0, (3, 3), 0))[..., :3] < 8).all()


def _run(size, gain):
    maps = gain * np.ones((3, size, size), dtype=np.float32)
    images = np.zeros((3, 1, size, size), dtype=np.uint8)
    return {
        "samples": images,
        "noise_std": maps,
        "noise_std_images": images,
        "sigma/b": maps,
        "sigma/a": maps,
    }


def test_maps_of_several_sizes_share_a_grid_and_a_scale_that_ends_where_it_is_told():
    maps = [np.full((2, 2), -9.0), np.zeros((4, 4)), np.full((8, 8), 3.0), np.full((16, 16), np.nan)]
    sheet = _pixels(signed_grid(maps, limit=3.0, tile=(8, 8), columns=2, gap=1))
    assert sheet.shape == (17, 17, 4)
    lowest, zero, highest, unknown = (
        sheet[top : top + 8, left : left + 8, :3] for top in (0, 9) for left in (0, 9)
    )
    for tile in (lowest, zero, highest, unknown):
        assert (tile == tile[0, 0]).all()
    np.testing.assert_array_equal(unknown, zero)
    beyond = _pixels(signed_grid([maps[0] / 3], limit=3.0, tile=(8, 8), columns=1, gap=0))
    np.testing.assert_array_equal(beyond[..., :3], lowest)
    assert (highest[0, 0] != lowest[0, 0]).any()


def test_deviation_maps_of_all_arms_share_one_scale():
    view = deviation_view({"none": _run(4, 0.0), "euclidean": _run(4, 0.1), "riemannian": _run(4, 0.4)})
    assert view.limit == pytest.approx(0.4)
    assert [row.highest for row in view.rows] == pytest.approx([0.0, 0.1, 0.4])
    brightness = [_pixels(row.maps)[..., :3].mean() for row in view.rows]
    assert brightness == sorted(brightness)
    assert len(set(brightness)) == 3


@pytest.mark.parametrize("runs", [{}, {"none": {}}, {"none": _run(4, 0.0)}])
def test_without_noise_there_are_no_deviation_maps(runs):
    assert deviation_view(runs) is None


def test_sigma_maps_run_from_small_to_large():
    run = _run(8, 1.0) | {"sigma/z": np.ones((3, 2, 2), dtype=np.float32)}
    view = sigma_view("riemannian", run)
    assert [layer.layer for layer in view.layers] == ["z", "a", "b"]
    assert {layer.maps.picture.width for layer in view.layers} == {view.images.width}


def test_an_arm_without_sigma_has_no_sigma_view():
    assert sigma_view("none", {"samples": _images(2, 1)}) is None


def test_shrinking_averages_squares_and_leaves_small_pictures_alone():
    maps = np.arange(2 * 5 * 6, dtype=np.float64).reshape(2, 5, 6)
    small = shrunk(maps, longest=3)
    assert small.shape == (2, 2, 3)
    np.testing.assert_allclose(small[1, 0, 2], maps[1, :2, 4:].mean())
    assert shrunk(maps, longest=6) is maps
    assert shrunk(np.ones((1, 4, 999)), longest=9).shape == (1, 4, 999)

import numpy as np
import pytest
import torch
from PIL import Image

from riemann_noise_pytorch.data.grid import GREY, save_grid, tile
from riemann_noise_pytorch.data.imageset import to_float
from riemann_noise_pytorch.errors import InputError


def some_pixels(count, channels=3, height=4, width=6):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, channels, height, width), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("count", "columns", "shape"), [(5, None, (2, 3)), (5, 2, (3, 2)), (4, None, (2, 2)), (2, 9, (1, 2))]
)
def test_image_k_stands_at_row_and_column_of_k(count, columns, shape):
    pixels = some_pixels(count)
    sheet = tile(pixels, columns)
    assert sheet.shape == (3, 4 * shape[0], 6 * shape[1])
    for k in range(shape[0] * shape[1]):
        row, column = divmod(k, shape[1])
        cell = sheet[:, 4 * row : 4 * row + 4, 6 * column : 6 * column + 6]
        assert torch.equal(cell, pixels[k] if k < count else torch.zeros_like(cell))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("as_float", [False, True])
def test_the_file_holds_the_tiled_pixels(tmp_path, channels, as_float):
    pixels = some_pixels(3, channels)
    save_grid(to_float(pixels) if as_float else pixels, tmp_path / "new" / "grid.png", columns=2, gap=0)
    with Image.open(tmp_path / "new" / "grid.png") as image:
        assert (image.format, image.mode) == ("PNG", "L" if channels == 1 else "RGB")
        expected = tile(pixels, 2).permute(1, 2, 0).numpy()
        assert np.array_equal(np.asarray(image).reshape(expected.shape), expected)


def test_neighbours_stand_apart_by_a_grey_gap(tmp_path):
    pixels = some_pixels(3)
    save_grid(pixels, tmp_path / "grid.png", columns=2, gap=3)
    sheet = np.asarray(Image.open(tmp_path / "grid.png"))
    height, width = pixels.shape[2:]
    assert sheet.shape[:2] == (2 * height + 3, 2 * width + 3)
    assert np.array_equal(sheet[:height, :width], pixels[0].permute(1, 2, 0).numpy())
    assert np.array_equal(sheet[:height, width + 3 :], pixels[1].permute(1, 2, 0).numpy())
    assert (sheet[height : height + 3] == GREY).all()
    assert (sheet[:height, width : width + 3] == GREY).all()


def test_scale_repeats_every_pixel(tmp_path):
    pixels = some_pixels(1)
    save_grid(pixels, tmp_path / "grid.png", scale=3)
    expected = np.kron(pixels[0].permute(1, 2, 0).numpy(), np.ones((3, 3, 1), dtype=np.uint8))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "grid.png")), expected)


def test_images_of_a_network_may_carry_gradients(tmp_path):
    save_grid(torch.zeros(1, 1, 4, 4, requires_grad=True).tanh(), tmp_path / "grid.png")
    assert (tmp_path / "grid.png").exists()


@pytest.mark.parametrize(
    ("images", "options", "words"),
    [
        (torch.zeros(0, 3, 4, 4), {}, "at least one"),
        (torch.zeros(3, 4, 4), {}, "N, C, H, W"),
        (torch.zeros(1, 2, 4, 4), {}, "1 or 3 channels, not 2"),
        (torch.zeros(1, 3, 4, 4, dtype=torch.int64), {}, "takes floats"),
        (torch.zeros(1, 3, 4, 4), {"columns": 0}, "0 columns"),
        (torch.zeros(1, 3, 4, 4), {"scale": 0}, "scale 0"),
        (torch.zeros(1, 3, 4, 4), {"gap": -1}, "gap -1"),
    ],
)
def test_unfit_requests_are_refused_and_leave_no_file(tmp_path, images, options, words):
    with pytest.raises(InputError, match=words):
        save_grid(images, tmp_path / "grid.png", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"cannot write .*grid\.png"):
        save_grid(some_pixels(1), tmp_path / "file" / "grid.png")

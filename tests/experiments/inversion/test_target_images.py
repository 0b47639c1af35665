"""Images from files, folders, archives and built-in sets, and everything that cannot be one."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from riemann_noise_pytorch.data.builtin import digits
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.inversion.options import InvertConfig
from riemann_noise_pytorch.experiments.inversion.target_images import read_targets
from tests.data.pictures import cut_short, encoded, noise_pixels, picture, write_folder, write_zip

RGB, GREY = (3, 12, 12), (1, 12, 12)


def read(*images, shape=RGB, **options):
    return read_targets(images, shape, InvertConfig(**options))


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "in", ["b.png", "a.png", "cats/0.png"])


def test_a_folder_an_archive_and_single_files_hold_the_same_images(folder, tmp_path):
    names = ["a.png", "b.png", "cats/0.png"]
    archive = write_zip(tmp_path / "in.zip", {name: (folder / name).read_bytes() for name in names})
    found = read(folder)
    assert found.names == ("a", "b", "cats/0")
    assert torch.equal(found.pixels[1], torch.from_numpy(noise_pixels(0)).permute(2, 0, 1))
    assert (found.resized, found.enlarged, found.converted, found.labels) == (0, 0, 0, None)
    for other in (read(archive), read(str(folder))):
        assert other.names == found.names
        assert torch.equal(other.pixels, found.pixels)
    files = read(*(folder / name for name in names))
    assert files.names == ("a", "b", "0")
    assert torch.equal(files.pixels, found.pixels)


def test_images_of_one_name_get_names_of_their_own(folder):
    assert read(folder / "a.png", folder / "a.png", folder).names == ("a", "a-2", "a-3", "b", "cats/0")


def test_the_limit_is_on_all_images_together_and_the_rest_is_not_read(folder):
    cut_short(folder / "cats/0.png")
    assert read(folder, folder, limit=2).names == ("a", "b")
    with pytest.raises(InputError, match=r"cats/0.png': it is cut short"):
        read(folder, folder)


def test_images_of_another_size_are_cropped_and_resized_by_the_stated_filter(tmp_path):
    large = Image.fromarray(noise_pixels(0, 30, 24))
    large.save(tmp_path / "large.png")
    picture(1, 6, 6).save(tmp_path / "small.png")
    found = read(tmp_path, resize_filter="box")
    expected = np.array(large.crop((0, 3, 24, 27)).resize((12, 12), Image.Resampling.BOX))
    assert torch.equal(found.pixels[0], torch.from_numpy(expected).permute(2, 0, 1))
    assert (found.resized, found.enlarged) == (2, 1)
    assert not torch.equal(read(tmp_path).pixels, found.pixels)


def test_grey_becomes_colour_and_colour_grey(tmp_path):
    grey, colour = picture(0, channels=1), picture(1)
    grey.save(tmp_path / "grey.png")
    colour.save(tmp_path / "rgb.png")
    as_colour, as_grey = read(tmp_path), read(tmp_path, shape=GREY)
    assert torch.equal(as_colour.pixels[0], torch.from_numpy(np.array(grey)).expand(3, 12, 12))
    assert torch.equal(as_grey.pixels[1, 0], torch.from_numpy(np.array(colour.convert("L"))))
    assert (as_colour.converted, as_grey.converted) == (1, 1)
    with_alpha = read(tmp_path, shape=(4, 12, 12))
    assert (with_alpha.pixels[:, 3] == 255).all()


def test_without_resizing_another_size_or_mode_is_refused(tmp_path):
    picture(0, 13, 12).save(tmp_path / "high.png")
    with pytest.raises(
        InputError, match=r"high.png' is 12x13 pixels, but the generator makes 12x12; convert"
    ):
        read(tmp_path / "high.png", resize=False)
    picture(0, channels=1).save(tmp_path / "grey.png")
    with pytest.raises(InputError, match=r"is grey, but the generator makes RGB images; .*--no-resize"):
        read(tmp_path / "grey.png", resize=False)
    picture(0).save(tmp_path / "rgb.png")
    with pytest.raises(InputError, match="is in colour, but the generator makes grey images"):
        read(tmp_path / "rgb.png", shape=GREY, resize=False)
    assert len(read(tmp_path / "rgb.png", resize=False).names) == 1


def test_transparent_pixels_are_refused_and_opaque_ones_are_not(tmp_path):
    pixels = np.concatenate([noise_pixels(0), np.full((12, 12, 1), 255, np.uint8)], axis=2)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert torch.equal(read(tmp_path / "a.png").pixels[0], torch.from_numpy(noise_pixels(0)).permute(2, 0, 1))
    pixels[0, 0, 3] = 7
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with pytest.raises(
        InputError, match=r"transparent pixels; flatten it onto a background, or leave"
    ) as caught:
        read(tmp_path / "a.png")
    assert "--skip-bad-images" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert int(read(tmp_path / "a.png", shape=(4, 12, 12)).pixels[0, 3, 0, 0]) == 7


def test_built_in_sets_come_in_the_generators_size():
    found = read("digits", shape=(1, 20, 20), limit=5)
    assert torch.equal(found.pixels, digits(20).pixels[:5])
    assert found.names[4] == "digits/00004"
    assert found.labels.tolist() == digits().labels[:5].tolist()
    assert read("photos", limit=2).labels is None
    assert read("manifold-4", shape=(1, 16, 16), limit=2).pixels.shape == (2, 1, 16, 16)
    assert read("digits", "photos", limit=1798).labels is None


def test_built_in_sets_are_made_in_a_size_so_that_none_can_be_refused():
    with pytest.raises(InputError, match=r"--no-resize has no meaning for digits, .* leave it") as caught:
        read("digits", shape=(1, 16, 16), limit=2, resize=False)
    assert "\n" not in str(caught.value)


def test_labels_beside_the_images_are_theirs(folder, tmp_path):
    labels = [["a.png", 2], ["b.png", 0], ["cats/0.png", 1]]
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}))
    assert read(folder).labels.tolist() == [2, 0, 1]
    assert read(folder / "a.png").labels is None
    (folder / "dataset.json").write_text("{")
    with pytest.raises(InputError, match=r"dataset.json is damaged"):
        read(folder)


def test_nothing_to_invert_is_refused(tmp_path):
    with pytest.raises(InputError, match="no images are given"):
        read()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="is empty; give a folder or a ZIP"):
        read(tmp_path / "empty")
    (tmp_path / "empty/notes.txt").write_text("no image")
    with pytest.raises(InputError, match="holds no PNG, JPEG or WebP image"):
        read(tmp_path / "empty")
    with pytest.raises(InputError, match=r"unknown set of images 'digts'; did you mean 'digits'\?"):
        read("digts")
    with pytest.raises(InputError, match="is not a ZIP archive, or is damaged"):
        read(tmp_path / "empty/notes.txt")


def test_damaged_and_unfit_files_are_named(tmp_path):
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(InputError, match=r"text.png': it is not a PNG, JPEG or WebP image"):
        read(tmp_path / "text.png")
    picture(0).convert("CMYK").save(tmp_path / "cmyk.jpg")
    with pytest.raises(InputError, match=r"it is CMYK.*convert it to RGB, or leave it out"):
        read(tmp_path / "cmyk.jpg")
    frames = [picture(seed) for seed in range(2)]
    stream = io.BytesIO()
    frames[0].save(stream, "PNG", save_all=True, append_images=frames[1:])
    (tmp_path / "film.png").write_bytes(stream.getvalue())
    with pytest.raises(InputError, match="it is an animation"):
        read(tmp_path / "film.png")
    evil = write_zip(tmp_path / "evil.zip", {"../a.png": encoded(picture(0))})
    with pytest.raises(InputError, match="would leave its folder"):
        read(evil)


def test_a_generator_whose_images_no_file_can_hold_is_refused(folder):
    with pytest.raises(InputError, match="images of 2 channels"):
        read(folder, shape=(2, 12, 12))
    with pytest.raises(InputError, match="cannot be read with 4 channels"):
        read("photos", shape=(4, 12, 12))

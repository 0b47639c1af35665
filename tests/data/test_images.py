import pytest
import torch

from riemann_noise_pytorch.data.builtin import digits
from riemann_noise_pytorch.data.folder import FolderImages
from riemann_noise_pytorch.data.images import MirroredImages, TensorImages, open_images
from riemann_noise_pytorch.errors import InputError
from tests.data.pictures import encoded, picture, write_folder, write_zip


def test_builtin_names_open_builtin_sets():
    images = open_images("digits", resolution=8, channels=3)
    assert isinstance(images, TensorImages)
    assert torch.equal(images.pixels, digits(8, channels=3).pixels)


def test_paths_open_folders_and_archives(tmp_path):
    folder = write_folder(tmp_path / "set", ["a.png", "b.png"])
    archive = write_zip(tmp_path / "set.zip", {f.name: f.read_bytes() for f in folder.iterdir()})
    for data in (folder, str(folder), archive):
        images = open_images(data, resolution=8, channels=1, resize_filter="box", cache_mib=0)
        assert isinstance(images, FolderImages)
        assert (len(images), images.image_shape) == (2, (1, 8, 8))


def test_a_builtin_name_goes_before_a_folder_which_its_path_still_reaches(tmp_path, monkeypatch):
    write_folder(tmp_path / "digits", ["a.png"])
    monkeypatch.chdir(tmp_path)
    assert len(open_images("digits")) == 1797
    assert len(open_images("./digits")) == 1


def test_mirror_doubles_any_set(tmp_path):
    images = open_images(write_folder(tmp_path, ["a.png"]), mirror=True)
    assert isinstance(images, MirroredImages)
    assert torch.equal(images.image(1), images.image(0).flip(-1))


@pytest.mark.parametrize(
    "data", ["digts", "photo", "nothing/here", "~nobody-of-this-name/x", "a\0b", "x" * 5000]
)
def test_what_is_no_name_and_no_path_is_refused_in_one_line(data):
    with pytest.raises(InputError, match="unknown data name") as caught:
        open_images(data)
    assert "no such folder or file exists" in str(caught.value)
    assert "digits, manifold-64, photos" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_nearest_builtin_name_is_suggested():
    with pytest.raises(InputError, match="did you mean 'digits'"):
        open_images("digit")


def test_skip_bad_images_reaches_the_folder(tmp_path):
    folder = write_folder(tmp_path, ["a.png"])
    (folder / "b.png").write_bytes(encoded(picture(0))[:60])
    images = open_images(folder, skip_bad_images=True, mirror=True)
    assert len(images) == 2
    assert [name for name, _ in images.skipped] == ["b.png"]

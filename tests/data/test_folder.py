import errno
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from riemann_noise_pytorch.data import decoding
from riemann_noise_pytorch.data.folder import FolderImages
from riemann_noise_pytorch.data.imageset import TensorImages
from riemann_noise_pytorch.errors import InputError
from tests.data.pictures import cut_short, encoded, noise_pixels, picture, write_folder, write_zip

NAMES = ["b.png", "a/2.png", "a/10.png", "Z.PNG", "c/d/e.png"]
ORDER = ["Z.PNG", "a/10.png", "a/2.png", "b.png", "c/d/e.png"]


def every(images):
    return images.batch(torch.arange(len(images)))


def zip_of(folder, path, names=None):
    names = names or [f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file()]
    return write_zip(path, {name: (folder / name).read_bytes() for name in names})


def test_images_are_found_recursively_in_the_order_of_their_paths(tmp_path):
    images = FolderImages(write_folder(tmp_path / "set", NAMES))
    assert images.names == ORDER
    assert (images.name, images.image_shape, images.labels) == ("set", (3, 12, 12), None)
    expected = np.stack([noise_pixels(NAMES.index(name)) for name in ORDER])
    assert np.array_equal(every(images).permute(0, 2, 3, 1).numpy(), expected)


def test_a_zip_equals_its_folder_whatever_the_order_of_its_members(tmp_path):
    folder = write_folder(tmp_path / "set", NAMES)
    images = FolderImages(folder)
    for number, names in enumerate((NAMES, ORDER, NAMES[::-1])):
        zipped = FolderImages(zip_of(folder, tmp_path / f"{number}.zip", names))
        assert zipped.names == ORDER
        assert torch.equal(every(zipped), every(images))
        assert zipped.content_hash() == images.content_hash()


def test_hash_depends_on_pixels_not_on_place_format_or_resolution_asked(tmp_path):
    folder = write_folder(tmp_path / "one", ["a.png", "b.png"])
    other = tmp_path / "two"
    other.mkdir()
    for name in ("a", "b"):
        Image.open(folder / f"{name}.png").save(other / f"{name}.webp", lossless=True)
    images = FolderImages(folder)
    assert FolderImages(other, resolution=12, cache_mib=0).content_hash() == images.content_hash()
    assert TensorImages(every(images)).content_hash() == images.content_hash()
    pixels = noise_pixels(0)
    pixels[3, 4, 1] ^= 1
    Image.fromarray(pixels).save(folder / "a.png")
    assert FolderImages(folder).content_hash() != images.content_hash()


@pytest.mark.parametrize("resize_filter", ["box", "bilinear", "bicubic", "lanczos", "nearest"])
def test_images_are_cropped_to_a_square_and_resized_by_pillow(tmp_path, resize_filter):
    write_folder(tmp_path, ["a.png"], height=20, width=31)
    images = FolderImages(tmp_path, resolution=8, resize_filter=resize_filter)
    filter_ = Image.Resampling[resize_filter.upper()]
    expected = np.asarray(picture(0, 20, 31).crop((5, 0, 25, 20)).resize((8, 8), filter_))
    assert np.array_equal(images.image(0).permute(1, 2, 0).numpy(), expected)


def test_oblong_images_stay_oblong_without_a_resolution_or_with_an_oblong_one(tmp_path):
    write_folder(tmp_path, ["a.png"], height=10, width=20)
    assert FolderImages(tmp_path).image_shape == (3, 10, 20)
    assert FolderImages(tmp_path, resolution=(5, 8)).image(0).shape == (3, 5, 8)


def test_exif_orientation_is_respected(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(0, 6, 9).save(tmp_path / "a.png", exif=exif)
    picture(1, 9, 6).save(tmp_path / "b.png")
    images = FolderImages(tmp_path)
    assert images.image_shape == (3, 9, 6)
    assert np.array_equal(images.image(0).permute(1, 2, 0).numpy(), np.rot90(noise_pixels(0, 6, 9), -1))


def test_channels_are_rgb_if_any_image_has_colour_else_grey(tmp_path):
    write_folder(tmp_path, ["a.png", "b.png"], channels=1)
    assert FolderImages(tmp_path).image_shape[0] == 1
    picture(9).save(tmp_path / "c.png")
    mixed = FolderImages(tmp_path)
    assert mixed.image_shape[0] == 3
    assert torch.equal(mixed.image(0)[0], torch.from_numpy(noise_pixels(0, channels=1)))
    assert torch.equal(mixed.image(0)[0], mixed.image(0)[2])
    assert FolderImages(tmp_path, channels=1).image(2).shape == (1, 12, 12)


def test_hidden_files_and_other_files_are_passed_over(tmp_path):
    write_folder(tmp_path, ["a.png", ".hidden.png", ".thumbs/x.png", "__MACOSX/._a.png"])
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "folder.png").mkdir()
    assert FolderImages(tmp_path).names == ["a.png"]


def test_links_are_followed_once(tmp_path):
    folder = write_folder(tmp_path / "set", ["a.png"])
    outside = write_folder(tmp_path / "outside", ["b.png"])
    (folder / "linked").symlink_to(outside, target_is_directory=True)
    (outside / "back").symlink_to(outside, target_is_directory=True)
    (folder / "broken.png").symlink_to(tmp_path / "nowhere.png")
    assert FolderImages(folder).names == ["a.png", "linked/b.png"]


def test_batch_equals_single_images_cached_or_not(tmp_path):
    folder = write_folder(tmp_path, NAMES)
    indices = torch.tensor([4, 0, 0, 2])
    results = []
    for cache_mib in (0, 1000 / 2**20, 64):
        images = FolderImages(folder, cache_mib=cache_mib)
        results += [
            images.batch(indices),
            images.batch(indices),
            torch.stack([images.image(i) for i in (4, 0, 0, 2)]),
        ]
        every(images)
        results.append(images.batch(indices))
    assert all(torch.equal(result, results[0]) for result in results)


@pytest.mark.parametrize(("cached", "decoded_again"), [(5, 0), (2, 3), (0, 5)])
def test_images_within_the_budget_are_decoded_once(tmp_path, monkeypatch, cached, decoded_again):
    folder = write_folder(tmp_path, NAMES)
    images = FolderImages(folder, cache_mib=cached * 12 * 12 * 3 / 2**20)
    every(images)
    calls = []

    def counting(stream, name, channels):
        calls.append(name)
        return decoding.decode(stream, name, channels)

    monkeypatch.setattr("riemann_noise_pytorch.data.folder.decode", counting)
    every(images)
    assert len(calls) == decoded_again


def test_batches_are_memory_of_their_own(tmp_path):
    images = FolderImages(write_folder(tmp_path, ["a.png"]))
    every(images)
    before = images.image(0).clone()
    every(images).zero_()
    assert torch.equal(images.image(0), before)


@pytest.mark.parametrize("index", [-1, 1])
def test_positions_outside_are_index_errors(tmp_path, index):
    images = FolderImages(write_folder(tmp_path, ["a.png"]))
    every(images)
    for ask in (images.image, lambda i: images.batch(torch.tensor([i]))):
        with pytest.raises(IndexError):
            ask(index)


@pytest.mark.parametrize("zipped", [False, True])
def test_labels_of_dataset_json(tmp_path, zipped):
    folder = write_folder(tmp_path / "set", NAMES)
    (folder / "dataset.json").write_text(json.dumps({"labels": [[name, n] for n, name in enumerate(NAMES)]}))
    images = FolderImages(zip_of(folder, tmp_path / "set.zip") if zipped else folder)
    assert images.labels.tolist() == [NAMES.index(name) for name in ORDER]
    assert images.num_classes == 5


def test_labels_count_in_the_hash(tmp_path):
    folder = write_folder(tmp_path, ["a.png"])
    hashes = {FolderImages(folder).content_hash()}
    for label in (0, 1):
        (folder / "dataset.json").write_text(json.dumps({"labels": [["a.png", label]]}))
        hashes.add(FolderImages(folder).content_hash())
    (folder / "dataset.json").write_text('{"labels": null}')
    hashes.add(FolderImages(folder).content_hash())
    assert len(hashes) == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "damaged"),
        ('{"labels": [["a.png", 0], ["gone.png", 1]]}', "'gone.png', which is not there"),
        ('{"labels": []}', "no label for 'a.png'"),
    ],
)
def test_labels_that_do_not_fit_are_refused(tmp_path, text, words):
    write_folder(tmp_path, ["a.png"])
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        FolderImages(tmp_path)
    assert str(tmp_path / "dataset.json") in str(caught.value)


def test_labels_of_skipped_images_do_no_harm(tmp_path):
    write_folder(tmp_path, ["a.png", "b.png"])
    cut_short(tmp_path / "a.png")
    (tmp_path / "dataset.json").write_text('{"labels": [["a.png", 7], ["b.png", 3]]}')
    assert FolderImages(tmp_path, skip_bad_images=True).labels.tolist() == [3]


def test_missing_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"there is no folder or ZIP archive at .*gone"):
        FolderImages(tmp_path / "gone")


def test_empty_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match="is empty; give a folder"):
        FolderImages(tmp_path)
    with pytest.raises(InputError, match=r"x\.zip is empty; give a folder"):
        FolderImages(write_zip(tmp_path / "x.zip", {}))


def test_folders_without_an_image_are_refused(tmp_path):
    (tmp_path / "a.gif").write_bytes(encoded(picture(0), "GIF"))
    (tmp_path / "b.txt").write_text("text")
    with pytest.raises(InputError, match=r"no PNG, JPEG or WebP image, but 2 other files, such as 'a\.gif'"):
        FolderImages(tmp_path)


def test_a_file_that_is_no_archive_is_refused(tmp_path):
    for name in ("x.zip", "x.tar", "x.png"):
        picture(0).save(tmp_path / name, "PNG")
        with pytest.raises(InputError, match=f"{name} is not a ZIP archive"):
            FolderImages(tmp_path / name)


def forbid(monkeypatch, owner, function, name):
    """Let an opening function refuse one name, as a file of another user would; root may read them all."""
    original = getattr(owner, function)

    def guarded(path, *arguments):
        if Path(path).name == name:
            raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
        return original(path, *arguments)

    monkeypatch.setattr(owner, function, guarded)


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    write_folder(tmp_path, ["a.png", "sub/b.png"])
    forbid(monkeypatch, Path, "open", "b.png")
    with pytest.raises(InputError, match=r"sub/b\.png': it cannot be read \(Permission denied\)"):
        FolderImages(tmp_path)


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    write_folder(tmp_path, ["a.png", "sub/b.png"])
    forbid(monkeypatch, os, "scandir", "sub")
    with pytest.raises(InputError, match=r"cannot read the folder .*sub: Permission denied; check"):
        FolderImages(tmp_path)


def test_a_file_that_vanishes_is_named(tmp_path):
    images = FolderImages(write_folder(tmp_path, ["a.png", "b.png"]))
    (tmp_path / "b.png").unlink()
    with pytest.raises(InputError, match=r"b\.png': it cannot be read \(No such file"):
        every(images)


def test_a_file_that_changes_its_size_is_named(tmp_path):
    images = FolderImages(write_folder(tmp_path, ["a.png"]))
    picture(0, 10, 10).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png': it is not 12x12 pixels, as it was"):
        every(images)


@pytest.mark.parametrize("zipped", [False, True])
def test_a_truncated_image_is_named_when_it_is_met(tmp_path, zipped):
    folder = write_folder(tmp_path / "set", ["a.png", "sub/b.png"])
    cut_short(folder / "sub/b.png")
    images = FolderImages(zip_of(folder, tmp_path / "set.zip") if zipped else folder)
    assert images.image(0).shape == (3, 12, 12)
    with pytest.raises(InputError, match=r"sub/b\.png': it is cut short.*skip_bad_images"):
        every(images)
    with pytest.raises(InputError, match=r"sub/b\.png"):
        images.content_hash()


def test_a_damaged_member_of_an_archive_is_named(tmp_path):
    content = encoded(picture(0, 40, 40))
    path = write_zip(tmp_path / "x.zip", {"a.png": content}, zipfile.ZIP_STORED)
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(content) + len(content) // 2] ^= 255
    path.write_bytes(damaged)
    with pytest.raises(InputError, match=r"a\.png': it is cut short or damaged \(Bad CRC"):
        every(FolderImages(path))


def test_bad_images_are_skipped_counted_and_reported(tmp_path):
    folder = write_folder(tmp_path, ["good.png", "grey.png", "short.png", "small.png", "zz.png"])
    picture(1, channels=1).save(folder / "grey.png")
    cut_short(folder / "short.png")
    picture(3, 6, 6).save(folder / "small.png")
    Image.new("CMYK", (12, 12)).save(folder / "ink.jpg")
    (folder / "text.png").write_text("no image")
    images = FolderImages(folder, resolution=8, skip_bad_images=True)
    assert images.names == ["good.png", "grey.png", "zz.png"]
    assert every(images).shape == (3, 3, 8, 8)
    assert [name for name, _ in images.skipped] == ["ink.jpg", "short.png", "small.png", "text.png"]
    reasons = dict(images.skipped)
    assert "CMYK" in reasons["ink.jpg"]
    assert "cut short" in reasons["short.png"]
    assert "smaller than the 8x8" in reasons["small.png"]
    assert "not a PNG" in reasons["text.png"]


def test_nothing_is_skipped_where_all_is_well(tmp_path):
    assert FolderImages(write_folder(tmp_path, NAMES), skip_bad_images=True).skipped == []


def test_skipped_images_do_not_decide_channels_or_size(tmp_path):
    write_folder(tmp_path, ["b.png"], channels=1)
    picture(0, 30, 30).save(tmp_path / "a.png")
    cut_short(tmp_path / "a.png")
    assert FolderImages(tmp_path, skip_bad_images=True).image_shape == (1, 12, 12)


def test_a_folder_of_bad_images_alone_is_refused(tmp_path):
    write_folder(tmp_path, ["a.png", "b.png"])
    cut_short(tmp_path / "a.png")
    cut_short(tmp_path / "b.png")
    with pytest.raises(InputError, match=r"none of the 2 images .* 'a\.png' because it is cut short"):
        FolderImages(tmp_path, skip_bad_images=True)


def test_images_smaller_than_asked_are_refused_by_name(tmp_path):
    write_folder(tmp_path, ["a.png"], height=40, width=40)
    picture(0, 40, 20).save(tmp_path / "b.png")
    with pytest.raises(
        InputError, match=r"b\.png': it is 20x40 pixels, smaller than the 32x32 .* at most 20"
    ):
        FolderImages(tmp_path, resolution=32)


@pytest.mark.parametrize("skip", [False, True])
def test_mixed_sizes_need_a_resolution(tmp_path, skip):
    write_folder(tmp_path, ["a.png", "b.png"])
    picture(0, 12, 14).save(tmp_path / "c.png")
    with pytest.raises(
        InputError, match=r"'a\.png' is 12x12 pixels, 'c\.png' is 14x12; ask for one resolution"
    ):
        FolderImages(tmp_path, skip_bad_images=skip)


def test_decompression_bombs_are_refused_without_a_warning(tmp_path, recwarn):
    Image.new("1", (10_000, 10_000)).save(tmp_path / "bomb.png")
    with pytest.raises(InputError, match=r"bomb\.png': it has 100000000 pixels"):
        FolderImages(tmp_path, resolution=8)
    assert not recwarn.list


def test_hostile_archives_are_refused_before_anything_is_read(tmp_path):
    good = encoded(picture(0))
    for number, member in enumerate(({"../evil.png": good}, {"bomb.txt": bytes(2**22)})):
        path = write_zip(tmp_path / f"{number}.zip", {"good.png": good, **member})
        with pytest.raises(InputError, match="is refused"):
            FolderImages(path, skip_bad_images=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"resolution": 0}, "resolution 0"),
        ({"channels": 2}, r"with 2 channels; ask for 1 \(grey\) or 3 \(RGB\) or 4 \(RGBA\)"),
        ({"resize_filter": "lanzos"}, "did you mean 'lanczos'"),
        ({"cache_mib": -1}, "cache_mib is -1"),
        ({"cache_mib": float("nan")}, "cache_mib is nan"),
    ],
)
def test_unfit_options_are_refused(tmp_path, options, words):
    write_folder(tmp_path, ["a.png"])
    with pytest.raises(InputError, match=words):
        FolderImages(tmp_path, **options)

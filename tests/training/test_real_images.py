"""A run whose images fail says so, loses nothing, and goes on once they are back."""

import dataclasses
import json

import pytest
import torch

from riemann_noise_pytorch.data.folder import FolderImages
from riemann_noise_pytorch.data.imageset import TensorImages
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.training.checkpoints import list_snapshots, load_snapshot
from riemann_noise_pytorch.training.loop import train
from riemann_noise_pytorch.training.real_images import held_out_images, open_data
from tests.data.pictures import cut_short, write_folder
from tests.training.runs import blobs, equal, small, weights
from tests.training.test_loop import stats_of


@pytest.fixture
def folder(tmp_path):
    names = [f"{number:02d}.png" for number in range(40)]
    return write_folder(tmp_path / "pictures", names, height=16, width=16, channels=1)


def opened(folder, **options):
    return FolderImages(folder, cache_mib=0, **options)


def train_while_the_files_rot(folder, run_dir, **options):
    """Train; from step 4 on, every file is damaged. Give the error and the contents that the files had."""
    contents = {path: path.read_bytes() for path in folder.iterdir()}

    def progress(info):
        if info.step == 4:
            for path in contents:
                cut_short(path)

    with pytest.raises(InputError) as caught:
        train(small(**options), opened(folder), run_dir, progress=progress)
    return str(caught.value), contents


@pytest.mark.parametrize("workers", [0, 2])
def test_images_that_fail_under_way_lose_nothing(folder, tmp_path, workers):
    whole = train(small(), opened(folder), tmp_path / "whole")
    run_dir = tmp_path / "run"
    message, contents = train_while_the_files_rot(folder, run_dir, workers=workers)
    newest = list_snapshots(run_dir)[-1]
    step = load_snapshot(newest).step
    assert step >= 4
    assert message.startswith("cannot use image ")
    assert "it is cut short or damaged" in message
    assert f"the state before it is in {newest}; put the file back" in message
    assert f"riemann-noise train --resume {run_dir};" in message
    assert message.endswith("start a new run (--out NEW --skip-bad-images)")
    assert "\n" not in message
    assert message in (run_dir / "log.txt").read_text()
    for path, content in contents.items():
        path.write_bytes(content)
    last = train(small(), opened(folder), run_dir, resume=True)
    assert equal(weights(load_snapshot(last)), weights(load_snapshot(whole)))
    assert stats_of(run_dir) == stats_of(tmp_path / "whole")


def test_the_state_is_the_one_before_the_failed_batch(folder, tmp_path):
    train_while_the_files_rot(folder, tmp_path / "run")
    assert [path.stem for path in list_snapshots(tmp_path / "run")] == ["00000000", "00000024", "00000032"]


def test_resuming_with_the_file_still_damaged_or_gone_says_what_to_do(folder, tmp_path):
    run_dir = tmp_path / "run"
    train(small(3), opened(folder), run_dir)
    victim = folder / "07.png"
    cut_short(victim)
    with pytest.raises(InputError, match=r"07\.png.*put the file back.*--resume.*a new run \(--out"):
        train(small(6), opened(folder), run_dir, resume=True)
    victim.unlink()
    with pytest.raises(InputError, match=r"count \(40 before, 39 now\); put them back .* start a new run"):
        train(small(6), opened(folder), run_dir, resume=True)
    assert len(stats_of(run_dir)) == 1


def test_a_damaged_file_is_named_before_anything_is_written(folder, tmp_path):
    cut_short(folder / "39.png")
    with pytest.raises(InputError, match=r"39\.png.*leave such images out \(--skip-bad-images"):
        train(small(), opened(folder), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_every_image_that_was_left_out_is_in_the_log(folder, tmp_path):
    for name in ("03.png", "11.png"):
        cut_short(folder / name)
    train(small(3), opened(folder, skip_bad_images=True), tmp_path / "run")
    lines = (tmp_path / "run" / "log.txt").read_text().splitlines()
    assert [line.split("left out ")[1].split(":")[0] for line in lines if "left out" in line] == [
        "03.png",
        "11.png",
    ]
    assert all("cut short" in line for line in lines if "left out" in line)


def test_every_image_is_decoded_once_for_the_hash_and_it_is_remembered(tmp_path):
    class Counted(TensorImages):
        seen = 0

        def batch(self, indices):
            self.seen += len(indices)
            return super().batch(indices)

    images = Counted(blobs().pixels)
    last = train(small(3), images, tmp_path / "run")
    assert images.seen == 256 + 3 * 8
    assert load_snapshot(last).data == {
        "name": "tensor",
        "count": 256,
        "image_shape": [1, 16, 16],
        "content_hash": blobs().content_hash(),
    }
    train(small(6), images, tmp_path / "run", resume=True)
    assert images.seen == 256 + 6 * 8


def test_another_fault_of_the_images_is_raised_as_it_is_once_the_state_is_saved(tmp_path):
    class Faulty(TensorImages):
        spoilt = False

        def batch(self, indices):
            if self.spoilt:
                raise KeyError("a bug of the set")
            return super().batch(indices)

    def progress(info):
        images.spoilt = info.step == 2

    images = Faulty(torch.zeros(64, 1, 16, 16, dtype=torch.uint8))
    with pytest.raises(KeyError, match="a bug of the set"):
        train(small(), images, tmp_path / "run", progress=progress)
    assert list_snapshots(tmp_path / "run")[-1].stem == "00000016"
    assert json.loads((tmp_path / "run" / "config.json").read_text())["batch"] == 8


def test_what_is_kept_out_is_never_trained_on():
    config = small(3)
    config = dataclasses.replace(config, data="digits", resolution=16, channels=1, holdout=97, mirror=True)
    training, held_out = open_data(config), held_out_images(config)
    assert (len(training), len(held_out)) == (2 * 1700, 97)
    digests = {bytes(image.numpy()) for image in held_out.batch(torch.arange(97))}
    seen = open_data(config, mirror=False)
    assert digests.isdisjoint(bytes(image.numpy()) for image in seen.batch(torch.arange(1700)))
    assert held_out_images(dataclasses.replace(config, holdout=0)) is None

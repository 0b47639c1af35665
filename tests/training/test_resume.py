"""A run that was cut off and resumed equals one left alone, bit for bit."""

import os
import random
import shutil
import signal
import threading

import numpy as np
import pytest
import torch
import torch._dynamo

from riemann_noise_pytorch.data.imageset import MirroredImages, TensorImages
from riemann_noise_pytorch.errors import InputError, Interrupted
from riemann_noise_pytorch.training import checkpoints, loop, run_folder
from riemann_noise_pytorch.training.checkpoints import list_snapshots, load_snapshot
from riemann_noise_pytorch.training.loop import train
from riemann_noise_pytorch.training.randomness import random_states, restore_random_states
from riemann_noise_pytorch.training.run_folder import RunFolder, load_config
from tests.training.runs import blobs, equal, in_processes, small, weights
from tests.training.test_loop import stats_of

OPTIONS = {
    "noise": "riemannian",
    "riemann_preset": "neutral",
    "noise_strength": 0.1,
    "gamma": 1.0,
    "regularizer_interval": 4,
    "ema_rampup": 0.05,
}
LONG = 60


def train_until_killed(run_dir, after_step, steps_more):
    """Train in this process, which a timer kills some fraction of steps after a step, or after the start."""

    def kill_in(seconds):
        threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()

    def progress(info):
        if info.step == after_step:
            kill_in(steps_more * 8 / info.images_per_s)

    torch.set_num_threads(1)
    images = blobs()
    if after_step == 0:
        kill_in(steps_more * 0.03)
    train(small(LONG, **OPTIONS), images, run_dir, progress=progress)


def go_on(run_dir, steps):
    """Resume a run that was killed, or start it if it had not begun."""
    torch.set_num_threads(1)
    begun = (run_dir / "config.json").is_file()
    train(small(steps, **OPTIONS), blobs(), run_dir, resume=begun)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("uninterrupted") / "run"
    train(small(LONG, **OPTIONS), blobs(), run_dir)
    return run_dir


def check_killed_run(whole, run_dir):
    chance = random.SystemRandom()
    moment = chance.randrange(LONG - 5), chance.uniform(0, 3)
    check_run_killed_at(whole, run_dir, moment)


def check_run_killed_at(whole, run_dir, moment):
    print("killed after step and further steps", moment)
    assert in_processes([(train_until_killed, run_dir, *moment)]) == [-signal.SIGKILL]
    assert in_processes([(go_on, run_dir, LONG)]) == [0]
    last = load_snapshot(list_snapshots(run_dir)[-1])
    assert last.images_seen == 8 * LONG
    assert equal(weights(last), weights(load_snapshot(list_snapshots(whole)[-1])))
    assert stats_of(run_dir) == stats_of(whole)


@pytest.mark.parametrize("attempt", range(2))
def test_a_run_killed_at_a_random_moment_ends_with_the_same_weights(uninterrupted, tmp_path, attempt):
    check_killed_run(uninterrupted, tmp_path / "run")


def test_a_run_killed_as_it_starts_ends_with_the_same_weights(uninterrupted, tmp_path):
    check_run_killed_at(uninterrupted, tmp_path / "run", (0, random.SystemRandom().uniform(0, 3)))


def train_until_killed_at(run_dir, place):
    """Train in this process, which dies at a place on the way to the first snapshot."""

    def die(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGKILL)

    def die_half_way(tensors, path, metadata):
        path.write_bytes(b"half a snapshot")
        die()

    if place == "config.json":
        run_folder.json.dumps = die
    elif place == "first picture":
        RunFolder.save_samples = die
    elif place == "log":
        RunFolder.log = die
    elif place == "first snapshot":
        checkpoints.save_file = die_half_way
    torch.set_num_threads(1)
    train(small(6, **OPTIONS), blobs(), run_dir)


@pytest.mark.parametrize("place", ["config.json", "first picture", "log", "first snapshot"])
def test_a_run_killed_before_its_first_snapshot_goes_on_from_the_start(tmp_path, place):
    run_dir = tmp_path / "run"
    assert in_processes([(train_until_killed_at, run_dir, place)]) == [-signal.SIGKILL]
    assert any(run_dir.rglob("*"))
    assert (run_dir / "config.json").exists() == (place != "config.json")
    assert not list_snapshots(run_dir)
    go_on(run_dir, 6)
    train(small(6, **OPTIONS), blobs(), tmp_path / "whole")
    last, whole = (load_snapshot(list_snapshots(path)[-1]) for path in (run_dir, tmp_path / "whole"))
    assert equal(weights(last), weights(whole))
    assert stats_of(run_dir) == stats_of(tmp_path / "whole")
    assert not [*run_dir.rglob("*.partial")]


def test_a_run_whose_snapshots_were_deleted_is_not_begun_anew(tmp_path):
    train(small(3), blobs(), tmp_path / "run")
    before = (tmp_path / "run" / "stats.jsonl").read_bytes()
    shutil.rmtree(tmp_path / "run" / "snapshots")
    with pytest.raises(InputError, match="holds no snapshots"):
        train(small(3), blobs(), tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "stats.jsonl").read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(10))
def test_a_run_killed_at_any_of_ten_random_moments_ends_with_the_same_weights(
    uninterrupted, tmp_path, attempt
):
    check_killed_run(uninterrupted, tmp_path / "run")


def interrupted_after(step, config, images, run_dir):
    def progress(info):
        if info.step == step:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        train(config, images, run_dir, progress=progress)


@pytest.mark.parametrize("step", [1, 4, 11])
def test_a_run_interrupted_within_a_tick_goes_on_as_if_nothing_had_been(tmp_path, step):
    config = small(**OPTIONS)
    whole = train(config, blobs(), tmp_path / "whole")
    interrupted_after(step, config, blobs(), tmp_path / "cut")
    last = train(config, blobs(), tmp_path / "cut", resume=True)
    assert equal(load_snapshot(last).tensors, load_snapshot(whole).tensors)
    assert stats_of(tmp_path / "cut") == stats_of(tmp_path / "whole")


def test_a_longer_kimg_extends_a_finished_run(tmp_path):
    train(small(6, **OPTIONS), blobs(), tmp_path / "run")
    last = train(small(12, **OPTIONS), blobs(), tmp_path / "run", resume=True)
    whole = train(small(12, **OPTIONS), blobs(), tmp_path / "whole")
    assert equal(weights(load_snapshot(last)), weights(load_snapshot(whole)))
    assert load_config(tmp_path / "run").kimg == 0.096


def test_resuming_a_finished_run_changes_nothing(tmp_path):
    last = train(small(3), blobs(), tmp_path / "run")
    before = last.read_bytes()
    assert train(small(3), blobs(), tmp_path / "run", resume=True) == last
    assert last.read_bytes() == before


def test_other_options_are_refused_by_name(tmp_path):
    train(small(6), blobs(), tmp_path / "run")
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    for changes, message in [
        ({"lr_g": 1e-3, "width": 16}, r"width \(8 before, 16 now\), lr_g \(0.0002 before, 0.001 now\)"),
        ({"noise": "euclidean"}, r"noise \(none before, euclidean now\)"),
        ({"kimg": 0.04}, r"kimg \(0.048 before, 0.04 now\)"),
        ({"seed": 1}, r"seed \(0 before, 1 now\)"),
    ]:
        with pytest.raises(InputError, match=message):
            train(small(**{"steps": 6, **changes}), blobs(), tmp_path / "run", resume=True)
    assert before == {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}


def test_what_does_not_change_the_result_may_change(tmp_path):
    train(small(3), blobs(), tmp_path / "run")
    train(small(6, workers=1, keep_snapshots=1), blobs(), tmp_path / "run", resume=True)
    assert len(list_snapshots(tmp_path / "run")) == 1


def test_other_data_are_refused_by_what_differs(tmp_path):
    last = train(small(3), blobs(), tmp_path / "run")
    pixels = blobs().pixels
    changed = pixels.clone()
    changed[255, 0, 15, 15] ^= 1
    before = load_snapshot(last).data
    assert before["content_hash"] == blobs().content_hash()
    for images, message in [
        (TensorImages(pixels[:100]), r"name \(blobs before, tensor now\), count \(256 before, 100 now\)"),
        (
            TensorImages(changed, name="blobs"),
            r"images: content_hash \(\w{12}\.{3} before, \w{12}\.{3} now\);",
        ),
        (TensorImages(pixels.flip(0), name="blobs"), "content_hash"),
        (MirroredImages(blobs()), r"count \(256 before, 512 now\)"),
    ]:
        with pytest.raises(InputError, match=message) as caught:
            train(small(6), images, tmp_path / "run", resume=True)
        assert str(caught.value).endswith("or start a new run (--out NEW)")
        assert "\n" not in str(caught.value)
    assert list_snapshots(tmp_path / "run")[-1] == last


def test_the_same_data_under_another_name_are_the_same(tmp_path):
    train(small(3), blobs(), tmp_path / "run")
    last = train(small(6), TensorImages(blobs().pixels, name="copy"), tmp_path / "run", resume=True)
    assert last == list_snapshots(tmp_path / "run")[-1]
    assert load_snapshot(last).step == 6


def test_another_device_is_logged(tmp_path, monkeypatch):
    write = loop.write_snapshot
    monkeypatch.setattr(
        loop, "write_snapshot", lambda *args, **others: write(*args, **{**others, "device": "cuda"})
    )
    train(small(3), blobs(), tmp_path / "run")
    monkeypatch.undo()
    train(small(6), blobs(), tmp_path / "run", resume=True)
    train(small(9), blobs(), tmp_path / "run", resume=True)
    log = (tmp_path / "run" / "log.txt").read_text()
    assert "resumed from 00000024.safetensors, on cpu" in log
    assert log.count("the device was cuda before: from here on roundings and noise are others") == 1


def test_a_folder_that_is_no_run_cannot_be_resumed(tmp_path):
    with pytest.raises(InputError, match="is no run folder"):
        train(small(), blobs(), tmp_path / "nowhere", resume=True)
    assert not (tmp_path / "nowhere").exists()


def test_a_damaged_newest_snapshot_is_passed_over(tmp_path):
    whole = load_snapshot(train(small(6), blobs(), tmp_path / "run"))
    newest = list_snapshots(tmp_path / "run")[-1]
    newest.write_bytes(newest.read_bytes()[:1000])
    last = train(small(6), blobs(), tmp_path / "run", resume=True)
    assert equal(load_snapshot(last).tensors, whole.tensors)
    assert "resumed from 00000024" in (tmp_path / "run" / "log.txt").read_text()


def test_pruning_after_a_damaged_newest_snapshot_spares_the_good_one(tmp_path):
    run_dir = tmp_path / "run"
    interrupted_after(9, small(**OPTIONS), blobs(), run_dir)
    newest = list_snapshots(run_dir)[-1]
    newest.write_bytes(newest.read_bytes()[:1000])

    def progress(info):
        if info.step == 7:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        train(small(keep_snapshots=1, **OPTIONS), blobs(), run_dir, resume=True, progress=progress)
    assert sorted(path.name for path in newest.parent.iterdir()) == [
        "00000056.safetensors",
        "00000072.safetensors.damaged",
    ]
    assert "set aside as 00000072.safetensors.damaged" in (run_dir / "log.txt").read_text()
    last = train(small(keep_snapshots=1, **OPTIONS), blobs(), run_dir, resume=True)
    whole = train(small(**OPTIONS), blobs(), tmp_path / "whole")
    assert equal(weights(load_snapshot(last)), weights(load_snapshot(whole)))


def test_every_global_random_state_is_saved_and_restored():
    def draw():
        return [
            torch.rand(()).item(),
            random.random(),
            random.gauss(0, 1),
            np.random.rand(),  # noqa: NPY002
            np.random.randn(),  # noqa: NPY002
        ]

    random.gauss(0, 1)
    np.random.randn()  # noqa: NPY002
    device = torch.device("cpu")
    states = random_states(device)
    assert {tensor.dtype for tensor in states.values()} == {torch.uint8}
    first = draw()
    restore_random_states(states, device)
    assert draw() == first


def test_a_resumed_run_restores_the_global_random_states(tmp_path):
    torch.manual_seed(7)
    train(small(3), blobs(), tmp_path / "run")
    expected = torch.rand(())
    torch.manual_seed(8)
    train(small(3), blobs(), tmp_path / "run", resume=True)
    assert torch.equal(torch.rand(()), expected)

import dataclasses
import json
import os
import resource

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise.control import frozen
from riemann_noise_pytorch.training import checkpoints
from riemann_noise_pytorch.training.checkpoints import (
    DamagedSnapshot,
    list_snapshots,
    load_generator,
    load_snapshot,
    newest_snapshot,
    prune_snapshots,
    set_aside_beyond,
    snapshot_path,
    write_snapshot,
)
from riemann_noise_pytorch.training.loop import train
from riemann_noise_pytorch.training.run_folder import load_config
from riemann_noise_pytorch.training.state import TrainState, config_for_images, load_weights
from tests.training.runs import blobs, equal, small, weights

DATA = {"name": "blobs", "count": 256, "image_shape": [1, 16, 16]}


@pytest.fixture
def state():
    return TrainState(config_for_images(small(noise="riemannian", riemann_preset="seed"), blobs()))


@pytest.fixture
def snapshot(tmp_path, state):
    return save(tmp_path, state)


def save(run_dir, state, images_seen=24, config=None):
    config = config or config_for_images(small(noise="riemannian", riemann_preset="seed"), blobs())
    path = snapshot_path(run_dir, images_seen)
    return write_snapshot(path, state.tensors(), config=config, images_seen=images_seen, step=3, data=DATA)


def rewritten(path, **changes):
    """Change fields of a snapshot's metadata, leaving its tensors."""
    with safe_open(path, "pt") as stream:
        content = json.loads(stream.metadata()[checkpoints._KEY])
    save_file(load_file(path), path, {checkpoints._KEY: json.dumps(content | changes)})


def test_a_snapshot_gives_back_exactly_what_was_written(snapshot, state):
    read = load_snapshot(snapshot)
    written = state.tensors()
    assert read.tensors.keys() == written.keys()
    assert all(torch.equal(read.tensors[name], written[name]) for name in written)
    assert (read.images_seen, read.step, read.data) == (24, 3, DATA)
    assert read.versions["torch"] == str(torch.__version__)
    assert read.config == config_for_images(small(noise="riemannian", riemann_preset="seed"), blobs())


def test_the_generator_of_a_snapshot_makes_the_same_images(snapshot, state):
    z = torch.randn(3, 100)
    state.generator.eval()
    for which, module in (("ema", state.ema.refresh()), ("raw", state.generator)):
        for place in (snapshot, snapshot.parent.parent):
            loaded = load_generator(place, which=which)
            assert not loaded.training
            with frozen(loaded), frozen(module):
                assert torch.equal(loaded(z), module(z))


def test_nothing_is_ever_unpickled(snapshot, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a pickle was opened")

    monkeypatch.setattr("pickle.load", refuse)
    monkeypatch.setattr("pickle.Unpickler", refuse)
    monkeypatch.setattr(torch, "load", refuse)
    assert load_generator(snapshot).image_shape == (1, 16, 16)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_damaged(snapshot, share):
    content = snapshot.read_bytes()
    snapshot.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DamagedSnapshot, match="is damaged"):
        load_snapshot(snapshot)


@pytest.mark.parametrize("place", [0.5, 0.9, 0.9999])
def test_one_changed_byte_is_noticed(snapshot, place):
    content = bytearray(snapshot.read_bytes())
    content[int(place * len(content))] ^= 0x40
    snapshot.write_bytes(content)
    with pytest.raises(DamagedSnapshot, match="checksum does not fit"):
        load_snapshot(snapshot)


def test_a_file_that_is_no_safetensors_file_is_refused(tmp_path):
    path = tmp_path / "model.pt"
    torch.save({"weights": torch.zeros(2)}, path)
    with pytest.raises(InputError, match="damaged or no snapshot"):
        load_snapshot(path)


def test_a_safetensors_file_of_another_program_is_refused(tmp_path):
    path = tmp_path / "foreign.safetensors"
    for metadata in (None, {"format": "pt"}):
        save_file({"weight": torch.zeros(2)}, path, metadata)
        with pytest.raises(InputError, match="of another program") as caught:
            load_snapshot(path)
        assert not isinstance(caught.value, DamagedSnapshot)


def test_a_newer_format_asks_for_an_upgrade(snapshot):
    rewritten(snapshot, format_version=99)
    with pytest.raises(InputError, match=r"format 99, but this version reads up to 1; upgrade"):
        load_snapshot(snapshot)


@pytest.mark.parametrize("header", ["{", "[]", '{"format_version": 1}'])
def test_a_header_that_cannot_be_read_is_damage(snapshot, header):
    save_file(load_file(snapshot), snapshot, {checkpoints._KEY: header})
    with pytest.raises(DamagedSnapshot, match="its header cannot be read"):
        load_snapshot(snapshot)


def test_options_of_a_newer_version_ask_for_an_upgrade(snapshot):
    with safe_open(snapshot, "pt") as stream:
        config = json.loads(stream.metadata()[checkpoints._KEY])["config"]
    rewritten(snapshot, config=config | {"warp": 9})
    with pytest.raises(InputError, match=r"options unknown here \(warp\); upgrade"):
        load_snapshot(snapshot)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"there is no snapshot .*gone\.safetensors"):
        load_generator(tmp_path / "gone.safetensors")


def test_a_folder_without_snapshots_is_no_run(tmp_path):
    with pytest.raises(InputError, match="holds no snapshots"):
        load_generator(tmp_path)


def test_another_architecture_is_told_by_its_tensors(snapshot):
    other = TrainState(config_for_images(small(width=4, noise="euclidean"), blobs())).generator
    tensors = load_snapshot(snapshot).tensors
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    with pytest.raises(InputError, match=r"another architecture.*stage4\.noise\.a is missing") as caught:
        load_weights(other, tensors, "generator", "x.safetensors")
    assert "more" in str(caught.value)
    assert all(torch.equal(before[name], tensor) for name, tensor in other.state_dict().items())
    plain = TrainState(config_for_images(small(width=4), blobs())).discriminator
    with pytest.raises(
        InputError, match=r"from_image\.conv\.weight is \(8, 1, 4, 4\) instead of \(4, 1, 4, 4\)"
    ):
        load_weights(plain, tensors, "discriminator", "x.safetensors")


def test_options_that_contradict_the_tensors_are_noticed(snapshot):
    with safe_open(snapshot, "pt") as stream:
        config = json.loads(stream.metadata()[checkpoints._KEY])["config"]
    rewritten(snapshot, config=config | {"width": 4})
    with pytest.raises(
        InputError, match=r"stage4\.conv\.weight is \(100, 16, 4, 4\) instead of \(100, 8, 4, 4\)"
    ):
        load_generator(snapshot)


def test_unknown_weights_are_met_with_the_nearest(snapshot):
    with pytest.raises(InputError, match="unknown kind of weights 'emma'; did you mean 'ema'"):
        load_generator(snapshot, which="emma")


def test_the_newest_undamaged_snapshot_is_found_by_number(tmp_path, state):
    for images_seen in (99_999_992, 100_000_000, 8):
        save(tmp_path, state, images_seen)
    assert newest_snapshot(tmp_path).images_seen == 100_000_000
    newest = list_snapshots(tmp_path)[-1]
    newest.write_bytes(newest.read_bytes()[:-8])
    assert newest_snapshot(tmp_path).images_seen == 99_999_992
    for path in list_snapshots(tmp_path):
        path.write_bytes(b"")
    with pytest.raises(DamagedSnapshot, match="100000000"):
        newest_snapshot(tmp_path)


def test_a_newest_snapshot_of_a_newer_format_is_not_passed_over(tmp_path, state):
    save(tmp_path, state, 8)
    rewritten(save(tmp_path, state, 16), format_version=2)
    with pytest.raises(InputError, match="upgrade"):
        newest_snapshot(tmp_path)


def test_pruning_keeps_the_newest(tmp_path, state):
    for images_seen in (0, 8, 16, 24):
        save(tmp_path, state, images_seen)
    prune_snapshots(tmp_path, 0)
    assert len(list_snapshots(tmp_path)) == 4
    prune_snapshots(tmp_path, 2)
    assert [path.name for path in list_snapshots(tmp_path)] == [
        "00000016.safetensors",
        "00000024.safetensors",
    ]


def test_pruning_spares_the_file_just_written_whatever_its_number(tmp_path, state):
    for images_seen in (8, 16, 24):
        save(tmp_path, state, images_seen)
    written = list_snapshots(tmp_path)[0]
    prune_snapshots(tmp_path, 1, written)
    assert [path.name for path in list_snapshots(tmp_path)] == [written.name, "00000024.safetensors"]


def test_what_is_set_aside_is_no_snapshot_any_more_but_is_kept(tmp_path, state):
    for images_seen in (8, 16, 100_000_000):
        save(tmp_path, state, images_seen)
    beyond = {path.name: path.read_bytes() for path in list_snapshots(tmp_path)[1:]}
    aside = set_aside_beyond(tmp_path, 8)
    assert {path.name: path.read_bytes() for path in aside} == {
        f"{name}.damaged": content for name, content in beyond.items()
    }
    assert [path.name for path in list_snapshots(tmp_path)] == ["00000008.safetensors"]
    assert set_aside_beyond(tmp_path, 8) == []


def test_the_device_is_remembered_and_unknown_in_files_without_it(snapshot, state, tmp_path):
    assert load_snapshot(snapshot).device == ""
    config = config_for_images(small(noise="riemannian", riemann_preset="seed"), blobs())
    path = snapshot_path(tmp_path, 32)
    known = write_snapshot(
        path, state.tensors(), config=config, images_seen=32, step=4, data=DATA, device="cpu"
    )
    assert load_snapshot(known).device == "cpu"


def test_a_full_disk_leaves_the_old_snapshot_and_no_rubbish(snapshot, state, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    before = snapshot.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device; free space"):
        save(snapshot.parent.parent, state)
    assert snapshot.read_bytes() == before
    assert [*snapshot.parent.iterdir()] == [snapshot]


def test_a_write_that_the_system_cuts_short_is_told_in_one_line(snapshot, state):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(InputError, match=r"cannot write .*snapshots") as caught:
            save(snapshot.parent.parent, state, images_seen=32)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value)
    assert [*snapshot.parent.iterdir()] == [snapshot]


def test_runs_from_before_another_default_are_read_and_resumed(tmp_path):
    """Once every dcgan had an interval of 16, and might leave Adam as it is for steps that there were not."""
    for name, options, idle in (
        ("off", {}, {"regularizer_interval": 16}),
        ("eager", {"gamma": 1.0, "regularizer_interval": 1}, {"adam_lazy_correction": False}),
    ):
        train(small(6, **options), blobs(), tmp_path / f"{name}-whole")
        run = tmp_path / name
        train(small(3, **options), blobs(), run)
        before = dataclasses.asdict(load_config(run)) | idle
        (run / "config.json").write_text(json.dumps(before))
        for path in list_snapshots(run):
            rewritten(path, config=before)
        assert newest_snapshot(run).config == load_config(run)
        assert load_config(run) == config_for_images(small(3, **options), blobs())
        train(small(6, **options), blobs(), run, resume=True)
        assert equal(*(weights(newest_snapshot(tmp_path / each)) for each in (name, f"{name}-whole")))


def test_a_lazy_run_keeps_the_interval_that_it_had(tmp_path):
    train(small(3, gamma=1.0, regularizer_interval=16), blobs(), tmp_path / "run")
    assert load_config(tmp_path / "run").regularizer_interval == 16
    with pytest.raises(InputError, match=r"regularizer_interval \(16 before, 1 now\)"):
        train(small(6, gamma=1.0), blobs(), tmp_path / "run", resume=True)


OLD_NAMES = {"gamma": "r1_gamma", "gamma_rule": "r1_rule", "regularizer_interval": "r1_interval"}
NEW_OPTIONS = ("regularizer", "anneal", "loss", "generator_loss")


def as_it_was_written_before(config):
    """Options of R1 under the names they had when it was the only penalty."""
    record = {OLD_NAMES.get(name, name): value for name, value in dataclasses.asdict(config).items()}
    return {name: value for name, value in record.items() if name not in NEW_OPTIONS}


def test_runs_from_before_options_were_renamed_are_read_and_resumed(tmp_path):
    options = {"gamma": 1.0, "regularizer_interval": 4}
    train(small(6, **options), blobs(), tmp_path / "whole")
    train(small(3, **options), blobs(), tmp_path / "old")
    before = as_it_was_written_before(load_config(tmp_path / "old"))
    assert before["r1_gamma"] == 1.0
    (tmp_path / "old" / "config.json").write_text(json.dumps(before))
    for path in list_snapshots(tmp_path / "old"):
        rewritten(path, config=before)
    read = load_config(tmp_path / "old")
    assert (read.gamma, read.regularizer_interval, read.regularizer) == (1.0, 4, "r1")
    assert newest_snapshot(tmp_path / "old").config == read
    train(small(6, **options), blobs(), tmp_path / "old", resume=True)
    assert equal(*(weights(newest_snapshot(tmp_path / name)) for name in ("whole", "old")))
    assert "gamma" in json.loads((tmp_path / "old" / "config.json").read_text())

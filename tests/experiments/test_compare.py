"""Laws of the comparison, on trainings of a few steps."""

import dataclasses
import json
import shutil

import pytest
import torch

from riemann_noise_pytorch.data.images import TensorImages
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.arm import reference_images
from riemann_noise_pytorch.experiments.compare import compare
from riemann_noise_pytorch.experiments.options import CompareConfig
from riemann_noise_pytorch.experiments.records import read_records
from riemann_noise_pytorch.report import read_comparison
from riemann_noise_pytorch.training.real_images import open_data

TINY = CompareConfig(seeds=2, kimg=0.064, width=4, z_dim=8, pairs=100, images=50, redraws=2, workers=1)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("compare") / "out"
    compare(TINY, out)
    return out


def test_records_hold_every_arm_seed_and_metric(finished):
    records = read_records(finished / "records.jsonl")
    measured = {(r["arm"], r["seed"], r["metric"]) for r in records if r["record"] == "measurement"}
    metrics = ("swd", "pl2_zfull", "pl2_zend", "mc_z", "mc_z_top2")
    assert measured == {(a, s, m) for a in TINY.noise for s in (0, 1) for m in metrics}
    assert sum(r["record"] == "comparison" for r in records) == 3 * len(metrics)
    (verdict,) = [r for r in records if r["record"] == "verdict"]
    assert sum("noise: its strength went from" in s for s in verdict["sentences"]) == 2
    (setup,) = [r for r in records if r["record"] == "setup"]
    assert setup["data"]["count"] == 1797
    assert setup["config"]["noise_strength"] == {"none": None, "euclidean": 0.1, "riemannian": None}


def test_the_report_room_can_read_what_was_written(finished):
    comparison = read_comparison(finished)
    assert list(comparison.setup.arms) == list(TINY.noise)
    assert len(comparison.runs) == 6


def test_arms_differ_in_their_noise_alone(finished):
    own = ("preset", "noise", "riemann_preset", "noise_strength", "noise_place", "noise_lr_multiplier")
    options = []
    for noise in TINY.noise:
        config = json.loads((finished / "runs" / f"{noise}-seed0" / "config.json").read_text())
        options.append({name: value for name, value in config.items() if name not in own})
    assert options[0] == options[1] == options[2]


def test_a_finished_comparison_is_resumed_without_work(finished):
    before = {p: p.stat().st_mtime_ns for p in finished.rglob("measurements.jsonl")}
    events = []
    compare(TINY, finished, resume=True, on_progress=events.append)
    assert events == []
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_a_lost_arm_alone_is_measured_again_with_the_same_numbers(finished):
    lost = finished / "runs" / "riemannian-seed1" / "measurements.jsonl"
    before = read_records(lost)
    shutil.rmtree(lost.parent)
    tasks = []
    wider = dataclasses.replace(TINY, workers=2)
    compare(wider, finished, resume=True, on_progress=lambda p: tasks.append(p.event.task))
    assert set(tasks) == {"riemannian-seed1"}
    assert [r for r in read_records(lost) if r["record"] == "measurement"] == [
        r for r in before if r["record"] == "measurement"
    ]


def test_a_folder_with_something_in_it_is_refused_and_left_alone(tmp_path):
    (tmp_path / "precious.txt").write_text("data")
    with pytest.raises(InputError, match="not empty; choose another --out, or go on with --resume"):
        compare(TINY, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["precious.txt"]


def test_other_options_are_refused_on_resume(finished):
    with pytest.raises(InputError, match="started with another kimg"):
        compare(dataclasses.replace(TINY, kimg=0.128), finished, resume=True)


def test_other_images_are_refused_on_resume(finished, monkeypatch):
    monkeypatch.setattr(TensorImages, "content_hash", lambda self: "another")
    with pytest.raises(InputError, match="digits holds other images than when"):
        compare(TINY, finished, resume=True)


def test_damaged_options_are_named_on_resume(tmp_path):
    (tmp_path / "compare.json").write_text('{"data": "dig')
    with pytest.raises(InputError, match=r"compare.json is damaged"):
        compare(TINY, tmp_path, resume=True)


def test_mirror_images_do_not_enter_the_reference(finished):
    mirrored = dataclasses.replace(TINY, mirror=True).training("none", 0)
    assert len(open_data(mirrored)) == 2 * 1797
    assert len(open_data(mirrored, mirror=False)) == 1797


def test_lpips_takes_the_place_of_the_weight_free_distance(tmp_path):
    assert TINY.budget.distance().name == "pyramid distance"
    missing = dataclasses.replace(TINY, lpips_vgg=str(tmp_path / "vgg.pth"), lpips_heads=str(tmp_path / "h"))
    with pytest.raises(InputError, match=r"vgg\.pth"):
        missing.budget.distance()


def test_arms_measured_by_older_keys_are_not_mixed_with_others_on_resume(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "out")
    older = tmp_path / "out" / "runs" / "none-seed1" / "measurements.jsonl"
    older.write_text(older.read_text().replace("pl2_zfull", "ppl_zfull"))
    with pytest.raises(InputError, match="none-seed1 alone were measured by ppl_zfull, with another version"):
        compare(TINY, tmp_path / "out", resume=True)


def test_nothing_to_resume_is_said(tmp_path):
    with pytest.raises(InputError, match="no comparison to resume"):
        compare(TINY, tmp_path / "nowhere", resume=True)


def test_damaged_measurements_are_named(finished, tmp_path):
    path = tmp_path / "measurements.jsonl"
    path.write_text('{"record": "run"}\n{"record": "mea')
    with pytest.raises(InputError, match=r"measurements.jsonl line 2 is damaged"):
        read_records(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"noise": ()}, "give each of them once"),
        ({"noise": ("none", "none")}, "give each of them once"),
        ({"noise": ("none", "riemanian")}, "did you mean 'riemannian'"),
        ({"noise": ("papr",)}, "did you mean 'paper'"),
        ({"seeds": 0}, "give 1 or more"),
        ({"pairs": 99}, "give 100 or more"),
        ({"redraws": 1}, "2 redraws or more"),
        ({"images": 10}, "images 10, workers 1 or threads 1 are too few"),
        ({"threads": 0}, "threads 0 are too few"),
        ({"lpips_vgg": "vgg16.pth"}, "LPIPS needs both of its files"),
        ({"kimg": -1.0}, "kimg is -1"),
        ({"lr": float("nan")}, "lr_g is nan"),
        ({"data": "digitz"}, "did you mean 'digits'"),
        ({"resolution": 15}, "resolution"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(changes, words, tmp_path):
    with pytest.raises(InputError, match=words):
        compare(dataclasses.replace(TINY, **changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_presets_can_be_arms():
    trainings = {arm: TINY.training(arm, 0) for arm in ("riemannian", "neutral", "author-cat")}
    assert {arm: t.riemann_preset for arm, t in trainings.items()} == {
        "riemannian": "paper",
        "neutral": "neutral",
        "author-cat": "author-cat",
    }
    assert [t.noise_strength for t in trainings.values()] == [None, 0.1, 0.1]


def test_reference_images_are_real_and_distinct():
    images = open_data(TINY.training("none", 0))
    chosen = reference_images(images, 200)
    assert chosen.shape == (200, 1, 16, 16)
    assert chosen.unique(dim=0).shape[0] > 190
    assert torch.equal(chosen, reference_images(images, 400)[:200])


def test_options_are_kept_beside_the_records(finished):
    assert json.loads((finished / "compare.json").read_text())["kimg"] == TINY.kimg

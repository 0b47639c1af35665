"""Laws of the toy as a whole, on trainings of a few steps."""

import dataclasses
import json
import shutil
import signal
import threading

import pytest

from riemann_noise_pytorch.errors import InputError, Interrupted
from riemann_noise_pytorch.experiments.records import read_records
from riemann_noise_pytorch.experiments.toy import arm_run
from riemann_noise_pytorch.experiments.toy.arm_run import ArmRun, run_arm
from riemann_noise_pytorch.experiments.toy.options import ToyConfig
from riemann_noise_pytorch.experiments.toy.toy import summarise, toy

TINY = ToyConfig(
    gammas=(0.0, 0.1),
    noise_variances=(0.1,),
    generator_loss=("minimax",),
    seeds=2,
    steps=12,
    checkpoints=6,
    batch=16,
    width=8,
    workers=1,
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("toy") / "out"
    toy(TINY, out)
    return out


def silent(*_):
    """Tell nobody."""


def records_of(folder, kind):
    return [record for record in read_records(folder / "records.jsonl") if record["record"] == kind]


def test_records_hold_every_arm_seed_and_checkpoint(finished):
    keys = [arm.key for arm in TINY.arms]
    runs = records_of(finished, "run")
    assert {(run["arm"], run["seed"]) for run in runs} == {(key, seed) for key in keys for seed in (0, 1)}
    assert all(len(run[name]) == 6 for run in runs for name in ("modes", "good", "height"))
    assert [one["arm"] for one in records_of(finished, "summary")] == keys
    (setup,) = records_of(finished, "setup")
    assert setup["steps"] == [2, 4, 6, 8, 10, 12]
    assert setup["mixture"]["name"] == "ring"
    assert len(setup["mixture"]["centres"]) == 7
    (verdict,) = records_of(finished, "verdict")
    assert all("\n" not in sentence for sentence in verdict["sentences"])


def test_gradients_are_compared_where_something_is_smoothed(finished):
    for run in records_of(finished, "run"):
        smoothed = not run["arm"].endswith("none")
        shown = len(records_of(finished, "setup")[0]["columns"])
        assert [len(values) for values in run["gradient_variance"].values()] == [smoothed * shown] * 2
        assert (run["variance_ratio"] is not None) == smoothed


def test_a_finished_toy_is_resumed_without_work(finished):
    before = (finished / "records.jsonl").read_text()
    events = []
    toy(TINY, finished, resume=True, on_progress=events.append)
    assert events == []
    assert (finished / "records.jsonl").read_text() == before


def test_a_stopped_arm_goes_on_and_ends_as_if_it_had_not_been_stopped(finished, tmp_path, monkeypatch):
    shutil.copytree(finished, tmp_path / "out")
    run = ArmRun(TINY.arms[1], TINY, tmp_path / "out")
    before = read_records(run.records), run.artifacts.read_bytes()
    run.records.unlink()
    monkeypatch.setattr(arm_run, "REPORT_EVERY", 1)

    def stop_at(stage, done, total):
        if done == 5:
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        run_arm(run, stop_at)
    assert run.state.is_file()
    assert not run.is_finished
    went_on = []
    run_arm(run, lambda *event: went_on.append(event[1]))
    assert went_on[0] == 6
    after = read_records(run.records), run.artifacts.read_bytes()
    assert [one | {"seconds": 0} for one in after[0]] == [one | {"seconds": 0} for one in before[0]]
    assert after[1] == before[1]
    assert not run.state.exists()


def test_a_damaged_state_is_named(tmp_path):
    run = ArmRun(TINY.arms[0], TINY, tmp_path)
    run.state.parent.mkdir()
    run.state.write_bytes(b"no tensors")
    with pytest.raises(InputError, match=r"state.safetensors is damaged .*; delete it"):
        run_arm(run, silent)


def test_a_folder_with_something_in_it_is_refused_and_left_alone(tmp_path):
    (tmp_path / "precious.txt").write_text("data")
    with pytest.raises(InputError, match="not empty; choose another --out, or go on with --resume"):
        toy(TINY, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_other_options_are_refused_on_resume(finished):
    with pytest.raises(InputError, match="started with another lr"):
        toy(dataclasses.replace(TINY, lr=0.01), finished, resume=True)


def test_nothing_to_resume_and_damaged_options_are_said(tmp_path):
    with pytest.raises(InputError, match="no toy to resume"):
        toy(TINY, tmp_path / "nowhere", resume=True)
    (tmp_path / "toy.json").write_text('{"data": "ri')
    with pytest.raises(InputError, match=r"toy.json is damaged"):
        toy(TINY, tmp_path, resume=True)


def test_an_unknown_mixture_makes_no_folder(tmp_path):
    with pytest.raises(InputError, match="did you mean 'moons'"):
        toy(dataclasses.replace(TINY, data="moon"), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_summary_is_the_mean_over_seeds_and_counts_those_that_found_all():
    shared = {"good": [0.5], "height": [0.1], "variance_ratio": None}
    runs = [
        {**shared, "modes": [6, 7], "full": 0.5, "first_full": 400, "held": 0.25},
        {**shared, "modes": [5, 6], "full": 0.0, "first_full": None, "held": None},
    ]
    one = summarise(TINY.arms[0], runs)
    assert one["modes"] == {"mean": 6.5, "sd": pytest.approx(0.5**0.5), "n": 2}
    assert one["full"] == {"mean": 0.25, "sd": pytest.approx(0.125**0.5), "n": 2}
    assert (one["covered"], one["first_full"], one["seeds"]) == (1, [400], 2)
    assert one["held"] == {"mean": 0.25, "sd": None, "n": 1}
    assert one["variance_ratio"] is None


def test_records_are_made_anew_from_finished_arms(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "out")
    (tmp_path / "out" / "records.jsonl").unlink()
    events = []
    toy(dataclasses.replace(TINY, workers=0), tmp_path / "out", resume=True, on_progress=events.append)
    assert events == []
    made, before = (read_records(folder / "records.jsonl") for folder in (tmp_path / "out", finished))
    assert made[1:] == before[1:]


def test_the_options_of_a_toy_are_kept_beside_its_records(finished):
    kept = json.loads((finished / "toy.json").read_text())
    assert kept["gammas"] == [0.0, 0.1]

"""A run that is measured while it trains is the run it would have been, and keeps its best average."""

import json
import os
import shutil
import signal
import socket
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from riemann_noise_pytorch.errors import InputError, Interrupted, NonFiniteError
from riemann_noise_pytorch.experiments.evaluation import in_training
from riemann_noise_pytorch.experiments.evaluation.evaluate import evaluate
from riemann_noise_pytorch.experiments.evaluation.in_training import Schedule
from riemann_noise_pytorch.experiments.evaluation.metric_files import (
    append_evaluation,
    metric_path,
    read_evaluations,
)
from riemann_noise_pytorch.experiments.evaluation.options import EvaluateConfig
from riemann_noise_pytorch.experiments.targets import open_target, weights_sha256
from riemann_noise_pytorch.models.interfaces import Generator
from riemann_noise_pytorch.training.checkpoints import BEST, list_snapshots, load_generator, load_snapshot
from riemann_noise_pytorch.training.loop import train
from tests.experiments.conftest import METRICS, train_with_metrics
from tests.training.runs import blobs, equal, in_processes, small, weights

QUICK = "mc100_z"


def scores(run_dir, metric="swd200"):
    found = [each for each in read_evaluations(run_dir) if each.metric == metric]
    return {each.target["images_seen"]: next(iter(each.results.values())) for each in found}


def test_a_run_with_metrics_is_the_run_without_bit_for_bit(measured_run, tmp_path):
    run_dir, _ = measured_run
    config = small(noise="riemannian", riemann_preset="neutral", data="digits")
    torch.manual_seed(11)
    plain = load_snapshot(train(config, blobs(), tmp_path / "plain"))
    assert equal(weights(plain), weights(load_snapshot(list_snapshots(run_dir)[-1])))


def test_torchs_random_state_is_the_same_whatever_a_metric_draws(tmp_path, monkeypatch):
    measured = in_training.evaluate
    monkeypatch.setattr(in_training, "evaluate", lambda *a, **o: (torch.randn(3), measured(*a, **o))[1])
    torch.manual_seed(1)
    before = torch.get_rng_state()
    train_with_metrics(tmp_path / "run", metrics=QUICK, steps=3)
    assert torch.equal(before, torch.get_rng_state())


def test_every_tick_that_is_due_is_measured_and_told(measured_run, tmp_path):
    run_dir, told = measured_run
    assert [[each.metric for each in found] for found in told] == [["swd200", "fd240", "pl2_100_zfull"]] * 4
    assert list(scores(run_dir)) == [24, 48, 72, 96]
    assert all(each.intervals == {} for each in read_evaluations(run_dir) if each.metric == "fd240")
    train_with_metrics(tmp_path / "sparse", metrics=QUICK, every=3)
    assert list(scores(tmp_path / "sparse", QUICK)) == [72, 96]


def test_the_best_average_is_kept_beyond_pruning_and_can_be_sampled(measured_run):
    run_dir, _ = measured_run
    assert len(list_snapshots(run_dir)) == 1
    best = load_snapshot(run_dir / BEST)
    found = scores(run_dir)
    assert found[best.images_seen] == min(found.values())
    assert all(name.startswith("ema/") for name in best.tensors)
    generator = load_generator(run_dir / BEST)
    assert generator(torch.zeros(2, generator.z_dim)).shape == (2, 1, 16, 16)
    (record,) = [
        each
        for each in read_evaluations(run_dir)
        if each.metric == "swd200" and each.target["images_seen"] == best.images_seen
    ]
    assert weights_sha256(generator) == record.target["sha256"]
    assert open_target(str(run_dir), snapshot="best").sha256 == record.target["sha256"]


@pytest.mark.parametrize(
    ("metrics", "values", "best"),
    [
        ("swd100", [3.0, 1.0, 2.0, 1.5], 48),
        ("ipr100_3", [0.2, 0.1, 0.9, 0.4], 72),
        ("swd100", [1, 1, 1, 1], 96),
    ],
)
def test_best_is_least_for_distances_and_most_for_shares(
    measured_run, tmp_path, monkeypatch, metrics, values, best
):
    left, record = list(values), read_evaluations(measured_run[0])[0]

    def scored(target, *_, out, **__):
        seen = {**record.target, "sha256": target.sha256, "images_seen": target.images_seen}
        found = replace(record, metric=metrics, results={metrics: float(left.pop(0))}, target=seen)
        append_evaluation(out, found)
        return [found]

    monkeypatch.setattr(in_training, "evaluate", scored)
    train_with_metrics(tmp_path / "run", metrics=metrics)
    assert load_snapshot(tmp_path / "run" / BEST).images_seen == best


def test_other_evaluations_in_the_folder_have_no_say_in_what_is_best(tmp_path):
    told = []

    def cheat(found):
        told.append(found[0].results[QUICK])
        if found[0].target["images_seen"] == 24:
            better = replace(found[0], results={QUICK: 0.0})
            lines = [
                replace(better, target={**better.target, "weights": "raw"}),
                replace(better, target={**better.target, "kind": "images"}),
                replace(better, protocol={**better.protocol, "redraws": 3}),
                replace(better, protocol={**better.protocol, "seed": 3}),
            ]
            for line in lines:
                append_evaluation(tmp_path / "run", line)

    train_with_metrics(tmp_path / "run", metrics=QUICK, tell=cheat)
    honest = scores(tmp_path / "run", QUICK) | {24: told[0]}
    assert load_snapshot(tmp_path / "run" / BEST).images_seen == min(honest, key=honest.__getitem__)


def test_a_resumed_run_goes_on_and_measures_nothing_twice(measured_run, tmp_path):
    train_with_metrics(tmp_path / "run", steps=3)
    assert Schedule.of_run(tmp_path / "run") == Schedule(METRICS, 1)
    train_with_metrics(tmp_path / "run", steps=6, resume=True)
    found = scores(tmp_path / "run")
    assert found == {images: score for images, score in scores(measured_run[0]).items() if images <= 48}
    assert load_snapshot(tmp_path / "run" / BEST).images_seen == min(found, key=found.__getitem__)


def test_a_best_average_that_was_lost_is_replaced_by_the_next(tmp_path):
    train_with_metrics(tmp_path / "run", metrics=QUICK, steps=6)
    for damage in (Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-9])):
        better = replace(read_evaluations(tmp_path / "run")[-1], results={QUICK: 0.0})
        append_evaluation(tmp_path / "run", replace(better, target={**better.target, "sha256": "gone"}))
        damage(tmp_path / "run" / BEST)
        steps = load_snapshot(list_snapshots(tmp_path / "run")[-1]).step + 3
        train_with_metrics(tmp_path / "run", metrics=QUICK, steps=steps, resume=True)
        assert load_snapshot(tmp_path / "run" / BEST).step == steps


def test_a_best_average_by_another_metric_is_replaced(tmp_path):
    train_with_metrics(tmp_path / "run", metrics="ipr100_3", steps=3)
    train_with_metrics(tmp_path / "run", metrics=QUICK, steps=6, resume=True)
    assert load_snapshot(tmp_path / "run" / BEST).step == 6


def test_a_run_set_back_to_an_older_snapshot_finds_its_numbers_and_its_best_again(measured_run, tmp_path):
    train_with_metrics(tmp_path / "run", metrics=QUICK, steps=9)
    before = metric_path(tmp_path / "run", QUICK).read_text()
    for path in list_snapshots(tmp_path / "run")[2:]:
        path.unlink()
    (tmp_path / "run" / BEST).unlink()
    train_with_metrics(tmp_path / "run", metrics=QUICK, steps=9, resume=True)
    assert metric_path(tmp_path / "run", QUICK).read_text() == before
    again = {images: score for images, score in scores(tmp_path / "run", QUICK).items() if images > 24}
    assert load_snapshot(tmp_path / "run" / BEST).images_seen == min(again, key=again.__getitem__)


def test_the_schedule_is_known_from_the_first_tick_on(tmp_path):
    train_with_metrics(tmp_path / "run", metrics=QUICK, every=7, steps=3)
    assert Schedule.of_run(tmp_path / "run") == Schedule(QUICK, 7)
    assert Schedule.of_run(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"metrics": "fdi5"}', '{"metrics": 3}', '{"ticks": 3}'])
def test_a_damaged_schedule_is_told(tmp_path, text):
    (tmp_path / "evaluation.json").write_text(text)
    with pytest.raises(InputError, match=r"evaluation\.json"):
        Schedule.of_run(tmp_path)


def test_a_schedule_that_makes_no_sense_is_refused():
    with pytest.raises(InputError, match="metric ticks is 0; give 1 or more"):
        Schedule("quick", 0)
    with pytest.raises(InputError, match="unknown metric"):
        Schedule("quik")


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ("mc50k_w", "the run has no mapping and synthesis, hence no w"),
        ("fid50k", "Inception needs weights"),
        ("fd100", "fd100 needs at least 225"),
        ("kd2k", "kd2k needs at least 1,000 real images"),
    ],
)
def test_what_cannot_be_measured_is_told_before_the_run_begins(tmp_path, metrics, words):
    with pytest.raises(InputError, match=words):
        train_with_metrics(tmp_path / "run", metrics=metrics)
    assert not (tmp_path / "run").exists()


def test_a_number_that_is_not_finite_is_told_and_the_run_goes_on(tmp_path, monkeypatch):
    measured, said = in_training.evaluate, []

    def fails_at_first(target, *arguments, **options):
        if target.images_seen == 24:
            raise NonFiniteError("pair 0 of 100 gives nan: check")
        return measured(target, *arguments, **options)

    monkeypatch.setattr(in_training, "evaluate", fails_at_first)
    train_with_metrics(tmp_path / "run", metrics=QUICK, steps=6, say=said.append)
    assert said == ["not measured at 0.024 kimg: pair 0 of 100 gives nan: check"]
    assert list(scores(tmp_path / "run", QUICK)) == [48]


# What fails, and who is asked to stop


@pytest.mark.parametrize(
    "failure",
    [InputError("no space left"), torch.OutOfMemoryError("CUDA out of memory\nTried"), MemoryError()],
)
def test_an_evaluation_that_fails_is_told_and_costs_no_training(tmp_path, monkeypatch, failure):
    def fails(*_, **__):
        raise failure

    said = []
    monkeypatch.setattr(in_training, "evaluate", fails)
    last = train_with_metrics(tmp_path / "run", metrics=QUICK, steps=6, say=said.append)
    assert load_snapshot(last).step == 6
    first_words = str(failure).partition("\n")[0] or "MemoryError"
    assert said == [f"not measured at {kimg} kimg: {first_words}" for kimg in (0.024, 0.048)]


def test_a_fault_of_this_package_is_not_hidden(tmp_path, monkeypatch):
    def fails(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(in_training, "evaluate", fails)
    with pytest.raises(ZeroDivisionError):
        train_with_metrics(tmp_path / "run", metrics=QUICK, steps=6, snapshot_ticks=9)
    assert load_snapshot(list_snapshots(tmp_path / "run")[-1]).step == 3


@pytest.mark.parametrize(("metrics", "most"), [("fd240", 5), ("swd100", 5), (QUICK, 9)])
def test_a_signal_during_an_evaluation_leaves_it_with_the_state_saved(tmp_path, monkeypatch, metrics, most):
    drawn, original = [], Generator.__call__

    def call(self, z, *others):
        if not self.training:
            drawn.append(len(z))
            if len(drawn) == signalled[0]:
                os.kill(os.getpid(), signal.SIGTERM)
        return original(self, z, *others)

    signalled = [4]
    monkeypatch.setattr(Generator, "__call__", call)
    before = len(drawn)
    with pytest.raises(Interrupted, match=r"SIGTERM came at 0\.024 kimg.*; go on with") as caught:
        train_with_metrics(tmp_path / "run", metrics=metrics, snapshot_ticks=9)
    assert len(drawn) - before <= most
    assert caught.value.exit_code == 128 + signal.SIGTERM
    assert load_snapshot(list_snapshots(tmp_path / "run")[-1]).step == 3
    assert read_evaluations(tmp_path / "run") == []


def test_a_signal_during_the_last_evaluation_leaves_a_complete_run(tmp_path, monkeypatch):
    measured = in_training.evaluate

    def stopped(*arguments, **options):
        os.kill(os.getpid(), signal.SIGINT)
        return measured(*arguments, **options)

    monkeypatch.setattr(in_training, "evaluate", stopped)
    with pytest.raises(Interrupted, match=r"complete, to be measured with: riemann-noise evaluate"):
        train_with_metrics(tmp_path / "run", metrics=QUICK, steps=3)
    assert load_snapshot(list_snapshots(tmp_path / "run")[-1]).step == 3


def test_a_snapshot_is_there_before_each_evaluation_and_its_name_is_recorded(tmp_path):
    there = []

    def look(found):
        name = found[0].target["snapshot"]
        there.append((name, (tmp_path / "run" / "snapshots" / name).is_file()))

    train_with_metrics(tmp_path / "run", metrics=QUICK, every=2, snapshot_ticks=9, tell=look)
    assert there == [("00000048.safetensors", True), ("00000096.safetensors", True)]


def test_what_training_measured_is_not_measured_again(measured_run, tmp_path):
    run_dir = shutil.copytree(measured_run[0], tmp_path / "run")
    before = metric_path(run_dir, "swd200").read_text()
    config = EvaluateConfig(metrics="swd200,ppl2_100_zfull", redraws=1)
    for target in (run_dir, run_dir / BEST, *list_snapshots(run_dir)):
        found = evaluate(open_target(str(target)), config, images=blobs(), out=run_dir, resume=True)
        assert [each.seconds for each in found] == [
            each.seconds
            for name in ("swd200", "pl2_100_zfull")
            for each in read_evaluations(run_dir)
            if each.metric == name and each.target["sha256"] == found[0].target["sha256"]
        ]
    assert metric_path(run_dir, "swd200").read_text() == before


def test_an_evaluation_reports_its_stages_takes_no_more_than_a_batch_and_says_each_line_once(tmp_path):
    stages, said = [], []
    train_with_metrics(
        tmp_path / "run", metrics="fd300", steps=6, say=said.append, report=lambda *all_: stages.append(all_)
    )
    assert ("random-conv, draw 1 of 1", 8, 300) in stages
    assert {each.protocol["batch"] for each in read_evaluations(tmp_path / "run")} == {8}
    assert said == ["blobs has 256 images, fewer than fd300 would take; all are taken"]


def test_a_cache_that_cannot_be_used_is_told_in_training(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    said = []
    train_with_metrics(tmp_path / "run", metrics="fd240", steps=3, say=said.append)
    assert [line.partition(":")[0] for line in said] == ["the statistics of blobs are not kept"]


def test_lpips_in_training_comes_by_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("RIEMANN_NOISE_LPIPS", str(tmp_path / "heads.pth"))
    with pytest.raises(InputError, match=r"VGG16 needs weights: .* set RIEMANN_NOISE_VGG16 to its path"):
        train_with_metrics(tmp_path / "run", metrics="ppl2_100_zfull")


def join_and_train(rank, port, folder):
    """Be one of two processes that train and measure, with batch norm, whose statistics differ."""
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
    torch.set_num_threads(1)
    seen = []

    def look(found):
        seen.extend(found)

    train_with_metrics(folder / "run", metrics="swd200,fd240", steps=3, tell=look)
    train_with_metrics(folder / "run", metrics="swd200,fd240", steps=6, resume=True)
    (folder / f"told-{rank}.json").write_text(json.dumps([each.metric for each in seen]))
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_measure_what_one_would(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert in_processes([(join_and_train, rank, port, tmp_path) for rank in range(2)]) == [0, 0]
    assert json.loads((tmp_path / "told-0.json").read_text()) == ["swd200", "fd240"]
    assert json.loads((tmp_path / "told-1.json").read_text()) == []
    found = read_evaluations(tmp_path / "run")
    assert [each.target["images_seen"] for each in found] == [24, 48] * 2
    assert {each.protocol["processes"] for each in found} == {2}
    last = open_target(str(tmp_path / "run"))
    assert found[-1].target["sha256"] == last.sha256
    config = EvaluateConfig(metrics="swd200,fd240", redraws=1)
    alone = {each.metric: each.results for each in evaluate(last, config, images=blobs())}
    together = {each.metric: each.results for each in found if each.target["images_seen"] == 48}
    assert alone["swd200"] == pytest.approx(together["swd200"], rel=1e-6)
    assert alone["fd240"] == pytest.approx(together["fd240"], rel=1e-6)

"""The benchmarks run, print ratios, and write records."""

import json
import runpy
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from riemann_noise_pytorch.models.stylegan2 import StyleGAN2Generator
from riemann_noise_pytorch.models.stylegan2_discriminator import StyleGAN2Discriminator
from riemann_noise_pytorch.noise.presets import RIEMANN_PRESETS
from riemann_noise_pytorch.training.choices import Regularizer
from riemann_noise_pytorch.training.config import TrainConfig
from riemann_noise_pytorch.training.run_folder import RunFolder

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("RIEMANN_NOISE_NO_MALLOC_TUNING", "1")

    def call(name: str, *arguments: str) -> list[str]:
        monkeypatch.setattr("sys.argv", [name, *arguments])
        runpy.run_path(str(BENCHMARKS / name), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    return call


def test_the_cost_of_noise_is_measured(run, tmp_path):
    record = tmp_path / "injection.jsonl"
    size = ("--device", "cpu", "--shape", "1", "2", "8", "8", "--rounds", "2", "--threads", "1")
    printed = run("bench_injection.py", *size, "--record", str(record))
    (line,) = record.read_text().splitlines()
    (result,) = json.loads(line)["results"]
    assert len(result["kinds"]) == len(RIEMANN_PRESETS) + 2
    assert len(printed) == 3 + len(result["kinds"])
    assert result["kinds"]["riemannian, paper"]["must_both"] == 3.5
    assert result["kinds"]["euclidean"]["forward"]["ratio"] > 0


def test_the_statistics_of_features_are_timed_beside_their_peers(run, tmp_path):
    record = tmp_path / "metrics.jsonl"
    size = ("--dimensions", "64", "--images", "300", "--subsets", "5", "--threads", "1", "--rounds", "2")
    printed = run("bench_metrics.py", *size, "--record", str(record))
    assert any("sqrtm" in line for line in printed)
    assert json.loads(record.read_text())["results"]


def test_condition_numbers_are_timed_beside_the_passes_that_they_are_made_of(run, tmp_path):
    record = tmp_path / "condition.jsonl"
    size = ("--pairs", "200", "--width", "2", "--batch", "30", "--threads", "1", "--record", str(record))
    printed = run("bench_condition.py", *size)
    results = json.loads(record.read_text())["results"]
    assert [result["noise"] for result in results] == ["none", "euclidean", "riemannian"]
    assert all(result["whole_to_bare"] > 0 for result in results)
    assert len(printed) == 3


def test_convolutions_are_timed_both_ways_with_what_they_round_off(run, tmp_path):
    record = tmp_path / "convolution.jsonl"
    size = ("--shape", "2", "8", "8", "--rounds", "2", "--threads", "1", "--record", str(record))
    printed = run("bench_convolution.py", *size)
    results = json.loads(record.read_text())["results"]
    assert {result["dtype"]: result["operations"]["forward"]["limit"] for result in results} == {
        "bfloat16": 2.25,
        "float32": 4.0,
    }
    assert len(printed) == 3
    for result in results:
        assert all(row["torch_to_ours"]["ratio"] > 0 for row in result["operations"].values())
        assert all(ours < 0.02 for ours, _ in (row["error"] for row in result["operations"].values()))


@pytest.mark.slow
def test_curves_in_half_precision_are_compared_with_those_of_other_seeds(run, tmp_path):
    record = tmp_path / "precision.jsonl"
    size = ("--steps", "20", "--batch", "4", "--channels", "64", "--others", "1", "--record", str(record))
    printed = run("bench_stylegan2_precision.py", *size)
    assert [line.split(":")[0] for line in printed] == ["loss_g", "loss_d"]
    for result in json.loads(record.read_text())["results"]:
        assert result["bfloat16_to_float32"] > 0
        assert len(result["bfloat16"]) == 1


@pytest.mark.slow
def test_the_memory_of_both_kinds_of_noise_is_measured_in_processes_of_their_own(run, tmp_path):
    record = tmp_path / "memory.jsonl"
    run("bench_stylegan2_memory.py", "--size", "16", "2", "--rounds", "1", "--record", str(record))
    (result,) = json.loads(record.read_text())["results"]
    assert all(row["peak_mib"] > row["of_training_mib"] > 0 for row in result["arms"].values())


def test_the_published_tables_are_those_of_the_records(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    tables = runpy.run_path(str(BENCHMARKS / "tables.py"))["tables"]()
    published = (BENCHMARKS.parent / "docs" / "performance.md").read_text()
    large, cached = "16 x 128 x 64 x 64", "16 x 256 x 32 x 32"
    kept = "allocator keeping big buffers"
    assert {title for title, table in tables.items() if table in published} >= {
        "training",
        f"{large}, float32, allocator as it is",
        f"{large}, float32, {kept}",
        f"{cached}, float32, {kept}",
        f"{large}, bfloat16, {kept}",
        "metrics",
        "stylegan2 64x64, allocator as it is",
        "stylegan2 128x128, allocator as it is",
        f"stylegan2 64x64, {kept}",
        f"stylegan2 128x128, {kept}",
        "convolution",
        "regularizers",
    }


def test_the_figures_of_the_readme_are_those_of_the_records():
    readme = " ".join((BENCHMARKS.parent / "README.md").read_text().split())
    costs = {}
    for line in (BENCHMARKS / "results" / "injection-cpu.jsonl").read_text().splitlines():
        for r in json.loads(line)["results"]:
            if (r["shape"], r["dtype"]) == ([16, 128, 64, 64], "float32"):
                row = r["kinds"]["riemannian, neutral"]
                costs[r["allocator"]] = f"{row['forward']['ratio']:.1f}", f"{row['both']['ratio']:.1f}"
    forward, both = costs["as it is"]
    assert f"{forward} copies of the map forward and {both} with backward" in readme
    forward, both = costs["keeping big buffers"]
    assert f"({forward} and {both} of the" in readme
    added = [
        round(100 * (r["to_euclidean"][arm]["ratio"] - 1))
        for line in (BENCHMARKS / "results" / "noise-training-cpu.jsonl").read_text().splitlines()
        for r in json.loads(line)["results"]
        for arm in ("neutral", "paper")
        if r["size"] == "64x64"
    ]
    assert f"and {min(added)} to {max(added)} % of a training step at 64x64" in readme


def test_the_published_figures_of_stylegan2_and_of_the_evaluation_are_those_of_the_records():
    published, readme = (
        " ".join((BENCHMARKS.parent / name).read_text().split())
        for name in ("docs/performance.md", "README.md")
    )
    results = BENCHMARKS / "results"

    def last(name):
        return json.loads((results / f"{name}-cpu.jsonl").read_text().splitlines()[-1])["results"]

    newest = runpy.run_path(str(BENCHMARKS / "tables.py"))["newest"]
    for result in newest("stylegan2-cpu").values():
        assert f"peak {result['peak_gflops']['float32']} GFLOP/s in float32" in published
        cells = {arm: row["s_per_kimg"] for arm, row in result["arms"].items()}
        if "Euclidean, bfloat16" in cells:
            size, euclidean = f"{result['resolution']}x{result['resolution']}", cells["Euclidean, float32"]
            assert f"{euclidean / cells['stylegan2_pytorch']:.2f} at {size}" in published
            assert f"{euclidean / cells['stylegan2_pytorch']:.2f} ({size})" in readme
            assert f"{euclidean / cells['Euclidean, bfloat16']:.2f} times " in published
    for result in last("stylegan2-memory"):
        euclidean, riemannian = (result["arms"][arm]["peak_mib"] for arm in result["arms"])
        assert f"{euclidean} and {riemannian} MiB" in published
        assert result["riemannian_to_euclidean"]["peak_mib"] <= 1.1
    ways = [f"{result['torchs_convolutions_to_winograds']:.2f}" for result in last("stylegan2-precision")]
    assert f"both in float32, are apart by {' and '.join(ways)}" in published
    for result in last("stylegan2-precision"):
        seeds = result["seeds_of_float32"]
        assert result["bfloat16_to_float32"] <= max(seeds)
        spread = f"(other seeds of float32: {min(seeds):.2f} to {max(seeds):.2f})"
        assert f"{result['bfloat16_to_float32']:.2f} {spread}" in published
    for result in last("evaluation"):
        assert f"{result['to_pass']:.2f} passes of Inception for {result['images']:,.0f} images" in published
    (profile,) = last("jacobian")
    cases = profile["cases"]
    assert f"takes {cases['rank profile of all layers']['s']:.2f} s on 2 threads" in published
    ratios = {name: case["to_forward"]["ratio"] for name, case in cases.items() if "to_forward" in case}
    assert ratios["rank profile of all layers"] <= 1.5
    times_less = 1 / cases["rank profile of all layers"]["to_reverse"]
    assert f"{times_less:.0f} times less than" in published
    assert f"and {ratios['rank profile of all layers']:.2f} times as long" in published
    assert f"all layers are {ratios['tangents of all layers']:.2f} times" in published
    assert all(each["peak_mib"] <= each["budget_mib"] for each in profile["memory"])
    none, euclidean, riemannian = (f"{each['whole_to_bare']:.2f}" for each in last("condition"))
    assert f"{none} without noise, {euclidean} with Euclidean and {riemannian} with Riemannian" in published
    symptoms = last("symptoms")
    for each in symptoms:
        told = (
            f"{100 * each['of_a_tick']:.2f} % of its {each['steps_per_tick']} steps for `{each['network']}`"
        )
        assert told in published
        assert each["of_a_tick"] < 0.01
        assert f"{each['spread_ms'] + each['look_ms']:.1f} ms a tick" in published
    shares = [f"{100 * each['of_a_step']:.1f} %" for each in symptoms]
    assert f"{' and '.join(shares)} of a tick of one step" in published
    for setting, rate in last("extractors")[0]["images_per_s"].items():
        assert f"{setting} {rate:.1f}" in published


def test_records_of_benchmarks_tell_their_origin():
    for path in (BENCHMARKS / "results").glob("*.jsonl"):
        for line in path.read_text().splitlines():
            record = json.loads(line)
            assert record["commit"]
            assert "dirty" not in record["commit"]
            assert {"torch", "cpu", "cores", "threads"} <= set(record["environment"])


def test_the_limits_that_the_injection_was_built_for_are_kept_in_the_record():
    (result,) = (
        r
        for line in (BENCHMARKS / "results" / "injection-cpu.jsonl").read_text().splitlines()
        for r in json.loads(line)["results"]
        if (r["shape"], r["dtype"], r["allocator"]) == ([16, 128, 64, 64], "float32", "as it is")
    )
    kinds = result["kinds"]
    assert kinds.pop("euclidean")["forward"]["ratio"] <= 1.2
    kinds.pop("riemannian, neutral, a plane per channel")
    for row in kinds.values():
        assert row["forward"]["ratio"] <= 1.9
        assert row["both"]["ratio"] <= 1.3 * row["must_both"]
        assert row["saved_maps"] <= 1.1


def test_the_cost_in_training_is_measured(run, tmp_path):
    record = tmp_path / "training.jsonl"
    options = ("--device", "cpu", "--sizes", "16x16", "--rounds", "2", "--threads", "1")
    printed = run("bench_noise_training.py", *options, "--record", str(record))
    results = json.loads(record.read_text())["results"]
    assert [result["generator"] for result in results] == ["DCGAN", "residual, injected"]
    assert len(printed) == 2


@pytest.mark.parametrize("resolution", [64, 128])
def test_the_operations_of_a_cycle_are_counted_as_torch_counts_them(monkeypatch, resolution):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = runpy.run_path(str(BENCHMARKS / "bench_stylegan2.py"))
    shape = (3, resolution, resolution)
    with torch.device("meta"):
        generator = StyleGAN2Generator(shape, noise="euclidean", mapping_layers=1)
        discriminator = StyleGAN2Discriminator(shape)
        ws, images = torch.empty(1, generator.synthesis.num_ws, 512), torch.empty(1, *shape)
    counted = []
    for network, x in ((generator.synthesis, ws), (discriminator, images)):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(x)
        counted.append(counter.get_total_flops())
    for ours, theirs in zip(module["network_operations"](resolution), counted, strict=True):
        assert ours == pytest.approx(theirs, rel=0.03)


def test_every_penalty_is_timed_eager_and_lazy_against_none(run, tmp_path):
    record = tmp_path / "regularizers.jsonl"
    size = (
        "--device",
        "cpu",
        "--resolution",
        "16",
        "--batch",
        "4",
        "--threads",
        "1",
        "--record",
        str(record),
    )
    printed = run("bench_regularizers.py", *size, "--rounds", "1", "--warm-up", "1")
    results = json.loads(record.read_text())["results"]
    assert [result["network"] for result in results] == ["dcgan", "stylegan2"]
    assert len(printed) == 2 * 9
    for result in results:
        assert set(result["regularizers"]) == set(get_args(Regularizer))
        for costs in result["regularizers"].values():
            assert costs["lazy"]["ratio"] < costs["due"]["ratio"]


def test_the_signs_of_trouble_are_timed_against_the_steps_of_a_tick(run, tmp_path):
    record = tmp_path / "symptoms.jsonl"
    size = ("--device", "cpu", "--resolution", "16", "--batch", "4", "--threads", "1", "--rounds", "1")
    printed = run("bench_symptoms.py", *size, "--record", str(record))
    results = json.loads(record.read_text())["results"]
    assert [result["network"] for result in results] == ["dcgan", "stylegan2"]
    assert len(printed) == 2
    assert all(0 < result["of_a_tick"] < result["of_a_step"] for result in results)


def test_inverting_many_images_together_is_timed_against_one_by_one_and_bare_passes(run, tmp_path):
    record = tmp_path / "inversion.jsonl"
    size = ("--resolution", "16", "--images", "2", "--steps", "3", "--rounds", "1", "--threads", "1")
    printed = run("bench_inversion.py", *size, "--warm-up", "0", "--record", str(record))
    results = json.loads(record.read_text())["results"]
    assert [(r["network"], r["space"]) for r in results] == [
        ("dcgan", "z"),
        ("stylegan2", "w"),
        ("stylegan2", "w+"),
    ]
    assert len(printed) == 1 + 2 * len(results)
    for result in results:
        assert result["passes"]["backward"] == result["steps"] == 3
        assert result["passes"]["forward"] == 3 + 1 + 4  # the last evaluation, three trials, the result
        for case in ("to_single", "objective_to_bare", "whole_to_bare"):
            assert result[case]["ratio"] > 0


def test_the_limit_of_inverting_many_images_together_is_kept_in_the_record():
    record = (BENCHMARKS / "results" / "inversion-cpu.jsonl").read_text().splitlines()[-1]
    published = (BENCHMARKS.parent / "docs" / "performance.md").read_text()
    for result in json.loads(record)["results"]:
        assert result["images"] == 16
        assert result["to_single"]["ratio"] <= 0.5
        assert result["to_single_steps_alone"]["ratio"] <= 0.5
        ratios = (result[each]["ratio"] for each in ("to_single", "objective_to_bare", "whole_to_bare"))
        row = " | ".join(f"{ratio:.2f}" for ratio in ratios)
        assert f"| {result['network']}, {result['space']} | {result['recipe']} | {row} |" in published


def test_samples_are_inverted_from_several_starts_and_held_out_digits_with_their_noise(run, tmp_path):
    record, out = tmp_path / "rates.jsonl", tmp_path / "out"
    networks = (
        "--networks",
        "dcgan-rni",
        "stylegan2-eni",
        "--dcgan-kimg",
        "0.064",
        "--stylegan2-kimg",
        "0.016",
    )
    size = ("--images", "2", "--restarts", "1", "2", "--steps", "3", "--digits", "2", "--fit-steps", "3", "2")
    options = (*networks, *size, "--threads", "1", "--out", str(out), "--record", str(record))
    printed = run("inversion_rates.py", *options)
    setup, *lines, verdict = (json.loads(line) for line in record.read_text().splitlines())
    assert set(setup["runs"]) == {"dcgan-rni", "stylegan2-eni"}
    assert [(r["record"], r.get("restarts")) for r in lines if r["record"] == "rate"] == 2 * [
        ("rate", 1),
        ("rate", 2),
    ]
    gains = [r for r in lines if r["record"] == "gain"]
    assert [(r["recipe"], r["space"]) for r in gains] == [("z-restarts", "z"), ("image2stylegan++", "w+")]
    assert all(r["least_gain"] >= 0 for r in gains)
    assert {"median", "low", "high"} <= set(gains[0]["gain"])
    assert len(verdict["sentences"]) == 4
    assert verdict["sentences"][-1] == printed[-1]
    assert any("training" in line for line in printed)
    again = run("inversion_rates.py", *options, "--networks", "dcgan-rni")
    assert not any("training" in line for line in again)


def rescue_study(out):
    """A folder of riemann-noise rescue: two sure discriminators, one of them collapsed, and a quiet one."""
    quiet = {"loss_g": 1.0, "loss_d": 1.0, "grad_norm_g": 1.0, "grad_norm_d": 1.0, "sample_spread": 0.4}
    for name, method, collapsed, accuracy in (
        ("first", "none", True, 1.0),
        ("second", "js", False, 1.0),
        ("third", "js", False, 0.7),
    ):
        folder = RunFolder(out / "runs" / name)
        folder.write_config(TrainConfig())
        line = {**quiet, "d_real_accuracy": accuracy, "d_fake_accuracy": accuracy}
        for tick in range(1, 11):
            folder.append_stats({**line, "images_seen": 10_000 * tick, "kimg": 10 * tick})
        measured = {"record": "run", "method": method, "collapsed": collapsed}
        (folder.path / "measurements.jsonl").write_text(json.dumps(measured))
    (out / "data.jsonl").write_text(json.dumps({"std": 0.43}))
    (out / "records.jsonl").write_text(json.dumps({"commit": "abc", "methods": {"none": {}, "js": {}}}))


def test_the_signs_of_trouble_are_replayed_over_the_runs_of_a_study(run, tmp_path):
    rescue_study(tmp_path)
    record = tmp_path / "replayed.jsonl"
    printed = run("replay_symptoms.py", str(tmp_path), "--record", str(record))
    assert printed[0] == "told of 1 of 1 collapsed runs and 1 of 2 others"
    (result,) = json.loads(record.read_text())["results"]
    assert result["signs"]["a saturated discriminator"] == {"collapsed": 1, "runs": 2}
    assert result["signs"]["collapse"] == {"collapsed": 0, "runs": 0}
    assert result["methods"]["js"] == {"collapsed": 0, "collapsed_told": 0, "others": 2, "others_told": 1}
    assert result["study"] == "abc"


def test_what_the_document_says_of_the_replayed_signs_is_in_the_record():
    text = (BENCHMARKS / "results" / "symptoms-replayed.jsonl").read_text()
    (result,) = json.loads(text.splitlines()[-1])["results"]
    document = " ".join((BENCHMARKS.parent / "docs" / "stabilisation.md").read_text().split())
    told = f"{result['collapsed_told']} of the {result['collapsed']} that collapsed"
    assert f"{told}, and of {result['others_told']} of the {result['others']} others" in document
    for name, found in result["signs"].items():
        assert f"| {name} | {found['collapsed']} | {found['runs'] - found['collapsed']} |" in document
    silent = result["methods"]["wgan-gp"]
    assert f"of `wgan-gp` {silent['collapsed_told']} of {silent['collapsed']}" in document

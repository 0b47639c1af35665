"""Laws of the rescue study, on trainings of a few steps: what collapses, and that every setting is told."""

import dataclasses
from collections import Counter

import pytest
import torch

from riemann_noise_pytorch.data import open_images
from riemann_noise_pytorch.data.images import to_float
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.records import read_records
from riemann_noise_pytorch.experiments.rescue.arm import compare, reached
from riemann_noise_pytorch.experiments.rescue.options import (
    COLLAPSED_BELOW,
    LABELS,
    METHODS,
    RescueConfig,
    Setting,
)
from riemann_noise_pytorch.experiments.rescue.study import RULE, rescue_study, verdict
from riemann_noise_pytorch.metrics.sliced_wasserstein import sample_spread
from riemann_noise_pytorch.report.rescue import read_rescue, rescue_tables
from riemann_noise_pytorch.report.rescue_figures import write_rescue_figure

TINY = RescueConfig(
    lrs=(1e-3, 1e6), strengths=(1.0,), methods=("none", "js", "wgan-gp"), seeds=1, kimg=0.064, workers=1
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("rescue") / "out"
    rescue_study(TINY, out)
    return out


@pytest.fixture(scope="module")
def digits():
    images = open_images("digits", resolution=16)
    return images.batch(torch.arange(len(images))), images.labels


def of(records, kind):
    return [record for record in records if record["record"] == kind]


@pytest.mark.parametrize(("count", "low", "high"), [(1, 0.095, 0.175), (2, 0.2, 0.285), (3, 0.3, 0.39)])
def test_real_images_of_one_digit_alone_are_a_collapse_and_those_of_two_or_three_are_not(
    digits, count, low, high
):
    images, labels = digits
    for first in range(10):
        chosen = torch.isin(labels, (first + torch.arange(count)) % 10)
        assert low < reached(compare(images[chosen], images)) < high
    assert (count == 1) == (high <= COLLAPSED_BELOW)


def test_images_that_are_no_digits_are_a_collapse_however_much_they_differ(digits):
    images, _ = digits
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 2, images.shape, generator=generator).to(torch.uint8) * 255
    found = compare(noise, images)
    assert (found.precision, found.recall, reached(found)) == (0, 1, 0)
    assert sample_spread(to_float(noise)) > 2 * sample_spread(to_float(images))


def test_half_of_the_data_reaches_nearly_all_of_the_other(finished):
    (data,) = of(read_records(finished / "records.jsonl"), "data")
    assert data["recall_of_half"] > 0.85
    assert list(data["recall_of_digits"].values()) == pytest.approx([0.1, 0.2, 0.3], abs=0.08)


def test_every_setting_is_told_with_every_method_that_fits_it(finished):
    runs = of(read_records(finished / "records.jsonl"), "run")
    told = Counter((run["setting"], run["method"]) for run in runs)
    assert set(told.values()) == {1}
    assert {method for setting, method in told if setting.startswith("minimax")} == {"none", "js"}
    assert len(told) == 2 * 3 + 2 * 2
    setup = of(read_records(finished / "records.jsonl"), "setup")[0]
    assert setup["collapsed_below"] == COLLAPSED_BELOW
    assert setup["methods"]["js"] == {"label": "JS 2, annealed", **METHODS["js"]}


def test_a_run_that_stops_as_not_finite_has_collapsed_and_says_where(finished):
    runs = of(read_records(finished / "records.jsonl"), "run")
    stopped = [run for run in runs if "stopped" in run]
    assert stopped
    for run in stopped:
        assert run["lr"] == 1e6
        assert run["collapsed"]
        assert run["reached"] == 0
        assert "at step" in run["stopped"]
        assert str(finished) not in run["stopped"]


def test_the_tables_and_the_figure_show_every_cell(finished, tmp_path):
    rescue = read_rescue(finished)
    collapsed, recall, precision, deviation = rescue_tables(rescue)
    for table in (collapsed, recall, precision, deviation):
        assert [row[:3] for row in table.rows] == [
            ["non-saturating", "0.001", "0.001"],
            ["non-saturating", "1e+06", "1e+06"],
            ["minimax", "0.001", "0.001"],
            ["minimax", "1e+06", "1e+06"],
        ]
        unmeasured = table in (precision, deviation)
        assert [row[-1] == "–" for row in table.rows] == [False, unmeasured, True, True]
    assert recall.rows[0][3] == "0.00 (0.00-0.00)"
    about_loss = [note for note in collapsed.notes if "WGAN-GP 10 also changes the loss" in note]
    assert len(about_loss) == 1
    assert any("has not come far yet counts as well" in note for note in collapsed.notes)
    assert any("is nan at step" in note or "is inf at step" in note for note in collapsed.notes)
    svg = write_rescue_figure(rescue, tmp_path).read_text()
    assert svg.startswith("<svg")
    for words in ("Recall, and runs that collapsed", "JS 2, annealed", "minimax", "lr of D", "1 of 1"):
        assert words in svg


def test_a_finished_study_is_resumed_without_work(finished):
    events = []
    rescue_study(TINY, finished, resume=True, on_progress=events.append)
    assert events == []


def test_other_options_are_refused_on_resume(finished):
    with pytest.raises(InputError, match=r"study in .* was started with another kimg"):
        rescue_study(dataclasses.replace(TINY, kimg=1.0), finished, resume=True)


def test_a_folder_with_something_in_it_is_refused(tmp_path):
    (tmp_path / "precious.txt").write_text("data")
    with pytest.raises(InputError, match="not empty"):
        rescue_study(TINY, tmp_path)
    with pytest.raises(InputError, match="no study to resume"):
        rescue_study(TINY, tmp_path / "nowhere", resume=True)


def test_the_verdict_counts_settings_that_are_rescued_and_settings_that_are_harmed():
    def runs(method, setting, collapsed):
        return [
            {"setting": setting, "method": method, "collapsed": each, "reached": 0.1 if each else 0.5}
            for each in collapsed
        ]

    records = [
        *runs("none", "a", (True, True, False)),
        *runs("none", "b", (True, True, True)),
        *runs("none", "c", (True, False, False)),
        *runs("none", "d", (False, False, False)),
        *runs("js", "a", (False, False, False)),
        *runs("js", "b", (False, False, True)),
        *runs("js", "c", (True, True, True)),
        *runs("js", "d", (True, False, False)),
    ]
    assert verdict(records, ("none", "js")) == [
        RULE,
        "none: 6 of 12 runs collapsed; mean recall 0.30.",
        "JS 2, annealed: 5 of 12 runs collapsed, without it 6 of 12; it rescued 1 of 2 failing settings and "
        "harmed 1 of 1 working ones; mean recall 0.33, without it 0.30 at the same settings.",
    ]


def test_recall_is_compared_at_the_settings_that_a_method_has():
    records = [
        {"setting": setting, "method": method, "collapsed": False, "reached": value}
        for setting, method, value in (("a", "none", 0.4), ("b", "none", 0.8), ("a", "wgan-gp", 0.6))
    ]
    assert verdict(records, ("none", "wgan-gp"))[1:] == [
        "none: 0 of 2 runs collapsed; mean recall 0.60.",
        "WGAN-GP 10: 0 of 1 runs collapsed, without it 0 of 1; it rescued 0 of 0 failing settings and harmed "
        "0 of 1 working ones; mean recall 0.60, without it 0.40 at the same settings.",
    ]


def test_runs_that_stopped_are_counted_after_the_recall():
    run = {"setting": "a", "method": "js", "collapsed": True, "reached": 0.0, "stopped": "loss is nan"}
    assert verdict([run], ("js",)) == [
        "JS 2, annealed: 1 of 1 runs collapsed; mean recall 0.00; 1 stopped as not finite."
    ]


def test_methods_differ_in_the_regulariser_alone():
    config, setting = RescueConfig(), Setting("non-saturating", 5e-3, 4.0)
    plain = dataclasses.asdict(config.training(setting, "none", 0))
    assert (plain["lr_g"], plain["lr_d"], plain["d_norm"]) == (5e-3, 2e-2, "none")
    for method, options in METHODS.items():
        mine = dataclasses.asdict(config.training(setting, method, 0))
        assert {name for name in mine if mine[name] != plain[name]} <= set(options)
    assert set(LABELS) == set(METHODS) == set(config.methods)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"methods": ()}, "--methods is none given"),
        ({"methods": ("js", "js")}, "each once"),
        ({"methods": ("jss",)}, "did you mean 'js'"),
        ({"methods": ("wgan-gp",), "generator_loss": ("minimax",)}, "has no minimax form"),
        ({"generator_loss": ("minmax",)}, "minimax"),
        ({"lrs": (0.0,)}, "lr_g"),
        ({"strengths": (-1.0,)}, "--strengths has -1"),
        ({"seeds": 0}, "--seeds is 0; give 1 or more"),
        ({"kimg": -1.0}, "kimg"),
    ],
)
def test_options_that_cannot_be_used_are_refused_before_anything_is_written(tmp_path, changes, words):
    with pytest.raises(InputError, match=words):
        rescue_study(dataclasses.replace(TINY, **changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()

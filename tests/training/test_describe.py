"""A dry run measures real steps, puts them together to the mean of a cycle, and leaves nothing behind."""

import dataclasses
import math
import sys

import pytest
import torch
from accelerate.state import AcceleratorState

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.training import trial
from riemann_noise_pytorch.training.config import TrainConfig
from riemann_noise_pytorch.training.describe import describe
from riemann_noise_pytorch.training.loop import train
from riemann_noise_pytorch.training.path_length import PathLength
from riemann_noise_pytorch.training.randomness import random_states
from riemann_noise_pytorch.training.regularizers import R1
from riemann_noise_pytorch.training.trial import BUDGET_S, ROUNDS, kinds_of_steps, try_steps
from tests.training.runs import blobs, equal, small
from tests.training.test_stylegan2_training import complete
from tests.training.test_stylegan2_training import small as stylegan2

CONFIG = TrainConfig(gamma=1.0, regularizer_interval=16, pl_weight=2.0, pl_interval=4, batch=8, kimg=8.0)


@pytest.mark.parametrize("regularizer_interval", [1, 2, 3, 4, 6, 16])
@pytest.mark.parametrize("pl_interval", [1, 2, 4, 7])
@pytest.mark.parametrize(("gamma", "weight"), [(0.0, 0.0), (1.0, 0.0), (0.0, 2.0), (1.0, 2.0)])
def test_the_kinds_of_steps_have_their_shares_of_a_cycle(regularizer_interval, pl_interval, gamma, weight):
    r1, paths = R1(gamma, regularizer_interval), PathLength(weight, pl_interval)
    cycle = [(r1.is_due(s), paths.is_due(s)) for s in range(math.lcm(regularizer_interval, pl_interval))]
    config = TrainConfig(
        gamma=gamma, regularizer_interval=regularizer_interval, pl_weight=weight, pl_interval=pl_interval
    )
    found = {(r1.is_due(s), paths.is_due(s)): share for s, share in kinds_of_steps(config).items()}
    assert found == pytest.approx({kind: cycle.count(kind) / len(cycle) for kind in set(cycle)})


def timed(monkeypatch, seconds, **options):
    """Try steps that take so many seconds each, by kind."""
    taken = []

    def step(self, kind):
        taken.append(kind)
        return seconds[kind] * (3.0 if len(taken) == 1 else 1.0)

    monkeypatch.setattr(trial._Stopwatch, "__init__", lambda *args: None)
    monkeypatch.setattr(trial._Stopwatch, "seconds", step)
    return try_steps(dataclasses.replace(CONFIG, **options), weights_mib=1.0), taken


def test_seconds_are_the_mean_of_a_cycle_after_a_warming_step(monkeypatch):
    found, taken = timed(monkeypatch, {0: 0.4, 1: 0.1, 4: 0.2})
    mean_s = (0.4 + 12 * 0.1 + 3 * 0.2) / 16
    assert found.seconds_per_kimg == pytest.approx(mean_s * 125, rel=1e-3)
    assert found.hours == pytest.approx(mean_s * 1000 / 3600, rel=1e-3)
    assert (found.steps_timed, found.is_upper_bound) == (3 * ROUNDS, False)
    assert taken == [0, *[0, 1, 4] * ROUNDS]


def test_of_slow_steps_two_are_timed_and_the_rest_is_bounded(monkeypatch):
    found, taken = timed(monkeypatch, {0: 40.0, 1: 10.0, 4: 20.0})
    assert taken == [0, 1]
    assert (found.steps_timed, found.is_upper_bound) == (2, True)
    assert found.seconds_per_kimg == pytest.approx(125 * (120.0 * 4 + 10.0 * 12) / 16, rel=1e-3)


def test_compiling_is_not_timed_and_the_budget_is_kept(monkeypatch):
    found, taken = timed(monkeypatch, {0: 4.0, 1: 1.0, 4: 2.0}, compile=True)
    times = {0: 4.0, 1: 1.0, 4: 2.0}
    assert not found.is_upper_bound
    assert BUDGET_S - 4 <= sum(times[kind] for kind in taken[1:]) <= BUDGET_S
    assert found.seconds_per_kimg == pytest.approx(125 * (4 + 12 + 6) / 16, rel=1e-3)


@pytest.mark.parametrize("config", [small(gamma=1.0, regularizer_interval=4), stylegan2("stylegan2-rni")])
def test_a_description_measures_and_leaves_no_trace(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before, told = random_states(torch.device("cpu")), []
    found = describe(config, blobs(), tell=told.append)
    assert equal(random_states(torch.device("cpu")), before)
    assert list(tmp_path.iterdir()) == []
    measured = found.measured
    assert measured.device == "cpu"
    assert measured.steps_timed >= 2
    assert measured.seconds_per_kimg > 0
    images = found.steps * config.batch
    assert measured.hours == pytest.approx(measured.seconds_per_kimg * images / 1000 / 3600, rel=1e-3)
    if sys.platform == "linux":
        assert measured.peak_memory_mib > measured.activation_memory_mib >= 0
    assert told[0].startswith("measuring on cpu: up to 30 s of training steps on random pixels")
    assert told[1].startswith(f"measured {measured.steps_timed} steps in ")


def test_another_precision_can_be_had_after_a_description(tmp_path):
    AcceleratorState._reset_state(reset_partial_state=True)
    describe(stylegan2("stylegan2-plain", 3, precision="bf16"), blobs())
    train(stylegan2("stylegan2-plain", 3), blobs(), tmp_path / "run")


def test_the_classes_of_a_run_are_described_with_it():
    images = type(blobs())(blobs().pixels, labels=torch.arange(256) % 3)
    found = describe(stylegan2("stylegan2-plain", 3, conditional=True), images)
    assert found.config.classes == 3
    plain = describe(stylegan2("stylegan2-plain", 3), images)
    assert found.generator_parameters > plain.generator_parameters


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell a process's peak")
def test_the_peak_is_what_was_in_use_at_most_since():
    released = torch.ones(64 * 2**18)
    del released
    memory = trial._Memory(torch.device("cpu"))
    assert memory.peaks(0.0)[1] < 32
    held = torch.ones(64 * 2**18)
    assert held.sum() > 0
    del held
    peak, more = memory.peaks(0.0)
    assert 60 < more < 96
    assert peak > more
    assert memory.peaks(16.0)[1] == pytest.approx(more - 16, abs=0.2)


def test_a_device_that_is_not_there_is_refused():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(InputError, match="give device cpu"):
        describe(small(device="cuda"), blobs())


def test_weights_in_memory_are_those_of_the_networks():
    config = complete("stylegan2-eni")
    found = describe(config, blobs())
    both = found.generator_parameters + found.discriminator_parameters
    assert found.memory_mib == pytest.approx((4 * both + found.generator_parameters) * 4 / 2**20)

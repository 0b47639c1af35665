"""Compiled phases give the losses of uncompiled ones, and penalties are never compiled nor skipped."""

import dataclasses
import shutil

import pytest
import torch
from accelerate import Accelerator
from torch._dynamo.utils import counters

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise.control import noise_layers
from riemann_noise_pytorch.noise.interfaces import NoiseLayer
from riemann_noise_pytorch.training import compiling
from riemann_noise_pytorch.training.checkpoints import list_snapshots, load_snapshot
from riemann_noise_pytorch.training.compiling import Compiled, require_compiler
from riemann_noise_pytorch.training.loop import train
from riemann_noise_pytorch.training.path_length import PathLength
from riemann_noise_pytorch.training.regularizers import R1
from riemann_noise_pytorch.training.state import TrainState, config_for_images
from riemann_noise_pytorch.training.step import Trainer
from tests.training.runs import blobs, small
from tests.training.test_stylegan2_training import small as stylegan2

STEPS = 5


def tiles():
    """Give images of 8x8, for which there is less to compile, with classes."""
    return type(blobs())(blobs().pixels[:, :, 4:12, 4:12], name="tiles", labels=torch.arange(256) % 3)


def steps(config, images, compiled):
    config = dataclasses.replace(config_for_images(config, images), compile=compiled)
    state = TrainState(config)
    labels = images.labels if config.conditional else None
    trainer = Trainer(config, state, Accelerator(cpu=True), labels=labels)
    seen = []
    for step in range(STEPS):
        chosen = torch.arange(8 * step, 8 * step + 8)
        own = None if labels is None else labels[chosen]
        seen.append(trainer.step(images.batch(chosen), labels=own)[0])
    return seen, state


STYLEGAN2 = stylegan2("stylegan2-rni", resolution=8, conditional=True, mapping_layers=1)
DCGAN = small(noise="riemannian", gamma=1.0, regularizer_interval=4)


def watched(monkeypatch):
    """Count the calls of compiled networks: in all, and within penalties."""
    calls, penalties = [], []
    call = Compiled.__call__

    def count(network, *inputs):
        calls.append(bool(penalties) and penalties[-1])
        return call(network, *inputs)

    def within(original):
        def penalise(*args):
            penalties.append(True)
            try:
                return original(*args)
            finally:
                penalties.append(False)

        return penalise

    monkeypatch.setattr(Compiled, "__call__", count)
    monkeypatch.setattr(R1, "__call__", within(R1.__call__))
    monkeypatch.setattr(PathLength, "lengths", within(PathLength.lengths))
    return calls, penalties


@pytest.mark.parametrize(("config", "images", "due"), [(STYLEGAN2, tiles, 4), (DCGAN, blobs, 2)])
def test_losses_are_those_of_uncompiled_code_and_penalties_are_uncompiled(config, images, due, monkeypatch):
    monkeypatch.setattr(compiling, "BACKEND", "aot_eager")
    counters.clear()
    calls, penalties = watched(monkeypatch)
    compiled, state = steps(config, images(), True)
    assert calls == [False] * 4 * STEPS  # one generator and three discriminators a step
    assert penalties.count(True) == due
    assert counters["stats"]["unique_graphs"] >= 3
    assert not counters["graph_break"]  # noise does not cut the graph
    plain, other = steps(config, images(), False)
    for one, two in zip(plain, compiled, strict=True):
        assert one.keys() == two.keys()
        for name, value in one.items():
            assert two[name] == pytest.approx(value, rel=1e-5, abs=1e-6), name
    assert list(state.generator.state_dict()) == list(other.generator.state_dict())
    assert list(noise_layers(state.generator)) == list(noise_layers(other.generator))


def test_snapshots_of_compiled_runs_are_those_of_any_run(tmp_path, monkeypatch):
    monkeypatch.setattr(compiling, "BACKEND", "eager")
    options = {"noise": "euclidean", "noise_strength": 0.3, "gamma": 1.0}
    for name, compiled in (("plain", False), ("compiled", True)):
        train(small(3, compile=compiled, **options), blobs(), tmp_path / name)
    plain, own = (load_snapshot(list_snapshots(tmp_path / name)[-1]) for name in ("plain", "compiled"))
    assert plain.tensors.keys() == own.tensors.keys()
    for name, tensor in plain.tensors.items():
        if not name.startswith("rng/"):
            torch.testing.assert_close(own.tensors[name], tensor)
    train(small(6, **options), blobs(), tmp_path / "compiled", resume=True)


def test_a_compiler_that_is_missing_is_told_before_anything_is_written(tmp_path, monkeypatch):
    def broken(graph, inputs):
        raise RuntimeError("No working C++ compiler found in a list\nof many")

    monkeypatch.setattr(compiling, "BACKEND", broken)
    with pytest.raises(
        InputError, match=r"needs a C\+\+ compiler.*; install it, or turn compile off"
    ) as caught:
        train(small(3, compile=True), blobs(), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_noise_that_layers_draw_by_themselves_is_refused():
    class Own(NoiseLayer):
        kind = "own"

        def draw(self, mu):
            return torch.randn_like(mu)

        def inject(self, mu, epsilon):
            return mu + epsilon

        def strength(self):
            return torch.ones(())

        def reset_parameters(self, generator=None):
            return None

    with pytest.raises(InputError, match=r"Own draws its noise by itself.*turn compile off"):
        Compiled(torch.nn.Sequential(Own()))(torch.zeros(1, 2, 4, 4))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")
def test_losses_of_the_real_compiler_are_those_of_uncompiled_code():
    require_compiler(torch.device("cpu"))
    compiled, _ = steps(STYLEGAN2, tiles(), True)
    plain, _ = steps(STYLEGAN2, tiles(), False)
    for one, two in zip(plain, compiled, strict=True):
        for name, value in one.items():
            assert two[name] == pytest.approx(value, rel=1e-5, abs=1e-6), name

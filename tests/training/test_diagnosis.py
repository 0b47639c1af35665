"""What is not finite is told with the layer where it began and the option that helps."""

import math
from typing import get_args

import pytest
import torch
from accelerate import Accelerator

from riemann_noise_pytorch.errors import NonFiniteError
from riemann_noise_pytorch.training.choices import Regularizer
from riemann_noise_pytorch.training.config import TrainConfig
from riemann_noise_pytorch.training.diagnosis import remedy
from riemann_noise_pytorch.training.path_length import PathLength
from riemann_noise_pytorch.training.penalties import Penalty
from riemann_noise_pytorch.training.state import TrainState, config_for_images
from riemann_noise_pytorch.training.step import Trainer
from tests.training.runs import blobs, small
from tests.training.test_stylegan2_training import complete

HALF = {"precision": "bf16", "half_resolutions": 1}


def message(config, spoil=lambda state: None):
    state = TrainState(config)
    trainer = Trainer(config, state, Accelerator(cpu=True))
    spoil(state)
    with pytest.raises(NonFiniteError) as caught:
        trainer.step(blobs().batch(torch.arange(8)))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def overflow(network, name):
    """Let a layer overflow: its output is multiplied beyond the largest number there is."""
    layer = network.get_submodule(name)
    layer.register_forward_hook(lambda _layer, _args, out: out * 1e38 * 1e38)


@pytest.mark.parametrize(
    ("player", "name", "precision", "help_"),
    [
        ("generator", "synthesis.block16.conv0", HALF, "give fewer half_resolutions than 1, or precision no"),
        ("generator", "synthesis.block8.conv1", HALF, "lower lr_g and lr_d, or raise gamma"),
        ("generator", "synthesis.block8.conv1.noise", {}, "lower lr_g and lr_d, or raise gamma"),
        ("generator", "mapping.layers.1", {}, "lower lr_g and lr_d, or raise gamma"),
        ("discriminator", "block16.conv1", HALF, "give fewer half_resolutions than 1, or precision no"),
        ("discriminator", "dense", HALF, "lower lr_g and lr_d, or raise gamma"),
    ],
)
def test_an_overflow_is_found_in_its_layer(player, name, precision, help_):
    config = complete("stylegan2-eni", noise_strength=0.3, **precision)
    told = message(config, lambda state: overflow(getattr(state, player), name))
    assert told.startswith("loss_d is nan at step 0; ")
    assert f"the first layer that is not finite is {player}.{name}; no snapshot was lost" in told
    assert help_ in told


def test_the_layer_of_a_dcgan_is_found_too():
    def spoil(state):
        state.generator.stage8.conv.weight.data.fill_(math.inf)

    told = message(config_for_images(small(noise="euclidean"), blobs()), spoil)
    assert "the first layer that is not finite is generator.stage8.conv;" in told


def test_a_gradient_that_is_not_finite_has_no_layer_to_tell():
    def spoil(state):
        state.generator.synthesis.block4.const.register_hook(lambda gradient: gradient * math.inf)

    told = message(complete("stylegan2-eni"), spoil)
    assert told.startswith("gradient of G is inf at step 0; no snapshot was lost; lower lr_g")


@pytest.mark.parametrize("name", get_args(Regularizer))
def test_a_penalty_that_is_not_finite_names_its_options(monkeypatch, name):
    original = Penalty.__call__
    monkeypatch.setattr(Penalty, "__call__", lambda *args: original(*args) * math.inf)
    told = message(complete("stylegan2-plain", gamma_rule="given", gamma=10.0, regularizer=name))
    told_term, kept, remedy_ = told.split("; ")
    assert told_term == f"penalty of the regularizer {name} is inf at step 0"
    assert (kept, remedy_) == ("no snapshot was lost", "lower gamma, which is 10, or lr_d")


def test_a_loss_that_is_not_finite_may_be_the_wrong_one():
    config = TrainConfig(loss="f-kl")
    assert remedy("loss_d", False, config) == "lower lr_g and lr_d, or raise gamma, or take loss logistic"


def test_a_path_length_that_is_not_finite_names_its_weight(monkeypatch):
    original = PathLength.__call__
    monkeypatch.setattr(PathLength, "__call__", lambda *args: original(*args) * math.inf)
    told = message(complete("stylegan2-rni", **HALF))
    assert told == (
        "path length penalty is inf at step 0; no snapshot was lost; lower pl_weight, which is 2, or lr_g"
    )


def test_penalties_are_looked_into_in_full_precision(monkeypatch):
    original = PathLength.__call__
    seen = []

    def spoiled(penalty, lengths, average):
        return original(penalty, lengths, average) * math.inf

    def spoil(state):
        block = state.generator.synthesis.block16
        block.register_forward_hook(lambda *_: seen.append(block.half_dtype))

    monkeypatch.setattr(PathLength, "__call__", spoiled)
    message(complete("stylegan2-rni", **HALF), spoil)
    assert seen[0] == torch.bfloat16
    assert set(seen[1:]) == {None}


@pytest.mark.parametrize(
    ("options", "help_"),
    [
        ({"precision": "fp16", "architecture": "stylegan2"}, "precision bf16 or no"),
        ({"precision": "bf16", "architecture": "stylegan2"}, "precision no,"),
        ({"precision": "bf16"}, "set precision to no"),
    ],
)
def test_half_precision_is_named_where_it_is_at_fault(options, help_):
    assert help_ in remedy("loss_g", True, TrainConfig(**options))

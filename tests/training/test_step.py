"""What a training step shows to whom."""

import pytest
import torch
from accelerate import Accelerator

from riemann_noise_pytorch.training.config import resolve_config
from riemann_noise_pytorch.training.state import TrainState, config_for_images
from riemann_noise_pytorch.training.step import Trainer
from tests.training.runs import blobs

TINY = {
    "dcgan": {"width": 4},
    "stylegan2-plain": {"channel_base": 64, "channel_max": 4, "w_dim": 8, "mapping_layers": 1},
}


@pytest.mark.parametrize("preset", TINY)
def test_both_players_see_the_same_images(preset):
    options = {"z_dim": 8, "batch": 4, "gamma": 0.0, "gamma_rule": "given", "device": "cpu", **TINY[preset]}
    if preset == "stylegan2-plain":
        options["regularizer_interval"] = 16
    config = config_for_images(resolve_config(preset, options), blobs())
    state = TrainState(config)
    seen = []
    forward = state.discriminator.forward
    state.discriminator.forward = lambda x: seen.append(x.detach().clone()) or forward(x)
    Trainer(config, state, Accelerator(cpu=True)).step(blobs().batch(torch.arange(4)))
    fake, real, again = seen
    assert torch.equal(fake, again)
    assert not torch.equal(fake, real)

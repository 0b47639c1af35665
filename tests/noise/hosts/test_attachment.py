"""Laws of a layer behind a module that knows nothing of it, among hooks of the user's own."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise.control import frozen, noise_layers
from riemann_noise_pytorch.noise.inject import inject, remove
from riemann_noise_pytorch.noise.layers import EuclideanNoise
from tests.noise.networks import Residual, ResNet, Twice, UNet, dcgan, x, z


def test_noise_and_hooks_of_the_users_own_stay():
    seen = []
    model = nn.Sequential(nn.Conv2d(3, 3, 1), EuclideanNoise(strength=0.1), nn.Conv2d(3, 3, 1))
    model[0].register_forward_hook(lambda *_: seen.append("first"))
    inject(model, "*", "euclidean", example_input=x())
    assert list(noise_layers(model)) == ["0.noise", "1", "2.noise", "noise"]
    model[0].register_forward_hook(lambda *_: seen.append("last"), with_kwargs=False, always_call=True)
    remove(model)
    assert list(noise_layers(model)) == ["1"]
    seen.clear()
    model(x())
    assert seen == ["first", "last"]


def test_features_that_changed_size_name_the_module():
    model = inject(UNet(), ["down", "middle"], example_input=x())
    with pytest.raises(
        InputError, match=r"^down: this noise layer has maps of 3x3, but the features are 4x4"
    ):
        model(torch.randn(2, 3, 8, 8))
    model = inject(nn.Sequential(nn.Sequential(nn.Conv2d(3, 3, 1))), "0", example_input=x())
    with pytest.raises(InputError, match=r"^0: this noise layer has maps of 6x6, but the features are 8x8"):
        model(torch.randn(2, 3, 8, 8))


def test_hooks_registered_after_loading_do_not_push_noise_out(monkeypatch):
    model = inject(UNet(), "down", strength=0.5, example_input=x())
    stored = pickle.dumps(model)
    taken = next(iter(model.down._forward_hooks))
    monkeypatch.setattr(RemovableHandle, "next_id", taken)  # as in a process that has just started
    loaded = pickle.loads(stored)
    handle = loaded.down.register_forward_hook(lambda *_: None)
    example = x()
    with torch.no_grad(), frozen(model, 0), frozen(loaded, 0):
        assert torch.equal(loaded(example), model(example))
    handle.remove()
    assert not remove(loaded).down._forward_hooks
    assert len(copy.deepcopy(model).down._forward_hooks) == 1


def test_a_layer_that_the_user_took_out_is_no_obstacle_to_removal():
    model = inject(dcgan(), "1", example_input=z())
    del model[1].noise
    before = list(dcgan().state_dict())
    assert list(remove(model).state_dict()) == before
    assert torch.isfinite(model(z())).all()


def test_the_noise_follows_its_module_into_a_copy_of_a_part():
    model = inject(ResNet(), "blocks.0.*", example_input=x())
    part = copy.deepcopy(model.blocks[0])
    assert isinstance(part, Residual)
    assert len(noise_layers(remove(part))) == 0
    assert len(noise_layers(model)) == 2


def test_shared_noise_runs_at_each_call():
    model = inject(Twice(), "step", shared=True, strength=0.1, example_input=x())
    calls = []
    model.step.noise.register_forward_hook(lambda *_: calls.append(1))
    model(x())
    assert len(calls) == 2

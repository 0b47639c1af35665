"""Which results of modules count as layers, and what is read off them."""

import pytest
import torch
from torch import nn

from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.geometry.layers import called_layers, results_of
from riemann_noise_pytorch.models.dcgan import DCGANGenerator
from riemann_noise_pytorch.noise.inject import inject
from tests.noise.networks import CASES, Moments, Twice


def image_of(network):
    return lambda x: network(x[None])[0]


def listed(network, x, layers="*"):
    return [call.shape for call in called_layers(image_of(network), x, network, layers)]


def names(network, x, layers="*"):
    return [shape.name for shape in listed(network, x, layers)]


def test_layers_come_in_the_order_in_which_they_finish_the_image_last():
    network = DCGANGenerator(16, channels=1, z_dim=8, width=4, noise="euclidean").eval()
    inner = [f"stage{size}.{part}" for size in (4, 8) for part in ("conv", "norm", "noise", "activation")]
    shapes = listed(network, torch.ones(8))
    assert [shape.name for shape in shapes] == [*inner, "to_image.conv", "image"]
    assert shapes[0].shape == (8, 4, 4)
    assert shapes[0].size == 128
    assert shapes[-1].shape == (1, 16, 16)


def test_what_is_handed_on_is_no_layer_and_what_is_changed_in_place_is_one():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 3)

        def forward(self, x):
            return self.linear(x).relu_()

    network = nn.Sequential(
        nn.Linear(3, 3), nn.ReLU(inplace=True), nn.Identity(), nn.Dropout(), nn.Sequential(nn.Tanh()),
        Block(), nn.Linear(3, 3),
    ).eval()  # fmt: skip
    assert names(network, torch.ones(3)) == ["0", "1", "4.0", "5.linear", "5", "image"]


def test_a_module_that_is_called_again_has_a_layer_for_each_call():
    assert names(Twice(), torch.ones(3, 6, 6)) == ["step", "image"]
    network = nn.Sequential(Twice(), nn.Tanh())
    assert names(network, torch.ones(3, 6, 6)) == ["0.step", "0.step#2", "image"]


def test_of_tuples_and_dicts_the_first_floating_tensor_counts():
    for name, shape in (("tuple", (4, 6, 6)), ("named tuple", (4, 6, 6)), ("dict", (4, 6, 6))):
        network = CASES[name].network()
        shapes = {each.name: each.shape for each in listed(network, torch.ones(3, 6, 6))}
        assert shapes["part.conv"] == shape
        assert "part" not in shapes

    class Numbers(nn.Module):
        def forward(self, x):
            return {"count": torch.ones(1, dtype=torch.int64), "values": Moments(2 * x, x)}

    class Uses(nn.Module):
        def __init__(self):
            super().__init__()
            self.part = Numbers()

        def forward(self, x):
            return self.part(x)["values"].mean.sin()

    assert names(Uses(), torch.ones(3)) == ["part", "image"]


def test_injected_noise_is_a_layer():
    network = nn.Sequential(nn.Linear(8, 16), nn.Unflatten(1, (4, 2, 2)), nn.Conv2d(4, 3, 1), nn.Tanh())
    inject(network, nn.Conv2d, "riemannian", example_input=torch.ones(1, 8))
    assert names(network, torch.ones(8)) == ["0", "1", "2.noise", "image"]


def test_a_layer_called_image_is_no_other_than_the_result():
    network = CASES["stages"].network()
    assert names(network, torch.ones(8))[-1] == "image"
    assert names(nn.Sequential(network, nn.Tanh()), torch.ones(8))[-2:] == ["0.image", "image"]
    network = nn.ModuleDict({"image": nn.Linear(3, 3), "last": nn.Linear(3, 3)})
    network.forward = lambda x: network["last"](network["image"](x))
    assert names(network, torch.ones(3)) == ["image", "image#2"]


def test_a_function_without_a_module_has_the_image_alone():
    (call,) = called_layers(torch.sin, torch.ones(2, 3), None)
    assert call.shape.name == "image"
    assert call.shape.size == 6


def test_what_is_done_to_the_result_of_a_network_comes_after_it():
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    calls = called_layers(lambda x: network(x).sin(), torch.ones(3), network)
    assert [call.shape.name for call in calls] == ["0", "1", "image"]


def test_patterns_choose_layers_and_keep_their_order():
    network = DCGANGenerator(16, channels=1, z_dim=8, width=4).eval()
    assert names(network, torch.ones(8), ["image", "stage?.conv"]) == ["stage4.conv", "stage8.conv", "image"]
    with pytest.raises(InputError, match=r"unknown layer 'stage4\.comv'; did you mean 'stage4\.conv'"):
        names(network, torch.ones(8), "stage4.comv")


def test_results_are_those_at_the_time_of_the_call():
    network = nn.Sequential(nn.Linear(3, 3), nn.ReLU(inplace=True), nn.Linear(3, 2))
    x = torch.tensor([1.0, -2.0, 0.5])
    results = results_of(network, called_layers(network, x, network))(x)
    torch.testing.assert_close(results["0"], network[0](x))
    torch.testing.assert_close(results["1"], network[0](x).relu())
    torch.testing.assert_close(results["image"], network(x))
    assert results["0"].min() < 0


def test_hooks_are_taken_away_also_after_an_error():
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    calls = called_layers(network, torch.ones(3), network)
    with pytest.raises(RuntimeError):
        results_of(network, calls)(torch.ones(4))
    with pytest.raises(RuntimeError):
        called_layers(network, torch.ones(4), network)
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in network.modules())


def test_the_first_layer_that_is_not_finite_is_named():
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3))
    nn.init.constant_(network[1].bias, torch.nan)
    with pytest.raises(NonFiniteError, match="layer '1' gives NaN"):
        names(network, torch.ones(3))

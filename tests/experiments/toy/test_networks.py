"""Laws of stacked networks: each of them is an ordinary network that knows nothing of the others."""

import pytest
import torch
from torch import nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.toy.networks import StackedNetworks


def ordinary(stacked: StackedNetworks, at: int) -> nn.Sequential:
    """One of the networks as torch's own layers."""
    layers: list[nn.Module] = []
    for weight, bias in zip(stacked.weights, stacked.biases, strict=True):
        layer = nn.Linear(weight.shape[1], weight.shape[2]).to(weight.dtype)
        with torch.no_grad():
            layer.weight.copy_(weight[at].T)
            layer.bias.copy_(bias[at, 0])
        layers += [layer, nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def test_each_network_is_an_ordinary_one():
    stacked = StackedNetworks("generator", (2, 16, 8, 3), seeds=[4, 5, 6]).double()
    inputs = torch.randn(3, 10, 2, dtype=torch.float64)
    outputs = stacked(inputs)
    for at in range(3):
        torch.testing.assert_close(outputs[at], ordinary(stacked, at)(inputs[at]), rtol=1e-12, atol=1e-14)


def test_the_gradient_of_the_sum_is_that_of_each():
    stacked = StackedNetworks("discriminator", (3, 16, 1), seeds=[0, 1]).double()
    inputs = torch.randn(2, 10, 3, dtype=torch.float64)
    gradients = torch.autograd.grad(stacked(inputs).square().sum(), list(stacked.weights))
    for at in range(2):
        single = ordinary(stacked, at)
        expected = torch.autograd.grad(
            single(inputs[at]).square().sum(), [single[0].weight, single[2].weight]
        )
        for gradient, other in zip(gradients, expected, strict=True):
            torch.testing.assert_close(gradient[at], other.T, rtol=1e-10, atol=1e-12)


def test_weights_begin_as_published_and_depend_on_seed_and_layer_alone():
    few, many = (StackedNetworks("generator", (2, 128, 128, 3), seeds) for seeds in ([7], [1, 7]))
    assert torch.equal(few.weights[1][0], many.weights[1][1])
    assert not torch.equal(many.weights[1][0], many.weights[1][1])
    weight = few.weights[1]
    assert weight.abs().max() <= 0.2
    assert weight.std().item() == pytest.approx(0.0880, rel=0.02)  # of a normal law cut off at two deviations
    assert all(not bias.any() for bias in few.biases)


def test_inputs_of_other_networks_are_refused():
    with pytest.raises(InputError, match="2 networks take 2 sets of inputs"):
        StackedNetworks("generator", (2, 4, 3), seeds=[0, 1])(torch.ones(3, 5, 2))

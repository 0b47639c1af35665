"""Copies in another precision leave the original alone; half precision inside a network is found."""

import functools
import warnings

import pytest
import torch
from torch import nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise.layers import EuclideanNoise
from riemann_noise_pytorch.noise.pairs import shared_noise
from riemann_noise_pytorch.noise.precision import HalfPrecision, in_precision

POINTS = torch.linspace(-1, 1, 64).view(4, 16)


class Halved(nn.Module):
    """float32 in and out, and bfloat16 between."""

    def __init__(self, how="cast"):
        super().__init__()
        self.how = how
        self.layer = nn.Linear(16, 16)

    def forward(self, z):
        if self.how == "autocast":
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return self.layer(z).float()
        return (self.layer(z).to(torch.bfloat16) * 2).float()


def scripted():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(Halved(), POINTS)
    return lambda z: 1.0 * traced(z)


def compiled():
    return torch.compile(Halved(), backend="eager")


@pytest.mark.parametrize(
    "make",
    [Halved, functools.partial(Halved, "autocast"), scripted, compiled, lambda: lambda z: z.half().float()],
    ids=["cast", "autocast", "TorchScript", "compiled", "function"],
)
def test_half_precision_inside_a_network_is_found_and_refused(make):
    network = make()
    with (
        pytest.raises(InputError, match=r"computes in torch\.b?float16 inside"),
        shared_noise(network) as pairs,
    ):
        pairs(POINTS, POINTS, 0)


def test_a_network_in_full_precision_is_not_suspected():
    network = nn.Sequential(nn.Linear(16, 16), nn.Unflatten(1, (1, 4, 4)), EuclideanNoise(strength=1.0))
    with shared_noise(network) as pairs, HalfPrecision() as half:
        pairs(POINTS, POINTS, 0)
    assert half.found is None


def test_a_copy_of_a_module_and_of_its_methods():
    layer = nn.Linear(16, 16)
    network, module = in_precision(layer, layer, torch.float64)
    assert network is module is not layer
    bound, module = in_precision(layer.forward, layer, torch.float64)
    assert bound.__self__ is module
    assert torch.equal(bound(POINTS.double()), network(POINTS.double()))
    assert layer.weight.dtype == torch.float32
    assert in_precision(layer, None, None) == (layer, None)


def test_a_copy_of_an_object_around_a_module_shares_its_copy():
    class Around:
        def __init__(self, module):
            self.module = module

        def __call__(self, z):
            return self.module(z)

    around = Around(nn.Linear(16, 16))
    network, module = in_precision(around, around.module, torch.float64)
    assert network.module is module
    assert network(POINTS.double()).dtype == torch.float64
    assert around.module.weight.dtype == torch.float32


def test_a_compiled_network_can_be_copied():
    network = torch.compile(nn.Linear(16, 16), backend="eager")
    network(POINTS)
    copied, _ = in_precision(network, network, torch.float64)
    assert copied(POINTS.double()).dtype == torch.float64
    assert network(POINTS).dtype == torch.float32


class Stays(nn.Module):
    """Computes in float32 whatever its parameters are."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(16, 16)

    def forward(self, z):
        return self.layer(z).float()


def test_a_copy_that_goes_on_in_float32_is_refused():
    copied, _ = in_precision(Stays(), Stays(), torch.float64)
    with (
        pytest.raises(InputError, match=r"computes in torch\.float32 inside, .* in torch\.float64"),
        shared_noise(copied) as pairs,
    ):
        pairs(POINTS.double(), POINTS.double(), 0)


def uncopiable():
    layer = nn.Linear(16, 16)
    layer.extra = layer.weight * 2
    return layer


LAYER = nn.Linear(16, 16)


@pytest.mark.parametrize(
    ("network", "module", "dtype", "cause"),
    [
        (lambda z: 1.0 * LAYER(z), LAYER, torch.float64, "a function cannot be copied .* the module itself"),
        (torch.tanh, None, torch.float64, "a function cannot be copied"),
        (LAYER, LAYER, torch.float16, "cannot be taken in torch.float16; choose torch.float64"),
        (uncopiable(), uncopiable(), torch.float64, "cannot be copied into torch.float64 \\(RuntimeError\\)"),
    ],
)
def test_what_cannot_be_copied_is_refused(network, module, dtype, cause):
    with pytest.raises(InputError, match=cause) as told:
        in_precision(network, module, dtype)
    assert "\n" not in str(told.value)

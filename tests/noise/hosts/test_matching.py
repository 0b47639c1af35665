"""Laws of which modules are meant: neither noise nor what stands in place of weights."""

import pytest
from torch import nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise.control import noise_layers
from riemann_noise_pytorch.noise.inject import inject, remove
from riemann_noise_pytorch.noise.layers import EuclideanNoise
from tests.noise.networks import x


def test_noise_layers_and_what_is_in_them_get_no_noise():
    model = nn.Sequential(nn.Conv2d(3, 3, 1), EuclideanNoise())
    for where in ("1", EuclideanNoise):
        with pytest.raises(
            InputError, match="matches noise layers alone; match the modules that noise is to"
        ):
            inject(model, where, example_input=x())


def test_parametrizations_of_weights_are_passed_over():
    def build():
        return nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 3, 1)), nn.ReLU())

    model = inject(build(), "0*", "euclidean", example_input=x())
    assert list(noise_layers(model)) == ["0.noise"]
    model = inject(build(), lambda *_: True, "euclidean", strength=1.0, example_input=x())
    assert set(noise_layers(model)) == {"noise", "0.noise", "1.noise"}
    assert remove(model)(x()).shape == (2, 3, 6, 6)
    with pytest.raises(InputError, match=r"^'0.para\*' matches parametrizations alone; match the modules"):
        inject(build(), "0.para*", example_input=x())

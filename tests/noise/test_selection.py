"""Laws of patterns that reach noise of this package and of torch's generators alike."""

import pytest
import torch
from torch import nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise.control import frozen, off
from riemann_noise_pytorch.noise.layers import EuclideanNoise


def test_a_pattern_holds_what_it_matches_of_either_kind():
    network = nn.ModuleDict({"own_noise": EuclideanNoise(strength=1.0), "torch_noise": nn.Dropout()})
    x = torch.ones(2, 3, 4)
    own, foreign = network["own_noise"], network["torch_noise"]
    outputs = []
    for pattern in ("*noise", ["own*", "torch*"], "*noise"):
        with frozen(network, 3, layers=pattern):
            outputs.append((own(x), foreign(x), own(x), foreign(x)))
    for first, second, third, fourth in outputs:
        assert torch.equal(first, third)
        assert torch.equal(second, fourth)
        assert torch.equal(first, outputs[0][0])
        assert torch.equal(second, outputs[0][1])
    with frozen(network, 3, layers="own*"):
        assert not torch.equal(foreign(x), foreign(x))


def test_a_pattern_that_reaches_into_compiled_code_is_refused_with_the_remedy():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.own_noise, self.torch_noise = EuclideanNoise(strength=1.0), nn.Dropout()

        def forward(self, x):
            return self.torch_noise(self.own_noise(x))

    compiled = torch.compile(Mixed(), backend="eager")
    refused = pytest.raises(
        InputError, match=r"^the calls of 'torch_noise' .* or match this package's layers alone$"
    )
    with refused, frozen(compiled, layers="*noise"):
        pass
    with off(compiled, layers="*noise"), frozen(compiled, layers="own*"):
        assert compiled(torch.ones(2, 3, 4)).shape == (2, 3, 4)

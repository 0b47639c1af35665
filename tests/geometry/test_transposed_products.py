"""Products give the transposed convolutions that they stand for, with all derivatives."""

import pytest
import torch
from torch import nn
from torch.func import jvp, vmap
from torch.nn import functional as F  # noqa: N812

from riemann_noise_pytorch.geometry.transposed_products import TransposedProducts


def random(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


X = random(3, 4, 5, 6)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"stride": 2, "padding": 1},
        {"stride": (2, 3), "padding": (0, 1), "output_padding": (1, 2)},
        {"stride": [2], "padding": [1]},
        {"dilation": 2, "bias": random(2, seed=2)},
        {"stride": 3, "output_padding": 1, "dilation": (2, 1), "bias": random(2, seed=2)},
        {"groups": 2},
    ],
)
def test_every_setting_gives_the_same_values(settings):
    weight = random(4, 2, 3, 4, seed=1)
    expected = F.conv_transpose2d(X, weight, **settings)
    with TransposedProducts():
        found = F.conv_transpose2d(X, weight, **settings)
        by_position = torch.conv_transpose2d(X, weight, settings.get("bias"), settings.get("stride", 1))
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)
    assert by_position.shape[1] == 2


def test_modules_and_the_transforms_of_tangents_are_served():
    layer = nn.ConvTranspose2d(4, 2, 4, 2, 1).double()

    def along(direction):
        return jvp(layer, (X,), (direction,))[1]

    directions = random(5, *X.shape, seed=3)
    expected = torch.stack([along(direction) for direction in directions])
    with TransposedProducts():
        assert torch.allclose(layer(X), layer(X.clone()))
        torch.testing.assert_close(vmap(along)(directions), expected, rtol=1e-12, atol=1e-12)


def test_second_derivatives_are_exact():
    weight = random(2, 1, 3, 3, seed=1).requires_grad_()
    x = random(1, 2, 3, 3).requires_grad_()
    with TransposedProducts():
        assert torch.autograd.gradgradcheck(lambda *both: F.conv_transpose2d(*both).sin(), (x, weight))


@pytest.mark.parametrize(
    ("x", "weight"),
    [
        (X.float(), random(4, 2, 3, 3).float()),
        (X[0], random(4, 2, 3, 3)),
    ],
)
def test_what_torch_does_well_or_otherwise_is_left_to_it(x, weight):
    with TransposedProducts():
        assert torch.equal(F.conv_transpose2d(x, weight), torch.ops.aten.conv_transpose2d(x, weight))

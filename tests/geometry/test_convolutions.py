"""Convolutions as one product are torch's, in every setting and through the transforms of forward mode."""

import itertools

import pytest
import torch
from torch.nn import functional

from riemann_noise_pytorch.geometry import convolutions
from riemann_noise_pytorch.geometry.convolutions import MOST_POSITIONS, OneProduct

STREAM = torch.Generator().manual_seed(0)


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=STREAM)


@pytest.fixture
def taken(monkeypatch):
    """Counts the products."""
    counted = []
    product = convolutions._product

    def counting(*arguments):
        counted.append(arguments)
        return product(*arguments)

    monkeypatch.setattr(convolutions, "_product", counting)
    return counted


def result_or_none(function, *arguments, **options):
    try:
        return function(*arguments, **options)
    except RuntimeError:
        return None


@pytest.mark.parametrize("kernel", [(1, 1), (2, 3), (4, 4)])
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (5, 4)])
def test_every_setting_gives_what_torch_gives(kernel, size, taken):
    x, bias = normal(2, 3, *size), normal(5)
    settings = itertools.product((1, 2, (3, 1)), (0, 1, (2, 1)), (0, 1), (1, (1, 2)))
    for stride, padding, output_padding, dilation in settings:
        options = {"stride": stride, "padding": padding, "dilation": dilation}
        cases = [(functional.conv_transpose2d, normal(3, 5, *kernel), {"output_padding": output_padding})]
        cases += [(functional.conv2d, normal(5, 3, *kernel), {})] * (output_padding == 0)
        for function, weight, more in cases:
            theirs = result_or_none(function, x, weight, bias, **options, **more)
            with OneProduct():
                ours = result_or_none(function, x, weight, bias, **options, **more)
            assert (ours is None) == (theirs is None)
            if ours is not None:
                torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    assert len(taken) >= 8


@pytest.mark.parametrize(
    ("function", "shape"), [(functional.conv2d, (6, 4, 3, 3)), (functional.conv_transpose2d, (4, 6, 4, 4))]
)
def test_many_tangents_are_those_of_torch(function, shape, taken):
    weight, x, directions = normal(*shape), normal(4 * 9), normal(7, 4 * 9)

    def features(x):
        return function(x.view(1, 4, 3, 3), weight, stride=2, padding=1).tanh()

    def tangents():
        return torch.func.vmap(lambda v: torch.func.jvp(features, (x,), (v,))[1])(directions)

    theirs = tangents()
    with OneProduct():
        ours = tangents()
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    assert len(taken) == 1  # for all directions


def test_modules_meet_it_too(taken):
    conv = torch.nn.ConvTranspose2d(4, 6, 4, 2, 1).double()
    x = normal(2, 4, 4, 4)
    with OneProduct():
        ours = conv(x)
    torch.testing.assert_close(ours, conv(x), rtol=1e-12, atol=1e-12)
    assert len(taken) == 1


def test_what_would_not_gain_is_left_to_torch(taken):
    many = int(MOST_POSITIONS**0.5) + 1
    with OneProduct():
        functional.conv2d(normal(1, 2, many, many), normal(2, 2, 1, 1))
        functional.conv_transpose2d(normal(1, 2, many, many), normal(2, 2, 1, 1))
        functional.conv2d(normal(1, 4, 3, 3), normal(4, 2, 1, 1), groups=2)
        functional.conv2d(normal(1, 4, 3, 3).float(), normal(4, 4, 1, 1).float())
        functional.conv2d(normal(1, 4, 3, 3), normal(4, 4, 3, 3), padding="same")
        functional.conv2d(normal(4, 3, 3), normal(4, 4, 3, 3))
    assert not taken


def test_what_torch_refuses_is_refused():
    with OneProduct(), pytest.raises(RuntimeError, match="channels"):
        functional.conv2d(normal(1, 3, 4, 4), normal(5, 2, 3, 3))
    with OneProduct(), pytest.raises(RuntimeError, match="channels"):
        functional.conv_transpose2d(normal(1, 3, 4, 4), normal(2, 5, 3, 3))
    for bias in (normal(1), normal(4)):
        with OneProduct(), pytest.raises(RuntimeError, match="bias"):
            functional.conv2d(normal(1, 3, 4, 4), normal(5, 3, 3, 3), bias)
    with OneProduct(), pytest.raises(RuntimeError, match="stride"):
        functional.conv2d(normal(1, 3, 4, 4), normal(5, 3, 3, 3), stride=0)
    with OneProduct(), pytest.raises(RuntimeError, match="output padding"):
        functional.conv_transpose2d(normal(1, 3, 4, 4), normal(3, 5, 3, 3), output_padding=1)

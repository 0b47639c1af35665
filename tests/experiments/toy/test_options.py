"""The toy refuses in one line what it cannot train."""

import dataclasses
import math

import pytest

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.toy.options import ToyConfig


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gammas": (-0.1,)}, "--gammas has -0.1; give numbers from 0 to 10,000"),
        ({"gammas": (math.nan,)}, "--gammas has nan"),
        ({"gammas": (math.inf,)}, "--gammas has inf"),
        ({"gammas": (1e9,)}, "--gammas has 1e\\+09"),
        ({"noise_variances": (0.0,)}, "--noise-variances has 0; give numbers from above 0"),
        ({"noise_variances": (-1.0,)}, "--noise-variances has -1"),
        ({"noise_variances": (math.nan,)}, "--noise-variances has nan"),
        ({"gammas": (0.1, 0.1)}, "something twice"),
        ({"noise_variances": (1.0, 1.0)}, "something twice"),
        ({"generator_loss": ("minimax", "minimax")}, "something twice"),
        ({"gammas": (), "noise_variances": ()}, "nothing is trained"),
        ({"generator_loss": ()}, "names no loss"),
        ({"seeds": 0}, "--seeds is 0; give 1 or more"),
        ({"steps": 0}, "--steps is 0"),
        ({"checkpoints": 0}, "--checkpoints is 0"),
        ({"batch": 1}, "--batch is 1; give 2 or more"),
        ({"width": 0}, "--width is 0; give 1 or more"),
        ({"workers": -1}, "--workers is -1"),
        ({"lr": 0.0}, "--lr is 0"),
        ({"lr": math.nan}, "--lr is nan"),
    ],
)
def test_what_cannot_be_trained_is_refused(changes, words):
    with pytest.raises(InputError, match=words):
        dataclasses.replace(ToyConfig(), **changes).validate()


def test_the_default_is_valid_and_full_is_the_published_size():
    ToyConfig().validate()
    assert ToyConfig().seeds >= 3
    assert ToyConfig(full=True).size == (100_000, 512, 128)
    assert ToyConfig(full=True, steps=30_000).size == (30_000, 512, 128)


def test_arms_are_every_loss_with_every_smoothing():
    arms = ToyConfig(gammas=(0.0, 0.1), noise_variances=(0.5,)).arms
    assert [arm.key for arm in arms] == [
        *("non-saturating-none", "non-saturating-js-0.1", "non-saturating-noise-0.5"),
        *("minimax-none", "minimax-js-0.1", "minimax-noise-0.5"),
    ]


@pytest.mark.parametrize(("steps", "checkpoints"), [(1, 100), (7, 3), (4000, 100), (101, 100)])
def test_checkpoints_rise_to_the_end(steps, checkpoints):
    measured = ToyConfig(steps=steps, checkpoints=checkpoints).measured_steps
    assert measured == sorted(set(measured))
    assert measured[-1] == steps
    assert measured[0] >= 1
    assert len(measured) == min(steps, checkpoints)

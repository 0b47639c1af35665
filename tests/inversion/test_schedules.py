"""Schedules equal their formulas at every step."""

import math

import pytest

from riemann_noise_pytorch.inversion import schedules
from riemann_noise_pytorch.inversion.recipes import RECIPES


@pytest.mark.parametrize("steps", [1, 7, 40, 1000])
def test_the_rate_of_the_projector_is_its_formula_at_every_step(steps):
    stage = RECIPES["stylegan2-projector"].changed(steps=steps).stages[0]
    for step in range(steps):
        t = step / steps
        down = min(1.0, (1.0 - t) / 0.25)
        rate = 0.1 * (0.5 - 0.5 * math.cos(down * math.pi)) * min(1.0, t / 0.05)
        assert stage.lr_at(step) == pytest.approx(rate, rel=1e-14, abs=0)


@pytest.mark.parametrize("steps", [1, 7, 40, 1000])
def test_the_noise_of_the_projector_is_its_formula_at_every_step(steps):
    stage = RECIPES["stylegan2-projector"].changed(steps=steps).stages[0]
    for step in range(steps + 1):
        t = step / steps
        assert stage.latent_noise_at(step) == pytest.approx(0.05 * max(0.0, 1.0 - t / 0.75) ** 2, rel=1e-14)


def test_constants_of_the_schedules_can_be_chosen():
    for step in range(10):
        t = step / 10
        found = schedules.ramped(step, 10, up=0.5, down=0.2)
        assert found == pytest.approx(
            (0.5 - 0.5 * math.cos(math.pi * min(1, (1 - t) / 0.2))) * min(1, t / 0.5)
        )
        assert schedules.ramped(step, 10, up=0, down=0) == 1.0
        found = schedules.latent_noise(step, 10, strength=2.0, end=0.3)
        assert found == pytest.approx(2 * max(0, 1 - t / 0.3) ** 2)


def test_other_recipes_keep_their_rate():
    for name in ("image2stylegan", "image2stylegan++"):
        for stage in RECIPES[name].stages:
            assert {stage.lr_at(step) for step in (0, 1, stage.steps - 1)} == {stage.lr}
            assert stage.latent_noise_at(0) == 0

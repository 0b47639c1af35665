"""Recipes have the constants of their papers, each can be changed, and what makes no sense is refused."""

import pytest

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.inversion.objectives import Perceptual, PixelError, Term
from riemann_noise_pytorch.inversion.recipes import RECIPES, Recipe, Stage, recipe_named
from riemann_noise_pytorch.inversion.task import told_terms

PIXELS = (Term(PixelError()),)


def test_image2stylegan_has_the_constants_of_its_paper():
    recipe = RECIPES["image2stylegan"]
    (stage,) = recipe.stages
    assert (stage.space, stage.noise, stage.lr, stage.betas) == ("w+", "frozen", 0.01, (0.9, 0.999))
    assert (recipe.start, stage.schedule) == ("mean", "constant")
    assert 1000 <= stage.steps <= 5000
    assert told_terms(stage.objectives) == "0.5 mse + 0.5 pyramid distance"


def test_the_projector_has_the_constants_of_its_paper():
    recipe = RECIPES["stylegan2-projector"]
    (stage,) = recipe.stages
    assert (stage.space, stage.noise, stage.renormalise) == ("w", "optimised", True)
    assert (stage.steps, stage.lr, stage.schedule) == (1000, 0.1, "ramped")
    assert (stage.ramp_up, stage.ramp_down, stage.latent_noise, stage.latent_noise_end) == (
        0.05,
        0.25,
        0.05,
        0.75,
    )
    assert (recipe.start, recipe.mean_samples) == ("mean", 10_000)
    assert told_terms(stage.objectives) == "1 pyramid distance + 100000 noise autocorrelation"


def test_the_sequential_recipe_has_the_constants_of_its_paper():
    first, second = RECIPES["image2stylegan++"].stages
    assert (first.space, first.steps, first.noise, first.latent) == ("w+", 5000, "frozen", True)
    assert (second.steps, second.lr, second.noise, second.latent) == (3000, 5.0, "optimised", False)
    assert told_terms(second.objectives) == "1 mse"


def test_constants_are_changed_in_all_stages_or_in_one():
    recipe = RECIPES["image2stylegan++"]
    assert [stage.steps for stage in recipe.changed(steps=7).stages] == [7, 7]
    assert [stage.lr for stage in recipe.changed(stage=1, lr=1.0).stages] == [0.01, 1.0]
    assert recipe.changed(mean_samples=3, start="sampled").mean_samples == 3
    assert recipe == RECIPES["image2stylegan++"]


def test_another_perceptual_objective_takes_the_place_of_the_first():
    other = Perceptual(largest=None)
    for name, recipe in RECIPES.items():
        found = [t.objective for s in recipe.with_perceptual(other).stages for t in s.objectives]
        assert sum(objective is other for objective in found) == (name != "z-restarts"), name
        before = [t.objective for s in recipe.stages for t in s.objectives]
        for old, new in zip(before, found, strict=True):
            assert new is (other if old.is_perceptual else old)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"steps": 1.5}, "steps is 1.5"),
        ({"lr": 0}, "lr is 0; give a number above 0"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"betas": (0.9, 1.0)}, "betas are"),
        ({"betas": 0.9}, "betas are 0.9"),
        ({"space": "s"}, "unknown space 's'"),
        ({"noise": "on"}, "unknown use of noise 'on'"),
        ({"schedule": "cosine"}, "unknown schedule 'cosine'"),
        ({"ramp_up": 2}, "ramp_up is 2; give a number 0 or more, at most 1"),
        ({"latent_noise": -1}, "latent_noise is -1"),
        ({"latent_noise_end": 0}, "latent_noise_end is 0"),
        ({"patience": 0}, "patience is 0"),
        ({"enough": -1.0}, "enough is -1"),
        ({"gain": True}, "gain is True"),
        ({"draws": 0}, "draws is 0"),
        ({"latent": False}, "neither latents nor noise"),
        ({"objectives": ()}, "no objective"),
        ({"objectives": (Term(PixelError(), 0.0),)}, "the weight of mse is 0"),
        ({"start": "middle"}, "unknown start 'middle'"),
        ({"mean_samples": 0}, "mean_samples is 0"),
        ({"stepz": 3}, "unknown constant of a recipe 'stepz'; did you mean 'steps'"),
        ({"stage": 4, "steps": 3}, "has 1 stages"),
    ],
)
def test_constants_out_of_range_are_refused_in_one_line(changes, match):
    with pytest.raises(InputError, match=match) as caught:
        RECIPES["image2stylegan"].changed(**changes)
    assert "\n" not in str(caught.value)


def test_stages_that_lead_back_or_are_missing_are_refused():
    stages = tuple(Stage(space=space, objectives=PIXELS) for space in ("w+", "w"))
    with pytest.raises(InputError, match="w\\+, w; no way leads back"):
        Recipe("back", stages)
    with pytest.raises(InputError, match="no stages"):
        Recipe("empty", ())


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'stylegan2-projector'"):
        recipe_named("stylegan-projector")

"""Options that cannot be used are refused in one line."""

import re
from pathlib import Path

import pytest

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.inversion.options import InvertConfig
from riemann_noise_pytorch.experiments.inversion.quality import perceptual_of
from riemann_noise_pytorch.inversion.recipes import RECIPES
from riemann_noise_pytorch.models.latent_space import SPACES
from tests.inversion.weights import save_random


def test_the_defaults_can_be_used_and_every_recipe_and_space_has_its_name():
    InvertConfig().validate()
    hints = InvertConfig.__annotations__
    assert set(re.findall(r"\w[\w+-]*", str(hints["recipe"].__args__[0]))) >= set(RECIPES)
    assert set(hints["space"].__args__[0].__args__) == set(SPACES)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"steps": (0,)}, "--steps has 0; give a whole number"),
        ({"steps": ()}, "--steps is empty"),
        ({"lr": (0.1, -1.0)}, "--lr has -1; give a number above 0"),
        ({"lr": (float("nan"),)}, "--lr has nan"),
        ({"patience": 0}, "--patience is 0; give 1 or more"),
        ({"enough": -0.1}, "--enough is -0.1"),
        ({"enough": float("inf")}, "--enough is inf"),
        ({"restarts": 0}, "--restarts is 0"),
        ({"batch": 0}, "--batch is 0"),
        ({"seed": -1}, "--seed is -1"),
        ({"limit": 0}, "--limit is 0"),
        ({"draws": 0}, "--draws is 0"),
        ({"frames": 1}, "--frames is 1; give 2 or more"),
        ({"points": 1}, "--points is 1; give 2 or more"),
        ({"labels": ()}, "--labels names no class"),
        ({"labels": (0, -1)}, "--labels has -1"),
        ({"resize_filter": "lancsoz"}, "did you mean 'lanczos'"),
        ({"vgg_weights": Path("a")}, "--vgg-weights has no meaning for --perceptual pyramid; leave it out"),
        (
            {"lpips_heads": Path("a"), "perceptual": "vgg"},
            "--lpips-heads has no meaning for --perceptual vgg",
        ),
    ],
)
def test_bad_options_are_refused(options, told):
    with pytest.raises(InputError, match=re.escape(told)) as caught:
        InvertConfig(**options).validate()
    assert "\n" not in str(caught.value)


def test_missing_weights_are_told_with_their_option(tmp_path):
    with pytest.raises(
        InputError, match=r"needs weights: download vgg16.*by --vgg-weights or RIEMANN_NOISE_VGG16"
    ):
        perceptual_of(InvertConfig(perceptual="vgg"))
    with pytest.raises(InputError, match="no weights at"):
        perceptual_of(InvertConfig(perceptual="vgg", vgg_weights=tmp_path / "none.pth"))
    save_random(tmp_path)
    weights = {"vgg_weights": tmp_path / "vgg16.safetensors"}
    with pytest.raises(InputError, match=r"needs weights: download vgg.pth.*by --lpips-heads"):
        perceptual_of(InvertConfig(perceptual="lpips", **weights))
    assert perceptual_of(InvertConfig()).name == "pyramid distance"


def test_weights_given_by_path_make_the_distance(tmp_path):
    pytest.importorskip("torchvision")
    save_random(tmp_path)
    weights = {"vgg_weights": tmp_path / "vgg16.safetensors"}
    assert perceptual_of(InvertConfig(perceptual="vgg", **weights)).name.startswith(
        "VGG16 features with weights"
    )
    found = perceptual_of(
        InvertConfig(perceptual="lpips", lpips_heads=tmp_path / "heads.safetensors", **weights)
    )
    assert found.name.startswith("LPIPS-VGG16 with weights")

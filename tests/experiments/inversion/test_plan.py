"""Which stages a generator gets, by the options and by what it has."""

import pytest

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.inversion.options import InvertConfig
from riemann_noise_pytorch.experiments.inversion.plan import planned
from riemann_noise_pytorch.experiments.inversion.subject import Subject, subject_of, try_out
from riemann_noise_pytorch.experiments.targets import Target
from riemann_noise_pytorch.inversion.objectives import Perceptual
from riemann_noise_pytorch.inversion.recipes import RECIPES
from tests.experiments.inversion.subjects import conditional, dcgan, stylegan2

SHAPE = (1, 16, 16)
MAPS = {"a": (1, 4, 4), "b": (1, 8, 8)}
STRENGTHS = {"a": 0.1, "b": 0.2}
STYLE = Subject(SHAPE, ("z", "w", "w+"), MAPS, 2, STRENGTHS)
PLAIN_STYLE = Subject(SHAPE, ("z", "w", "w+"), {}, 0, {})
ONE_W = Subject(SHAPE, ("z", "w"), MAPS, 2, STRENGTHS)
DCGAN = Subject(SHAPE, ("z",), MAPS, 2, STRENGTHS)
PLAIN_DCGAN = Subject(SHAPE, ("z",), {}, 0, {})


def plan(subject, **options):
    return planned(InvertConfig(**options), subject, Perceptual())


def stages(found):
    return [(stage.space, stage.latent, stage.noise) for stage in found.recipe.stages]


LATENTS = {space: (space, True, "frozen") for space in ("z", "w", "w+")}
NOISE = {space: (space, False, "optimised") for space in ("z", "w", "w+")}


@pytest.mark.parametrize(
    ("subject", "options", "name", "expected", "latent_stages", "sequential"),
    [
        (STYLE, {}, "image2stylegan++", [LATENTS["w+"], NOISE["w+"]], 1, True),
        (PLAIN_STYLE, {}, "image2stylegan", [LATENTS["w+"]], 1, False),
        (ONE_W, {}, "image2stylegan++", [LATENTS["w"], NOISE["w"]], 1, True),
        (DCGAN, {}, "z-restarts", [LATENTS["z"], NOISE["z"]], 1, True),
        (PLAIN_DCGAN, {}, "z-restarts", [LATENTS["z"]], 1, False),
        (STYLE, {"space": "z"}, "image2stylegan++", [LATENTS["z"], NOISE["z"]], 1, True),
        (STYLE, {"recipe": "z-restarts", "space": "w"}, "z-restarts", [LATENTS["w"], NOISE["w"]], 1, True),
        (STYLE, {"recipe": "image2stylegan"}, "image2stylegan", [LATENTS["w+"], NOISE["w+"]], 1, True),
        (STYLE, {"noise": "frozen"}, "image2stylegan++", [LATENTS["w+"]], 1, False),
        (
            STYLE,
            {"recipe": "stylegan2-projector"},
            "stylegan2-projector",
            [("w", True, "optimised")],
            1,
            False,
        ),
        (
            PLAIN_STYLE,
            {"recipe": "stylegan2-projector", "noise": "frozen"},
            "stylegan2-projector",
            [LATENTS["w"]],
            1,
            False,
        ),
        (DCGAN, {"noise": "optimised"}, "z-restarts", [("z", True, "optimised")], 1, False),
        (DCGAN, {"noise": "averaged"}, "z-restarts", [("z", True, "averaged"), NOISE["z"]], 1, True),
    ],
)
def test_the_stages(subject, options, name, expected, latent_stages, sequential):
    found = plan(subject, **options)
    assert (found.recipe.name, stages(found)) == (name, expected)
    assert (found.latent_stages, found.sequential) == (latent_stages, sequential)
    assert found.restarts == (4 if name == "z-restarts" else 1)
    joint = any(latent and noise == "optimised" for _, latent, noise in expected)
    assert (found.without is not None) == joint


def test_the_side_without_noise_has_the_same_steps_for_the_latents():
    for options in ({"recipe": "stylegan2-projector"}, {"noise": "optimised", "steps": (7, 3)}):
        found = plan(STYLE, **options)
        seeks = [stage.steps for stage in found.recipe.stages if stage.latent]
        assert [stage.steps for stage in found.without.stages] == seeks
        assert not found.without.optimises_noise


def test_published_stages_keep_their_numbers_and_ours_take_their_own():
    published = RECIPES["image2stylegan++"].stages
    found = plan(STYLE).recipe.stages
    assert [(s.steps, s.lr) for s in found] == [(s.steps, s.lr) for s in published]
    added = plan(STYLE, recipe="image2stylegan").recipe.stages[1]
    assert (added.steps, added.lr) == (published[1].steps, published[1].lr)
    ours = plan(DCGAN).recipe.stages
    assert (ours[0].steps, ours[0].schedule) == (ours[1].steps, ours[1].schedule)
    assert ours[1].lr == published[1].lr


def test_in_z_all_starts_are_random_for_its_mean_is_singular():
    for options in (
        {"space": "z"},
        {"recipe": "stylegan2-projector", "space": "z"},
        {"recipe": "z-restarts"},
    ):
        assert plan(STYLE, **options).recipe.start == "sampled"
    both = plan(STYLE, recipe="stylegan2-projector", space="z")
    assert both.without.start == "sampled"
    for options in ({}, {"space": "w"}, {"recipe": "stylegan2-projector"}):
        assert plan(STYLE, **options).recipe.start == "mean"


def test_numbers_are_for_all_stages_or_for_each():
    found = plan(STYLE, steps=(5,), lr=(0.1, 2.0), patience=3, enough=0.5).recipe.stages
    assert [(s.steps, s.lr, s.patience, s.enough) for s in found] == [(5, 0.1, 3, 0.5), (5, 2.0, 3, 0.5)]
    assert plan(DCGAN, restarts=7).restarts == 7


@pytest.mark.parametrize(
    ("subject", "options", "told"),
    [
        (DCGAN, {"space": "w"}, "seeks latents in w, but the generator has z alone; give --space z"),
        (DCGAN, {"recipe": "image2stylegan"}, "seeks latents in w\\+, but the generator has z alone"),
        (ONE_W, {"space": "w+"}, "has z and w alone; give --space w"),
        (
            PLAIN_STYLE,
            {"recipe": "stylegan2-projector"},
            "needs noise maps, .*give --noise frozen, or put layers",
        ),
        (PLAIN_STYLE, {"recipe": "image2stylegan++"}, "recipe image2stylegan\\+\\+ needs noise maps"),
        (PLAIN_DCGAN, {"noise": "optimised"}, "--noise optimised needs noise maps"),
        (PLAIN_DCGAN, {"noise": "averaged"}, "nothing to average over"),
        (
            STYLE,
            {"steps": (1, 2, 3)},
            "--steps has 3 numbers, but recipe image2stylegan\\+\\+ has 2 stages here",
        ),
        (PLAIN_DCGAN, {"lr": (1.0, 2.0)}, "--lr has 2 numbers, but recipe z-restarts has 1 stage here"),
    ],
)
def test_what_a_generator_has_not_is_refused(subject, options, told):
    with pytest.raises(InputError, match=told) as caught:
        plan(subject, **options)
    assert "\n" not in str(caught.value)


def test_a_generator_tells_its_spaces_and_its_noise():
    found = subject_of(stylegan2())
    assert (found.image_shape, found.spaces, found.draws) == (SHAPE, ("z", "w", "w+"), 5)
    assert found.maps["synthesis.block8.conv0.noise"] == (1, 8, 8)
    assert list(found.strengths.values()) == pytest.approx([0.2] * 5)
    assert subject_of(dcgan("none")) == Subject(SHAPE, ("z",), {}, 0, {})
    assert subject_of(dcgan()).maps == {"stage4.noise": (1, 4, 4), "stage8.noise": (1, 8, 8)}
    assert subject_of(conditional()).spaces == ("z", "w", "w+")


def test_what_makes_no_images_is_refused():
    with pytest.raises(InputError, match="is a set of images; give a run, a snapshot or a callable"):
        subject_of(Target("digits", "images"))
    with pytest.raises(InputError, match="return floating-point images"):
        subject_of(Target("own.py:net", "callable", lambda z: z, 3))
    flat = Target("own.py:net", "callable", lambda z: z.detach().view(-1, 1, 2, 2), 4)
    with pytest.raises(InputError, match="have no gradient to the latents"):
        try_out(flat, ["z"], None, (1, 2, 2))

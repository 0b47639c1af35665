"""Which recipe, with which stages, and how the images without the noise come about."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.inversion.options import InvertConfig
from riemann_noise_pytorch.experiments.inversion.subject import Subject
from riemann_noise_pytorch.inversion.objectives import NoiseAutocorrelation, Objective
from riemann_noise_pytorch.inversion.recipes import Recipe, Stage, recipe_named

Z_RECIPE, W_RECIPE, NOISE_RECIPE = "z-restarts", "image2stylegan", "image2stylegan++"
RESTARTS = {Z_RECIPE: 4}


@final
@dataclass(frozen=True)
class Plan:
    """What is going to be done.

    Args:
        recipe: The stages.
        restarts: Starts of each image.
        latent_stages: How many stages, the first, seek the latents.
        without: The recipe with frozen noise, for an inversion of its own, where the noise is sought together
            with the latents; None where the latents are found before, or the noise is not sought.
    """

    recipe: Recipe
    restarts: int
    latent_stages: int
    without: Recipe | None

    @property
    def sequential(self) -> bool:
        """Whether the noise is optimised alone, after the latents."""
        return self.recipe.optimises_noise and self.without is None


def planned(config: InvertConfig, subject: Subject, perceptual: Objective) -> Plan:
    """Choose the stages for a generator.

    Args:
        config: The options.
        subject: The generator.
        perceptual: The objective that takes the place of each perceptual one.

    Raises:
        InputError: The generator has not the space or the noise that is asked for, or there are too many or
            too few steps or rates for the stages.
    """
    recipe = recipe_named(config.recipe or _fitting(subject))
    if config.space is not None:
        recipe = recipe.changed(space=config.space)
    elif config.recipe is None and recipe.space not in subject.spaces:
        recipe = recipe.changed(space=subject.spaces[-1])
    _require_space(recipe, subject)
    if recipe.stages[0].space == "z":  # its mean, 0, has no direction, by which many generators normalise
        recipe = recipe.changed(start="sampled")
    recipe = _with_noise(recipe, config, subject)
    recipe = _with_numbers(recipe.with_perceptual(perceptual), config)
    joint = any(stage.latent and stage.noise == "optimised" for stage in recipe.stages)
    return Plan(
        recipe,
        config.restarts or RESTARTS.get(recipe.name, 1),
        sum(stage.latent for stage in recipe.stages),
        _frozen(recipe) if joint else None,
    )


def _fitting(subject: Subject) -> str:
    if "w" not in subject.spaces:
        return Z_RECIPE
    return NOISE_RECIPE if subject.maps else W_RECIPE


def _require_space(recipe: Recipe, subject: Subject) -> None:
    for stage in recipe.stages:
        if stage.space not in subject.spaces:
            raise InputError(
                f"recipe {recipe.name} seeks latents in {stage.space}, but the generator has "
                f"{' and '.join(subject.spaces)} alone; give --space {subject.spaces[-1]}"
            )


def _with_noise(recipe: Recipe, config: InvertConfig, subject: Subject) -> Recipe:
    wants = recipe.optimises_noise if config.noise is None else config.noise == "optimised"
    if wants and not subject.maps:
        asked = f"recipe {recipe.name}" if config.noise is None else "--noise optimised"
        raise InputError(
            f"{asked} needs noise maps, but the generator has none of this package's layers; give --noise "
            "frozen, or put layers in by inject()"
        )
    if config.noise == "averaged" and not subject.draws:
        raise InputError(
            "--noise averaged has nothing to average over, for the generator has no noise of this package's "
            "layers; leave it out"
        )
    if config.noise == "frozen":
        return _frozen(recipe)
    if config.noise is not None:
        stages = (replace(each, noise=config.noise) if each.latent else each for each in recipe.stages)
        recipe = replace(recipe, stages=tuple(stages))
    if not subject.maps:
        return replace(recipe, stages=tuple(each for each in recipe.stages if each.latent))
    return (
        recipe if recipe.optimises_noise else replace(recipe, stages=(*recipe.stages, _noise_alone(recipe)))
    )


def _frozen(recipe: Recipe) -> Recipe:
    """The stages that seek latents, with the noise held; a penalty on noise has no meaning there."""
    stages = []
    for stage in recipe.stages:
        if stage.latent:
            kept = (each for each in stage.objectives if not isinstance(each.objective, NoiseAutocorrelation))
            stages.append(replace(stage, noise="frozen", objectives=tuple(kept)))
    return replace(recipe, stages=tuple(stages))


def _noise_alone(recipe: Recipe) -> Stage:
    """The published stage for the noise alone; after our own recipe it has that one's steps and schedule."""
    published = replace(recipe_named(NOISE_RECIPE).stages[-1], space=recipe.space)
    last = recipe.stages[-1]
    if recipe.name != Z_RECIPE:
        return published
    return replace(published, steps=last.steps, schedule=last.schedule)


def _with_numbers(recipe: Recipe, config: InvertConfig) -> Recipe:
    common: dict[str, Any] = {"patience": config.patience, "enough": config.enough}
    recipe = recipe.changed(**{name: value for name, value in common.items() if value is not None})
    for name in ("steps", "lr"):
        for number, value in enumerate(_each(name, getattr(config, name), recipe)):
            constants: dict[str, Any] = {name: value}
            recipe = recipe.changed(number, **constants)
    return recipe


def _each(name: str, values: Sequence[float] | None, recipe: Recipe) -> Sequence[float]:
    count = len(recipe.stages)
    if values is None:
        return ()
    if len(values) not in (1, count):
        told = ", ".join(
            f"{'latents' if each.latent else 'noise'} in {each.space}" if each.latent else "noise alone"
            for each in recipe.stages
        )
        raise InputError(
            f"--{name} has {len(values)} numbers, but recipe {recipe.name} has {count} "
            f"{'stage' if count == 1 else 'stages'} here ({told}); give one for all, or one for each"
        )
    return tuple(values) * (count if len(values) == 1 else 1)

"""How an image is inverted: stages, each with a space, what is optimised, how, and by which objectives.

=======================  ================  ===================================================================
recipe                   needs             stages
=======================  ================  ===================================================================
``image2stylegan``       a mapping         w+ from the mean, noise frozen
``stylegan2-projector``  a mapping, noise  w from the mean and the noise maps, with a noise on w that fades
``image2stylegan++``     a mapping, noise  w+ from the mean, then the noise maps alone
``z-restarts``           nothing           z from random points; the best of several restarts by loss
=======================  ================  ===================================================================

The perceptual objective is the pyramid distance, which needs no weights; ``recipe.with_perceptual(...)`` puts
the published one in its place.

References:
    Abdal, Qin and Wonka (2019), Image2StyleGAN, arXiv:1904.03189, and (2020), Image2StyleGAN++,
    arXiv:1911.11544; Karras et al. (2020), arXiv:1912.04958, Appendix D.
"""

import math
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, final, get_args

from riemann_noise_pytorch.errors import InputError, unknown_name
from riemann_noise_pytorch.inversion import schedules
from riemann_noise_pytorch.inversion.objectives import (
    NoiseAutocorrelation,
    Objective,
    Perceptual,
    PixelError,
    Term,
)
from riemann_noise_pytorch.models.latent_space import SPACES, Space

NoiseUse = Literal["frozen", "optimised", "averaged"]
Schedule = Literal["constant", "ramped"]
Start = Literal["mean", "sampled"]


@final
@dataclass(frozen=True, kw_only=True)
class Stage:
    """One optimisation.

    Args:
        space: ``z``, ``w`` or ``w+``.
        latent: Whether the latents are optimised.
        noise: ``frozen``: the maps stay as they are; ``optimised``: those with positions (H, W) are
            variables; ``averaged``: every step takes ``draws`` new ones, and the loss is its mean over them.
            At the end of such a stage the best point and the last one are judged over at least 64 draws, the
            same for all restarts, and the better one is kept with that loss.
        objectives: What is made small.
        steps: Steps of Adam.
        lr: Learning rate.
        betas: Adam's decays.
        schedule: ``constant`` or ``ramped``.
        ramp_up: ramped: share of the steps in which the rate grows.
        ramp_down: ramped: share of the steps in which it falls.
        latent_noise: Strength of the noise on the latents at the first step, in standard deviations of the
            latents; 0 for none.
        latent_noise_end: Share of the steps after which there is none.
        renormalise: optimised: whether noise maps get mean 0 and mean square 1 after each step.
        draws: averaged: draws of the noise at each step.
        enough: A sample whose loss is at most this is finished; None for never.
        patience: A sample whose loss has not fallen by ``gain`` for so many steps is finished; None for
            never.
        gain: The share by which it must fall.

    Raises:
        InputError: A value out of range, an unknown name, or nothing to optimise.
    """

    objectives: tuple[Term, ...]
    space: Space = "z"
    latent: bool = True
    noise: NoiseUse = "frozen"
    steps: int = 1000
    lr: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: Schedule = "constant"
    ramp_up: float = schedules.RAMP_UP
    ramp_down: float = schedules.RAMP_DOWN
    latent_noise: float = 0.0
    latent_noise_end: float = schedules.LATENT_NOISE_END
    renormalise: bool = False
    draws: int = 4
    enough: float | None = None
    patience: int | None = None
    gain: float = 1e-3

    def __post_init__(self) -> None:
        for what, name, valid in (
            ("space", self.space, SPACES),
            ("use of noise", self.noise, get_args(NoiseUse)),
            ("schedule", self.schedule, get_args(Schedule)),
        ):
            if name not in valid:
                raise unknown_name(what, str(name), valid)
        self._check_numbers()
        self._check_betas_and_objectives()

    def _check_numbers(self) -> None:
        for name in ("steps", "draws"):
            _check_count(name, getattr(self, name))
        if self.patience is not None:
            _check_count("patience", self.patience)
        _check_range("lr", self.lr, 0, math.inf)
        for name in ("ramp_up", "ramp_down"):
            _check_range(name, getattr(self, name), 0, 1, closed=True)
        _check_range("latent_noise_end", self.latent_noise_end, 0, 1)
        _check_range("latent_noise", self.latent_noise, 0, math.inf, closed=True)
        _check_range("gain", self.gain, 0, 1, closed=True)
        if self.enough is not None:
            _check_range("enough", self.enough, 0, math.inf, closed=True)

    def _check_betas_and_objectives(self) -> None:
        if (
            not isinstance(self.betas, tuple)
            or len(self.betas) != 2
            or not all(isinstance(beta, int | float) and 0 <= beta < 1 for beta in self.betas)
        ):
            raise InputError(f"betas are {self.betas!r}; give two numbers from 0 to below 1")
        if not self.latent and self.noise != "optimised":
            raise InputError("a stage optimises neither latents nor noise; set one of them to be optimised")
        if not self.objectives:
            raise InputError("a stage has no objective; give at least one")
        for term in self.objectives:
            _check_range(f"the weight of {term.objective.name}", term.weight, 0, math.inf)

    def lr_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        if self.schedule == "constant":
            return self.lr * schedules.constant(step, self.steps)
        return self.lr * schedules.ramped(step, self.steps, up=self.ramp_up, down=self.ramp_down)

    def latent_noise_at(self, step: int) -> float:
        """The strength of the noise on the latents in a step, in their standard deviations."""
        return schedules.latent_noise(step, self.steps, strength=self.latent_noise, end=self.latent_noise_end)


@final
@dataclass(frozen=True)
class Recipe:
    """A way to invert images, by name.

    Args:
        name: Of the recipe.
        stages: One after another, each from where the last one was best. Spaces go up: z, then w, then w+.
        start: ``mean``: the first restart begins at the mean latent, the others at random ones; ``sampled``:
            all at random ones.
        mean_samples: Latents from which the mean w and its spread are computed.

    Raises:
        InputError: No stages, spaces that go down, or a value out of range.
    """

    name: str
    stages: tuple[Stage, ...]
    start: Start = "mean"
    mean_samples: int = 10_000

    def __post_init__(self) -> None:
        if not self.stages:
            raise InputError(f"recipe {self.name} has no stages; give at least one")
        if self.start not in get_args(Start):
            raise unknown_name("start", str(self.start), get_args(Start))
        _check_count("mean_samples", self.mean_samples)
        order = [SPACES.index(stage.space) for stage in self.stages]
        if order != sorted(order):
            names = ", ".join(stage.space for stage in self.stages)
            raise InputError(f"the stages go through {names}; no way leads back, so let them go z, w, w+")

    @property
    def space(self) -> Space:
        """The space of the result."""
        return self.stages[-1].space

    @property
    def optimises_noise(self) -> bool:
        """Whether any stage does."""
        return any(stage.noise == "optimised" for stage in self.stages)

    def changed(self, stage: int | None = None, **constants: Any) -> "Recipe":
        """The recipe with other constants.

        Args:
            stage: Number of the stage that is meant, from 0; None for all of them.
            **constants: Any of the arguments of :class:`Stage` (in the stages that are meant) or of the
                recipe.

        Raises:
            InputError: There is no such stage or constant, or a value is out of range.

        Example:
            >>> RECIPES["z-restarts"].changed(steps=50, start="mean").stages[0].steps
            50
        """
        own, of_stages = _names(Recipe) - {"stages"}, _names(Stage)
        for name in constants:
            if name not in own | of_stages:
                raise unknown_name("constant of a recipe", name, own | of_stages)
        if stage is not None and not 0 <= stage < len(self.stages):
            raise InputError(f"recipe {self.name} has {len(self.stages)} stages, from 0, but not {stage}")
        inner = {name: value for name, value in constants.items() if name in of_stages}
        stages = tuple(
            replace(each, **inner) if stage in (None, number) else each
            for number, each in enumerate(self.stages)
        )
        outer = {name: value for name, value in constants.items() if name in own}
        return replace(self, stages=stages, **outer)

    def with_perceptual(self, objective: Objective) -> "Recipe":
        """The recipe with another perceptual objective in place of each that it has.

        Args:
            objective: Such as LPIPS, ``Perceptual(LPIPSDistance(...))``, or
                :class:`~riemann_noise_pytorch.inversion.vgg_features.VGGFeatures`.
        """

        def exchanged(term: Term) -> Term:
            return replace(term, objective=objective) if term.objective.is_perceptual else term

        stages = (
            replace(each, objectives=tuple(exchanged(term) for term in each.objectives))
            for each in self.stages
        )
        return replace(self, stages=tuple(stages))


def recipe_named(name: str) -> Recipe:
    """The recipe of a name.

    Raises:
        InputError: There is none; the message names the nearest.
    """
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    return RECIPES[name]


def _names(kind: type[Stage] | type[Recipe]) -> set[str]:
    return {each.name for each in fields(kind)}


def _check_count(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"{name} is {value!r}; give a whole number, 1 or more")


def _check_range(name: str, value: Any, low: float, high: float, *, closed: bool = False) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    number = float(value) if is_number else math.nan
    if math.isfinite(number) and (low < number <= high or (closed and number == low)):
        return
    bound = "0 or more" if closed else "above 0"
    raise InputError(f"{name} is {value!r}; give a number {bound}{'' if high == math.inf else ', at most 1'}")


_PIXELS_AND_FEATURES = (Term(PixelError(), 0.5), Term(Perceptual(), 0.5))
_IMAGE2STYLEGAN = Stage(space="w+", lr=0.01, objectives=_PIXELS_AND_FEATURES)

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("image2stylegan", (_IMAGE2STYLEGAN,)),
        Recipe(
            "stylegan2-projector",
            (
                Stage(
                    space="w",
                    noise="optimised",
                    lr=0.1,
                    schedule="ramped",
                    latent_noise=schedules.LATENT_NOISE,
                    renormalise=True,
                    objectives=(Term(Perceptual()), Term(NoiseAutocorrelation(), 1e5)),
                ),
            ),
        ),
        Recipe(
            "image2stylegan++",
            (
                replace(_IMAGE2STYLEGAN, steps=5000),
                Stage(
                    space="w+",
                    latent=False,
                    noise="optimised",
                    steps=3000,
                    lr=5.0,
                    objectives=(Term(PixelError()),),
                ),
            ),
        ),
        Recipe(
            "z-restarts",
            (Stage(space="z", steps=300, lr=0.1, schedule="ramped", objectives=(Term(PixelError()),)),),
            start="sampled",
        ),
    )
}
"""The recipes by name. Rates, steps and weights of the first three are those of their papers; those of
``z-restarts`` are choices of ours."""

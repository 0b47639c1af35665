"""How the study inverts images: the latents under frozen noise, as the paper does, then the noise alone."""

from typing import Final

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.inversion_study.options import InversionStudyConfig
from riemann_noise_pytorch.inversion.objectives import PixelError, Term
from riemann_noise_pytorch.inversion.recipes import RECIPES, Recipe, Stage
from riemann_noise_pytorch.models.interfaces import Generator
from riemann_noise_pytorch.models.latent_space import Space

LEARNING_RATE: Final = 0.1
"""That of StyleGAN2's projector in w, and of ``z-restarts`` in z; ramped up and down, as they have it."""
NOISE_LEARNING_RATE: Final = 0.1
"""Of noise maps, whose values begin as standard normal and keep that scale, as in StyleGAN2's projector."""


def space_for(config: InversionStudyConfig, generator: Generator) -> Space:
    """Where latents are sought: as the options say, else in w+ where there is a mapping.

    Args:
        config: The options.
        generator: Any of the generators.

    Raises:
        InputError: The generators have no such space.
    """
    if config.space in ("w", "w+") and generator.w_dim is None:
        raise InputError(
            f"the generators have no mapping, hence no space {config.space}; leave --space out, or give z"
        )
    return config.space or ("z" if generator.w_dim is None else "w+")


def latent_recipe(config: InversionStudyConfig, space: Space) -> Recipe:
    """How the latents are found, under frozen noise, by the two losses of Image2StyleGAN.

    Args:
        config: The options.
        space: Where.

    Example:
        >>> latent_recipe(InversionStudyConfig(steps=9), "z").stages[0].steps
        9
    """
    stage = Stage(
        space=space,
        objectives=RECIPES["image2stylegan"].stages[0].objectives,
        steps=config.steps,
        lr=LEARNING_RATE,
        schedule="ramped",
    )
    return Recipe("latents", (stage,), start="sampled" if space == "z" else "mean")


def noise_recipe(config: InversionStudyConfig, space: Space) -> Recipe:
    """How the noise is found with the latents as they are, by the squared error, as Image2StyleGAN++ has it.

    It begins at the frozen noise and keeps the best, so the error never grows. Maps are normalised after each
    step, as StyleGAN2's projector does: left free, they grow until even noise of a learned strength of 0.002
    adds decibels, by maps that no draw would give.

    Args:
        config: The options.
        space: Of the latents.
    """
    stage = Stage(
        space=space,
        latent=False,
        noise="optimised",
        objectives=(Term(PixelError()),),
        steps=config.noise_steps,
        lr=NOISE_LEARNING_RATE,
        schedule="ramped",
        renormalise=True,
    )
    return Recipe("noise alone", (stage,))

"""The two sides of the comparison: the images with the noise that was found, and without it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor

from riemann_noise_pytorch.experiments.evaluation.drawing import home_of
from riemann_noise_pytorch.experiments.inversion.film import Film
from riemann_noise_pytorch.experiments.inversion.plan import Plan
from riemann_noise_pytorch.experiments.inversion.unfinished import Folder, Keeper
from riemann_noise_pytorch.experiments.targets import Target
from riemann_noise_pytorch.inversion.held import held
from riemann_noise_pytorch.inversion.projector import StepInfo, invert
from riemann_noise_pytorch.inversion.recipes import Recipe
from riemann_noise_pytorch.inversion.reconstruction import reconstruct
from riemann_noise_pytorch.inversion.results import Inversion
from riemann_noise_pytorch.models.latent_space import Space

Report = Callable[[str, int, int], object]
OnLoss = Callable[[float, float], object]


@final
@dataclass(frozen=True, eq=False)
class Side:
    """Images of one side of the comparison.

    Args:
        latents: Of the best start of each image, (N, ...).
        restarts: Which start that was, (N,).
        images: What the generator makes of them, (N, C, H, W).
        noise: Maps (N, P, ...) by layer; empty where the noise is the frozen one of the seed.
    """

    latents: Tensor
    restarts: Tensor
    images: Tensor
    noise: Mapping[str, Tensor] = field(default_factory=dict)


@final
@dataclass(frozen=True, eq=False)
class Arms:
    """What was found.

    Args:
        found: The inversion, with the noise where it is sought.
        searched: The one in which the latents of the side without were found; the same one, or its own.
        without: The side without.
        optimised: The side with the noise that was found; None where none is sought.
    """

    found: Inversion
    searched: Inversion
    without: Side
    optimised: Side | None

    @property
    def best(self) -> Side:
        """The side with the noise, or the only one."""
        return self.without if self.optimised is None else self.optimised


@final
@dataclass(frozen=True, eq=False)
class Work:
    """Images to invert, and the generator.

    Args:
        target: The generator.
        targets: (N, C, H, W), in [-1, 1].
        masks: (N, 1, H, W), or None.
        labels: Classes (N,), or None.
        seed: Of everything random.
        batch: Starts at once.
    """

    target: Target
    targets: Tensor
    masks: Tensor | None
    labels: Tensor | None
    seed: int
    batch: int

    @property
    def generator(self) -> Callable[..., Tensor]:
        """From latents to images."""
        assert self.target.generator is not None
        return self.target.generator

    @property
    def device(self) -> torch.device:
        """Where the generator is."""
        return home_of(self.target)[0]

    @property
    def common(self) -> dict[str, Any]:
        """What inversion and reconstruction have to know alike."""
        return {
            "labels": self.labels,
            "seed": self.seed,
            "batch": self.batch,
            "z_dim": self.target.z_dim,
            "module": self.target.module,
        }

    def images(self, latents: Tensor, space: Space, **options: Any) -> Tensor:
        """Images (N, C, H, W) of latents (N, ...), under the frozen noise of the seed by default."""
        return reconstruct(self.generator, latents, space, **(self.common | options))

    def frozen_maps(self, count: int) -> dict[str, Tensor]:
        """The frozen noise of the first samples, (count, P, ...) by layer."""
        with held(self.generator, z_dim=self.target.z_dim, module=self.target.module) as still:
            still.look("z", self.labels)
            return {name: maps.cpu() for name, maps in still.maps(self.seed, 0, count).items()}


def both_arms(
    work: Work, plan: Plan, folder: Folder, film: Film, report: Report, on_loss: OnLoss | None
) -> Arms:
    """Invert, with the noise and without.

    Args:
        work: What.
        plan: How.
        folder: Where the state is kept, and taken up where there is one.
        film: Watches the inversion.
        report: Called as ``report(stage, done, total)``.
        on_loss: Called with the median and the least loss after each step.

    Raises:
        InputError: The generator cannot be inverted so.
        Interrupted: A request to stop came.
    """

    def told(what: str) -> Callable[[StepInfo, tuple[float, float] | None], None]:
        def tell(info: StepInfo, losses: tuple[float, float] | None) -> None:
            report(what, info.step, info.steps)
            if losses is not None and on_loss is not None:
                on_loss(*losses)

        return tell

    found = _inverted(work, plan.recipe, plan.restarts, Keeper(folder, "inversion", film, told("inversion")))
    if not plan.recipe.optimises_noise:
        return Arms(found, found, _side(found, found.best()), None)
    optimised = _with_noise(work, found)
    if plan.without is None:
        chosen = _best_latents(found, plan.latent_stages)
        latents = _rows(found.latents, chosen)
        return Arms(found, found, Side(latents, chosen, work.images(latents, found.space)), optimised)
    keeper = Keeper(folder, "without", None, told("inversion with frozen noise"))
    other = _inverted(work, plan.without, plan.restarts, keeper)
    return Arms(found, other, _side(other, other.best()), optimised)


def images_of_first(work: Work, plan: Plan, arms: Arms, restarts: int) -> Tensor:
    """What the latents alone come to from fewer starts: images (N, C, H, W) under frozen noise.

    Args:
        work: What was inverted.
        plan: How.
        arms: What was found.
        restarts: The first so many starts of each image count.
    """
    found = arms.searched
    if not found.noise:
        return found.chosen(found.images, restarts)
    chosen = _best_latents(found, plan.latent_stages, restarts)
    return work.images(_rows(found.latents, chosen), found.space)


def _inverted(work: Work, recipe: Recipe, restarts: int, keeper: Keeper) -> Inversion:
    return invert(
        work.generator,
        work.targets,
        recipe,
        restarts=restarts,
        masks=work.masks,
        on_step=keeper,
        state=keeper.taken_up(),
        **work.common,
    )


def _side(found: Inversion, chosen: Tensor) -> Side:
    return Side(_rows(found.latents, chosen), chosen, _rows(found.images, chosen))


def _with_noise(work: Work, found: Inversion) -> Side:
    chosen = found.best()
    latents = _rows(found.latents, chosen)
    noise = {name: _rows(maps, chosen) for name, maps in found.noise.items()}
    return Side(latents, chosen, work.images(latents, found.space, noise=noise), noise)


def _best_latents(found: Inversion, latent_stages: int, restarts: int | None = None) -> Tensor:
    """The start of each image that was best when the latents were found, of those that got to the noise."""
    losses = found.losses[:, :restarts]
    latent_losses, last = losses[..., latent_stages - 1], losses[..., -1]
    among = latent_losses.where(last.isfinite(), torch.inf)
    return among.argmin(dim=1).where(last.isfinite().any(dim=1), found.best(restarts))


def _rows(of_restarts: Tensor, chosen: Tensor) -> Tensor:
    return of_restarts[torch.arange(len(of_restarts)), chosen]

"""What an inversion found: for every target and every restart, and which restart was best."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.inversion.descent import ENDINGS
from riemann_noise_pytorch.inversion.quality import FOUND_DB, psnr
from riemann_noise_pytorch.models.latent_space import Space


@final
@dataclass(frozen=True, eq=False)
class Inversion:
    """Latents, noise and images of N targets and R restarts of each, on the CPU.

    Args:
        recipe: Name of the recipe.
        space: Of the latents.
        objectives: For each stage, weights and names of its objectives, as they are printed.
        latents: (N, R, ...): z, w, or rows of w.
        noise: The maps by layer, (N, R, P, H, W); empty where no stage optimised them.
        images: What the generator makes of them, (N, R, C, H, W): under the noise found, or the frozen noise
            of the seed.
        losses: Best loss of each stage, (N, R, stages); infinite where a sample had none.
        steps: Steps done in each stage, (N, R, stages).
        endings: Numbers in :data:`~riemann_noise_pytorch.inversion.descent.ENDINGS`, (N, R).
    """

    recipe: str
    space: Space
    objectives: tuple[str, ...]
    latents: Tensor
    images: Tensor
    losses: Tensor
    steps: Tensor
    endings: Tensor
    noise: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def restarts(self) -> int:
        """How many restarts each target has."""
        return self.losses.shape[1]

    def best(self, restarts: int | None = None) -> Tensor:
        """The restart of each target with the least loss of the last stage, (N,).

        Restarts that did not get so far count only where none did.

        Args:
            restarts: Among the first so many; None for all.

        Raises:
            InputError: There are not so many.
        """
        count = self.restarts if restarts is None else restarts
        if not 1 <= count <= self.restarts:
            raise InputError(f"the first {count} of {self.restarts} restarts were asked for; give 1 to that")
        losses = self.losses[:, :count]
        chosen = losses[..., -1].argmin(dim=1)
        for stage in reversed(range(losses.shape[2] - 1)):
            nobody = losses[..., stage + 1 :].isinf().all(dim=(1, 2))
            chosen = torch.where(nobody, losses[..., stage].argmin(dim=1), chosen)
        return chosen

    def chosen(self, of_restarts: Tensor, restarts: int | None = None) -> Tensor:
        """Of a tensor (N, R, ...) the rows of the best restarts, (N, ...).

        Args:
            of_restarts: Such as :attr:`latents`, :attr:`images`, or a map of :attr:`noise`.
            restarts: Among the first so many; None for all.
        """
        return of_restarts[torch.arange(len(of_restarts)), self.best(restarts)]

    @property
    def told_endings(self) -> list[list[str]]:
        """How each sample ended, in words."""
        return [[ENDINGS[number] for number in row] for row in self.endings.tolist()]


def success_rate(
    found: Inversion, targets: Tensor, restarts: int | None = None, *, least_db: float = FOUND_DB
) -> float:
    """The share of targets whose best restart by loss reaches a PSNR.

    Args:
        found: An inversion.
        targets: Its targets, (N, C, H, W).
        restarts: Only the first so many restarts count; None for all.
        least_db: The PSNR in dB.

    Raises:
        InputError: There are not so many restarts, or the targets are of another shape.
    """
    images = found.chosen(found.images, restarts)
    reached = psnr(images, targets.detach().to(images)) >= least_db
    return float(reached.double().mean())

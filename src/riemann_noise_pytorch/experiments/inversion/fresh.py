"""What hangs on the noise: fresh draws in the place of the noise, and the way from one image to another."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from riemann_noise_pytorch.experiments.inversion.arms import Side, Work
from riemann_noise_pytorch.experiments.inversion.quality import Judge, finite
from riemann_noise_pytorch.inversion.interpolation import latents_between, noise_between
from riemann_noise_pytorch.inversion.quality import GREY_LEVELS
from riemann_noise_pytorch.models.latent_space import Space
from riemann_noise_pytorch.seeds import derive

SHOWN = 4


@final
@dataclass(frozen=True, eq=False)
class FreshDraws:
    """Images under other noise than the one they were found with.

    Args:
        count: Draws of each image.
        psnr: Mean over the draws of the PSNR against the target, (N,).
        psnr_sd: Standard deviation over the draws, (N,); 0 for a single one.
        change: Root mean square difference from the image that was found, in grey levels of 255, (N,).
        spread: Standard deviation of a pixel over the draws, as root mean square over the pixels, in grey
            levels of 255, (N,): what the noise does to these latents. NaN for a single draw.
        images: The first draws, (N, k, C, H, W).
    """

    count: int
    psnr: Tensor
    psnr_sd: Tensor
    change: Tensor
    spread: Tensor
    images: Tensor

    def record(self, index: int) -> dict[str, Any]:
        """The numbers of one image."""
        return {
            "draws": self.count,
            "psnr": finite(self.psnr[index]),
            "psnr_sd": finite(self.psnr_sd[index]),
            "change": finite(self.change[index]),
            "spread": finite(self.spread[index]),
        }


def fresh_draws(
    work: Work, side: Side, space: Space, judge: Judge, draws: int, on_draw: Callable[[int], object]
) -> FreshDraws:
    """Replace all noise by fresh draws.

    Args:
        work: The generator.
        side: Latents, and the images found of them.
        space: Of the latents.
        judge: Compares with the targets.
        draws: How many.
        on_draw: Called with the number of draws done.
    """
    decibels, shown = [], []
    found = side.images.double()
    squares, moves = torch.zeros_like(found), torch.zeros_like(found)
    for draw in range(draws):
        images = work.images(side.latents, space, seed=derive(work.seed, "fresh draw", draw))
        decibels.append(judge.psnr(images))
        squares += (images.double() - found).square()
        moves += images.double() - found
        if draw < SHOWN:
            shown.append(images)
        on_draw(draw + 1)
    psnr = torch.stack(decibels)
    variance = (squares - moves.square() / draws).clamp(min=0) / (draws - 1 or torch.nan)
    return FreshDraws(
        draws,
        psnr.mean(dim=0),
        psnr.std(dim=0) if draws > 1 else torch.zeros_like(psnr[0]),
        GREY_LEVELS * (squares / draws).mean(dim=(1, 2, 3)).sqrt(),
        GREY_LEVELS * variance.mean(dim=(1, 2, 3)).sqrt(),
        torch.stack(shown, dim=1),
    )


def ways(work: Work, side: Side, space: Space, points: int) -> dict[str, Tensor]:
    """Images of the way from the first latent to the second.

    Args:
        work: The generator.
        side: Latents and noise.
        space: Of the latents.
        points: How many, both ends included.

    Returns:
        (points, C, H, W) under ``frozen``, the noise of the first image, and ``interpolated``, the noise
        on the way as well; ``frozen`` alone for a generator without noise, and nothing for a single image.
    """
    if len(side.latents) < 2:
        return {}
    latents = latents_between(side.latents[0], side.latents[1], space, points)
    labels = None if work.labels is None else work.labels[:1].expand(points)
    pair = dict(side.noise) or work.frozen_maps(2)
    still = {name: maps[:1].expand(points, *maps.shape[1:]) for name, maps in pair.items()}
    moving = {name: noise_between(maps[0], maps[1], points) for name, maps in pair.items()}
    found = {"frozen": work.images(latents, space, noise=still, labels=labels)}
    if pair:
        found["interpolated"] = work.images(latents, space, noise=moving, labels=labels)
    return found

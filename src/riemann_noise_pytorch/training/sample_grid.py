"""The samples of a run that every tick draws: the same latents, classes and noise, from first to last."""

import math

import torch
from torch import Tensor

from riemann_noise_pytorch.models.interfaces import Generator
from riemann_noise_pytorch.noise.control import frozen
from riemann_noise_pytorch.seeds import derive
from riemann_noise_pytorch.training.config import TrainConfig


def draw_samples(config: TrainConfig, generator: Generator, device: torch.device | str = "cpu") -> Tensor:
    """Draw the samples of a tick.

    Args:
        config: Complete options; the samples depend on the seed, and their number is ``sample_grid``.
        generator: The generator, in evaluation mode.
        device: Where it is.

    Returns:
        Images (sample_grid, C, H, W); where the run has classes, in their order.
    """
    seed, count = config.seed, config.sample_grid
    stream = torch.Generator().manual_seed(derive(seed, "grid latents"))
    z = torch.randn(count, generator.z_dim, generator=stream).to(device)
    labels: tuple[Tensor, ...] = ()
    if config.conditional:
        in_order = torch.arange(count) * config.classes // count
        labels = (in_order.to(z.device),)
    parts = []
    for first in range(0, count, config.batch):
        one = slice(first, first + config.batch)
        with torch.no_grad(), frozen(generator, derive(seed, "grid noise"), first_sample=first):
            parts.append(generator(z[one], *(each[one] for each in labels)))
    return torch.cat(parts)


def spread(images: Tensor) -> float | None:
    """Compute how much images differ: the mean over pixels of the standard deviation over images.

    Args:
        images: (N, C, H, W).

    Returns:
        In the images' unit, 0 where all are one; None of a single image, and of values that are not finite.

    Example:
        >>> spread(torch.tensor([-0.5, 0.5]).view(2, 1, 1, 1).expand(2, 3, 8, 8))
        0.5
    """
    if len(images) < 2:
        return None
    value = float(images.detach().float().std(dim=0, correction=0).mean())
    return value if math.isfinite(value) else None

"""What an inversion varies: points of a space and noise maps, for every target and every restart.

Each starting value is a function of the seed, the target's index and the restart's number. So it is the same
in any batch, and that of the first restarts does not change when more are asked for.
"""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from riemann_noise_pytorch.inversion.held import HeldGenerator
from riemann_noise_pytorch.models.latent_space import Labels, Space, checked_labels
from riemann_noise_pytorch.noise.pairs import counted_normal
from riemann_noise_pytorch.seeds import derive

MAPPED_AT_ONCE = 1000


@final
@dataclass(frozen=True)
class Samples:
    """The rows of a batch: all restarts of a target, then those of the next.

    Args:
        first: Index of the first target.
        targets: How many targets.
        restarts: How many restarts of each.
    """

    first: int
    targets: int
    restarts: int

    @property
    def count(self) -> int:
        """How many rows there are."""
        return self.targets * self.restarts

    def repeated(self, of_targets: Tensor) -> Tensor:
        """Rows (targets, ...) for all restarts: (count, ...)."""
        return of_targets.repeat_interleave(self.restarts, dim=0)

    def normal(self, seed: int, shape: tuple[int, ...]) -> Tensor:
        """Standard normal rows (count, ...), float64 on the CPU, by target and restart.

        Example:
            >>> few, many = (Samples(0, 3, restarts).normal(7, (2,)) for restarts in (1, 2))
            >>> torch.equal(few, many[::2])
            True
        """
        size = (self.targets, *shape)
        restarts = range(self.restarts)
        rows = [counted_normal(derive(seed, "restart", r), self.first, size) for r in restarts]
        return torch.stack(rows, dim=1).flatten(0, 1)


@final
@dataclass(frozen=True)
class Spread:
    """Where the points of a space lie.

    Args:
        mean: Their mean, (z_dim,) or (w_dim,).
        distance: Root mean square of their distance from it.
    """

    mean: Tensor
    distance: float


def spread_of(
    generator: HeldGenerator, space: Space, *, samples: int, seed: int, labels: Labels | None = None
) -> Spread:
    """Mean and spread of z, which are known, or of w, from latents by index.

    Args:
        generator: A generator held still.
        space: ``z``, or ``w`` and ``w+``, which have the same.
        samples: How many latents are mapped.
        seed: Of the latents.
        labels: Their classes by index, for a generator that has them.
    """
    if space == "z":
        return Spread(torch.zeros_like(generator.like).repeat(generator.z_dim), math.sqrt(generator.z_dim))
    stream = derive(seed, "mean latent")
    found = []
    for first in range(0, samples, MAPPED_AT_ONCE):
        count = min(MAPPED_AT_ONCE, samples - first)
        z = counted_normal(stream, first, (count, generator.z_dim)).to(generator.device, generator.dtype)
        classes = None if labels is None else checked_labels(labels, first, count).to(generator.device)
        with torch.no_grad():
            found.append(generator.mapped(z, classes))
    w = torch.cat(found)
    mean = w.double().mean(dim=0)
    distance = (w.double() - mean).square().sum(dim=1).mean().sqrt()
    return Spread(mean.to(w.dtype), float(distance))


def start_points(
    generator: HeldGenerator,
    space: Space,
    samples: Samples,
    seed: int,
    *,
    mean: Tensor | None,
    labels: Tensor | None = None,
) -> Tensor:
    """Where every sample begins, (count, ...).

    Args:
        generator: A generator held still.
        space: Of the points.
        samples: Which samples.
        seed: Of the random ones.
        mean: Where the first restart begins; None for a random point as the others'.
        labels: Classes of the samples, (count,).
    """
    z = samples.normal(derive(seed, "start"), (generator.z_dim,)).to(generator.device, generator.dtype)
    with torch.no_grad():
        lower: Space = "z" if space == "z" else "w"
        points = generator.lifted(z, "z", lower, labels)
        if mean is not None:
            points[:: samples.restarts] = mean
        return generator.lifted(points, lower, space, labels).clone()


def start_maps(generator: HeldGenerator, samples: Samples, seed: int) -> dict[str, Tensor]:
    """The frozen noise maps of every sample, (count, P, ...) by layer; restarts of a target share them."""
    maps = generator.maps(seed, samples.first, samples.targets)
    return {name: samples.repeated(rows) for name, rows in maps.items()}

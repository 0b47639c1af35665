r"""What an inversion makes small: each objective gives one loss for each image.

.. math:: L_i = \sum_k \lambda_k\, L_{k,i}

The losses of a batch never mix, so that images optimised together go the way each would go alone. Where a
mask hides a part of a target, nothing of what is under it counts.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self, final

import torch
from torch import Tensor
from torch.nn import functional

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.inversion.noise_penalty import autocorrelation
from riemann_noise_pytorch.metrics.distances import Distance, PyramidDistance

LARGEST = 256
"""Larger images are averaged down to this before they enter a network of features (Karras et al. 2020,
Appendix D; Abdal et al. 2019, Section 5.1)."""


@final
@dataclass(frozen=True, eq=False)
class Guess:
    """Where an optimisation stands: what the objectives look at.

    Args:
        images: What the generator makes, (N, C, H, W), in about [-1, 1].
        targets: What it should make, of the same shape.
        masks: (N, 1, H, W), 1 where the target counts and 0 where it is hidden; None for all of it.
        latents: The points, (N, ...).
        centre: The mean of the points' distribution, which broadcasts to one of them.
        noise: The noise maps by layer, (N, P, H, W).
    """

    images: Tensor
    targets: Tensor
    masks: Tensor | None = None
    latents: Tensor | None = None
    centre: Tensor | None = None
    noise: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def seen(self) -> tuple[Tensor, Tensor]:
        """Images and targets with what is hidden in grey."""
        if self.masks is None:
            return self.images, self.targets
        return self.images * self.masks, self.targets * self.masks

    @property
    def share(self) -> Tensor | float:
        """The share of each image that is seen, (N,), or 1."""
        return 1.0 if self.masks is None else self.masks.mean(dim=(1, 2, 3))


class Objective(ABC):
    """From a guess to one loss for each of its images.

    Attributes:
        name: As it is printed; it never claims more than is computed.
        is_perceptual: Whether it compares images by what is seen in them, so that another such objective may
            take its place.
    """

    name: str
    is_perceptual: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, guess: Guess) -> Tensor:
        """The losses, (N,), differentiable."""

    def placed(self, like: Tensor) -> Self:  # noqa: ARG002 - of use to those that have weights
        """The objective where ``like`` is, and in its precision; itself where it has no weights."""
        return self


@final
@dataclass(frozen=True)
class PixelError(Objective):
    """Mean squared difference of the pixels that are seen."""

    name: str = field(default="mse", init=False)

    def __call__(self, guess: Guess) -> Tensor:
        """The losses, (N,)."""
        images, targets = guess.seen
        return (images - targets).square().mean(dim=(1, 2, 3)) / guess.share


@final
@dataclass(frozen=True, eq=False)
class Perceptual(Objective):
    """A perceptual distance, LPIPS or one without weights, divided by the share of the image that is seen.

    Args:
        distance: The distance; its name is the objective's.
        largest: Images with a longer side are averaged down to it; None for never.
    """

    distance: Distance = field(default_factory=PyramidDistance)
    largest: int | None = LARGEST
    is_perceptual: ClassVar[bool] = True

    @property
    def name(self) -> str:  # type: ignore[override]
        """The distance's own name."""
        return self.distance.name

    def __call__(self, guess: Guess) -> Tensor:
        """The losses, (N,).

        Raises:
            InputError: The distance does not take such images.
        """
        images, targets = (at_most(part, self.largest) for part in guess.seen)
        distances: Tensor = self.distance(images, targets)
        return distances / guess.share

    def placed(self, like: Tensor) -> "Perceptual":
        """A copy with the weights where ``like`` is, in its precision."""
        distance = copy.deepcopy(self.distance).to(like.device, like.dtype).requires_grad_(False)
        return replace(self, distance=distance)


@final
@dataclass(frozen=True)
class NoiseAutocorrelation(Objective):
    """The penalty of :mod:`~riemann_noise_pytorch.inversion.noise_penalty`, summed over the layers."""

    name: str = field(default="noise autocorrelation", init=False)

    def __call__(self, guess: Guess) -> Tensor:
        """The losses, (N,)."""
        total = guess.images.new_zeros(len(guess.images))
        for maps in guess.noise.values():
            total = total + autocorrelation(maps)
        return total


@final
@dataclass(frozen=True)
class PullToMean(Objective):
    """Mean squared distance of a latent's values from those of the mean latent; in z, from 0."""

    name: str = field(default="distance from the mean latent", init=False)

    def __call__(self, guess: Guess) -> Tensor:
        """The losses, (N,).

        Raises:
            InputError: The guess has no latents.
        """
        if guess.latents is None:
            raise InputError("there are no latents to pull to their mean; leave this objective out")
        away = guess.latents if guess.centre is None else guess.latents - guess.centre
        return away.square().flatten(1).mean(dim=1)


@final
@dataclass(frozen=True)
class Term:
    """An objective and its weight.

    Args:
        objective: What is computed.
        weight: How much it counts, above 0.
    """

    objective: Objective
    weight: float = 1.0


def total_loss(terms: tuple[Term, ...], guess: Guess) -> Tensor:
    """The weighted sum of objectives, for each image, (N,)."""
    losses = [term.weight * term.objective(guess) for term in terms]
    return torch.stack(losses).sum(dim=0)


def at_most(images: Tensor, largest: int | None) -> Tensor:
    """Average images down until their longer side has at most ``largest`` pixels; None for never.

    Example:
        >>> at_most(torch.zeros(1, 3, 512, 256), 256).shape
        torch.Size([1, 3, 256, 128])
    """
    height, width = images.shape[2:]
    longer = max(height, width)
    if largest is None or longer <= largest:
        return images
    size = [max(1, round(side * largest / longer)) for side in (height, width)]
    smaller: Tensor = functional.interpolate(images, size=size, mode="area")
    return smaller

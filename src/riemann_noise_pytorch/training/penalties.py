"""What a penalty on the discriminator's gradient is: when it is due, how much it weighs, what it promises.

A lazy penalty is computed at every k-th step and multiplied by k, so that its mean effect stays the same.

References:
    Karras et al. (2020), Analyzing and improving the image quality of StyleGAN, arXiv:1912.04958, Appendix B
    (lazy evaluation).
    Roth, Lucchi, Nowozin and Hofmann (2017), arXiv:1705.09367 (annealing).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.training.batch import Batch, given_labels

ANNEALED_TO = 0.01
"""What is left of an annealed weight at the end of a run."""

Discriminator = Callable[..., Tensor]
"""From images (N, C, H, W), and classes (N,) where there are some, to logits (N,); differentiable twice."""


def squared_gradients(
    discriminator: Discriminator, images: Tensor, labels: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Compute the logits of images and the squared norms of their gradients.

    Args:
        discriminator: The discriminator.
        images: Images (N, ...), of the precision in which the penalty is wanted.
        labels: Their classes, or None.

    Returns:
        Logits and squared norms, (N,) each, with a graph to the discriminator's parameters.
    """
    images = images.detach().requires_grad_(True)
    logits = discriminator(images, *given_labels(labels))
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return logits, gradient.square().sum(dim=tuple(range(1, gradient.ndim)))


@dataclass(frozen=True)
class Penalty(ABC):
    """A penalty on the discriminator's gradient: when it is due, how much it weighs, and what it is.

    A penalty of one's own is a subclass with :meth:`mean`.

    Args:
        gamma: Weight, 0 or more.
        interval: Steps k from one evaluation to the next, 1 or more.
        anneal_steps: Steps T of a run over which the weight falls as gamma 0.01^(t/T), 1 or more; None: it
            does not.

    Raises:
        InputError: A number is out of range.

    Attributes:
        has_half: Whether the factor in front is gamma/2, and not gamma.
        needs_mix: Whether it looks at mixtures of images, and so at ``Batch.mix``.
    """

    gamma: float
    interval: int = 1
    anneal_steps: int | None = None

    has_half: ClassVar[bool] = True
    needs_mix: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.gamma) and self.gamma >= 0):
            raise InputError(f"gamma is {self.gamma}, but must be a finite number, zero or more; change it")
        for name, steps in {"interval": self.interval, "anneal_steps": self.anneal_steps}.items():
            if steps is not None and not (isinstance(steps, int) and steps >= 1):
                raise InputError(
                    f"{name} is {steps}, but must be a whole number of steps, 1 or more; change it"
                )

    def is_due(self, step: int) -> bool:
        """Tell whether this step, counted from 0, has a penalty."""
        return self.gamma > 0 and step % self.interval == 0

    @property
    def is_lazy(self) -> bool:
        """Whether the penalty is evaluated at some steps only, and then in an optimiser step of its own."""
        return self.gamma > 0 and self.interval > 1

    def factor(self, step: int = 0) -> float:
        """Give what stands before the mean at a step: gamma, annealed, with the 1/2 where there is one.

        Example:
            >>> from riemann_noise_pytorch.training.regularizers import R1
            >>> penalty = R1(gamma=2.0, anneal_steps=100)
            >>> penalty.factor(0), penalty.factor(100)
            (1.0, 0.01)
        """
        gamma = self.gamma
        if self.anneal_steps is not None:
            gamma *= ANNEALED_TO ** (step / self.anneal_steps)
        return gamma / 2 if self.has_half else gamma

    def __call__(self, discriminator: Discriminator, batch: Batch, step: int = 0) -> Tensor:
        """Compute the penalty, not yet multiplied by the interval.

        Args:
            discriminator: The discriminator.
            batch: The images; none of them gets a gradient.
            step: The step, which counts where the weight is annealed.

        Returns:
            A scalar with a graph to the discriminator's parameters.

        Example:
            >>> from riemann_noise_pytorch.training.regularizers import R1
            >>> images = torch.ones(2, 1, 4, 4)
            >>> R1(gamma=2.0)(lambda x: 3 * x.sum(dim=(1, 2, 3)), Batch(images, images)).item()
            144.0
        """
        return self.mean(discriminator, batch) * self.factor(step)

    @abstractmethod
    def mean(self, discriminator: Discriminator, batch: Batch) -> Tensor:
        """Compute the mean over the batch, without weight: a scalar with a graph."""

"""What a noise layer promises, so that every source, network and report serves them all."""

import sys
from abc import ABC, abstractmethod
from typing import Any, ClassVar, get_args

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.errors import InputError, unknown_name
from riemann_noise_pytorch.noise.sources import Fresh, Source
from riemann_noise_pytorch.noise.switches import LAWS, Law, Planes
from riemann_noise_pytorch.noise.wording import shown


class NoiseLayer(nn.Module, ABC):
    """A module that adds noise to features (N, C, ...), and can be told where the noise comes from.

    A noise of one's own is a subclass with a ``kind``, and three methods: ``inject``, ``strength`` and
    ``reset_parameters``. Sources, injection into other networks, reports and tests then know it.

    Args:
        planes: ``shared``: one noise plane for all channels; ``per_channel``: one for each.
        law: The distribution of epsilon: ``gaussian``, ``clipped`` or ``uniform_ball``.

    Raises:
        InputError: Planes or law have an unknown value.

    Attributes:
        kind: The name of the kind of noise.
        least_axes: The fewest axes that features can have: 2 for (N, C), 3 where positions are needed.
    """

    kind: ClassVar[str]
    least_axes: ClassVar[int] = 2

    def __init__(self, planes: Planes = "shared", law: Law = "gaussian") -> None:
        check_choice("planes", planes, get_args(Planes))
        check_choice("law", law, LAWS)
        super().__init__()
        self.planes: Planes = planes
        self.law: Law = law
        self.source: Source = Fresh()

    def forward(self, mu: Tensor) -> Tensor:
        """Inject noise into features (N, C, ...); shape and dtype are kept.

        Raises:
            InputError: The features are not of floating point, or have not the axes or the size of the layer.
        """
        self.check(mu)
        return self.inject(mu, self.draw(mu))

    @abstractmethod
    def inject(self, mu: Tensor, epsilon: Tensor | None) -> Tensor:
        """Combine checked features with noise.

        Args:
            mu: Features, (N, C, ...).
            epsilon: Noise that broadcasts to the shape of the features; None for none.

        Returns:
            Features with noise, of the shape and dtype of ``mu``.
        """

    @abstractmethod
    def strength(self) -> Tensor:
        """The standard deviation of the noise relative to what the layer makes of the features, a scalar."""

    @abstractmethod
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw the initial values anew, from ``generator`` where they are random."""

    @property
    def size(self) -> tuple[int, ...] | None:
        """The one spatial size that the layer is made for, None for any."""
        return None

    def check(self, mu: Tensor) -> None:
        """Refuse features that the layer cannot serve.

        Raises:
            InputError: They are not of floating point, or have not the axes or the size of the layer.
        """
        if mu.ndim < self.least_axes:
            axes = "(N, C)" if self.least_axes == 2 else "(N, C, L) or (N, C, H, W)"
            remedy = "reshape them" if mu.ndim < 2 else "reshape them, or use Euclidean noise"
            raise InputError(
                f"{self.kind} noise needs features {axes}, but these have shape {tuple(mu.shape)}; {remedy}"
            )
        if not mu.is_floating_point():
            raise InputError(f"noise needs floating-point features, but these are {mu.dtype}; convert them")
        if self.size is not None and tuple(mu.shape[2:]) != self.size:
            raise InputError(
                f"this noise layer has maps of {as_size(self.size)}, but the features are "
                f"{as_size(mu.shape[2:])}; build it with that size, or with size=None for any "
                "(in inject: maps=False)"
            )

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles have fresh noise, also those made where noise is frozen or off for a while."""
        return {**vars(self), "source": Fresh()}

    def noise_shape(self, mu: Tensor) -> tuple[int, ...]:
        """The shape of the noise for features (N, C, ...): (N, 1, ...) or (N, C, ...)."""
        channels = 1 if self.planes == "shared" else mu.shape[1]
        return (mu.shape[0], channels, *mu.shape[2:])

    def draw(self, mu: Tensor) -> Tensor | None:
        """Ask the source for the noise of one call on features (N, C, ...)."""
        return self.source.epsilon(self.noise_shape(mu), self.law, mu)


def as_size(size: tuple[int, ...]) -> str:
    """Write a spatial size as people do: 16x16."""
    return "x".join(map(str, size)) or "none"


def check_choice(what: str, name: object, valid: Any) -> None:
    """Refuse a name that is not among the valid ones, with the nearest."""
    if not isinstance(name, str) or name not in valid:
        raise unknown_name(what, str(name), valid)


def check_module(what: str, module: object) -> None:
    """Refuse what is no network that has been built."""
    if not isinstance(module, nn.Module):
        raise InputError(f"{what} must be an nn.Module, not of type {type(module).__name__}; build it first")


def check_finite(what: str, value: object) -> None:
    """Refuse what is no finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= sys.float_info.max:
        raise InputError(f"{what} must be a finite number, not {shown(value)}")

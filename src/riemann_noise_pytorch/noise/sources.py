"""Where epsilon comes from: fresh, frozen, given, scaled or off.

A noise layer asks its :class:`Source` for noise; :mod:`~riemann_noise_pytorch.noise.control` exchanges the
sources of a network.

Frozen noise is a function, not a state: the value at a position of a layer's plane for sample i of a batch
depends on the seed, the layer's name, ``first_sample + i`` and the position alone. So it is the same at any
batch size, in any order, in any number of processes, on any device up to rounding, in float32 and in
float64; and it needs no random operation, so it passes through ``vmap``, ``jvp`` and ``torch.compile``.
(Under ``vmap`` over single samples each call sees a batch of one, so all get the noise of ``first_sample``.)
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise.switches import LAWS, Law


class Source(ABC):
    """Supplies epsilon to a noise layer."""

    @abstractmethod
    def epsilon(self, shape: tuple[int, ...], law: Law, like: Tensor) -> Tensor | None:
        """Draw the noise for one call of a layer.

        Args:
            shape: (N, 1, ...) or (N, C, ...), as the layer's planes ask.
            law: The distribution of epsilon.
            like: A tensor of the wanted device and dtype.

        Returns:
            The noise, broadcastable to ``shape``, or None for none at all.
        """


@final
@dataclass(frozen=True)
class Fresh(Source):
    """New noise at every call.

    Args:
        generator: Where the random numbers come from; torch's own generator of the device by default. A copy
            or a pickle of the source goes back to that default: two networks never share a stream unnoticed.
    """

    generator: torch.Generator | None = None

    def epsilon(self, shape: tuple[int, ...], law: Law, like: Tensor) -> Tensor:
        """Draw from the generator."""
        normal = torch.randn(shape, generator=self.generator, device=like.device, dtype=like.dtype)
        return LAWS[law](normal)

    def __reduce__(self) -> tuple[type["Fresh"], tuple[()]]:
        return Fresh, ()

    def __deepcopy__(self, memo: dict[int, Any]) -> "Fresh":
        return Fresh()


@final
@dataclass(frozen=True)
class Frozen(Source):
    """The same noise at every call: a function of seed, sample and position.

    Args:
        seed: The seed of this layer's noise, in [0, 2^63).
        first_sample: The global index of the first sample of the batch.
    """

    seed: int
    first_sample: int = 0

    def epsilon(self, shape: tuple[int, ...], law: Law, like: Tensor) -> Tensor:
        """Compute from seed, sample and position."""
        normal = _counted_normal(self.seed, self.first_sample, shape, like.device)
        return LAWS[law](normal).to(like.dtype)


@final
@dataclass(frozen=True, eq=False)
class Given(Source):
    """Noise that the caller supplies; gradients reach it.

    Args:
        maps: Noise broadcastable to what the layer asks for: (1 or N, 1 or C, ...), or the positions alone.
    """

    maps: Tensor

    def epsilon(self, shape: tuple[int, ...], law: Law, like: Tensor) -> Tensor:  # noqa: ARG002
        """Hand out what was given, after a check of its shape."""
        maps = self.maps.to(like)
        wanted = (like.shape[0], like.shape[1], *shape[2:])
        maps = maps.reshape((1,) * (len(wanted) - maps.ndim) + tuple(maps.shape))
        allowed = [(1, wanted[0]), (1, wanted[1]), *((n,) for n in wanted[2:])]
        if maps.ndim != len(wanted) or any(m not in a for m, a in zip(maps.shape, allowed, strict=True)):
            raise InputError(_wrong_maps(tuple(self.maps.shape), wanted))
        return maps


def _wrong_maps(given: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    n, c, *size = wanted
    return (
        f"given noise has shape {given}, but the layer sees {wanted}; "
        f"give (1 or {n}, 1 or {c}, {', '.join(map(str, size))})"
    )


@final
@dataclass(frozen=True)
class Scaled(Source):
    """The noise of another source, times a factor.

    It is the source of the moment at which the block began: write ``with frozen(...), scaled(...)``, for a
    ``frozen`` inside of ``scaled`` supplies its noise unscaled.

    Args:
        source: The other source.
        factor: Any finite number, or a tensor of one; 0 gives zeros.
    """

    source: Source
    factor: float | Tensor

    def epsilon(self, shape: tuple[int, ...], law: Law, like: Tensor) -> Tensor | None:
        """Multiply what the other source supplies."""
        epsilon = self.source.epsilon(shape, law, like)
        return None if epsilon is None else self.factor * epsilon


@final
@dataclass(frozen=True)
class Off(Source):
    """No noise; what else the layer does (the gain r sigma of Eq. 17) stays."""

    def epsilon(self, shape: tuple[int, ...], law: Law, like: Tensor) -> None:  # noqa: ARG002
        """Supply none."""
        return


_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB


def _signed(x: int) -> int:
    x &= (1 << 64) - 1
    return x - (1 << 64) if x >> 63 else x


def _mixed(x: Tensor) -> Tensor:
    """The finaliser of splitmix64 (Steele, Lea and Flood, OOPSLA 2014), on int64 that wraps around."""
    x = (x ^ ((x >> 30) & ((1 << 34) - 1))) * _signed(_MIX_1)
    x = (x ^ ((x >> 27) & ((1 << 37) - 1))) * _signed(_MIX_2)
    return x ^ ((x >> 31) & ((1 << 33) - 1))


def _counted(n: int, device: torch.device) -> Tensor:
    """1, 2, ... n; not by arange, whose products torch's compiler takes for addresses, which overflow."""
    if (
        torch.compiler.is_exporting()
    ):  # where a number of samples may stay open, which linspace does not let it
        return torch.ones(n, dtype=torch.int64, device=device).cumsum(0)
    return torch.linspace(1, n, n, dtype=torch.float64, device=device).round().to(torch.int64)


def _counted_normal(seed: int, first_sample: int, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Standard normal float32 numbers, each from its seed, sample and position (Box and Muller 1958)."""
    samples, places = shape[0], math.prod(shape[1:])
    sample = _counted(samples, device).unsqueeze(1) + (first_sample - 1)
    place = _counted(places, device)
    stream = _mixed(sample * _signed(_GOLDEN) + _signed(seed))
    bits = _mixed(stream + place * _signed(_GOLDEN))
    low = (bits & 0xFFFFFFFF).to(torch.float64).add(0.5).mul(2.0**-32)
    high = ((bits >> 32) & 0xFFFFFFFF).to(torch.float64).mul(2.0 * math.pi * 2.0**-32)
    return (torch.sqrt(-2 * torch.log(low)) * torch.cos(high)).to(torch.float32).view(shape)

"""Where epsilon comes from: fresh, frozen, given, scaled or off, for any noise layer by name.

A :class:`NoiseLayer` asks its :class:`Source` for noise. A source is exchanged for the length of a ``with``
block by layer name, by pattern or for all layers of a network:

    with frozen(generator, seed=0), off(generator, "stage4.*"):
        images = generator(z)

Frozen noise is a function, not a state: the value at a position of a layer's plane for sample i of a batch
depends on the seed, the layer's name, ``first_sample + i`` and the position alone. So it is the same at any
batch size, in any order, in any number of processes, on any device up to rounding, in float32 and in
float64; and it needs no random operation, so it passes through ``vmap``, ``jvp`` and ``torch.compile``.
(Under ``vmap`` over single samples each call sees a batch of one, so all get the noise of ``first_sample``.)
"""

import contextlib
import fnmatch
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.errors import InputError, unknown_name
from riemann_noise_pytorch.noise.switches import LAWS, Law, Planes
from riemann_noise_pytorch.seeds import derive


class Source(ABC):
    """Supplies epsilon to a noise layer."""

    @abstractmethod
    def epsilon(self, shape: tuple[int, ...], law: Law, like: Tensor) -> Tensor | None:
        """Draw the noise for one call of a layer.

        Args:
            shape: (N, 1, H, W) or (N, C, H, W), as the layer's planes ask.
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
        maps: Noise broadcastable to what the layer asks for: (1 or N, 1 or C, H, W), or (H, W).
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

    Args:
        source: The other source.
        factor: Any finite number; 0 gives zeros.
    """

    source: Source
    factor: float

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


class NoiseLayer(nn.Module, ABC):
    """A module that adds noise to a feature map, and can be told where the noise comes from.

    Args:
        planes: ``shared``: one noise plane for all channels; ``per_channel``: one for each.
        law: The distribution of epsilon: ``gaussian``, ``clipped`` or ``uniform_ball``.
    """

    kind: ClassVar[str]

    def __init__(self, planes: Planes, law: Law) -> None:
        super().__init__()
        self.planes: Planes = planes
        self.law: Law = law
        self.source: Source = Fresh()

    @abstractmethod
    def strength(self) -> Tensor:
        """The standard deviation of the noise relative to what the layer makes of the features, a scalar."""

    @abstractmethod
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw the initial values anew, from ``generator`` where they are random."""

    def noise_shape(self, mu: Tensor) -> tuple[int, ...]:
        """The shape of the noise for features (N, C, H, W): (N, 1, H, W) or (N, C, H, W)."""
        channels = 1 if self.planes == "shared" else mu.shape[1]
        return (mu.shape[0], channels, *mu.shape[2:])

    def draw(self, mu: Tensor) -> Tensor | None:
        """Ask the source for the noise of one call on features (N, C, H, W)."""
        return self.source.epsilon(self.noise_shape(mu), self.law, mu)


def noise_layers(module: nn.Module) -> dict[str, NoiseLayer]:
    """Find the noise layers of a network.

    Args:
        module: Any module, a noise layer itself included (its name is then empty).

    Returns:
        The layers by qualified name, in order of registration. Wrappers by ``torch.compile`` and data
        parallelism do not show in the names.
    """
    parallel = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    inner = module.get_submodule("module") if isinstance(module, parallel) else module
    return {
        ".".join(part for part in name.split(".") if part != "_orig_mod"): layer
        for name, layer in inner.named_modules()
        if isinstance(layer, NoiseLayer)
    }


@contextlib.contextmanager
def frozen(module: nn.Module, seed: int = 0, layers: str = "*", first_sample: int = 0) -> Iterator[None]:
    """Within the block, the layers see the same noise at every call.

    Args:
        module: A network with any number of noise layers; none is fine when ``layers`` is ``*``.
        seed: Seed of the noise.
        layers: A layer's name or a shell pattern, ``*`` for all.
        first_sample: Global index of the first sample of each batch, from 0.

    Raises:
        InputError: No layer matches the pattern.

    Example:
        >>> from riemann_noise_pytorch import EuclideanNoise
        >>> layer = EuclideanNoise(strength=1.0)
        >>> mu = torch.zeros(4, 2, 8, 8)
        >>> with frozen(layer, seed=1):
        ...     whole, last = layer(mu), layer(mu[:1])
        >>> torch.equal(whole[:1], last)
        True
    """
    with _exchanged(module, layers, lambda name, _: Frozen(derive(seed, "noise", name), first_sample)):
        yield


@contextlib.contextmanager
def fresh(module: nn.Module, generator: torch.Generator | None = None, layers: str = "*") -> Iterator[None]:
    """Within the block, the layers draw new noise at every call.

    Args:
        module: A network with any number of noise layers.
        generator: Where the random numbers come from, on the network's device; torch's own by default.
        layers: A layer's name or a shell pattern, ``*`` for all.

    Raises:
        InputError: No layer matches the pattern.
    """
    with _exchanged(module, layers, lambda _name, _layer: Fresh(generator)):
        yield


@contextlib.contextmanager
def scaled(module: nn.Module, factor: float, layers: str = "*") -> Iterator[None]:
    """Within the block, the noise of the layers is multiplied by a factor.

    Args:
        module: A network with any number of noise layers.
        factor: Any finite number.
        layers: A layer's name or a shell pattern, ``*`` for all.

    Raises:
        InputError: The factor is not finite, or no layer matches the pattern.
    """
    if not math.isfinite(factor):
        raise InputError(f"noise cannot be scaled by {factor}; give a finite factor")
    with _exchanged(module, layers, lambda _, layer: Scaled(layer.source, factor)):
        yield


@contextlib.contextmanager
def off(module: nn.Module, layers: str = "*") -> Iterator[None]:
    """Within the block, the layers add no noise; the gain r sigma of Riemannian layers stays.

    Args:
        module: A network with any number of noise layers.
        layers: A layer's name or a shell pattern, ``*`` for all.

    Raises:
        InputError: No layer matches the pattern.
    """
    with _exchanged(module, layers, lambda _name, _layer: Off()):
        yield


@contextlib.contextmanager
def given(module: nn.Module, maps: Mapping[str, Tensor]) -> Iterator[None]:
    """Within the block, the named layers use the noise that the caller supplies.

    Args:
        module: A network with noise layers.
        maps: Noise by layer name or pattern, each broadcastable to its layer's (N, C, H, W).
            Gradients reach it.

    Raises:
        InputError: A name matches no layer, or (when the layer is called) a map has a wrong shape.
    """
    with contextlib.ExitStack() as stack:
        for layers, tensor in maps.items():
            stack.enter_context(_exchanged(module, layers, partial(_given, tensor)))
        yield


def _given(maps: Tensor, _name: str, _layer: NoiseLayer) -> Source:
    return Given(maps)


@contextlib.contextmanager
def _exchanged(module: nn.Module, pattern: str, make: Callable[[str, NoiseLayer], Source]) -> Iterator[None]:
    every = noise_layers(module)
    chosen = {name: layer for name, layer in every.items() if fnmatch.fnmatchcase(name, pattern)}
    if not chosen and pattern != "*":
        raise unknown_name("noise layer", pattern, every)
    before = {name: layer.source for name, layer in chosen.items()}
    try:
        for name, layer in chosen.items():
            layer.source = make(name, layer)
        yield
    finally:
        for name, layer in chosen.items():
            layer.source = before[name]


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

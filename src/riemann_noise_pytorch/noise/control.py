"""Which noise a network sees, for the length of a ``with`` block: frozen, fresh, given, scaled or off.

The noise layers of a network are reached by name, by pattern or all at once:

    with frozen(generator, seed=0), off(generator, "stage4.*"):
        images = generator(z)
"""

import contextlib
import fnmatch
import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.errors import InputError, unknown_name
from riemann_noise_pytorch.noise.interfaces import NoiseLayer
from riemann_noise_pytorch.noise.sources import Fresh, Frozen, Given, Off, Scaled, Source
from riemann_noise_pytorch.seeds import derive


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

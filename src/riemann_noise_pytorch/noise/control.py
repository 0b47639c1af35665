"""Which noise a network sees, for the length of a ``with`` block: frozen, fresh, given, scaled or off.

The noise layers of a network are reached by name, by pattern, several of them, or all at once:

    with frozen(generator, seed=0), off(generator, "stage4.*"):
        images = generator(z)

Of noise that is not this package's, drawn from torch's generators inside of a network, only freezing is
possible (:mod:`~riemann_noise_pytorch.noise.foreign`). Of nested blocks the innermost counts.
"""

import contextlib
import fnmatch
import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.errors import InputError, unknown_name
from riemann_noise_pytorch.noise.foreign import generators_of, may_draw, released
from riemann_noise_pytorch.noise.interfaces import NoiseLayer
from riemann_noise_pytorch.noise.listing import (
    PARALLEL,
    NoiseLayers,
    drawing_parts,
    inside_compiled,
    noise_layers,
)
from riemann_noise_pytorch.noise.sources import Fresh, Frozen, Given, Off, Scaled, Source
from riemann_noise_pytorch.seeds import derive

__all__ = ["Layers", "NoiseLayers", "fresh", "frozen", "given", "noise_layers", "off", "scaled"]

Layers = str | Sequence[str]
"""A name, a shell pattern (``*`` for all), or several of them."""


@contextlib.contextmanager
def frozen(module: nn.Module, seed: int = 0, layers: Layers = "*", first_sample: int = 0) -> Iterator[None]:
    """Within the block, the network sees the same noise at every call.

    This package's layers compute their noise from seed, layer, sample and position, without any random
    operation. A network that may draw from torch's generators (CPU and CUDA) is held besides: each call of
    ``module`` starts from a state given by ``seed`` and ``first_sample``, and the state from before is put
    back, also when the call raises. Such noise belongs to the whole batch, not to its samples. In batched
    derivatives every chunk starts anew; torch wants ``randomness="same"`` for them. What is called by its
    parts (``generator.synthesis(w)``) is held by their names, or by giving the part as ``module``. Out of
    reach are generators of the network's own, numpy's, and a function that was compiled around the network
    before: compile the network itself.

    Args:
        module: Any network, compiled and parallel ones included.
        seed: Seed of the noise.
        layers: Names or patterns of noise layers; one that matches none stands for parts of the network
            that may draw, whose calls are held then.
        first_sample: Global index of the first sample of each batch, from 0.

    Raises:
        InputError: A pattern matches neither a noise layer nor a part that may draw, or a part that is inside
            a compiled network.

    Example:
        >>> from riemann_noise_pytorch import EuclideanNoise
        >>> layer = EuclideanNoise(strength=1.0)
        >>> mu = torch.zeros(4, 2, 8, 8)
        >>> with frozen(layer, seed=1):
        ...     whole, last = layer(mu), layer(mu[:1])
        >>> torch.equal(whole[:1], last)
        True
        >>> foreign = nn.Dropout()
        >>> with frozen(foreign, seed=1):
        ...     print(torch.equal(foreign(mu + 1), foreign(mu + 1)))
        True
    """
    chosen, parts = _chosen(module, layers)
    seeds = {part: derive(seed, "torch's noise", name, first_sample) for name, part in parts}
    sources = {layer: Frozen(derive(seed, "noise", name), first_sample) for name, layer in chosen.items()}
    with contextlib.ExitStack() as stack:
        stack.enter_context(_exchanged(sources))
        if seeds:
            from riemann_noise_pytorch.noise.holding import (
                held,
            )  # loads torch's compiler, which takes seconds

            stack.enter_context(held(seeds, generators_of(module)))
        yield


@contextlib.contextmanager
def fresh(
    module: nn.Module, generator: torch.Generator | None = None, layers: Layers = "*"
) -> Iterator[None]:
    """Within the block, the layers draw new noise at every call.

    Args:
        module: Any network. With ``*`` its foreign noise is no longer frozen either; it draws from torch's
            generators as ever.
        generator: Where this package's layers take random numbers from, on the network's device; torch's own
            by default.
        layers: Names or patterns of this package's layers.

    Raises:
        InputError: A pattern matches none of this package's layers.
    """
    roots = [root for _, root in _roots(module)] if "*" in _patterns(layers) else []
    sources = {layer: Fresh(generator) for layer in _ours(module, layers).values()}
    with released(roots), _exchanged(sources):
        yield


@contextlib.contextmanager
def scaled(module: nn.Module, factor: float, layers: Layers = "*") -> Iterator[None]:
    """Within the block, the noise of the layers is multiplied by a factor.

    Args:
        module: A network with any number of this package's layers. Foreign noise stays as it is.
        factor: Any finite number.
        layers: Names or patterns of this package's layers.

    Raises:
        InputError: The factor is not finite, or a pattern matches none of this package's layers.
    """
    if not math.isfinite(factor):
        raise InputError(f"noise cannot be scaled by {factor}; give a finite factor")
    with _exchanged({layer: Scaled(layer.source, factor) for layer in _ours(module, layers).values()}):
        yield


@contextlib.contextmanager
def off(module: nn.Module, layers: Layers = "*") -> Iterator[None]:
    """Within the block, the layers add no noise; the gain r sigma of Riemannian layers stays.

    Args:
        module: A network with any number of this package's layers. Foreign noise stays as it is, so with
            ``*`` nothing happens to a network without layers of this package.
        layers: Names or patterns of this package's layers.

    Raises:
        InputError: A pattern matches none of this package's layers.
    """
    with _exchanged(dict.fromkeys(_ours(module, layers).values(), Off())):
        yield


@contextlib.contextmanager
def given(module: nn.Module, maps: Mapping[str, Tensor]) -> Iterator[None]:
    """Within the block, the named layers use the noise that the caller supplies.

    Args:
        module: A network with layers of this package.
        maps: Noise by layer name or pattern, each broadcastable to its layer's (N, C, H, W).
            Gradients reach it.

    Raises:
        InputError: A name matches none of this package's layers, or (when the layer is called) a map has a
            wrong shape.
    """
    if maps and not noise_layers(module):
        raise InputError(_only_frozen(next(iter(maps))))
    with contextlib.ExitStack() as stack:
        for layers, tensor in maps.items():
            stack.enter_context(_exchanged(dict.fromkeys(_ours(module, layers).values(), Given(tensor))))
        yield


@contextlib.contextmanager
def _exchanged(sources: Mapping[NoiseLayer, Source]) -> Iterator[None]:
    before = {layer: layer.source for layer in sources}
    try:
        for layer, source in sources.items():
            layer.source = source
        yield
    finally:
        for layer, source in before.items():
            layer.source = source


def _patterns(layers: Layers) -> Sequence[str]:
    patterns = [layers] if isinstance(layers, str) else layers
    if not isinstance(patterns, Sequence) or not patterns or any(not isinstance(p, str) for p in patterns):
        raise InputError(f"layers must be a name, a pattern or several of them, not {layers!r}; '*' is all")
    return patterns


def _matching(every: Mapping[str, NoiseLayer], pattern: str) -> dict[str, NoiseLayer]:
    return {name: layer for name, layer in every.items() if fnmatch.fnmatchcase(name, pattern)}


def _ours(module: nn.Module, layers: Layers) -> dict[str, NoiseLayer]:
    """The noise layers that are meant, where only this package's will do."""
    every = noise_layers(module)
    chosen: dict[str, NoiseLayer] = {}
    for pattern in _patterns(layers):
        found = _matching(every, pattern)
        if not found and pattern != "*":
            raise InputError(_only_frozen(pattern)) if _parts(module, pattern) else _unknown(pattern, every)
        chosen |= found
    return chosen


def _chosen(module: nn.Module, layers: Layers) -> tuple[dict[str, NoiseLayer], list[tuple[str, nn.Module]]]:
    """The noise layers that are meant, and the modules whose calls are to be held."""
    every = noise_layers(module)
    chosen: dict[str, NoiseLayer] = {}
    parts: list[tuple[str, nn.Module]] = []
    for pattern in _patterns(layers):
        found = _matching(every, pattern)
        chosen |= found
        if pattern == "*":
            parts += _roots(module) if may_draw(module) else []
        elif not found:
            foreign = _parts(module, pattern)
            if not foreign:
                raise _unknown(pattern, [*every, *drawing_parts(module)])
            compiled = [name for name, _ in foreign if inside_compiled(module, name)]
            if compiled:
                raise InputError(
                    f"the calls of '{compiled[0]}' cannot be told apart inside a compiled network; "
                    "freeze all of it, or leave it uncompiled"
                )
            parts += foreign
    return chosen, parts


def _roots(module: nn.Module) -> list[tuple[str, nn.Module]]:
    inner = [module.get_submodule("module")] if isinstance(module, PARALLEL) else []
    return [("", root) for root in (module, *inner)]


def _parts(module: nn.Module, pattern: str) -> list[tuple[str, nn.Module]]:
    """The outermost matching parts that may draw, each with its name."""
    found: dict[str, nn.Module] = {}
    for name, part in drawing_parts(module).items():
        if fnmatch.fnmatchcase(name, pattern) and not any(name.startswith(f"{outer}.") for outer in found):
            found[name] = part
    return list(found.items())


def _only_frozen(pattern: str) -> str:
    return (
        f"'{pattern}' names no noise layer of this package, and foreign noise can only be frozen; "
        "replace it by one of this package's layers through inject()"
    )


def _unknown(pattern: str, valid: Sequence[str] | Mapping[str, object]) -> InputError:
    if valid:
        return unknown_name("noise layer", pattern, valid)
    return InputError(f"the network has no noise layer, so none is named '{pattern}'; inject() puts them in")

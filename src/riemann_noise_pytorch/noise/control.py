"""Which noise a network sees, for the length of a ``with`` block: frozen, fresh, given, scaled or off.

The noise layers of a network are reached by name, by pattern, several of them, or all at once:

    with frozen(generator, seed=0), off(generator, "stage4.*"):
        images = generator(z)

Of noise that is not this package's, drawn from torch's generators inside of a network, only freezing is
possible (:mod:`~riemann_noise_pytorch.noise.foreign`). Of nested blocks the innermost counts. A copy or a
pickle of a network that is made inside a block has fresh noise.

``torch.utils.checkpoint`` calls parts of a network anew in the backward pass, and they see the noise of that
moment: the backward pass of checkpointed parts belongs inside the block. Noise of ``fresh(network,
generator)`` cannot be recomputed, for the generator has gone on by then; without a generator it can, since
checkpointing puts back the states of torch's own.
"""

import contextlib
import math
import operator
from collections.abc import Iterator, Mapping
from numbers import Real
from typing import SupportsIndex

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise.foreign import generators_of, released
from riemann_noise_pytorch.noise.interfaces import NoiseLayer
from riemann_noise_pytorch.noise.listing import NoiseLayers, noise_layers
from riemann_noise_pytorch.noise.selection import (
    Layers,
    only_frozen,
    ours,
    ours_and_foreign,
    patterns_of,
    roots,
)
from riemann_noise_pytorch.noise.sources import Fresh, Frozen, Given, Off, Scaled, Source
from riemann_noise_pytorch.noise.wording import shown
from riemann_noise_pytorch.seeds import derive

__all__ = ["Layers", "NoiseLayers", "fresh", "frozen", "given", "noise_layers", "off", "scaled"]


@contextlib.contextmanager
def frozen(
    module: nn.Module, seed: SupportsIndex = 0, layers: Layers = "*", first_sample: SupportsIndex = 0
) -> Iterator[None]:
    """Within the block, the network sees the same noise at every call.

    This package's layers compute their noise from seed, layer, sample and position, without any random
    operation. A network that may draw from torch's generators (CPU and CUDA) is held besides: each call of
    ``module`` starts from a state given by ``seed`` and ``first_sample``, and the state from before is put
    back, also when the call raises. Such noise belongs to the whole batch, not to its samples. In batched
    derivatives every chunk starts anew; torch wants ``randomness="same"`` for them. What is called by its
    parts (``generator.synthesis(w)``) is held by their names, or by giving the part as ``module``. Held are
    calls of the modules themselves: ``generator(x)``, but neither ``generator.forward(x)`` nor other methods
    such as ``generator.generate(x)``. Out of reach are generators of the network's own, numpy's, and a
    function that was compiled around the network before: compile the network itself.

    The backward pass of parts under ``torch.utils.checkpoint`` belongs inside the block.

    Args:
        module: Any network, compiled and parallel ones included.
        seed: Seed of the noise, an integer of any type.
        layers: Names or patterns of noise layers, and of parts of the network that may draw, whose calls are
            held then.
        first_sample: Global index of the first sample of each batch, from 0.

    Raises:
        InputError: A pattern matches neither a noise layer nor a part that may draw, or a part that is inside
            a compiled network; seed or first_sample are no such integers.

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
    seed, first_sample = _integer("seed", seed), _integer("first_sample", first_sample)
    if not 0 <= first_sample < 1 << 62:
        raise InputError(f"first_sample must be 0 or more, and below 2^62, not {first_sample}")
    chosen, parts = ours_and_foreign(module, layers)
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

    With a generator, parts under ``torch.utils.checkpoint`` cannot be recomputed: their noise would be other.

    Args:
        module: Any network. With ``*`` its foreign noise is no longer frozen either; it draws from torch's
            generators as ever.
        generator: Where this package's layers take random numbers from, on the network's device; torch's own
            by default.
        layers: Names or patterns of this package's layers.

    Raises:
        InputError: A pattern matches none of this package's layers, or the generator is none.
    """
    if generator is not None and not isinstance(generator, torch.Generator):
        raise InputError(
            f"generator must be a torch.Generator or None, not {shown(generator)}; "
            "for a seed give torch.Generator().manual_seed(seed)"
        )
    sources = {layer: Fresh(generator) for layer in ours(module, layers).values()}
    networks = [root for _, root in roots(module)] if "*" in patterns_of(layers) else []
    with released(networks), _exchanged(sources):
        yield


@contextlib.contextmanager
def scaled(module: nn.Module, factor: float | Tensor, layers: Layers = "*") -> Iterator[None]:
    """Within the block, the noise of the layers is multiplied by a factor.

    The noise is that of the blocks around it. Since the innermost block counts, a ``frozen`` inside of it
    undoes the scaling: write ``with frozen(...), scaled(...)``.

    Args:
        module: A network with any number of this package's layers. Foreign noise stays as it is.
        factor: Any finite real number, or a tensor of one.
        layers: Names or patterns of this package's layers.

    Raises:
        InputError: The factor is no finite number, or a pattern matches none of this package's layers.
    """
    number = _finite(factor)
    with _exchanged({layer: Scaled(layer.source, number) for layer in ours(module, layers).values()}):
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
    with _exchanged(dict.fromkeys(ours(module, layers).values(), Off())):
        yield


@contextlib.contextmanager
def given(module: nn.Module, maps: Mapping[str, Tensor]) -> Iterator[None]:
    """Within the block, the named layers use the noise that the caller supplies.

    The backward pass of parts under ``torch.utils.checkpoint`` belongs inside the block.

    Args:
        module: A network with layers of this package.
        maps: Noise by layer name or pattern, real tensors, each broadcastable to its layer's (N, C, H, W).
            Gradients reach it.

    Raises:
        InputError: A name matches none of this package's layers, a map is no real tensor, or (when the layer
            is called) a map has a wrong shape.
    """
    _check_maps(maps)
    if not noise_layers(module) and maps:
        raise only_frozen(next(iter(maps)))
    with contextlib.ExitStack() as stack:
        for layers, tensor in maps.items():
            stack.enter_context(_exchanged(dict.fromkeys(ours(module, layers).values(), Given(tensor))))
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


def _integer(what: str, value: SupportsIndex) -> int:
    """An integer of any type as Python's, so that streams depend on its value alone."""
    try:
        return operator.index(value)
    except TypeError:
        raise InputError(f"{what} must be an integer, not {shown(value)}; convert it by int()") from None


def _finite(factor: object) -> float | Tensor:
    if isinstance(factor, Tensor) and factor.ndim == 0 and not factor.is_complex() and factor.isfinite():
        return factor
    with contextlib.suppress(OverflowError):
        if isinstance(factor, Real) and math.isfinite(factor):
            return float(factor)
    told_factor = f"a tensor of shape {tuple(factor.shape)}" if isinstance(factor, Tensor) else shown(factor)
    raise InputError(f"noise cannot be scaled by {told_factor}; give a finite factor, a real number")


def _check_maps(maps: object) -> None:
    if not isinstance(maps, Mapping):
        raise InputError(
            f"given noise must be a dict of maps by layer name, not of type {type(maps).__name__}; "
            "for all layers give {'*': map}"
        )
    for name, each in maps.items():
        if not isinstance(each, Tensor) or each.is_complex():
            kind = each.dtype if isinstance(each, Tensor) else f"of type {type(each).__name__}"
            raise InputError(f"the noise given for '{name}' must be a real tensor, not {kind}; convert it")

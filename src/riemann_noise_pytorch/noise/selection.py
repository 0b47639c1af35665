"""Which noise layers of a network, and which of its parts that may draw, a name or a pattern stands for."""

import fnmatch
from collections.abc import Mapping, Sequence

from torch import nn

from riemann_noise_pytorch.errors import InputError, unknown_name
from riemann_noise_pytorch.noise.foreign import may_draw
from riemann_noise_pytorch.noise.interfaces import NoiseLayer
from riemann_noise_pytorch.noise.listing import PARALLEL, drawing_parts, inside_compiled, noise_layers
from riemann_noise_pytorch.noise.wording import shown

Layers = str | Sequence[str]
"""A name, a shell pattern (``*`` for all), or several of them."""


def patterns_of(layers: Layers) -> Sequence[str]:
    """List the patterns.

    Raises:
        InputError: They are none.
    """
    patterns = [layers] if isinstance(layers, str) else layers
    if not isinstance(patterns, Sequence) or not patterns or any(not isinstance(p, str) for p in patterns):
        raise InputError(
            f"layers must be a name, a pattern or several of them, not {shown(layers)}; '*' is all"
        )
    return patterns


def ours(module: nn.Module, layers: Layers) -> dict[str, NoiseLayer]:
    """List the noise layers that are meant, where only this package's will do.

    Raises:
        InputError: A pattern, other than ``*``, matches none.
    """
    every = noise_layers(module)
    chosen: dict[str, NoiseLayer] = {}
    for pattern in patterns_of(layers):
        found = _matching(every, pattern)
        if not found and pattern != "*":
            foreign = _outermost(drawing_parts(module), pattern)
            raise only_frozen(pattern) if foreign else _unknown(pattern, every)
        chosen |= found
    return chosen


def ours_and_foreign(
    module: nn.Module, layers: Layers
) -> tuple[dict[str, NoiseLayer], list[tuple[str, nn.Module]]]:
    """List the noise layers that are meant, and the parts whose calls are to be held, each with its name.

    Raises:
        InputError: A pattern, other than ``*``, matches neither; or a part that is inside a compiled network.
    """
    every = noise_layers(module)
    patterns = patterns_of(layers)
    drawing = drawing_parts(module) if set(patterns) - {"*"} else {}
    chosen: dict[str, NoiseLayer] = {}
    parts: list[tuple[str, nn.Module]] = []
    for pattern in patterns:
        found = _matching(every, pattern)
        chosen |= found
        if pattern == "*":
            parts += roots(module) if may_draw(module) else []
            continue
        foreign = _outermost(drawing, pattern)
        if not found and not foreign:
            raise _unknown(pattern, [*every, *drawing])
        compiled = [name for name, _ in foreign if inside_compiled(module, name)]
        if compiled:
            raise InputError(
                f"the calls of '{compiled[0]}' cannot be told apart inside a compiled network; "
                "freeze all of it, leave it uncompiled, or match this package's layers alone"
            )
        parts += foreign
    return chosen, parts


def roots(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """List the network, and the one within where it is wrapped for data parallelism, under the empty name."""
    inner = [module.get_submodule("module")] if isinstance(module, PARALLEL) else []
    return [("", root) for root in (module, *inner)]


def only_frozen(pattern: str) -> InputError:
    """Build the error for foreign noise where only this package's will do."""
    return InputError(
        f"'{pattern}' names no noise layer of this package, and foreign noise can only be frozen; "
        "replace it by one of this package's layers through inject()"
    )


def _matching(every: Mapping[str, NoiseLayer], pattern: str) -> dict[str, NoiseLayer]:
    return {name: layer for name, layer in every.items() if fnmatch.fnmatchcase(name, pattern)}


def _outermost(drawing: Mapping[str, nn.Module], pattern: str) -> list[tuple[str, nn.Module]]:
    """The parts that match and are not inside of another one that does."""
    found: dict[str, nn.Module] = {}
    for name, part in drawing.items():
        if fnmatch.fnmatchcase(name, pattern) and not any(name.startswith(f"{outer}.") for outer in found):
            found[name] = part
    return list(found.items())


def _unknown(pattern: str, valid: Sequence[str] | Mapping[str, object]) -> InputError:
    if valid:
        return unknown_name("noise layer", pattern, valid)
    return InputError(f"the network has no noise layer, so none is named '{pattern}'; inject() puts them in")

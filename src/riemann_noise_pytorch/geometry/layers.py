"""What the layers of a network return during one call, in the order in which they finish.

A layer is any module whose call returns a tensor that was not there before: neither one that it was given nor
one that a module inside of it returned, unless it changed it in place. So a block that hands on what its last
child made is no layer of its own, and dropout in eval mode is none at all. Of tuples and dicts the first
tensor of floating point counts.
"""

import contextlib
import fnmatch
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from riemann_noise_pytorch.errors import NonFiniteError, unknown_name
from riemann_noise_pytorch.geometry.convolutions import OneProduct
from riemann_noise_pytorch.noise.control import Layers
from riemann_noise_pytorch.noise.listing import parts_by_name
from riemann_noise_pytorch.noise.selection import patterns_of

IMAGE = "image"
"""Name of what the network as a whole returns; it stands for the layer that made it."""


@dataclass(frozen=True)
class LayerShape:
    """A layer's result for one sample.

    Attributes:
        name: Qualified name of the module, with ``#2``, ``#3`` ... from its second call on.
        shape: Of the result, without the axis of the samples.
        size: Number of values.
    """

    name: str
    shape: tuple[int, ...]
    size: int


@dataclass(frozen=True)
class Call:
    """Which call of which module makes a layer; no module for the image.

    Attributes:
        shape: Its name and shape.
        module: The module.
        number: Of the call, from 1.
        changes: Whether a later operation changes the result in place.
    """

    shape: LayerShape
    module: nn.Module | None = None
    number: int = 0
    changes: bool = False


def called_layers(
    function: Callable[[Tensor], Tensor], x: Tensor, module: nn.Module | None, layers: Layers = "*"
) -> tuple[Call, ...]:
    """Run a function once, and list the layers that it calls.

    Args:
        function: From a vector to an image.
        x: The vector.
        module: Where the layers are; None for a function without any, which has the image alone.
        layers: Names or patterns of those that are wanted.

    Returns:
        The layers in order of completion, the image last.

    Raises:
        InputError: A pattern matches no layer; the message names the nearest.
        NonFiniteError: A layer's result has NaN or infinity; the message names the first.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.Dropout(), nn.ReLU(), nn.Linear(3, 4)).eval()
        >>> [call.shape.name for call in called_layers(net, torch.ones(2), net)]
        ['0', '2', 'image']
    """
    survey = _Survey()
    with torch.no_grad(), OneProduct(), survey.following(module):
        image = function(x)
    found = survey.found
    if found and _is_same(found[-1].result, found[-1].version, image):
        found.pop()
    calls = [
        Call(
            _shape_of(each.name, each.result), each.module, each.number, each.result._version != each.version
        )
        for each in found
    ]
    names = [call.shape.name for call in calls]
    calls.append(Call(LayerShape(_free(IMAGE, names), tuple(image.shape), image.numel())))
    for call, result in zip(calls, [*(each.result for each in found), image], strict=True):
        if not result.isfinite().all():
            raise NonFiniteError(
                f"layer '{call.shape.name}' gives NaN or infinity; check the generator's weights"
            )
    return _chosen(calls, layers)


def results_of(
    function: Callable[[Tensor], Tensor], calls: Collection[Call]
) -> Callable[[Tensor], dict[str, Tensor]]:
    """Turn a function into one that returns what the layers return, flat and by name, in their order.

    Results that are changed in place later on are copied before. It passes through the transforms of
    ``torch.func``.
    """

    def results(x: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        with _hooked(calls, found):
            image = function(x)
        return {
            call.shape.name: image.flatten() if call.module is None else found[call.shape.name]
            for call in calls
        }

    return results


@contextlib.contextmanager
def _hooked(calls: Collection[Call], found: dict[str, Tensor]) -> Iterator[None]:
    wanted: dict[nn.Module, dict[int, Call]] = {}
    for call in calls:
        if call.module is not None:
            wanted.setdefault(call.module, {})[call.number] = call
    numbers: Counter[nn.Module] = Counter()

    def note(module: nn.Module, args: Any, output: Any) -> None:  # noqa: ARG001 - the signature of a hook
        numbers[module] += 1
        call = wanted[module].get(numbers[module])
        if call is not None:
            result = _first_floating(output)
            assert result is not None
            found[call.shape.name] = (result.clone() if call.changes else result).flatten()

    with contextlib.ExitStack() as hooks:
        for module in wanted:
            hooks.callback(module.register_forward_hook(note).remove)
        yield


@dataclass(frozen=True)
class _Found:
    name: str
    module: nn.Module
    number: int
    result: Tensor
    version: int


@final
class _Survey:
    """Follows the calls of modules, and tells new results from those that are handed on."""

    def __init__(self) -> None:
        self.found: list[_Found] = []
        self._seen: list[dict[int, int]] = []
        """For each call under way: tensors that are not new to it, by identity, with their versions."""
        self._kept: list[Tensor] = []
        """So that no identity is used twice."""
        self._numbers: Counter[nn.Module] = Counter()

    @contextlib.contextmanager
    def following(self, module: nn.Module | None) -> Iterator[None]:
        """Within the block, note the calls of a module and of its parts."""
        with contextlib.ExitStack() as hooks:
            parts = {} if module is None else parts_by_name(module)
            for name, part in parts.items():
                if isinstance(part, torch.jit.ScriptModule):
                    continue
                before = part.register_forward_pre_hook(self._enter, prepend=True, with_kwargs=True)
                hooks.callback(before.remove)
                after = part.register_forward_hook(
                    lambda part, _args, output, name=name: self._leave(name, part, output), always_call=True
                )
                hooks.callback(after.remove)
            yield

    def _enter(self, part: nn.Module, args: Any, kwargs: Any) -> None:  # noqa: ARG002 - the signature of a hook
        self._seen.append(self._versions((args, kwargs)))

    def _leave(self, name: str, part: nn.Module, output: Any) -> None:
        seen = self._seen.pop()
        self._numbers[part] += 1
        result = _first_floating(output)
        if result is not None and seen.get(id(result)) != result._version:
            number = self._numbers[part]
            label = (name or type(part).__name__) + (f"#{number}" if number > 1 else "")
            self.found.append(_Found(label, part, number, result, result._version))
        if self._seen:
            self._seen[-1].update(self._versions(output))

    def _versions(self, values: Any) -> dict[int, int]:
        tensors = [value for value in tree_leaves(values) if isinstance(value, Tensor)]
        self._kept += tensors
        return {id(tensor): tensor._version for tensor in tensors}


def _first_floating(output: Any) -> Tensor | None:
    leaves = (value for value in tree_leaves(output) if isinstance(value, Tensor))
    return next((value for value in leaves if value.is_floating_point()), None)


def _is_same(result: Tensor, version: int, image: Tensor) -> bool:
    """Whether an image is the very result of a layer, but for the axis of the samples."""
    same_memory = result.data_ptr() == image.data_ptr() and result.numel() == image.numel()
    return same_memory and version == image._version


def _shape_of(name: str, result: Tensor) -> LayerShape:
    shape = tuple(result.shape)
    return LayerShape(name, shape[1:] if shape[:1] == (1,) else shape, result.numel())


def _free(name: str, taken: Collection[str]) -> str:
    number = 2
    label = name
    while label in taken:
        label, number = f"{name}#{number}", number + 1
    return label


def _chosen(calls: list[Call], layers: Layers) -> tuple[Call, ...]:
    names = [call.shape.name for call in calls]
    wanted: set[str] = set()
    for pattern in patterns_of(layers):
        matching = [name for name in names if fnmatch.fnmatchcase(name, pattern)]
        if not matching:
            raise unknown_name("layer", pattern, names)
        wanted.update(matching)
    return tuple(call for call in calls if call.shape.name in wanted)

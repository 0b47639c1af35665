"""One tensor of what a module puts out: the output itself, or a member of a tuple, list or dict."""

import copy
import dataclasses
from collections.abc import Hashable, Mapping
from typing import Any

from torch import Tensor

from riemann_noise_pytorch.errors import InputError, unknown_name
from riemann_noise_pytorch.noise.wording import shown

Key = int | str | None


def member(output: object, key: Key) -> Tensor:
    """Find the tensor that a key stands for.

    Args:
        output: What a module put out.
        key: None for a lone tensor, an index of a tuple or list, a key of a dict, a field of a named tuple.

    Returns:
        The tensor.

    Raises:
        InputError: There is no such member, or it is no tensor.
    """
    if isinstance(output, Tensor):
        if key is not None:
            raise InputError(f"its output is one tensor, which has no member {key!r}; leave output= out")
        return output
    members = _members(output)
    tensors = [name for name, value in members.items() if isinstance(value, Tensor)]
    kind = type(output).__name__
    if not tensors and _is_deep(output):
        raise InputError(
            f"its output is of type {kind} and holds tensors deeper; match the module that makes it"
        )
    if not tensors:
        raise InputError(f"its output is of type {kind} and holds no tensor; match another module")
    if key is None:
        listed = ", ".join(map(repr, tensors))
        raise InputError(
            f"its output is of type {kind} with tensors at {listed}; choose one, as in output={tensors[0]!r}"
        )
    place = _place(output, key)
    if place not in members:
        raise unknown_name(f"member of its output of type {kind}", str(key), map(str, members))
    value = members[place]
    if not isinstance(value, Tensor):
        deep = " and holds tensors deeper; match the module that makes it, or" if _is_deep(value) else ";"
        raise InputError(
            f"member {key!r} of its output is of type {type(value).__name__}{deep} "
            f"choose a tensor, as in output={tensors[0]!r}"
        )
    return value


def check_key(key: object) -> None:
    """Refuse what cannot stand for one member of an output.

    Raises:
        InputError: It is neither None nor an index nor a key.
    """
    if key is not None and (isinstance(key, bool | float | slice) or not isinstance(key, Hashable)):
        raise InputError(
            f"output must be None, an index or a key, not {shown(key)}; give one, as in output=0"
        )


def replaced(output: Any, key: Key, value: Tensor) -> Any:
    """Exchange the tensor that a key stands for.

    Args:
        output: What a module put out, as :func:`member` took it; it is not changed.
        key: None for a lone tensor, or the key of a member.
        value: The new tensor.

    Returns:
        The output with the new tensor in its place, of the type that it had.

    Example:
        >>> import torch
        >>> replaced({"image": torch.zeros(1), "seed": 3}, "image", torch.ones(1))
        {'image': tensor([1.]), 'seed': 3}
    """
    if key is None:
        return value
    if isinstance(output, tuple):
        place = _place(output, key)
        items = [value if i == place else item for i, item in enumerate(output)]
        return getattr(type(output), "_make", type(output))(items)
    changed = dict(output) if type(output) is dict else copy.copy(output)
    changed[key] = value
    return changed


def _members(output: object) -> dict[Any, Any]:
    if isinstance(output, Mapping):
        return dict(output)
    return dict(enumerate(output)) if isinstance(output, tuple | list) else {}


def _is_deep(output: object, levels: int = 4) -> bool:
    if isinstance(output, Tensor):
        return True
    fields = dataclasses.fields(output) if dataclasses.is_dataclass(output) else ()
    inner = [*_members(output).values(), *(getattr(output, field.name, None) for field in fields)]
    return levels > 0 and any(_is_deep(value, levels - 1) for value in inner)


def _place(output: object, key: int | str) -> int | str:
    if isinstance(output, tuple) and isinstance(key, str):
        fields: tuple[str, ...] = getattr(output, "_fields", ())
        return fields.index(key) if key in fields else key
    if isinstance(output, tuple | list) and isinstance(key, int) and key < 0:
        return key + len(output)
    return key

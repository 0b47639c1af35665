"""The precision that a network computes in: copies in another one, and half precision that hides inside.

A network in float32 whose inner layers compute in float16 or bfloat16 takes and returns float32, so its
parameters and its images do not tell. Here every operation of one call is looked at.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from types import BuiltinFunctionType, FunctionType
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from riemann_noise_pytorch.errors import InputError

Network = Callable[..., Tensor]

EXACT = (torch.float32, torch.float64)
OWN_PRECISION = "give --precision float32, or in Python leave dtype out"
"""How to measure a generator that cannot be copied into another precision."""


def in_precision(
    network: Network, module: nn.Module | None, dtype: torch.dtype | None
) -> tuple[Network, nn.Module | None]:
    """Copy a network into another precision; what is given stays as it is.

    Args:
        network: A module, a method of one, or an object that has modules.
        module: The module that the network is made of.
        dtype: float32 or float64; None for no copy.

    Returns:
        The two copies, or what was given where ``dtype`` is None.

    Raises:
        InputError: Another dtype, a plain function, whose inner network is out of reach, or a network that
            cannot be copied.

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> copied, _ = in_precision(layer, layer, torch.float64)
        >>> copied(torch.ones(1, 2, dtype=torch.float64)).dtype, layer.weight.dtype
        (torch.float64, torch.float32)
    """
    if dtype is None:
        return network, module
    if dtype not in EXACT:
        raise InputError(
            f"finite differences cannot be taken in {dtype}; choose torch.float64, or leave dtype out"
        )
    if module is None or isinstance(network, (FunctionType, BuiltinFunctionType)):
        raise InputError(
            f"a function cannot be copied into {dtype}, for the network inside it is out of reach; "
            "give the module itself, or convert it before and leave dtype out"
        )
    memo: dict[int, Any] = {}
    try:
        network, module = copy.deepcopy(network, memo), copy.deepcopy(module, memo)
    except Exception as error:  # a foreign object can refuse to be copied in any way
        raise InputError(
            f"the generator cannot be copied into {dtype} ({type(error).__name__}); {OWN_PRECISION}"
        ) from error
    if isinstance(network, nn.Module):
        network.to(dtype)
    return network, module.to(dtype)


@final
class HalfPrecision(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within the block, looks for results in fewer than 32 bits of floating point.

    Attributes:
        found: The dtype of the first, None if there is none.

    Example:
        >>> with HalfPrecision() as half:
        ...     x = torch.ones(2).bfloat16().float()
        >>> half.found
        torch.bfloat16
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: torch.dtype | None = None

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an operation and look at its results."""
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, Tensor) and value.is_floating_point() and value.dtype not in EXACT:
                self.found = self.found or value.dtype
        return result

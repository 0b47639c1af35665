"""Whether tensors are mere numbers in memory, so that formulas written by hand may take them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad


def is_ordinary(tensors: Sequence[Any]) -> bool:
    """Whether tensors are mere numbers in memory: no duals, not wrapped, traced or faked by anything."""
    if not all(type(tensor) in (Tensor, nn.Parameter) for tensor in tensors):
        return False  # of a mode's own, such as FakeTensor
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[no-untyped-call, attr-defined]
        return False
    try:
        for tensor in tensors:
            tensor.data_ptr()  # wrappers of torch.func have no memory of their own
            dual = forward_ad.unpack_dual(tensor)  # type: ignore[no-untyped-call]
            if dual.tangent is not None:
                return False
    except RuntimeError:
        return False
    return True

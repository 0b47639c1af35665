"""How many directions go through a function together: as many as a budget of memory allows."""

from typing import Any, final

from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.geometry.derivatives import Function, Reverse

WORKING_COPIES = 12
"""Copies of the largest result that an operation needs: a 3x3 convolution unfolds its input into nine."""
KEPT_COPIES = 2
"""Tangents of all outputs are there twice: those of one chunk with whoever asked, and those of the next."""
FIXED_COPIES = 4
"""Copies of the largest operand that do not grow with the chunk: zeros for a weight's missing tangent."""
MOST_TOGETHER = 64
"""Directions that go together at most: enough to share one pass, few enough to stay near the processor."""


def chunk_size(function: Function, x: Tensor, memory_mib: float) -> tuple[int, Reverse]:
    """Choose how many directions go together: as many as fit into memory, and at most MOST_TOGETHER.

    What they take is counted in one recorded call: the outputs, the largest result of an operation that
    depends on the point, and the largest operand of any, each so many times as the constants above say. One
    direction goes always.

    Args:
        function: As of :func:`fitting_way`.
        x: The point.
        memory_mib: The memory, over and above what is there.

    Returns:
        The number, and reverse mode from the recorded call.

    Raises:
        InputError: The memory is no positive number.

    Example:
        >>> import torch
        >>> chunk_size(lambda x: {"y": 2 * x}, torch.zeros(2**17), memory_mib=16)[0]
        2
    """
    if not memory_mib > 0:
        raise InputError(f"memory must be a positive number of MiB, not {memory_mib}; 1024 is usual")
    with _Largest() as largest:
        reverse = Reverse(function, x, batched=False)
    budget = memory_mib * 2**20 - FIXED_COPIES * largest.operand
    fitting = int(budget / (KEPT_COPIES * reverse.nbytes + WORKING_COPIES * largest.result))
    passes = -(-len(x) // max(1, min(fitting, MOST_TOGETHER)))
    return -(-len(x) // passes), reverse


@final
class _Largest(TorchFunctionMode):
    """Within the block, notes the bytes of the largest operand, and of the largest result with a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.operand = 0
        self.result = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        operands, results = (
            [value for value in tree_leaves(values) if isinstance(value, Tensor)]
            for values in ((args, kwargs), result)
        )
        self.operand = max([self.operand, *(value.nbytes for value in operands)])
        self.result = max([self.result, *(value.nbytes for value in results if value.requires_grad)])
        return result

"""Transposed convolutions in float64 as products of matrices.

Torch has no fast routine for them on CPUs: it reads all weights anew for each sample, and a chunk of tangents
is many samples. One product for all of them, its patches added where they overlap, gives the same numbers up
to rounding, in a fraction of the time where maps are small.
"""

from typing import Any, final

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.overrides import TorchFunctionMode

Size = int | tuple[int, int]


@final
class TransposedProducts(TorchFunctionMode):
    """Within the block, transposed convolutions that have no fast routine are computed as products.

    Example:
        >>> x, weight = torch.ones(1, 2, 3, 3).double(), torch.ones(2, 1, 4, 4).double()
        >>> with TransposedProducts():
        ...     image = F.conv_transpose2d(x, weight, stride=2, padding=1)
        >>> torch.equal(image, F.conv_transpose2d(x, weight, stride=2, padding=1))
        True
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function of torch, or what stands for it."""
        kwargs = kwargs or {}
        if func is torch.conv_transpose2d and _is_slow(*args, **kwargs):
            return _product(*args, **kwargs)
        return func(*args, **kwargs)


def _is_slow(input: Tensor, weight: Tensor, *others: Any, **named: Any) -> bool:  # noqa: A002
    groups = others[4] if len(others) > 4 else named.get("groups", 1)
    on_cpu = input.device.type == "cpu" and input.dtype == weight.dtype == torch.float64
    return on_cpu and input.ndim == 4 and groups == 1


def _product(
    input: Tensor,  # noqa: A002 - the names by which torch calls them
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,  # noqa: ARG001
    dilation: Size = 1,
) -> Tensor:
    kernel = tuple(weight.shape[2:])
    stride, padding, extra, dilation = map(_each, (stride, padding, output_padding, dilation))
    axes = zip(input.shape[2:], kernel, stride, padding, extra, dilation, strict=True)
    size = tuple((n - 1) * s - 2 * p + d * (k - 1) + o + 1 for n, k, s, p, o, d in axes)
    pixels = input.permute(0, 2, 3, 1).flatten(0, 2).contiguous()  # or each sample has a product of its own
    patches = (pixels @ weight.flatten(1)).view(len(input), -1, weight[0].numel())
    image = F.fold(patches.transpose(1, 2), size, kernel, dilation, padding, stride)
    return image if bias is None else image + bias.view(-1, 1, 1)


def _each(setting: Size) -> tuple[int, ...]:
    """A setting of both axes, in the ways in which torch takes it."""
    values = (setting,) if isinstance(setting, int) else tuple(setting)
    return values * 2 if len(values) == 1 else values

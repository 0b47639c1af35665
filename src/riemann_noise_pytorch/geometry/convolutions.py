r"""Convolutions of many tangents as one product with the weight.

On a CPU, torch's convolutions in float64 go one sample after the other, and each reads the whole weight.
Where a sample has few positions that is most of the work, and one product does without it:

.. math:: Y = \operatorname{fold}(X W) \quad\text{or}\quad Y = \operatorname{unfold}(X) W^T

with the positions of all tangents as the rows of one matrix.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any, final

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

MOST_POSITIONS = 64
"""Of a sample, that are rows of the product; with more of them torch's own way is as fast."""
Sizes = int | Sequence[int]


@final
class OneProduct(TorchFunctionMode):
    """Within the block, convolutions in float64 on the CPU whose samples have few positions are one product.

    The results are those of torch up to rounding, in any transform of ``torch.func``.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        own = _OWN.get(func)
        result = None if own is None else own(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {})) if result is None else result


def _conv2d(
    input: Tensor,  # noqa: A002 - torch's name
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor | None:
    if isinstance(padding, str) or not _fits(input, weight, bias, groups, weight.shape[:2]):
        return None
    steps, pads, gaps = _pair(stride), _pair(padding), _pair(dilation)
    if min(*steps, *gaps) < 1 or min(pads) < 0:
        return None
    kernel = weight.shape[2:]
    sizes = [
        (size + 2 * pad - gap * (side - 1) - 1) // step + 1
        for size, pad, gap, side, step in zip(input.shape[2:], pads, gaps, kernel, steps, strict=True)
    ]
    if not 0 < math.prod(sizes) <= MOST_POSITIONS or min(sizes) < 1:
        return None
    columns = functional.unfold(input, kernel, gaps, pads, steps)
    found = _product(columns, weight.flatten(1).T).mT
    return _with_bias(found.reshape(len(input), len(weight), *sizes), bias)


def _conv_transpose2d(
    input: Tensor,  # noqa: A002 - torch's name
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Tensor | None:
    if not _fits(input, weight, bias, groups, weight.shape[1::-1]):
        return None
    steps, pads, more, gaps = _pair(stride), _pair(padding), _pair(output_padding), _pair(dilation)
    kernel = weight.shape[2:]
    if (
        min(*steps, *gaps) < 1
        or min(*pads, *more) < 0
        or not 0 < math.prod(input.shape[2:]) <= MOST_POSITIONS
    ):
        return None
    if any(each >= step for each, step in zip(more, steps, strict=True)):
        return None
    sizes = [
        (size - 1) * step - 2 * pad + gap * (side - 1) + extra + 1
        for size, step, pad, gap, side, extra in zip(
            input.shape[2:], steps, pads, gaps, kernel, more, strict=True
        )
    ]
    if min(sizes) < 1:
        return None
    (height, width), outputs = input.shape[2:], weight.shape[1]
    taps = _product(input.flatten(2), weight.permute(0, 2, 3, 1).flatten(1))
    taps = taps.view(len(input), height, width, *kernel, outputs)
    padded = taps.new_zeros(
        len(input), *(size + 2 * pad for size, pad in zip(sizes, pads, strict=True)), outputs
    )
    for y, x in product(*map(range, kernel)):
        rows = slice(gaps[0] * y, gaps[0] * y + steps[0] * height, steps[0])
        columns = slice(gaps[1] * x, gaps[1] * x + steps[1] * width, steps[1])
        padded[:, rows, columns].add_(taps[:, :, :, y, x])
    inner = (slice(pad, pad + size) for pad, size in zip(pads, sizes, strict=True))
    features = padded[:, *inner].movedim(3, 1).contiguous()
    return _with_bias(features, bias)


_OWN: Mapping[Any, Callable[..., Tensor | None]] = {
    torch.conv2d: _conv2d,
    functional.conv2d: _conv2d,
    torch.conv_transpose2d: _conv_transpose2d,
    functional.conv_transpose2d: _conv_transpose2d,
}


def _fits(
    input: Tensor,  # noqa: A002 - torch's name
    weight: Tensor,
    bias: Tensor | None,
    groups: int,
    channels: Sequence[int],
) -> bool:
    """Whether a product will do; ``channels`` are those of the outputs and of the inputs."""
    return (
        input.ndim == weight.ndim == 4
        and groups == 1
        and input.shape[1] == channels[1]
        and (bias is None or (bias.shape == channels[:1] and bias.dtype == weight.dtype))
        and input.dtype == weight.dtype == torch.float64
        and input.device.type == weight.device.type == "cpu"
    )


def _product(columns: Tensor, weight: Tensor) -> Tensor:
    """Of columns (N, c, L) and a matrix (c, d): (N, L, d), with one product for all samples."""
    n, c, length = columns.shape
    rows = columns.mT.reshape(n * length, c).contiguous()
    return (rows @ weight).view(n, length, weight.shape[1])


def _with_bias(features: Tensor, bias: Tensor | None) -> Tensor:
    return features if bias is None else features + bias.view(-1, 1, 1)


def _pair(sizes: Sizes) -> tuple[int, int]:
    if isinstance(sizes, int):
        return sizes, sizes
    return sizes[0], sizes[-1]

"""Operations that allow some kinds of derivatives and not others."""

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


class BothModes(Function):
    """A square with rules for forward mode, reverse mode and batches."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x * x

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, upstream):
        return 2 * ctx.saved_tensors[0] * upstream

    @staticmethod
    def jvp(ctx, tangent):
        return 2 * ctx.saved_tensors[0] * tangent


class WrongForward(BothModes):
    """A mistake in the forward rule."""

    @staticmethod
    def jvp(ctx, tangent):
        return 3 * ctx.saved_tensors[0] * tangent


class ReverseOnly(Function):
    """A square without a forward rule and without a rule for batches, in the older style."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, upstream):
        return 2 * ctx.saved_tensors[0] * upstream


class Once(ReverseOnly):
    """A square that can be differentiated once."""

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        return 2 * ctx.saved_tensors[0] * upstream


class OnceAlone(ReverseOnly):
    """A square whose gradient looks at a number, which no batch allows."""

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        assert upstream.sum().item() == upstream.sum().item()
        return 2 * ctx.saved_tensors[0] * upstream


class WrongTwice(ReverseOnly):
    """A gradient that is right, and hides from the second derivative what it depends on."""

    @staticmethod
    def backward(ctx, upstream):
        return 2 * ctx.saved_tensors[0] * (upstream.detach() + 0 * upstream)


class Unbatched(BothModes):
    """A square without a rule for batches."""

    generate_vmap_rule = False


def in_place(x: Tensor) -> Tensor:
    """A square written into memory that is not batched."""
    result = torch.zeros(x.shape, dtype=x.dtype)
    result[:] = x * x
    return result

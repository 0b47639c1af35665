r"""Products with the Jacobians of a function that has several outputs, in whatever way the function allows.

======================  =====================================================================================
``forward``             J v with dual numbers, many directions v in one pass
``double reverse``      J v as the derivative of :math:`u \mapsto J^T u`, a linear map, so any u will do
``reverse``             :math:`J^T u` alone: as many passes as there are outputs
======================  =====================================================================================

Not every operation has a forward rule, can be differentiated twice, or can be batched. So the ways are tried
in this order, at the point itself; what the first two give is compared with reverse mode once, for a wrong
derivative makes no noise.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Literal, final, get_args

import torch
from torch import Tensor
from torch.autograd import forward_ad

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.geometry.convolutions import OneProduct
from riemann_noise_pytorch.noise.failures import is_out_of_memory, place_of_failure
from riemann_noise_pytorch.noise.pairs import counted_normal

Mode = Literal["forward", "double reverse", "reverse"]
MODES: tuple[Mode, ...] = get_args(Mode)
Outputs = dict[str, Tensor]
"""Flat tensors by name, (m,); of several directions, (k, m)."""
Function = Callable[[Tensor], Outputs]


class Way(ABC):
    """A way to multiply by the Jacobians of a function at a point.

    Attributes:
        mode: Its name.
        batched: Whether many directions go through together.
    """

    mode: ClassVar[Mode]

    def __init__(self, function: Function, x: Tensor, batched: bool) -> None:
        self.batched = batched
        self._function = function
        self._x = x.detach()

    @abstractmethod
    def push(self, v: Tensor) -> Outputs:
        """Multiply directions (k, n) by the Jacobian of each output: J v, (k, m) by name."""


@final
class Forward(Way):
    """Dual numbers."""

    mode = "forward"

    def __init__(self, function: Function, x: Tensor, batched: bool) -> None:
        super().__init__(function, x, batched)
        _load_forward_rules()

    def push(self, v: Tensor) -> Outputs:
        """J v of each output: one pass for all directions, or one for each."""
        # no_grad: forward mode does not heed it, and only reverse mode need not be recorded
        with torch.no_grad(), OneProduct():
            if self.batched:
                pushed: Outputs = torch.func.vmap(self._along, randomness="same")(v)
                return pushed
            return _stacked([self._dual(direction) for direction in v])

    def _along(self, direction: Tensor) -> Outputs:
        tangents: Outputs = torch.func.jvp(self._function, (self._x,), (direction,))[1]
        return tangents

    def _dual(self, direction: Tensor) -> Outputs:
        with forward_ad.dual_level():
            dual = forward_ad.make_dual(self._x, direction)  # type: ignore[no-untyped-call]
            outputs = self._function(dual)
            return {name: _tangent(output) for name, output in outputs.items()}


@cache
def _load_forward_rules() -> None:
    """Make a first dual number, at which torch scripts some of its rules, without its warning of that.

    Once, for every change of the filters makes Python repeat warnings that it has shown already.
    """
    with warnings.catch_warnings(), forward_ad.dual_level():
        warnings.filterwarnings("ignore", r"`torch\.jit\.script` is deprecated", FutureWarning)
        forward_ad.make_dual(torch.zeros(()), torch.zeros(()))  # type: ignore[no-untyped-call]


class Recorded(Way):
    """A way that autograd records for: one pass at the start, and no further call of the function."""

    def __init__(self, function: Function, x: Tensor, batched: bool) -> None:
        super().__init__(function, x, batched)
        self._leaf = self._x.clone().requires_grad_()
        with torch.enable_grad():
            self._outputs = function(self._leaf)

    @property
    def nbytes(self) -> int:
        """Size of all outputs."""
        return sum(output.nbytes for output in self._outputs.values())

    def _gradients(
        self, outputs: Sequence[Tensor], inputs: Sequence[Tensor], upstream: Tensor
    ) -> list[Tensor]:
        """Gradients of one output for each row of ``upstream``, zeros where an input does not matter."""

        def once(upstream: Tensor, many: bool) -> tuple[Tensor | None, ...]:
            return torch.autograd.grad(
                outputs, inputs, upstream, retain_graph=True, allow_unused=True, is_grads_batched=many
            )

        if self.batched:
            found = once(upstream, True)
        else:
            rows = [once(row, False) for row in upstream]
            found = tuple(
                None if column[0] is None else torch.stack(column) for column in zip(*rows, strict=True)
            )
        count = len(upstream)
        return [
            x.new_zeros((count, *x.shape)) if each is None else each.detach()
            for x, each in zip(inputs, found, strict=True)
        ]


@final
class DoubleReverse(Recorded):
    """The derivative of a derivative."""

    mode = "double reverse"

    def __init__(self, function: Function, x: Tensor, batched: bool) -> None:
        super().__init__(function, x, batched)
        live = [output for output in self._outputs.values() if output.requires_grad]
        self._cotangents = [torch.zeros_like(output, requires_grad=True) for output in live]
        with torch.enable_grad():
            (self._pulled,) = torch.autograd.grad(live, self._leaf, self._cotangents, create_graph=True)

    def push(self, v: Tensor) -> Outputs:
        """J v of each output, from the one graph of both passes."""
        found = iter(self._gradients([self._pulled], self._cotangents, v))
        return {
            name: next(found) if output.requires_grad else output.new_zeros((len(v), *output.shape))
            for name, output in self._outputs.items()
        }


@final
class Reverse(Recorded):
    """Gradients of one output value after the other.

    Attributes:
        chunk: How many values go through together.
    """

    mode = "reverse"
    chunk = 1

    def try_out(self) -> None:
        """Take the gradient of the last output's sum once."""
        name = list(self._outputs)[-1]
        self.pull(name, torch.ones_like(self._outputs[name]).unsqueeze(0))

    def pull(self, name: str, u: Tensor) -> Tensor:
        """Multiply by the transposed Jacobian of an output: (k, m) to (k, n)."""
        output = self._outputs[name]
        if not output.requires_grad:
            return u.new_zeros((len(u), len(self._x)))
        return self._gradients([output], [self._leaf], u)[0]

    def dense(self, name: str) -> Tensor:
        """The Jacobian of an output, (m, n)."""
        m = len(self._outputs[name])
        jacobian = self._x.new_empty((m, len(self._x)))
        for first in range(0, m, self.chunk):
            rows = unit_vectors(first, min(self.chunk, m - first), m, self._x)
            jacobian[first : first + len(rows)] = self.pull(name, rows.to(self._outputs[name].dtype))
        return jacobian

    def push(self, v: Tensor) -> Outputs:
        """J v of each output, at the cost of its whole Jacobian."""
        return {name: v @ self.dense(name).T for name in self._outputs}


WAYS: tuple[tuple[type[Way], bool], ...] = tuple(
    (way, batched) for way in (Forward, DoubleReverse, Reverse) for batched in (True, False)
)


@dataclass(frozen=True)
class Fit:
    """The way that a function allows.

    Attributes:
        way: The way.
        reason: Why it is not an earlier one; empty where it is the first.
        pushed: What it made of the directions that it was tried with; None in reverse mode.
    """

    way: Way
    reason: str
    pushed: Outputs | None


def fitting_way(
    function: Function,
    x: Tensor,
    modes: Collection[Mode] = MODES,
    directions: Tensor | None = None,
    reverse: "Reverse | None" = None,
) -> Fit:
    """Find the first way that a function allows at a point.

    Args:
        function: From a point (n,) to outputs; on the last of them modes are compared.
        x: The point.
        modes: Which modes come into question.
        directions: What to try them with, (k, n), where these products are wanted anyhow.
        reverse: Reverse mode of this function at this point, where it is there already, to compare with.

    Raises:
        InputError: None works; the message tells where the last one failed.
        torch.OutOfMemoryError, MemoryError: Memory ran out.

    Example:
        >>> fit = fitting_way(lambda x: {"y": x.sin()}, torch.zeros(3))
        >>> fit.way.mode, fit.way.push(torch.ones(1, 3)), fit.reason
        ('forward', {'y': tensor([[1., 1., 1.]])}, '')
    """
    directions = counted_normal(0, 0, (1, len(x))).to(x) if directions is None else directions
    failures: list[str] = []
    for kind, batched in WAYS:
        if kind.mode not in modes:
            continue
        try:
            way = kind(function, x, batched)
            pushed = _tried(way, function, x, directions, reverse)
        except Exception as error:  # foreign operations can fail in any way
            if is_out_of_memory(error):
                raise
            failures.append(place_of_failure(error.__cause__ or error))
            continue
        how = "" if batched else ", one direction at a time"
        return Fit(way, f"{MODES[0]} mode fails ({failures[0]}){how}" if failures else "", pushed)
    raise InputError(
        f"no {' or '.join(modes)} derivative can be taken here ({failures[-1]}); mend this operation"
    )


def _tried(
    way: Way, function: Function, x: Tensor, directions: Tensor, reverse: Reverse | None
) -> Outputs | None:
    """Multiply once, and see that forward and reverse products are those of one matrix."""
    if isinstance(way, Reverse):
        way.try_out()
        return None
    outputs = way.push(directions)
    name, pushed = list(outputs.items())[-1]
    mix, u = (counted_normal(0, 1, (1, n)).to(pushed) for n in pushed.shape)
    v, jv = mix.to(x) @ directions, mix @ pushed
    try:
        pulled = (reverse or Reverse(function, x, batched=False)).pull(name, u)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        return outputs  # there is no reverse mode to compare with
    difference = ((u * jv).sum() - (v * pulled).sum()).abs()
    scale = (u.norm() * jv.norm()).maximum(v.norm() * pulled.norm())
    if (
        difference > torch.finfo(x.dtype).eps ** 0.5 * scale
    ):  # not where it is NaN, which is told with its place
        raise ArithmeticError(f"{way.mode} and reverse mode disagree on one derivative")
    return outputs


def unit_vectors(first: int, count: int, n: int, like: Tensor) -> Tensor:
    """Rows ``first`` and following of the identity, (count, n).

    Example:
        >>> unit_vectors(1, 1, 3, torch.zeros(()))
        tensor([[0., 1., 0.]])
    """
    rows = like.new_zeros((count, n))
    rows[torch.arange(count), torch.arange(first, first + count)] = 1
    return rows


def is_cut_off(function: Callable[[Tensor], Tensor], leaf: Tensor, result: Tensor) -> bool:
    """Tell a result whose derivative is lost from one that does not depend on the point at all.

    detach, no_grad, .data and NumPy lose it without a word, and the result may still ask for a gradient, for
    the sake of weights. A result that another point does not change has a derivative, which is 0.

    Args:
        function: The function.
        leaf: The point, which asks for a gradient.
        result: What the function gave for it.

    Example:
        >>> x = torch.ones(2, requires_grad=True)
        >>> [is_cut_off(f, x, f(x)) for f in (torch.exp, lambda x: x.detach().exp(), torch.ones_like)]
        [False, True, False]
    """
    if result.requires_grad:
        try:
            (gradient,) = torch.autograd.grad(result.sum(), leaf, allow_unused=True)
        except Exception as error:  # what fails lies between the point and the result: it is not cut off
            if is_out_of_memory(error):
                raise
            return False
        if gradient is not None:
            return False
    point = leaf.detach()
    other = point + counted_normal(0, 0, (1, point.numel())).view(point.shape).to(point)
    try:
        with torch.no_grad():
            return not torch.equal(function(other), result)
    except Exception as error:  # nor need the function take every point
        if is_out_of_memory(error):
            raise
        return True


def _tangent(dual: Tensor) -> Tensor:
    primal, tangent = forward_ad.unpack_dual(dual)  # type: ignore[no-untyped-call]
    return torch.zeros_like(primal) if tangent is None else tangent


def _stacked(rows: Sequence[Outputs]) -> Outputs:
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

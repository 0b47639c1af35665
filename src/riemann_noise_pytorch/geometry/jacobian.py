"""The Jacobian of a function at a point: whole, or its products with vectors from either side.

Forward mode costs one pass for each input, reverse mode one for each output. Generators have far fewer inputs
than outputs, so forward mode is what makes their Jacobians affordable; where it fails, others step in, by
:mod:`~riemann_noise_pytorch.geometry.derivatives`.
"""

from collections.abc import Callable
from typing import final, get_args

import torch
from torch import Tensor

from riemann_noise_pytorch.errors import InputError, NonFiniteError, unknown_name
from riemann_noise_pytorch.geometry.chunks import chunk_size
from riemann_noise_pytorch.geometry.derivatives import (
    MODES,
    Fit,
    Mode,
    Outputs,
    Reverse,
    Way,
    fitting_way,
    is_cut_off,
    unit_vectors,
)
from riemann_noise_pytorch.noise.failures import is_out_of_memory, place_of_failure

__all__ = ["Jacobian", "Mode", "jacobian"]

OUTPUT = "f"


@final
class Jacobian:
    """The Jacobian of a function f from R^n to R^m at a point; made by :func:`jacobian`.

    Attributes:
        shape: (m, n).
        mode: How :meth:`dense` goes about it: ``forward``, ``double reverse`` or ``reverse``.
        reason: Why in this way.
        chunk: How many directions are computed together.
    """

    def __init__(
        self, function: Callable[[Tensor], Outputs], x: Tensor, m: int, mode: Mode | None, chunk: int
    ) -> None:
        self.shape = m, len(x)
        self.chunk = chunk
        self._function = function
        self._x = x
        self._reverse_way: Reverse | None = None
        self._push_way: Way | None = None
        if mode is not None:
            self.mode, self.reason = mode, "as asked"
            self._way = self._push_way = self._fitting((mode,)).way
        elif len(x) >= m:
            self.mode, self.reason = "reverse", f"{len(x):,} inputs are no fewer than {m:,} outputs"
            self._way = self._fitting(("reverse",)).way
        else:
            fit = self._fitting(MODES)
            self._way, self.mode = fit.way, fit.way.mode
            self.reason = fit.reason or f"{len(x):,} inputs are fewer than {m:,} outputs"

    def jvp(self, v: Tensor) -> Tensor:
        """Multiply from the right: J v.

        In reverse mode, where there is no other, it costs as much as all of J.

        Args:
            v: One direction (n,), or several (k, n).

        Returns:
            (m,) or (k, m).

        Raises:
            InputError: Another shape.
        """
        rows = self._rows(v, self.shape[1])
        if self._push_way is None:
            self._push_way = self._fitting(MODES).way if self.mode == "reverse" else self._way
        pushed = [self._push_way.push(part)[OUTPUT] for part in torch.split(rows, self.chunk)]
        return torch.cat(pushed).view(*v.shape[:-1], -1)

    def vjp(self, u: Tensor) -> Tensor:
        r"""Multiply from the left: :math:`J^T u`.

        Args:
            u: One direction (m,), or several (k, m).

        Returns:
            (n,) or (k, n).

        Raises:
            InputError: Another shape, or a function that has no reverse derivative.
        """
        rows = self._rows(u, self.shape[0])
        pulled = [self._reverse().pull(OUTPUT, part) for part in torch.split(rows, self.chunk)]
        return torch.cat(pulled).view(*u.shape[:-1], -1)

    def dense(self) -> Tensor:
        """The whole matrix, (m, n)."""
        m, n = self.shape
        if self.mode == "reverse":
            return self._reverse().dense(OUTPUT)
        whole = self._x.new_empty((m, n))
        for first in range(0, n, self.chunk):
            directions = unit_vectors(first, min(self.chunk, n - first), n, self._x)
            whole[:, first : first + len(directions)] = self._way.push(directions)[OUTPUT].T
        return whole

    def _fitting(self, modes: tuple[Mode, ...]) -> Fit:
        fit = fitting_way(self._function, self._x, modes)
        if isinstance(fit.way, Reverse):
            fit.way.chunk = self.chunk
        return fit

    def _reverse(self) -> Reverse:
        if self._reverse_way is None:
            way = self._way if self.mode == "reverse" else self._fitting(("reverse",)).way
            assert isinstance(way, Reverse)
            self._reverse_way = way
        return self._reverse_way

    def _rows(self, vectors: Tensor, length: int) -> Tensor:
        if vectors.ndim not in (1, 2) or vectors.shape[-1] != length:
            raise InputError(
                f"a Jacobian of {self.shape[0]} x {self.shape[1]} is multiplied by ({length},) or "
                f"(k, {length}) from this side, not by {tuple(vectors.shape)}; flatten the directions"
            )
        return vectors.to(self._x).view(-1, length)


def jacobian(
    function: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    mode: Mode | None = None,
    memory_mib: float = 1024,
) -> Jacobian:
    r"""Prepare the Jacobian of a function at a point.

    .. math::

        \frac{\partial f_i}{\partial z_j}(z) = \lim_{h \to 0} \frac{f_i(z + h e_j) - f_i(z)}{h}, \qquad
        J_z f = \left(\frac{\partial f_i}{\partial z_j}(z)\right)_{m \times n}

    The paper's Eq. 1 lacks the second term of the numerator.

    Paper: Eqs. 1-2 (Section 3.1).
    Paper: Definition 1 (Section 3.1).

    Args:
        function: From a point to a tensor of any shape, which counts as flat. It is called many times, with
            dual numbers and under ``vmap``, too, so it should be the same at every call: for a generator with
            noise, that of :func:`~riemann_noise_pytorch.geometry.still.still`.
        x: The point, of floating point and any shape, which counts as flat, too.
        mode: ``forward``, ``double reverse`` or ``reverse``; by default the first that the function allows,
            and ``reverse`` where there are no more outputs than inputs.
        memory_mib: What the directions that are computed together may take, as
            :func:`~riemann_noise_pytorch.geometry.chunks.chunk_size` counts.

    Raises:
        InputError: A point or a result that is not of floating point, a result that changes with the point
            but is cut off from it, an unknown mode, one that does not work here, or a function that fails.
        NonFiniteError: The result is not finite.

    Example:
        >>> x = torch.tensor([1.0, 2.0], dtype=torch.float64)
        >>> jacobian(lambda x: torch.stack([x[0] * x[1], x[0], 3 * x[1]]), x).dense()
        tensor([[2., 1.],
                [1., 0.],
                [0., 3.]], dtype=torch.float64)
    """
    if mode is not None and mode not in get_args(Mode):
        raise unknown_name("mode", str(mode), get_args(Mode))
    if not x.is_floating_point() or x.numel() == 0:
        raise InputError(
            f"a derivative needs a point of floating point, not {x.dtype} {tuple(x.shape)}; convert it"
        )
    point, shape = x.detach().flatten(), x.shape

    def flat(vector: Tensor) -> Outputs:
        return {OUTPUT: function(vector.view(shape)).flatten()}

    size = _checked(function, point.view(shape))
    return Jacobian(flat, point, size, mode, chunk_size(flat, point, memory_mib)[0])


def _checked(function: Callable[[Tensor], Tensor], x: Tensor) -> int:
    """The number of outputs of a function that can be differentiated at a point."""
    leaf = x.clone().requires_grad_()
    try:
        with torch.enable_grad():
            result: object = function(leaf)
    except Exception as error:  # a foreign function can fail in any way
        if is_out_of_memory(error):
            raise
        raise InputError(
            f"the function fails at the point ({place_of_failure(error.__cause__ or error)}); give one that "
            "it takes"
        ) from error
    if not isinstance(result, Tensor) or not result.is_floating_point() or result.numel() == 0:
        kind = (
            f"{result.dtype} {tuple(result.shape)}" if isinstance(result, Tensor) else type(result).__name__
        )
        raise InputError(f"the function gives {kind}, which has no derivative; return one floating tensor")
    if not result.isfinite().all():
        raise NonFiniteError("the function gives NaN or infinity at the point; choose another point")
    if is_cut_off(function, leaf, result):
        raise InputError(
            "the result has no derivative, though it changes with the point: detach, no_grad, .data or NumPy "
            "cuts it off; let it pass from the point to the result"
        )
    return result.numel()

r"""Singular values of a Jacobian that arrives column by column.

They are those of J itself: J^T J would square the small ones out of sight. A tall J is reduced by QR, one
block of rows after the other, to a triangle with the same singular values (Demmel, Grigori, Hoemmen and
Langou, SIAM J. Sci. Comput. 2012), in float64 whatever J is in. What does not fit into memory is sketched
while it arrives; see :mod:`~riemann_noise_pytorch.geometry.sketch`.
"""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.geometry.sketch import Sketch, embedding_error, least_rows

DTYPES = (torch.float32, torch.float64)
BLOCK_BYTES = 2**22
"""Rows reduced at once, in float64: few enough to stay near the processor."""


@dataclass(frozen=True)
class Spectrum:
    """The singular values of a Jacobian.

    Attributes:
        values: In falling order, (min(m, n),), float64 on the CPU.
        shape: That of the Jacobian: m outputs and n inputs.
        dtype: What the Jacobian was computed in, float32 or float64; its rounding is still in the values.
        error: 0 where the values are exact to rounding. Of a sketch, the share of itself by which any value
            above rounding may be off, with a probability of 99 %; infinite where nothing can be promised.
    """

    values: Tensor
    shape: tuple[int, int]
    dtype: torch.dtype
    error: float = 0.0


@final
class Columns:
    """Collects a Jacobian from its columns, which are tangents, and tells its singular values.

    Args:
        m: Number of outputs.
        n: Number of inputs, hence of columns.
        dtype: float32 or float64, that of every column.
        device: Where the columns are.
        memory_mib: What may be kept. A Jacobian of this size or less is kept whole, a larger one as a sketch
            (beside 8 bytes for each output).
        seed: Seed of the sketch.

    Attributes:
        exact: Whether the Jacobian is kept whole.

    Raises:
        InputError: Sizes below 1, another dtype, or too little memory for a sketch.

    Example:
        >>> columns = Columns(3, 2, dtype=torch.float64)
        >>> columns.add(0, torch.tensor([[3.0, 0, 4], [0, 2, 0]], dtype=torch.float64))
        >>> columns.spectrum().values
        tensor([5., 2.], dtype=torch.float64)
    """

    def __init__(
        self,
        m: int,
        n: int,
        *,
        dtype: torch.dtype,
        device: torch.device | str = "cpu",
        memory_mib: float = 1024,
        seed: int = 0,
    ) -> None:
        _check_kind(m, n, dtype)
        rows = memory_mib * 2**20 / (n * dtype.itemsize)
        self.exact = m <= rows
        if not (self.exact or rows >= least_rows(n)):
            least_mib = min(m, least_rows(n)) * n * dtype.itemsize / 2**20
            raise InputError(
                f"the singular values of a Jacobian of {m} x {n} need {least_mib:.3g} MiB, not "
                f"{memory_mib:g}; give more memory, or choose fewer layers"
            )
        self._shape = m, n
        self._sketch = None if self.exact else Sketch(m, int(rows), device=device, seed=seed)
        self._dtype = dtype
        self._parts: dict[int, Tensor] = {}  # by the number of the first; a column of J is a row here
        self._seen = torch.zeros(n, dtype=torch.bool)

    @property
    def size(self) -> int:
        """Number of outputs."""
        return self._shape[0]

    def add(self, first: int, columns: Tensor) -> None:
        """Take columns ``first`` and following.

        Args:
            first: Number of the first, from 0.
            columns: As rows, (k, m), which may be kept as they are: leave them alone afterwards.

        Raises:
            InputError: Another shape or dtype, or columns that the Jacobian does not have or has already.
        """
        (m, n), last = self._shape, first + len(columns)
        if columns.shape != (len(columns), m) or not 0 <= first <= last <= n:
            raise InputError(
                f"columns of shape {tuple(columns.shape)} from {first} on do not fit a Jacobian of {m} x "
                f"{n}; give rows of {m} values, for columns below {n}"
            )
        if columns.dtype != self._dtype:
            raise InputError(
                f"the columns are {columns.dtype}, but the Jacobian is {self._dtype}; another dtype has "
                "other roundings, so say at the start what they are"
            )
        if self._seen[first:last].any():
            raise InputError(f"a column from {first} to {last - 1} was added before; add each once")
        columns = columns.detach()
        self._parts[first] = columns if self._sketch is None else self._sketch(columns)
        self._seen[first:last] = True

    def spectrum(self) -> Spectrum:
        """Compute the singular values of the columns so far, which must be all.

        Raises:
            InputError: Columns are missing.
            NonFiniteError: A column has NaN or infinity; the message names the first.
        """
        if not self._seen.all():
            missing = int((~self._seen).nonzero()[0])
            raise InputError(f"column {missing} of {self._shape[1]} was not added; add all before this")
        parts = [part for _, part in sorted(self._parts.items(), key=lambda item: item[0])]
        if self._sketch is None:
            return Spectrum(_singular_values(parts), self._shape, self._dtype)
        half = self._sketch.rows // 2
        upper, lower = (
            _triangle([part[:, rows] for part in parts]) for rows in (slice(half), slice(half, None))
        )
        both = torch.cat([upper, lower])
        _check_finite(both, parts)
        values = torch.linalg.svdvals(both / 2**0.5)
        error = embedding_error(upper, lower, half, default_tolerance(self._shape, self._dtype))
        return Spectrum(values, self._shape, self._dtype, error)


def spectrum_of(jacobian: Tensor) -> Spectrum:
    """Compute the singular values of a Jacobian that is there already.

    Args:
        jacobian: (m, n), float32 or float64.

    Raises:
        InputError: No matrix, an empty one, or another dtype.
        NonFiniteError: A column has NaN or infinity; the message names the first.

    Example:
        >>> spectrum_of(torch.diag(torch.tensor([1.0, 3.0]))).values
        tensor([3., 1.], dtype=torch.float64)
    """
    if jacobian.ndim != 2:
        raise InputError(
            f"a Jacobian has outputs and inputs, not shape {tuple(jacobian.shape)}; flatten both"
        )
    m, n = jacobian.shape
    _check_kind(m, n, jacobian.dtype)
    return Spectrum(_singular_values([jacobian.detach().T]), (m, n), jacobian.dtype)


def default_tolerance(shape: tuple[int, int], dtype: torch.dtype) -> float:
    """Size of a singular value that rounding alone can make, relative to the largest.

    It is the larger side times the rounding unit of the dtype that the Jacobian was computed in, as in NumPy
    and MATLAB.

    Args:
        shape: That of the Jacobian, (m, n).
        dtype: float32 or float64.

    Example:
        >>> default_tolerance((1024, 64), torch.float64) == 1024 * 2**-52
        True
    """
    return max(shape) * torch.finfo(dtype).eps


def _singular_values(parts: list[Tensor]) -> Tensor:
    """Those of a matrix whose columns are the rows of all parts."""
    is_tall = parts[0].shape[1] >= sum(map(len, parts))
    triangle = _triangle(parts if is_tall else [torch.cat(parts).T])
    _check_finite(triangle, parts)
    values: Tensor = torch.linalg.svdvals(triangle)
    return values


def _triangle(parts: list[Tensor]) -> Tensor:
    """A small matrix with the singular values of a tall one, in float64 on the CPU.

    Args:
        parts: The columns of the tall matrix, as rows, some in each part.
    """
    width, height = sum(map(len, parts)), parts[0].shape[1]
    rows = min(height, max(4 * width, BLOCK_BYTES // (8 * width)))
    block = parts[0].new_empty((width, width + rows), dtype=torch.float64)  # transposed, as LAPACK reads it
    scales = block.new_empty(width)
    above = 0  # rows of the triangle of the blocks before, which lies above the next
    for first in range(0, height, rows):
        last = min(first + rows, height)
        filled = block[:, : above + last - first].mT
        torch.cat([part[:, first:last].double() for part in parts], out=filled.mT[:, above:])
        torch.geqrf(filled, out=(filled, scales))  # in place
        triangle = filled[:width].triu()
        block[:, :width], above = triangle.mT, width
    return triangle.cpu()  # where LAPACK's values are exact to rounding


def _check_kind(m: int, n: int, dtype: torch.dtype) -> None:
    if min(m, n) < 1 or dtype not in DTYPES:
        raise InputError(
            f"a Jacobian of {m} x {n} in {dtype} has no singular values to speak of; give at least one "
            "output and one input, in float64 or float32"
        )


def _check_finite(triangle: Tensor, parts: list[Tensor]) -> None:
    """Name the column that has NaN or infinity, either of which no reduction to a triangle loses."""
    if triangle.isfinite().all():
        return
    columns = torch.cat(parts)
    bad = (~columns.isfinite().all(dim=1)).nonzero()
    if len(bad):
        raise NonFiniteError(
            f"column {int(bad[0])} of the Jacobian ({len(columns)} inputs) has NaN or infinity; check the "
            "generator's weights, and for square roots and norms of zero"
        )

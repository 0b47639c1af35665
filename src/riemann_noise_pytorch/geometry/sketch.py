r"""A matrix too tall to be kept, reduced row by row to one with nearly the same singular values.

Rows get random signs, are cut into layers, and the layers are added, each turned by a random amount. Several
independent folds of this kind stand below each other, so that rows which meet in one are apart in the others.
This is a sparse sign embedding (Kane and Nelson, J. ACM 2014) that moves nothing but contiguous memory. Two
rows meet in a fold of w rows with a probability of 1 / w, or never; hence for any fixed vector x

.. math:: E \|Sx\|^2 = \|x\|^2, \qquad Var \|Sx\|^2 \le \frac{2}{s} \|x\|^4

with s rows in all. How well all vectors J v together keep their lengths depends on J, so it is measured: the
embedding has two independent halves, and what one of them distorts most, the other one sees.
"""

import math
from typing import final

import torch
from torch import Tensor

from riemann_noise_pytorch.seeds import derive

FOLDS = 4
"""Folds in either half; eight in all are usual (Martinsson and Tropp, Acta Numerica 2020, Section 9.2)."""
DOUBT = 0.01
"""Probability that the stated error does not hold."""


def least_rows(n: int) -> int:
    """How many rows the sketch of a matrix with n columns has at least: twice as many in either half.

    Example:
        >>> least_rows(8)
        32
    """
    return max(4 * n, 2 * FOLDS)


@final
class Sketch:
    """Adds up rows of a matrix that arrives column by column.

    Args:
        m: Number of rows of the matrix.
        rows: Number of rows of the sketch, at most.
        device: Where the columns are.
        seed: Seed of signs and turns.

    Attributes:
        rows: Number of rows of the sketch; the first and the second half are independent.

    Example:
        >>> sketch = Sketch(1000, 200)
        >>> sketch(torch.ones(3, 1000)).shape
        torch.Size([3, 200])
    """

    def __init__(self, m: int, rows: int, *, device: torch.device | str = "cpu", seed: int = 0) -> None:
        self._width = rows // (2 * FOLDS)
        self.rows = 2 * FOLDS * self._width
        generator = torch.Generator().manual_seed(derive(seed, "sketch"))
        layers = -(-m // self._width)
        self._shifts = torch.randint(self._width, (2 * FOLDS, layers), generator=generator).tolist()
        signs = torch.randint(2, (2 * FOLDS, m), generator=generator, dtype=torch.int8)
        self._signs = signs.mul_(2).sub_(1).to(device)

    def __call__(self, columns: Tensor) -> Tensor:
        """Sketch columns, given as rows (k, m), into (k, rows), so that either half keeps their lengths."""
        folds = zip(self._signs, self._shifts, strict=True)
        parts = [self._fold(columns * signs, shifts) for signs, shifts in folds]
        sketch: Tensor = torch.cat(parts, dim=1) / FOLDS**0.5
        return sketch

    def _fold(self, columns: Tensor, shifts: list[int]) -> Tensor:
        folded = columns.new_zeros((len(columns), self._width))
        for layer, shift in zip(torch.split(columns, self._width, dim=1), shifts, strict=True):
            head, tail = layer[:, : self._width - shift], layer[:, self._width - shift :]
            folded[:, shift : shift + head.shape[1]] += head
            folded[:, : tail.shape[1]] += tail
        return folded


def embedding_error(first: Tensor, second: Tensor, rows: int, rounding: float) -> float:
    r"""Bound the relative error of the singular values that both halves of a sketch give together.

    With W such that S_1 J W has orthonormal columns, let a and b be the smallest and largest singular value
    of J W. The direction of either is fixed before S_2 is drawn, so by Chebyshev's inequality, but for a
    probability of 2 / (s eta^2) each,

    .. math:: a \ge \sigma_{min}(S_2 J W) / \sqrt{1 + \eta}, \qquad
              b \le \sigma_{max}(S_2 J W) / \sqrt{1 - \eta}

    and 1/b and 1/a bound what S_1 makes of any length. The same with the halves exchanged.

    Args:
        first: S_1 J, or its triangle, float64 with n columns.
        second: S_2 J, likewise.
        rows: The number s of rows of either half.
        rounding: Singular values up to this share of the largest are rounding, and bounded by nothing.

    Returns:
        The error, which holds with a probability of 99 %; infinite where the sketch is too small to tell.

    Example:
        >>> one = torch.eye(4, dtype=torch.float64)
        >>> round(embedding_error(one, one, 80_000, 1e-12), 2)
        0.05
    """
    eta = math.sqrt(4 * 2 / (rows * DOUBT))
    if eta >= 1:
        return math.inf
    shortest, longest = [], []
    for one, other in ((first, second), (second, first)):
        low, high = _stretch(one, other, rounding)
        if low == 0:
            return math.inf
        shortest.append((1 - eta) / high**2)
        longest.append((1 + eta) / low**2)
    return max(1 - math.sqrt(sum(shortest) / 2), math.sqrt(sum(longest) / 2) - 1)


def _stretch(one: Tensor, other: Tensor, rounding: float) -> tuple[float, float]:
    """The smallest and largest length that ``other`` gives to vectors that have length 1 in ``one``."""
    _, values, directions = torch.linalg.svd(one, full_matrices=False)
    kept = values > rounding * values[0]
    if not kept.any():
        return 1.0, 1.0
    lengths = torch.linalg.svdvals(other @ (directions[kept].T / values[kept]))
    return float(lengths[-1]), float(lengths[0])

"""How many dimensions a generator's images have at a point: the rank of its Jacobian, and how sure it is.

Numerically every matrix has full rank, so a rank comes with the tolerance below which a singular value is
taken for rounding, and with the room on either side of it: a rank that another tolerance would change is
called ambiguous. Two measures need no tolerance: the stable rank and the effective rank, which weigh
directions by how strongly they change the image.
"""

import math
from dataclasses import dataclass

import torch

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.geometry.spectrum import Spectrum, default_tolerance

__all__ = ["AMBIGUOUS", "RankReport", "default_tolerance", "rank_report"]

AMBIGUOUS = 10.0
"""A singular value within this factor of the tolerance may belong to either side."""


@dataclass(frozen=True)
class RankReport:
    r"""The rank of a Jacobian, and what it rests on.

    Attributes:
        rank: Number of singular values above the tolerance.
        tolerance: Relative to the largest singular value.
        spectrum: What was counted.
        stable_rank: :math:`\|J\|_F^2 / \|J\|_2^2`, at most the rank; 0 for J = 0.
        effective_rank: Exponential of the entropy of the singular values over their sum; 0 for J = 0.
        margin_kept: How many times the tolerance the smallest counted value is; infinite if there is none.
        margin_lost: How many times the largest value not counted fits into the tolerance; infinite if there
            is none, or if it is 0.
        ambiguous: Whether a value is so near to the tolerance that the rank may be another.
    """

    rank: int
    tolerance: float
    spectrum: Spectrum
    stable_rank: float
    effective_rank: float
    margin_kept: float
    margin_lost: float
    ambiguous: bool


def rank_report(spectrum: Spectrum, *, tolerance: float | None = None) -> RankReport:
    r"""Count the dimensions that a map does not lose at a point.

    .. math:: d_f = rank(J) = \#\{i : \sigma_i > \tau \sigma_1\}

    Where a map's image is a manifold, this is its dimension at almost every point.

    Paper: Lemma 1 (Section 3.1).

    References:
        Roy and Vetterli (2007), The effective rank: a measure of effective dimensionality, EUSIPCO.

    Args:
        spectrum: The singular values of the Jacobian.
        tolerance: The tau below which a singular value counts as rounding, below 1 and at least that of
            :func:`default_tolerance`, which it is by default.

    Returns:
        The rank with its tolerance and margins. Of a sketch, a margin counts as narrow when the error of the
        sketch could make it so.

    Raises:
        InputError: A tolerance that rounding exceeds, or of 1 and more, which leaves nothing to count.

    Example:
        >>> from riemann_noise_pytorch.geometry.spectrum import spectrum_of
        >>> report = rank_report(spectrum_of(torch.diag(torch.tensor([2.0, 1.0, 0.0]))))
        >>> report.rank, report.stable_rank, report.ambiguous
        (2, 1.25, False)
    """
    limit = _checked(tolerance, spectrum)
    values = spectrum.values
    largest = float(values[0])
    cut = limit * largest
    rank = int((values > cut).sum())
    lost = float(values[rank]) if rank < len(values) else 0.0
    kept_margin = float(values[rank - 1]) / cut if rank else math.inf
    lost_margin = cut / lost if lost else math.inf
    sure = (1 - spectrum.error) / (1 + spectrum.error) if spectrum.error < 1 else 0.0
    shares = values / values.sum() if largest else values
    return RankReport(
        rank=rank,
        tolerance=limit,
        spectrum=spectrum,
        stable_rank=float((values / largest).square().sum()) if largest else 0.0,
        effective_rank=float(torch.special.entr(shares).sum().exp()) if largest else 0.0,
        margin_kept=kept_margin,
        margin_lost=lost_margin,
        ambiguous=rank > 0 and not sure * min(kept_margin, lost_margin) >= AMBIGUOUS,
    )


def _checked(tolerance: float | None, spectrum: Spectrum) -> float:
    (m, n), dtype = spectrum.shape, str(spectrum.dtype).removeprefix("torch.")
    least = default_tolerance(spectrum.shape, spectrum.dtype)
    if least >= 1:
        raise InputError(
            f"the rounding of {dtype} is as large as the singular values of a Jacobian of {m} x {n}; "
            "compute it in float64"
        )
    if tolerance is None:
        return least
    if not least <= tolerance < 1:
        finer = "" if spectrum.dtype == torch.float64 else ", or compute it in float64"
        raise InputError(
            f"the tolerance must be below 1 and at least {least:.2g}, the rounding of a Jacobian of {m} x "
            f"{n} in {dtype}, not {tolerance:g}; leave it out{finer}"
        )
    return tolerance

r"""The Frechet distance of two Gaussians: the distance behind FID.

.. math:: d^2 = \lVert \mu_1 - \mu_2 \rVert^2
                + \operatorname{tr} \Sigma_1 + \operatorname{tr} \Sigma_2
                - 2 \operatorname{tr} \bigl(\Sigma_1^{1/2} \Sigma_2 \Sigma_1^{1/2}\bigr)^{1/2}

Reference codes take the square root of the product :math:`\Sigma_1 \Sigma_2`, which is not symmetric:
rounding makes it complex, and where there are fewer images than dimensions it need not exist in floating
point. Here each covariance is written as :math:`\Sigma_i = F_i F_i^\top`. The eigenvalues of
:math:`\Sigma_1^{1/2} \Sigma_2 \Sigma_1^{1/2}` are the squares of the singular values of
:math:`F_1^\top F_2`, so the last trace is their sum, the nuclear norm:

.. math:: \operatorname{tr} \bigl(\Sigma_1^{1/2} \Sigma_2 \Sigma_1^{1/2}\bigr)^{1/2}
          = \lVert F_1^\top F_2 \rVert_*

No direction without spread is left in a factor: an eigenvalue that should be 0 but is 1e-16 would count as
1e-8, and a covariance of 2048 dimensions from 500 images has 1549 of them.

FID and its kin are biased: they fall with the number of images, so numbers are comparable at equal counts
only. There is no bootstrap interval either, as duplicates make a resampled set worse than a new one; draw
new images several times and use :func:`~riemann_noise_pytorch.statistics.intervals.redraw_interval`.

References:
    Dowson and Landau, The Frechet distance between multivariate normal distributions, J. Multivariate Anal.
    1982. Heusel, Ramsauer, Unterthiner, Nessler and Hochreiter, GANs trained by a two time-scale update rule
    converge to a local Nash equilibrium, NeurIPS 2017.
"""

import torch
from scipy.linalg import lapack
from torch import Tensor

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.metrics.moments import Moments

PRECISION = 1e-9
"""Of the traces: what the roots of eigenvalues may lose before singular values are computed instead."""


def frechet_distance(first: Moments, second: Moments) -> float:
    """Compute the squared Frechet distance of the Gaussians with these means and sample covariances.

    Of Inception's ``pool3`` features this is FID; of others it must bear another name. In d dimensions it
    costs two Cholesky factorisations, two products and the eigenvalues of one symmetric d x d matrix; or,
    where those eigenvalues are too far apart, singular values.

    Args:
        first: Moments of one set of features, of at least 2 images.
        second: Moments of the other, of as many dimensions.

    Returns:
        The distance, at least 0, in squared units of the features.

    Raises:
        InputError: The dimensions differ, or a set has fewer than 2 images.

    Example:
        >>> x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
        >>> f"{frechet_distance(Moments.of(x), Moments.of(x + 2)):.6f}"
        '12.000000'
    """
    if len(first.mean) != len(second.mean):
        raise InputError(
            f"features of {len(first.mean)} and of {len(second.mean)} dimensions cannot be compared; "
            "take both from one output of one extractor"
        )
    covariances = first.covariance, second.covariance
    shift = float((first.mean - second.mean).square().sum())
    spread = sum(float(covariance.trace()) for covariance in covariances)
    one, two = (_factor(covariance) for covariance in covariances)
    return max(shift + spread - 2 * _nuclear_norm(one.mT @ two, spread), 0.0)


def _factor(covariance: Tensor) -> Tensor:
    """F with F F^T = covariance, (d, r), by Cholesky's method, the largest pivots first.

    A direction is left out where the pivot is rounding: LAPACK's limit, but for few dimensions not below 64
    times the machine's precision.
    """
    limit = max(len(covariance), 64) * torch.finfo(covariance.dtype).eps * float(covariance.diagonal().amax())
    packed, pivots, rank, _ = lapack.dpstrf(covariance.numpy(), lower=1, tol=limit)
    factor = torch.empty(len(covariance), rank, dtype=covariance.dtype)
    factor[torch.from_numpy(pivots).long() - 1] = torch.from_numpy(packed[:, :rank]).tril()
    return factor


def _nuclear_norm(matrix: Tensor, scale: float) -> float:
    """The sum of the singular values, to a precision relative to ``scale`` if that is enough for a short way.

    The short way takes roots of the eigenvalues of the smaller Gram matrix, a third of the work. Rounding
    moves those by about eps times the largest, and a root by that over twice the root.
    """
    gram = matrix @ matrix.mT if matrix.shape[0] <= matrix.shape[1] else matrix.mT @ matrix
    squares = torch.linalg.eigvalsh(gram)
    if len(squares) and squares[0] > 0:
        roots = squares.sqrt()
        error = torch.finfo(matrix.dtype).eps * squares[-1] * roots.reciprocal().sum()
        if float(error) <= PRECISION * scale:
            return float(roots.sum())
    return float(torch.linalg.svdvals(matrix).sum())

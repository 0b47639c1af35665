r"""The kernel distance: the unbiased squared maximum mean discrepancy with a cubic kernel, behind KID.

.. math:: k(x, y) = \Bigl(\tfrac{x^\top y}{d} + 1\Bigr)^3, \qquad
          \mathrm{MMD}^2 = \frac{\sum_{i \ne j} k(x_i, x_j) + \sum_{i \ne j} k(y_i, y_j)}{m (m - 1)}
          - \frac{2}{m^2} \sum_{i, j} k(x_i, y_j)

It is computed on many random subsets of m generated and m real images; the distance is the mean. Being
unbiased it does not fall with the number of images, and is negative about half of the time where both sets
have one distribution.

Where both sides have no more images than a subset takes, all subsets are the same, and one is computed: the
unbiased estimate from all images, as NVIDIA's code has it on data sets of no more than 1000.

The standard deviation over the subsets, which papers print, is no interval: subsets overlap, and all come
from one set of images. Draw new images several times and use
:func:`~riemann_noise_pytorch.statistics.intervals.redraw_interval`.

References:
    Binkowski, Sutherland, Arbel and Gretton, Demystifying MMD GANs, ICLR 2018.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.metrics.feature_rows import check_pair
from riemann_noise_pytorch.seeds import derive
from riemann_noise_pytorch.statistics.intervals import Floats

SMALLEST = 2
"""Images in a subset: an unbiased estimate leaves out every image's product with itself."""
SUBSETS = 100
SIZE = 1000
"""The protocol of KID as torch-fidelity and clean-fid have it; Binkowski et al. used the same size."""


@dataclass(frozen=True)
class KernelDistance:
    """A kernel distance.

    Attributes:
        value: Mean over the subsets; may be slightly negative.
        std: Population standard deviation over the subsets, as reference codes print it; 0 for one subset.
        subsets: The number of subsets; 1 where all would be the same.
        size: Images of either side in a subset.
    """

    value: float
    std: float
    subsets: int
    size: int


def kernel_distance(
    fake: Tensor, real: Tensor, *, subsets: int = SUBSETS, size: int = SIZE, seed: int = 0
) -> KernelDistance:
    """Compute the kernel distance on random subsets, each drawn without replacement.

    Of Inception's ``pool3`` features this is KID; of others it must bear another name. A subset costs two
    symmetric products and one other, 4 size^2 d operations: 8.2e11 for 100 subsets of 1000 images in 2048
    dimensions.

    Args:
        fake: Features of generated images, (N, d), at least ``size``.
        real: Features of real images, (M, d), at least ``size``.
        subsets: The number of subsets, at least 1; one is computed where all would be the same.
        size: Images of either side in a subset, at least 2.
        seed: Seed of the subsets.

    Returns:
        The distance, computed in float64.

    Raises:
        InputError: Fewer images than ``size``, features that do not fit, or counts out of range.
        NonFiniteError: A feature is NaN or infinite; the message names the first image.

    Example:
        >>> rng = torch.Generator().manual_seed(0)
        >>> real, fake = torch.randn(60, 4, generator=rng), torch.randn(60, 4, generator=rng)
        >>> near = kernel_distance(fake, real, subsets=5, size=30)
        >>> far = kernel_distance(fake + 1, real, subsets=5, size=30)
        >>> abs(near.value) < far.value / 10
        True
    """
    if subsets < 1 or size < SMALLEST:
        raise InputError(
            f"{subsets} subsets of {size} images measure nothing; "
            f"give 1 or more of at least {SMALLEST}, {SUBSETS} of {SIZE} are usual"
        )
    check_pair(fake, real, size)
    subsets = different_subsets(len(fake), len(real), subsets=subsets, size=size)
    chosen = (
        torch.stack([_subset(len(features), size, derive(seed, "kernel", side, i)) for i in range(subsets)])
        for side, features in (("fake", fake), ("real", real))
    )
    values = subset_distances(fake, real, *chosen)
    return KernelDistance(float(values.mean()), float(values.std(correction=0)), subsets, size)


def different_subsets(fakes: int, reals: int, *, subsets: int = SUBSETS, size: int = SIZE) -> int:
    """Count the subsets that are worth computing: one, where both sides have images for no other.

    Args:
        fakes: Number of generated images.
        reals: Number of real images.
        subsets: The number asked for.
        size: Images of either side in a subset.

    Example:
        >>> different_subsets(1000, 1000), different_subsets(5000, 1000)
        (1, 100)
    """
    return 1 if fakes == reals == size else subsets


def subset_distances(fake: Tensor, real: Tensor, fake_subsets: Tensor, real_subsets: Tensor) -> Tensor:
    """Compute the unbiased squared discrepancies of given subsets.

    Args:
        fake: Features of generated images, (N, d).
        real: Features of real images, (M, d).
        fake_subsets: Positions in ``fake``, int64 (subsets, size); size at least 2.
        real_subsets: Positions in ``real``, of the same shape.

    Returns:
        One value a subset, (subsets,), float64 on the CPU.

    Raises:
        InputError: Features or subsets do not fit, or a position lies outside.
        NonFiniteError: A feature is NaN or infinite.
    """
    check_pair(fake, real, SMALLEST)
    _check_subsets(fake_subsets, real_subsets, len(fake), len(real))
    values = [
        _squared_discrepancy(_chosen(fake, i), _chosen(real, j))
        for i, j in zip(fake_subsets, real_subsets, strict=True)
    ]
    return torch.tensor(values, dtype=torch.float64)


def _chosen(features: Tensor, positions: Tensor) -> Floats:
    chosen: Floats = features.detach()[positions.to(features.device)].to("cpu", torch.float64).numpy()
    return chosen


def _squared_discrepancy(x: Floats, y: Floats) -> float:
    size = len(x)
    within = _kernel_sum(x, x) + _kernel_sum(y, y)
    return within / (size * (size - 1)) - 2 * _kernel_sum(x, y) / size**2


def _kernel_sum(x: Floats, y: Floats) -> float:
    """The sum of the kernels of all pairs; within one set, of all pairs of different vectors.

    NumPy multiplies a matrix with its own transpose by half of the operations, which torch does not.
    """
    base = x @ y.T
    base /= x.shape[1]
    base += 1
    if y is x:
        np.fill_diagonal(base, 0)
    return float(np.vdot(base * base, base))


def _subset(count: int, size: int, seed: int) -> Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:size]


def _check_subsets(fake: Tensor, real: Tensor, fake_count: int, real_count: int) -> None:
    if fake.ndim != 2 or fake.shape != real.shape or 0 in fake.shape or fake.shape[1] < SMALLEST:
        raise InputError(
            f"subsets must be two tables of positions of equal shape (subsets, size) with size at least "
            f"{SMALLEST}, not {tuple(fake.shape)} and {tuple(real.shape)}"
        )
    for positions, count in ((fake, fake_count), (real, real_count)):
        if positions.dtype != torch.int64 or positions.amin() < 0 or positions.amax() >= count:
            raise InputError(
                f"positions in a set of {count} images must be int64 from 0 to {count - 1}; draw them anew"
            )

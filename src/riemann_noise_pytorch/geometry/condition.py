r"""How much a generator stretches small steps: condition numbers over random pairs.

Two figures describe the distribution over pairs: the mean condition (MC) and the mean of the largest 2 % (at
50,000 pairs the paper's TTMC, the mean of the largest 1000). For a linear map with condition number k, every
pair lies between 1 / k and k; for an orthogonal one it is 1.

Steps are taken in z, through the mapping if there is one; in w, the same step in all layers; or in w+, a step
of its own in each layer from the same w, the habit of the paper's code, which also crops images to the face
unless told otherwise. Numbers of different spaces, or with and without crop, cannot be compared.

Both members of a pair see the same noise; see :mod:`~riemann_noise_pytorch.noise.pairs`. Latents and steps
come from the index of their pair, so neither the batch size nor the number of processes changes them. The
network's own roundings count 1e4 times: those of float32, which differ from batch size to batch size, change
results by up to 1e-3, those of float64 (``dtype``) by less than 1e-9.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.errors import InputError, unknown_name
from riemann_noise_pytorch.models.face_region import face_region
from riemann_noise_pytorch.models.latent_space import (
    SPACES,
    Labels,
    LatentSpace,
    Space,
    labels_for,
    latent_size,
    latent_space,
)
from riemann_noise_pytorch.noise.pairs import counted_normal
from riemann_noise_pytorch.noise.precision import Network
from riemann_noise_pytorch.seeds import derive
from riemann_noise_pytorch.statistics.intervals import Interval, bootstrap_mean, bootstrap_top_mean
from riemann_noise_pytorch.statistics.sampling import ALONE, Processes, Progress, sample_values

PAPER_PAIRS = 50_000
PAPER_TOP = 1000
SMALLEST_PAIRS = 100
SCALE_POINTS = 16
"""How many points tell the size that a step is compared with."""
LARGEST_STEP = 0.1
"""Share of a point's size beyond which a step is no longer local."""


@dataclass(frozen=True)
class ConditionNumbers:
    """Condition numbers of a generator.

    Attributes:
        mc: Mean over the pairs, with its bootstrap interval.
        ttmc: Mean of the largest 2 %, with its bootstrap interval.
        mc_name: Name of the first with its protocol.
        ttmc_name: Name of the second: ``TTMC`` for 50,000 pairs, ``mean of the top 2 %`` otherwise.
        values: The condition number of every pair in order, (num_pairs,), float64.
    """

    mc: Interval
    ttmc: Interval
    mc_name: str
    ttmc_name: str
    values: Tensor


def tail_key(key: str, num_pairs: int) -> str:
    """Spell the key of the mean of the largest 2 %: TTMC is that of 50,000 pairs alone.

    Args:
        key: That of the mean, such as ``mc50k_z``.
        num_pairs: The number of pairs.

    Example:
        >>> tail_key("mc50k_z", 50_000), tail_key("mc1k_z", 1000)
        ('ttmc50k_z', 'mc1k_z_top2')
    """
    return f"tt{key}" if num_pairs == PAPER_PAIRS else f"{key}_top2"


def condition_number(x: Tensor, d: Tensor, image: Tensor, moved: Tensor) -> Tensor:
    r"""Relative change of the image over relative change of the point.

    .. math:: c = \frac{\|G(x) - G(x + d)\|_2 / \|G(x)\|_2}{\|d\|_2 / \|x\|_2}

    Paper: Eq. 19 (Section 5).

    Args:
        x: Points, (N, ...).
        d: Steps, of the same shape.
        image: G(x), (N, ...).
        moved: G(x + d), of the same shape.

    Returns:
        One condition number a sample, (N,), float64; infinite or NaN where the image or the step is zero.

    Example:
        >>> x, d = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 0.5]])
        >>> condition_number(x, d, 2 * x, 2 * (x + d))
        tensor([1.], dtype=torch.float64)
    """
    return (_norms(moved - image) / _norms(image)) / (_norms(d) / _norms(x))


def condition_numbers(
    generator: Network,
    points: Tensor | int | None = None,
    *,
    labels: Labels | None = None,
    module: nn.Module | None = None,
    dtype: torch.dtype | None = None,
    std: float = 1e-4,
    num_pairs: int | None = None,
    batch: int = 64,
    seed: int = 0,
    noise_seed: int | None = None,
    space: str = "z",
    crop: bool = False,
    level: float = 0.95,
    processes: Processes = ALONE,
    progress: Progress | None = None,
) -> ConditionNumbers:
    """Measure MC and TTMC of a generator, by :func:`condition_number`.

    Args:
        generator: Any callable from points (N, ...), and labels if there are any, to float outputs (N, ...),
            images in [-1, 1]. A module is put in eval mode meanwhile; its noise layers are frozen. For w and
            w+ it has ``mapping`` and ``synthesis``.
        points: What is perturbed: the size of a standard normal latent (None: the generator's own ``z_dim``),
            mapped to w if ``space`` says so; or given points (M, ...) in any space, such as w+ with
            ``synthesis`` for the generator.
        labels: Classes by index, given to the generator (to its mapping in w and w+) beside the points: from
            first index and count n to (n,) of int64, the same for both members. None: uniform, if the
            generator has ``classes``.
        module: What the generator is made of, for a callable that is no module itself: its noise layers are
            frozen, and points have its device and dtype.
        dtype: ``torch.float64`` measures a copy of the generator, a module, in that precision; None measures
            it as it is.
        std: Standard deviation of each component of a step; the paper's N(0, 1e-4). From ten roundings of the
            points' size to a tenth of it.
        num_pairs: Number of pairs, at least 100; all given points, or 50,000 latents, by default.
        batch: Pairs computed at once. It changes memory and speed, not the points, the steps or the noise.
        seed: Seed of latents, steps and intervals.
        noise_seed: Seed of the generator's noise; ``seed`` by default.
        space: ``z``, ``w`` (one w for all layers) or ``w+`` (a row for each layer). Of given points, what
            they are, in any words, for the names.
        crop: Whether only the face's region counts, by
            :func:`~riemann_noise_pytorch.models.face_region.face_region`.
        level: Coverage of the intervals.
        processes: Which process this is, of how many.
        progress: Called as ``progress(done, share)`` after each batch.

    Returns:
        Both figures with intervals and names, and all values.

    Raises:
        InputError: Settings out of range, too few pairs or points, a generator that does not take such
            points, has no such space, gives images too small for the crop, is in half precision, is random
            in a way that cannot be frozen, or cannot be copied into ``dtype``.
        NonFiniteError: A condition number is not finite; the message names the pair.

    Example:
        >>> result = condition_numbers(lambda z: 3 * z, 16, num_pairs=100)
        >>> round(result.mc.value, 3), result.ttmc_name
        (1.0, 'mean of the top 2 % (z, 100 pairs, std 0.0001)')
    """
    source, total = _source(generator, points, num_pairs, seed)
    if not isinstance(points, Tensor) and space not in SPACES:
        raise unknown_name("space", space, SPACES)
    drawn_in = "z" if isinstance(points, Tensor) else cast("Space", space)
    labels, labelling = labels_for(generator, labels, seed)
    noise_seed = seed if noise_seed is None else noise_seed
    with latent_space(
        generator, drawn_in, module=module, labels=labels, dtype=dtype, seed=noise_seed
    ) as place:
        scale = points if isinstance(points, Tensor) else place.points(source(0, SCALE_POINTS), 0)
        _check(total, std, scale, place.dtype)
        values = sample_values(
            _measure(place, source, std, seed, crop), total, batch=batch, what="pair",
            processes=processes, progress=progress,
        )  # fmt: skip
    remarks = ("face crop" if crop else "", labelling, "float64" if place.dtype == torch.float64 else "")
    protocol = f"{space}, {total:,} pairs, std {std:g}" + "".join(f", {r}" for r in remarks if r)
    top = max(1, round(total * PAPER_TOP / PAPER_PAIRS))
    return ConditionNumbers(
        mc=bootstrap_mean(values, level=level, seed=seed),
        ttmc=bootstrap_top_mean(values, top, level=level, seed=seed),
        mc_name=f"MC ({protocol})",
        ttmc_name=f"{'TTMC' if total == PAPER_PAIRS else 'mean of the top 2 %'} ({protocol})",
        values=values,
    )


def _norms(rows: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(rows.flatten(1), dim=1, dtype=torch.float64)
    return norms


def _measure(
    place: LatentSpace, source: Callable[[int, int], Tensor], std: float, seed: int, crop: bool
) -> Callable[[int, int], Tensor]:
    step_seed = derive(seed, "condition", "steps")

    def measure(first: int, count: int) -> Tensor:
        x = place.points(source(first, count), first)
        step = std * counted_normal(step_seed, first, tuple(x.shape))
        moved = x + step.to(x)
        images = place.images(x, moved, first)
        return condition_number(x, moved - x, *(map(face_region, images) if crop else images))

    return measure


def _source(
    generator: Network, points: Tensor | int | None, num_pairs: int | None, seed: int
) -> tuple[Callable[[int, int], Tensor], int]:
    """Where points come from, as a function of first index and count, and the number of pairs."""
    if isinstance(points, Tensor):
        given = _checked_points(points.detach(), num_pairs)
        return (lambda first, count: given[first : first + count]), len(given)
    size = latent_size(generator, points, "points")
    point_seed = derive(seed, "condition", "points")
    total = PAPER_PAIRS if num_pairs is None else num_pairs
    return (lambda first, count: counted_normal(point_seed, first, (count, size))), total


def _checked_points(points: Tensor, num_pairs: int | None) -> Tensor:
    if points.ndim < 2 or not points.is_floating_point() or not points.isfinite().all():
        raise InputError(
            f"points must be finite floating-point rows (M, ...), not {points.dtype} of shape "
            f"{tuple(points.shape)} or with NaN; convert them, or leave the bad ones out"
        )
    if num_pairs is not None and num_pairs > len(points):
        raise InputError(
            f"{num_pairs} pairs need as many points, but {len(points)} are given; give more, or fewer pairs"
        )
    return points if num_pairs is None else points[: max(num_pairs, 0)]


def _check(total: int, std: float, points: Tensor, dtype: torch.dtype) -> None:
    if total < SMALLEST_PAIRS:
        raise InputError(
            f"{total} pairs are too few for the mean of the top 2 %; use at least {SMALLEST_PAIRS}"
        )
    scale = float(points.double().square().mean().sqrt())
    smallest, largest = 10 * torch.finfo(dtype).eps * scale, LARGEST_STEP * scale
    if math.isfinite(scale) and not smallest <= std <= largest:
        raise InputError(
            f"std must lie between {smallest:.1g} (ten roundings of {dtype}) and {largest:.1g} for points "
            f"of this size, not {std:g}; 1e-4 is usual"
        )

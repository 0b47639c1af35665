r"""Perceptual path length: how strongly images change along short steps in the latent space.

.. math:: \mathrm{PPL} = \mathbb{E}\;
    \frac{1}{\epsilon^2}\, d\bigl(G(\gamma(t)), G(\gamma(t + \epsilon))\bigr)

The path :math:`\gamma` joins two random latents; t is uniform in [0, 1] (``full``) or 0 (``end``). The mean
is taken between the 1st and the 99th percentile.

Both ends of a step see the same noise, and images stay in floating point: the squared step of 1e-8 multiplies
whatever else differs, so noise of 1 % would add 1e4 to the result, and rounding to 8 bits about as much. See
:mod:`~riemann_noise_pytorch.noise.pairs`.

A crop to the face comes first, and what is left of a large image is averaged down to 256 to 511 pixels, as in
the reference in TensorFlow and the paper's code. NVIDIA's PyTorch code takes the factor from the whole
image, so that it compares crops of 128 pixels at 1024.

Latents come from the index of their pair, so neither the batch size nor the number of processes changes them.
The network's own roundings count 1e4 times: those of float32, which differ from batch size to batch size,
change results by up to 1e-3, those of float64 (``dtype``) by less than 1e-9.

References:
    Karras, Laine and Aila, A style-based generator architecture for GANs, CVPR 2019, Section 4.1.
    Karras, Laine, Aittala, Hellsten, Lehtinen and Aila, Analyzing and improving the image quality of
    StyleGAN, CVPR 2020.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from riemann_noise_pytorch.errors import InputError, unknown_name
from riemann_noise_pytorch.metrics.catalogue import path_key
from riemann_noise_pytorch.metrics.distances import Distance
from riemann_noise_pytorch.models.face_region import face_region
from riemann_noise_pytorch.models.latent_space import (
    Labels,
    LatentSpace,
    labels_for,
    latent_size,
    latent_space,
)
from riemann_noise_pytorch.noise.pairs import counted_normal
from riemann_noise_pytorch.noise.precision import Network
from riemann_noise_pytorch.seeds import derive
from riemann_noise_pytorch.statistics.intervals import Interval, bootstrap_trimmed_mean, kept_ranks
from riemann_noise_pytorch.statistics.sampling import ALONE, Processes, Progress, sample_values

Sampling: TypeAlias = Literal["full", "end"]
Interpolation: TypeAlias = Literal["slerp", "lerp"]
PathSpace: TypeAlias = Literal["z", "w"]
Latents: TypeAlias = tuple[Tensor, Tensor]

USUAL_PAIRS = 50_000
USUAL_PERCENTILES = (1.0, 99.0)
LARGEST = 256
"""Larger images, or larger crops, are averaged down to 256 to 511 pixels before the distance."""


@dataclass(frozen=True)
class PathLength:
    """A perceptual path length.

    Attributes:
        key: The protocol's short name as in StyleGAN2's tables: ``ppl_wend`` is cropped to the face,
            ``ppl2_wend`` is not; straight paths in z make ``ppl_dcgan`` and ``ppl_dcgan_end``. By any other
            distance than LPIPS it is ``pl_wend``, ``pl2_wend`` and so on.
        name: The whole protocol, the distance included.
        value: Mean of the kept values.
        interval: Its bootstrap interval.
        values: d / eps^2 of every pair in order, before the percentile filter, (num_pairs,), float64.
        kept: Number of values between the percentiles.
    """

    key: str
    name: str
    value: float
    interval: Interval
    values: Tensor
    kept: int


@dataclass(frozen=True)
class _Protocol:
    """What makes two path lengths comparable."""

    distance: Distance
    sampling: Sampling
    interpolation: Interpolation
    space: PathSpace
    epsilon: float
    seed: int
    crop: bool
    percentiles: tuple[float, float]
    remarks: str

    def key(self) -> str:
        place = f"{self.space}{self.sampling}"
        if self.space == "z" and self.interpolation == "lerp":
            place = "dcgan" if self.sampling == "full" else "dcgan_end"
        return path_key("ppl" if self.distance.official else "pl", place, crop=self.crop)

    def name(self, num_pairs: int, dtype: torch.dtype) -> str:
        region = "face crop" if self.crop else "whole image"
        mantissa, exponent = f"{self.epsilon:e}".split("e")
        usual = self.percentiles == USUAL_PERCENTILES
        kept = "" if usual else f", percentiles {self.percentiles[0]:g} to {self.percentiles[1]:g}"
        precision = ", float64" if dtype == torch.float64 else ""
        return (
            f"{self.key()} ({self.distance.name}, {num_pairs:,} pairs, {self.interpolation}, "
            f"eps {float(mantissa):g}e{int(exponent)}, {region}{kept}{self.remarks}{precision})"
        )


def perceptual_path_length(
    generator: Network,
    *,
    distance: Distance,
    z_dim: int | None = None,
    latents: Latents | None = None,
    labels: Labels | None = None,
    module: nn.Module | None = None,
    dtype: torch.dtype | None = None,
    sampling: Sampling = "full",
    interpolation: Interpolation | None = None,
    space: PathSpace = "z",
    epsilon: float = 1e-4,
    num_pairs: int | None = None,
    batch: int = 64,
    seed: int = 0,
    noise_seed: int | None = None,
    crop: bool = False,
    percentiles: tuple[float, float] = USUAL_PERCENTILES,
    level: float = 0.95,
    processes: Processes = ALONE,
    progress: Progress | None = None,
) -> PathLength:
    """Measure the perceptual path length of a generator, with shared noise.

    Args:
        generator: From latents (N, z_dim), and labels if there are any, to float images (N, C, H, W) in about
            [-1, 1]. A module is put in eval mode meanwhile; its noise layers are frozen. For ``space="w"``
            it has ``mapping`` and ``synthesis``.
        distance: The distance of images; a copy of it has the generator's device and dtype.
        z_dim: Size of a latent; the generator's own ``z_dim`` by default.
        latents: Both ends of every path, (M, z_dim) each; None for random ones, given by ``seed``.
        labels: Classes by index, given to the generator (to its mapping in w) beside the latents: from first
            index and count n to (n,) of int64, the same at both ends. None: uniform, if the generator has
            ``classes``.
        module: What the generator is made of, for a callable that is no module itself: its noise layers are
            frozen, and latents have its device and dtype.
        dtype: ``torch.float64`` measures a copy of the generator, a module, in that precision; None measures
            it as it is.
        sampling: Where on the path a step begins: anywhere (``full``) or at its start (``end``).
        interpolation: The path; None takes ``slerp`` in z and ``lerp`` in w, the usual. In z, ``lerp`` is the
            habit of the paper's DCGAN, and makes ``ppl_dcgan``. In w, only ``lerp`` makes sense.
        space: Where the path runs.
        epsilon: Length of the step as a share of the path, from ten roundings of the generator's dtype up
            to 0.1.
        num_pairs: Number of steps, 100 at least with the usual percentiles; None for all given latents, or
            the reference's 50,000.
        batch: Steps computed at once. It changes memory and speed, not the latents or the noise.
        seed: Seed of latents and interval.
        noise_seed: Seed of the generator's noise; ``seed`` by default.
        crop: Keep the face's region only, by :func:`~riemann_noise_pytorch.models.face_region.face_region`.
        percentiles: The lowest and highest value kept.
        level: Coverage of the interval.
        processes: Which process this is, of how many.
        progress: Called as ``progress(done, share)`` after each batch.

    Returns:
        The path length with its interval and all values.

    Raises:
        InputError: Settings out of range or contradictory, a generator that does not take such latents, lacks
            a mapping, is in half precision, is random in a way that cannot be frozen, returns images in 8
            bits or too small for the crop, or cannot be copied into ``dtype``.
        NonFiniteError: A pair of images is not finite; the message names the pair.

    Example:
        >>> from riemann_noise_pytorch.metrics.distances import PyramidDistance
        >>> images = lambda z: z.view(-1, 1, 8, 8)
        >>> result = perceptual_path_length(images, distance=PyramidDistance(), z_dim=64, num_pairs=100)
        >>> result.name
        'pl2_zfull (pyramid distance, 100 pairs, slerp, eps 1e-4, whole image)'
    """
    path = interpolation or ("slerp" if space == "z" else "lerp")
    ends, total = _ends(generator, z_dim, latents, num_pairs, seed)
    labels, labelling = labels_for(generator, labels, seed)
    remarks = (labelling, "given latents" if latents is not None else "")
    protocol = _Protocol(
        distance, sampling, path, space, epsilon, seed, crop, percentiles,
        "".join(f", {remark}" for remark in remarks if remark),
    )  # fmt: skip
    _check(protocol, total)
    noise_seed = seed if noise_seed is None else noise_seed
    with latent_space(generator, space, module=module, labels=labels, dtype=dtype, seed=noise_seed) as place:
        values = sample_values(
            _measure(protocol, place, ends), total, batch=batch, what="pair",
            processes=processes, progress=progress,
        )  # fmt: skip
    interval = bootstrap_trimmed_mean(values, percentiles, level=level, seed=seed)
    low, high = kept_ranks(total, percentiles)
    name = protocol.name(total, place.dtype)
    return PathLength(protocol.key(), name, interval.value, interval, values, high - low)


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    r"""Interpolate on the sphere of radius :math:`\sqrt{\dim}`, where normal latents lie.

    .. math:: \gamma(t) = \sqrt{\dim}\,(\hat a \cos t\omega + \hat c \sin t\omega), \qquad
        \cos\omega = \hat a \cdot \hat b

    with :math:`\hat c` the unit vector of b's part orthogonal to a. The reference normalises to length 1,
    which is the same to a generator that normalises its latents, but far from the training distribution for
    one that does not.

    Args:
        a: One end, (N, dim).
        b: The other end, (N, dim).
        t: Position, (N, 1); 0 at a, 1 at b.

    Returns:
        Points of norm sqrt(dim), (N, dim).

    Example:
        >>> slerp(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 3.0]]), torch.tensor([[0.5]]))
        tensor([[1.0000, 1.0000]])
    """
    a, b = functional.normalize(a, dim=1), functional.normalize(b, dim=1)
    along = (a * b).sum(dim=1, keepdim=True)
    across = b - along * a
    sine = across.norm(dim=1, keepdim=True)
    angle = t * torch.atan2(sine, along)
    unit = across / sine.clamp(min=torch.finfo(a.dtype).tiny)
    point: Tensor = a * torch.cos(angle) + unit * torch.sin(angle)
    return math.sqrt(a.shape[1]) * point


def lerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    r"""Interpolate on the straight line, :math:`\gamma(t) = a + t (b - a)`.

    Args:
        a: One end, (N, ...).
        b: The other end, of the same shape.
        t: Position, (N, 1); 0 at a, 1 at b.

    Returns:
        Points, shaped as the ends.

    Example:
        >>> lerp(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 3.0]]), torch.tensor([[0.5]]))
        tensor([[1.0000, 1.5000]])
    """
    return a + t.view(-1, *(1,) * (a.ndim - 1)) * (b - a)


def _measure(
    protocol: _Protocol, place: LatentSpace, ends: Callable[[int, int], Latents]
) -> Callable[[int, int], Tensor]:
    distance = copy.deepcopy(protocol.distance).to(device=place.device, dtype=place.dtype)
    _check_epsilon(protocol.epsilon, place.dtype)

    def measure(first: int, count: int) -> Tensor:
        start, end = _step(protocol, place, first, *ends(first, count))
        a, b = (_prepared(images, protocol.crop) for images in place.images(start, end, first))
        finite = a.isfinite().flatten(1).all(dim=1) & b.isfinite().flatten(1).all(dim=1)
        values = cast("Tensor", distance(a, b)).double() / protocol.epsilon**2
        return values.masked_fill(~finite, torch.nan)

    return measure


def _step(protocol: _Protocol, place: LatentSpace, first: int, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both ends of the steps on paths from a to b, in the space of the path."""
    t = torch.zeros(len(a), 1, dtype=torch.float64)
    if protocol.sampling == "full":
        t = torch.special.ndtr(counted_normal(derive(protocol.seed, "path", "t"), first, (len(a), 1)))
    if protocol.space == "w":
        a, b = (place.points(end, first).double() for end in (a, b))
    path = slerp if protocol.interpolation == "slerp" else lerp
    start, end = (path(a, b, t.to(a) + step) for step in (0.0, protocol.epsilon))
    return start.to(place.device, place.dtype), end.to(place.device, place.dtype)


def _ends(
    generator: Network, z_dim: int | None, latents: Latents | None, num_pairs: int | None, seed: int
) -> tuple[Callable[[int, int], Latents], int]:
    """Both ends of paths, as a function of first index and count, and the number of paths."""
    if latents is None:
        size = latent_size(generator, z_dim, "z_dim")
        seeds = derive(seed, "path", "a"), derive(seed, "path", "b")

        def drawn(first: int, count: int) -> Latents:
            a, b = (counted_normal(each, first, (count, size)) for each in seeds)
            return a, b

        return drawn, USUAL_PAIRS if num_pairs is None else num_pairs
    a, b = (end.detach().double() for end in latents)
    if a.ndim != 2 or a.shape != b.shape or not (a.isfinite().all() and b.isfinite().all()):
        raise InputError(
            f"latents of shapes {tuple(a.shape)} and {tuple(b.shape)} are no ends of paths; "
            "give two finite tensors (M, z_dim)"
        )
    latent_size(generator, a.shape[1] if z_dim is None else z_dim, "z_dim")
    total = len(a) if num_pairs is None else num_pairs
    if total > len(a):
        raise InputError(f"{total} pairs need as many latents, but {len(a)} are given; give more")
    return (lambda first, count: (a[first : first + count], b[first : first + count])), total


def _prepared(images: Tensor, crop: bool) -> Tensor:
    if images.ndim != 4:
        raise InputError(
            f"the generator returns shape {tuple(images.shape)}, not images (N, C, H, W); reshape its output"
        )
    if crop:
        images = face_region(images)
    factor = min(images.shape[2:]) // LARGEST
    return functional.avg_pool2d(images, factor) if factor > 1 else images


def _check(protocol: _Protocol, num_pairs: int) -> None:
    percentiles = protocol.percentiles
    kept_ranks(num_pairs, percentiles)
    choices = {
        "sampling": (protocol.sampling, ("full", "end")),
        "interpolation": (protocol.interpolation, ("slerp", "lerp")),
        "space": (protocol.space, ("z", "w")),
    }
    for what, (given, valid) in choices.items():
        if given not in valid:
            raise unknown_name(what, given, valid)
    if protocol.space == "w" and protocol.interpolation == "slerp":
        raise InputError("w is not a sphere, so slerp has no meaning there; choose lerp, or space z")
    share = min((p for p in (percentiles[0], 100 - percentiles[1]) if p > 0), default=50)
    smallest = math.ceil(100 / share)
    if num_pairs < smallest:
        raise InputError(
            f"{num_pairs} pairs are too few for the percentiles {percentiles[0]:g} and {percentiles[1]:g}; "
            f"use at least {smallest}"
        )


def _check_epsilon(epsilon: float, dtype: torch.dtype) -> None:
    smallest = 10 * torch.finfo(dtype).eps
    if not smallest <= epsilon <= 0.1:
        raise InputError(
            f"epsilon must lie between {smallest:.1g} (ten roundings of {dtype}) and 0.1, not {epsilon:g}; "
            "1e-4 is usual"
        )

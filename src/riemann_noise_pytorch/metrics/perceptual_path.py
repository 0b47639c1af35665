r"""Perceptual path length: how strongly images change along short steps in the latent space.

.. math:: \mathrm{PPL} = \mathbb{E}\;
    \frac{1}{\epsilon^2}\, d\bigl(G(\gamma(t)), G(\gamma(t + \epsilon))\bigr)

The path :math:`\gamma` joins two random latents; t is uniform in [0, 1] (``full``) or 0 (``end``). The mean
is taken between the 1st and the 99th percentile.

Both ends of a step see the same noise, and images stay in floating point: the squared step of 1e-8 multiplies
whatever else differs, so noise of 1 % would add 1e4 to the result, and rounding to 8 bits about as much. See
:mod:`~riemann_noise_pytorch.noise.pairs`.

Latents come from the index of their pair, so neither the batch size nor the number of processes changes them.

References:
    Karras, Laine and Aila, A style-based generator architecture for GANs, CVPR 2019, Section 4.1.
    Karras, Laine, Aittala, Hellsten, Lehtinen and Aila, Analyzing and improving the image quality of
    StyleGAN, CVPR 2020.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from riemann_noise_pytorch.errors import InputError, unknown_name
from riemann_noise_pytorch.metrics.distances import Distance
from riemann_noise_pytorch.noise.pairs import Network, Pairs, counted_normal, shared_noise
from riemann_noise_pytorch.seeds import derive
from riemann_noise_pytorch.statistics.intervals import Interval, bootstrap_trimmed_mean, kept_ranks
from riemann_noise_pytorch.statistics.sampling import Gather, Progress, sample_values

Sampling: TypeAlias = Literal["full", "end"]
Interpolation: TypeAlias = Literal["slerp", "lerp"]
Space: TypeAlias = Literal["z", "w"]

USUAL_PERCENTILES = (1.0, 99.0)
LARGEST = 256
"""Larger images are averaged down to 256 to 511 pixels before the distance, as in the reference."""


@dataclass(frozen=True)
class PathLength:
    """A perceptual path length.

    Attributes:
        key: The protocol's short name, such as ``ppl_zfull``; ``ppl2_wend`` is the uncropped ``ppl_wend``.
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

    z_dim: int
    distance: Distance
    sampling: Sampling
    interpolation: Interpolation
    space: Space
    epsilon: float
    seed: int
    crop: bool
    percentiles: tuple[float, float]

    def key(self) -> str:
        uncropped_end = self.space == "w" and self.sampling == "end" and not self.crop
        return "ppl2_wend" if uncropped_end else f"ppl_{self.space}{self.sampling}"

    def name(self, num_pairs: int) -> str:
        region = "face crop" if self.crop else "whole image"
        mantissa, exponent = f"{self.epsilon:e}".split("e")
        usual = self.percentiles == USUAL_PERCENTILES
        kept = "" if usual else f", percentiles {self.percentiles[0]:g} to {self.percentiles[1]:g}"
        return (
            f"{self.key()} ({self.distance.name}, {num_pairs:,} pairs, {self.interpolation}, "
            f"eps {float(mantissa):g}e{int(exponent)}, {region}{kept})"
        )


def perceptual_path_length(
    generator: Network,
    *,
    distance: Distance,
    z_dim: int | None = None,
    module: nn.Module | None = None,
    sampling: Sampling = "full",
    interpolation: Interpolation | None = None,
    space: Space = "z",
    epsilon: float = 1e-4,
    num_pairs: int = 50_000,
    batch: int = 64,
    seed: int = 0,
    noise_seed: int | None = None,
    crop: bool = False,
    percentiles: tuple[float, float] = USUAL_PERCENTILES,
    level: float = 0.95,
    rank: int = 0,
    world_size: int = 1,
    gather: Gather | None = None,
    progress: Progress | None = None,
) -> PathLength:
    """Measure the perceptual path length of a generator, with shared noise.

    Args:
        generator: From latents (N, z_dim) to float images (N, C, H, W) in about [-1, 1]. A module is put in
            eval mode meanwhile; its noise layers are frozen. For ``space="w"`` it has ``mapping`` and
            ``synthesis``.
        distance: The distance of images; moved to the generator's device and dtype.
        z_dim: Size of a latent; the generator's own ``z_dim`` by default.
        module: What the generator is made of, for a callable that is no module itself: its noise layers are
            frozen, and latents have its device and dtype.
        sampling: Where on the path a step begins: anywhere (``full``) or at its start (``end``).
        interpolation: The path; None takes ``slerp`` in z and ``lerp`` in w, the usual. In z, ``lerp`` is the
            habit of the paper's DCGAN. In w, only ``lerp`` makes sense.
        space: Where the path runs.
        epsilon: Length of the step as a share of the path, from ten roundings of the generator's dtype up
            to 0.1.
        num_pairs: Number of steps; 50,000 in the reference, 100 at least with the usual percentiles.
        batch: Steps computed at once. It changes memory and speed, not the latents or the noise.
        seed: Seed of latents and interval.
        noise_seed: Seed of the generator's noise; ``seed`` by default.
        crop: Keep rows 3/8 to 7/8 and columns 2/8 to 6/8 only, where faces are.
        percentiles: The lowest and highest value kept.
        level: Coverage of the interval.
        rank: Number of this process.
        world_size: Number of processes.
        gather: Concatenates the tensors of all processes, for several.
        progress: Called as ``progress(done, share)`` after each batch.

    Returns:
        The path length with its interval and all values.

    Raises:
        InputError: Settings out of range or contradictory, a generator that does not take such latents, lacks
            a mapping, is in half precision or is random in a way that cannot be frozen.
        NonFiniteError: A pair of images is not finite; the message names the pair.

    Example:
        >>> from riemann_noise_pytorch.metrics.distances import PyramidDistance
        >>> images = lambda z: z.view(-1, 1, 8, 8)
        >>> result = perceptual_path_length(images, distance=PyramidDistance(), z_dim=64, num_pairs=100)
        >>> result.name
        'ppl_zfull (pyramid distance, 100 pairs, slerp, eps 1e-4, whole image)'
    """
    path = interpolation or ("slerp" if space == "z" else "lerp")
    size = _latent_size(generator, z_dim)
    protocol = _Protocol(size, distance, sampling, path, space, epsilon, seed, crop, percentiles)
    _check(protocol, num_pairs, percentiles)
    synthesis, module = _image_part(generator, space, module)
    with shared_noise(synthesis, module=module, seed=seed if noise_seed is None else noise_seed) as pairs:
        values = sample_values(
            _measure(protocol, pairs, generator), num_pairs, batch=batch, what="pair",
            rank=rank, world_size=world_size, gather=gather, progress=progress,
        )  # fmt: skip
    interval = bootstrap_trimmed_mean(values, percentiles, level=level, seed=seed)
    low, high = kept_ranks(num_pairs, percentiles)
    return PathLength(protocol.key(), protocol.name(num_pairs), interval.value, interval, values, high - low)


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


def _measure(protocol: _Protocol, pairs: Pairs, generator: Network) -> Callable[[int, int], Tensor]:
    distance = protocol.distance.to(device=pairs.device, dtype=pairs.dtype)
    _check_epsilon(protocol.epsilon, pairs.dtype)

    def measure(first: int, count: int) -> Tensor:
        start, end = _step(protocol, pairs, generator, first, count)
        a, b = (_prepared(images, protocol.crop) for images in pairs(start, end, first))
        finite = a.isfinite().flatten(1).all(dim=1) & b.isfinite().flatten(1).all(dim=1)
        values = cast("Tensor", distance(a, b)).double() / protocol.epsilon**2
        return values.masked_fill(~finite, torch.nan)

    return measure


def _step(
    protocol: _Protocol, pairs: Pairs, generator: Network, first: int, count: int
) -> tuple[Tensor, Tensor]:
    """Both ends of steps ``first`` to ``first + count`` - 1, in the space of the path."""
    shape = (count, protocol.z_dim)
    a, b = (counted_normal(derive(protocol.seed, "path", end), first, shape) for end in ("a", "b"))
    t = torch.zeros(count, 1, dtype=torch.float64)
    if protocol.sampling == "full":
        t = torch.special.ndtr(counted_normal(derive(protocol.seed, "path", "t"), first, (count, 1)))
    if protocol.space == "w":
        mapping = cast("Any", generator).mapping
        a, b = (pairs.one(z.to(pairs.device, pairs.dtype), first, mapping) for z in (a, b))
    path = slerp if protocol.interpolation == "slerp" else lerp
    start, end = (path(a, b, t.to(a) + step) for step in (0.0, protocol.epsilon))
    return start.to(pairs.device, pairs.dtype), end.to(pairs.device, pairs.dtype)


def _prepared(images: Tensor, crop: bool) -> Tensor:
    if images.ndim != 4:
        raise InputError(
            f"the generator returns shape {tuple(images.shape)}, not images (N, C, H, W); reshape its output"
        )
    height, width = images.shape[2:]
    if crop:
        rows, columns = height // 8, width // 8
        images = images[:, :, 3 * rows : 7 * rows, 2 * columns : 6 * columns]
    factor = min(height, width) // LARGEST
    return functional.avg_pool2d(images, factor) if factor > 1 else images


def _image_part(
    generator: Network, space: Space, module: nn.Module | None
) -> tuple[Network, nn.Module | None]:
    """The callable that draws images from points of the space, and the module whose noise is frozen."""
    if module is None and isinstance(generator, nn.Module):
        module = generator
    if space == "z":
        return generator, module
    if not all(callable(getattr(generator, part, None)) for part in ("mapping", "synthesis")):
        raise InputError("the generator has no mapping and synthesis, hence no space w; measure in space z")
    return cast("Any", generator).synthesis, module


def _latent_size(generator: Network, z_dim: int | None) -> int:
    own = getattr(generator, "z_dim", None)
    size = own if z_dim is None else z_dim
    if not isinstance(size, int) or size < 1:
        raise InputError(f"the size of a latent must be a positive integer, not {size!r}; give z_dim")
    if isinstance(own, int) and size != own:
        raise InputError(f"z_dim is {size}, but the generator's latents have {own} values; leave z_dim out")
    return size


def _check(protocol: _Protocol, num_pairs: int, percentiles: tuple[float, float]) -> None:
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

r"""What Riemannian noise assumes of a trained generator, measured.

Section 4.3 rests on three sentences about :math:`s_d = A * s + b = s_m + s_v` (Eq. 15), where :math:`s_m`
stays and :math:`s_v` moves when the noise is drawn anew. Here, at a fixed latent, :math:`s_m` is the mean
over draws of all noise, and :math:`s_v` what a draw adds to it:

- the noise moves :math:`s_d`: the share of its mean square that moves;
- :math:`s_v * \mu \approx 0`, which makes :math:`\sigma * \mu` drop :math:`s_v`: the cosine between
  :math:`s_v` and the channels of :math:`\mu`, and the size of the product itself;
- :math:`\sigma` is large where the semantics vary: the rank correlation over positions between
  :math:`\sigma` and the standard deviation over draws, of the features and of the image.

A layer computes s before it adds its noise, so its own noise never moves its own s: only noise of layers
before it does. Where there is none, :math:`s_v` is 0, and most of this has no answer.
"""

import contextlib
import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.geometry.indexed_images import IndexedImages, indexed_images
from riemann_noise_pytorch.models.latent_space import Labels
from riemann_noise_pytorch.noise.control import noise_layers
from riemann_noise_pytorch.noise.layers import RiemannNoise
from riemann_noise_pytorch.noise.precision import Network
from riemann_noise_pytorch.noise.wording import told
from riemann_noise_pytorch.statistics.intervals import Interval, bootstrap_mean
from riemann_noise_pytorch.statistics.sampling import Progress

ROUNDINGS = 100
"""What differs between draws by fewer roundings of its size than this does not move."""
POOLS: dict[int, Callable[..., Tensor]] = {
    1: adaptive_avg_pool1d,
    2: adaptive_avg_pool2d,
    3: adaptive_avg_pool3d,
}


@dataclass(frozen=True)
class LayerPremises:
    """The premises at one layer: means over latents, with their 95 % bootstrap intervals.

    Attributes:
        name: Of the layer.
        preset: Of the layer, such as ``neutral``.
        shape: Of its features, (C, H, W).
        moved: Share of the mean square of s_d that moves with the noise, in [0, 1].
        cosine: Cosine between s_v and a channel of mu, over positions: the root mean square over channels, in
            [0, 1]. None where s_v is 0.
        chance: What a random direction has for the cosine: 1 / sqrt(HW).
        overlap: Root mean square of s_v * mu, over that of s_v and that of mu: 0 where the product is 0, 1
            where it is as large as if neither knew of the other. None where s_v is 0.
        features: Rank correlation of sigma with the standard deviation of the features over draws, channels
            together. None where either is the same at all positions.
        image: Rank correlation of sigma with the standard deviation of the image, averaged over the area of
            each position of the layer. None where either is the same at all positions.
        latents: How many latents were looked at; an interval counts those that have the number.
        draws: Draws of noise at each latent.
        remark: Why numbers are missing; empty where none is.
    """

    name: str
    preset: str
    shape: tuple[int, ...]
    moved: Interval
    cosine: Interval | None
    chance: float
    overlap: Interval | None
    features: Interval | None
    image: Interval | None
    latents: int
    draws: int
    remark: str


def premises(
    generator: Network,
    z_dim: int | None = None,
    *,
    module: nn.Module | None = None,
    labels: Labels | None = None,
    samples: int = 64,
    draws: int = 16,
    batch: int = 64,
    seed: int = 0,
    dtype: torch.dtype | None = None,
    progress: Progress | None = None,
) -> tuple[LayerPremises, ...]:
    r"""Measure the premises of Riemannian noise at each of its layers.

    .. math:: s_m = \frac1K \sum_k s_d^{(k)}, \qquad s_v^{(k)} = s_d^{(k)} - s_m

    over K draws of all noise of the generator at the same latent. It costs ``samples`` times K images.

    Paper: Section 4.3, the text between Eqs. 14 and 17, and Fig. 1.

    Args:
        generator: From latents (N, z_dim), and classes (N,) if there are any, to images (N, C, H, W).
        z_dim: Size of a standard normal latent; the generator's own by default.
        module: What the generator is made of, for a callable that is no module itself.
        labels: Classes by index; uniform ones by default, if the generator has ``classes``.
        samples: Number of latents, at least 2.
        draws: K, at least 2. A standard deviation over K draws is known to 1 / sqrt(2 K) of itself, which
            lowers rank correlations where positions differ by less.
        batch: Images computed at once, at least K. It changes memory and speed only.
        seed: Seed of latents, classes, noise and intervals.
        dtype: ``torch.float64`` measures a copy in that precision; None the generator as it is.
        progress: Called as ``progress(done, samples)`` after each batch.

    Returns:
        One entry for each Riemannian layer, in order of registration; nothing where there is none. A layer
        that is called several times a pass is seen at its first call.

    Raises:
        InputError: Too few samples or draws, a batch below K, a generator that does not take such latents or
            cannot be frozen, or a layer out of sight because it is compiled or never called.
        NonFiniteError: An image has NaN or infinity.

    Example:
        >>> from riemann_noise_pytorch import RiemannNoise
        >>> layers = [RiemannNoise(4, preset="paper") for _ in range(2)]
        >>> first, second = premises(nn.Sequential(nn.Unflatten(1, (2, 4, 4)), *layers), 32, samples=8)
        >>> first.moved.value, first.remark
        (0.0, 'no noise before this layer moves its features')
        >>> second.moved.value > 0.01, second.remark
        (True, '')
    """
    _check(samples, draws, batch)
    with indexed_images(generator, z_dim, module=module, labels=labels, dtype=dtype, seed=seed) as source:
        watches = _watches(source, draws)
        with contextlib.ExitStack() as hooks:
            for watch in watches:
                hooks.callback(watch.layer.register_forward_pre_hook(watch.look, with_kwargs=True).remove)
            at_once = batch // draws
            for first in range(0, samples if watches else 0, at_once):
                variance = _image_variance(source, first, min(at_once, samples - first), draws)
                for watch in watches:
                    watch.compare(variance)
                if progress is not None:
                    progress(min(first + at_once, samples), samples)
    return tuple(watch.premises(seed) for watch in watches)


def separation(s_v: Tensor, mu: Tensor) -> tuple[Tensor, Tensor]:
    r"""How nearly the moving part of s_d and the features are orthogonal, in two senses.

    .. math::

        \cos = \sqrt{\frac1C \sum_c \frac{\langle s_v, \mu_c \rangle^2}{\|s_v\|^2 \|\mu_c\|^2}}, \qquad
        \mathrm{overlap} = \frac{\mathrm{rms}(s_v * \mu)}{\mathrm{rms}(s_v)\,\mathrm{rms}(\mu)}

    Channels that are 0 everywhere have no cosine, and are left out.

    Args:
        s_v: The moving part, (K, P) over P positions.
        mu: The features, (K, C, P).

    Returns:
        Cosine and overlap, (K,) each; NaN where ``s_v`` or ``mu`` is 0.

    Example:
        >>> s_v, mu = torch.tensor([[1.0, 0.0]]), torch.tensor([[[0.0, 2.0], [0.0, 1.0]]])
        >>> separation(s_v, mu)
        (tensor([0.]), tensor([0.]))
    """
    power, energy = s_v.square(), mu.square()
    dots = torch.einsum("kp,kcp->kc", s_v, mu).square()
    cosines = dots / (power.sum(-1, keepdim=True) * energy.sum(-1))
    overlap = (power * energy.mean(1)).mean(-1) / (power.mean(-1) * energy.mean((1, 2)))
    return cosines.nanmean(-1).sqrt(), overlap.sqrt()


def rank_correlation(x: Tensor, y: Tensor) -> Tensor:
    """Spearman's rank correlation: that of the ranks, where equal values share the mean of theirs.

    Args:
        x: Values, (P,).
        y: Values, (P,).

    Returns:
        A scalar in [-1, 1], float64; NaN where all values of either are equal.

    Example:
        >>> rank_correlation(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 10.0, 100.0])).item()
        1.0
    """
    a, b = (ranks - ranks.mean() for ranks in (_ranks(x), _ranks(y)))
    return ((a * b).sum() / (a.square().sum() * b.square().sum()).sqrt()).clamp(-1, 1)


def _ranks(values: Tensor) -> Tensor:
    _, place, counts = torch.unique(values, return_inverse=True, return_counts=True)
    ranks: Tensor = (counts.cumsum(0) - (counts - 1) / 2).double()
    return ranks[place]


@final
class _Watch:
    """Looks at the features that reach one layer: draws of noise at the same latent, side by side."""

    def __init__(self, name: str, layer: RiemannNoise, draws: int) -> None:
        self.name = name
        self.layer = layer
        self._draws = draws
        self._shape: tuple[int, ...] = ()
        self._values: dict[str, list[float]] = defaultdict(list)
        self._sigmas: list[Tensor] = []

    def look(self, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG002
        """Measure what goes into the layer; of several calls in a pass, the first."""
        if not self._sigmas:
            features: Tensor = next(iter((*args, *kwargs.values())))
            self._shape = tuple(features.shape[1:])
            for mu in torch.split(features, self._draws):
                self._measure(mu)

    def compare(self, image_variance: Tensor) -> None:
        """Compare sigma with the variance of the images of the same latents, (L, C, H, W)."""
        if not self._sigmas:
            raise InputError(
                f"the noise layer '{told(self.name)}' is never called, or inside of compiled code, where it "
                "cannot be watched; give the network as it was before torch.compile"
            )
        for sigma, variance in zip(self._sigmas, image_variance, strict=True):
            self._values["image"].append(float(rank_correlation(sigma, self._pooled(variance).sqrt())))
        self._sigmas = []

    def premises(self, seed: int) -> LayerPremises:
        """Summarise all latents."""
        found = {name: _interval(values, seed) for name, values in self._values.items()}
        moved = found.pop("moved")
        assert moved is not None
        return LayerPremises(
            name=told(self.name),
            preset=self.layer.preset,
            shape=self._shape,
            moved=moved,
            chance=1 / math.sqrt(math.prod(self._shape[1:])),
            latents=len(self._values["moved"]),
            draws=self._draws,
            remark=self._remark(),
            **{name: found[name] for name in ("cosine", "overlap", "features", "image")},
        )

    def _measure(self, mu: Tensor) -> None:
        """Measure draws of noise at one latent: features (K, C, H, W)."""
        planes = (self.layer.decomposition(mu), self.layer.local_scale(mu))
        s_d, sigma = (plane.double().flatten(1) for plane in planes)
        smallest = (ROUNDINGS * torch.finfo(mu.dtype).eps) ** 2
        mu = mu.double().flatten(2)
        variance = mu.var(0).sum(0)
        stands = float(variance.sum()) <= smallest * float(mu.square().sum()) / len(mu)
        moved = float(s_d.var(0).sum() / s_d.square().mean(0).sum().clamp_min(torch.finfo(s_d.dtype).tiny))
        moved = 0.0 if stands or moved <= smallest else min(moved, 1.0)
        cosine, overlap = separation(s_d - s_d.mean(0), mu)
        mean_sigma = sigma.mean(0)
        values = {
            "moved": moved,
            "stands": float(stands),
            "flat": float(mean_sigma.min() == mean_sigma.max()),
            "cosine": float(cosine.mean()) if moved else math.nan,
            "overlap": float(overlap.mean()) if moved else math.nan,
            "features": math.nan if stands else float(rank_correlation(mean_sigma, variance.sqrt())),
        }
        for name, value in values.items():
            self._values[name].append(value)
        self._sigmas.append(mean_sigma)

    def _pooled(self, variance: Tensor) -> Tensor:
        """The variance of an image (C, H, W), averaged over the area of each position of the layer."""
        size = self._shape[1:]
        if variance.ndim != len(size) + 1:
            return variance.new_zeros(math.prod(size))
        pooled: Tensor = POOLS[len(size)](variance.sum(0, keepdim=True), size)
        return pooled.flatten()

    def _remark(self) -> str:
        remarks = []
        if all(self._values["stands"]):
            remarks.append("no noise before this layer moves its features")
        elif not any(self._values["moved"]):
            remarks.append("s_d does not depend on the features")
        if all(self._values["flat"]):
            remarks.append("sigma is the same at all positions")
        elif not any(map(math.isfinite, self._values["image"])):
            remarks.append("the image has no map that varies with the noise")
        return "; ".join(remarks)


def _watches(source: IndexedImages, draws: int) -> list[_Watch]:
    layers = {} if source.module is None else noise_layers(source.module)
    return [_Watch(name, layer, draws) for name, layer in layers.items() if isinstance(layer, RiemannNoise)]


def _image_variance(source: IndexedImages, first: int, count: int, draws: int) -> Tensor:
    """Variance over draws of noise, of the images of latents from ``first``: (count, C, H, W), float64."""
    z, *classes = (
        each.repeat_interleave(draws, dim=0)
        for each in (source.latents(first, count), *source.classes(first, count))
    )
    images = source.images(z, tuple(classes), first * draws)
    images = images.view(count, draws, *images.shape[1:])
    smallest = (ROUNDINGS * torch.finfo(images.dtype).eps) ** 2
    variance = images.double().var(1).flatten(1)
    size = images.double().square().mean(1).flatten(1).sum(1, keepdim=True)
    stands = variance.sum(1, keepdim=True) <= smallest * size
    return torch.where(stands, 0.0, variance).view(count, *images.shape[2:])


def _interval(values: list[float], seed: int) -> Interval | None:
    known = [value for value in values if math.isfinite(value)]
    return bootstrap_mean(known, seed=seed) if len(known) > 1 else None


def _check(samples: int, draws: int, batch: int) -> None:
    for name, value in (("samples", samples), ("draws", draws)):
        if value < 2:
            raise InputError(f"{name} must be at least 2, not {value}; nothing can be told from one")
    if batch < draws:
        raise InputError(
            f"the batch must hold all {draws} draws of a latent, not {batch} images; give a larger batch, "
            "or fewer draws"
        )

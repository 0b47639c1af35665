r"""Where the variance of the images comes from: the latent, the class, or the noise of one layer or another.

An image x is a function of independent inputs :math:`u_1, \dots, u_k`: the latent, the class if there is
one, and the noise of each layer. With V the variance of the image, summed over its values, group i has two
shares:

.. math::

    S_i = \frac{\mathrm{Var}\,\mathrm{E}[x \mid u_i]}{V}, \qquad
    T_i = \frac{\mathrm{E}\,\mathrm{Var}[x \mid u_{j \neq i}]}{V}.

The first-order share :math:`S_i` is what the group does alone; the total share :math:`T_i` adds what it does
together with others. First-order shares sum to at most 1, total ones to at least 1, and both to exactly 1
where the inputs only add up. Noise whose effect depends on the latent, as that of Riemannian layers does,
shows as :math:`T_i > S_i`.

Both are estimated (:mod:`~riemann_noise_pytorch.geometry.sobol`) from images that share all inputs but one
group's, which this package's noise makes exact: it is a function of seed, layer and sample, so nothing is
drawn and nothing has to be kept.

References:
    Sobol (1993), Sensitivity estimates for nonlinear mathematical models.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.geometry.indexed_images import IndexedImages, indexed_images
from riemann_noise_pytorch.geometry.sobol import Indices, SobolSums, over_channels
from riemann_noise_pytorch.models.latent_space import Labels
from riemann_noise_pytorch.noise.precision import Network
from riemann_noise_pytorch.noise.wording import told
from riemann_noise_pytorch.statistics.intervals import Interval
from riemann_noise_pytorch.statistics.sampling import Progress

FEWEST_SAMPLES = 32
MIDDLE_IMAGES = 64
"""Images that tell where the middle is: squares about it exceed the variance by 1/64."""
FOREIGN = "noise of the network's own"

Kind = Literal["latent", "class", "layer", "foreign"]


@dataclass(frozen=True)
class Share:
    """What one group of inputs has of the variance.

    Attributes:
        name: ``latent``, ``class``, the name of a noise layer, or ``noise of the network's own``.
        kind: ``latent``, ``class``, ``layer`` or ``foreign``.
        first: First-order share S of the whole variance; an estimate, so it may leave [0, 1].
        total: Total share T.
        first_error: Standard error of ``first``, by the bootstrap over samples.
        total_error: Standard error of ``total``.
        first_interval: ``first`` with its 95 % bootstrap interval.
        total_interval: ``total`` with its 95 % bootstrap interval.
        ignored: Whether the group changes the images by no more than roundings.
        maps: First-order share at each position, (H, W), float64 on the CPU; 0 where nothing varies.
        total_maps: Total share at each position.
    """

    name: str
    kind: Kind
    first: float
    total: float
    first_error: float
    total_error: float
    first_interval: Interval
    total_interval: Interval
    ignored: bool
    maps: Tensor
    total_maps: Tensor


@dataclass(frozen=True)
class Attribution:
    """The variance of a generator's images, split among its inputs.

    Attributes:
        groups: The shares: of the latent, of the class, of each noise layer, of noise of the network's own.
        variance: Variance of a value of the image, averaged over the image.
        variance_map: The same at each position, (H, W), averaged over the channels.
        samples: How many samples stand behind each share.
        forwards: How many images were computed.
        ignores_latent: Whether the images do not depend on the latent.
    """

    groups: tuple[Share, ...]
    variance: float
    variance_map: Tensor
    samples: int
    forwards: int
    ignores_latent: bool

    @property
    def interaction(self) -> float:
        """Share of the variance that belongs to no group alone: 1 minus the sum of first-order shares.

        It is 0 where nothing varies.
        """
        varies = any(share.total for share in self.groups)
        return 1 - sum(share.first for share in self.groups) if varies else 0.0


def attribution(
    generator: Network,
    z_dim: int | None = None,
    *,
    module: nn.Module | None = None,
    labels: Labels | None = None,
    samples: int = 512,
    batch: int = 64,
    seed: int = 0,
    dtype: torch.dtype | None = None,
    progress: Progress | None = None,
) -> Attribution:
    r"""Split the variance of the images among latent, class and noise layers.

    .. math:: V = \sum_i S_i V + \text{interactions}, \qquad S_i \le T_i

    It costs (groups + 2) times ``samples`` images, and 64 in advance. Where there is one group only, it has
    all of the variance, which costs 2 times ``samples`` images to measure.

    Noise of the network's own is one group; where such a network gives one noise to a whole batch, it counts
    once a batch: give ``batch=1``. A noise layer that is called several times a pass sees one noise.

    References:
        Saltelli et al. (2010) and Jansen (1999), through
        :class:`~riemann_noise_pytorch.geometry.sobol.SobolSums`.

    Args:
        generator: From latents (N, z_dim), and classes (N,) if there are any, to images (N, C, H, W) in
            [-1, 1]. Other outputs (N, ...) have maps of their last axes: all but the channels, if any.
        z_dim: Size of a standard normal latent; the generator's own by default.
        module: What the generator is made of, for a callable that is no module itself: its noise layers are
            the groups.
        labels: Classes by index, a group of their own; uniform ones by default, if the generator has
            ``classes``.
        samples: Samples behind each share, at least 32. Errors fall with their square root.
        batch: Images computed at once; it changes memory and speed only.
        seed: Seed of latents, classes, noise and intervals.
        dtype: ``torch.float64`` measures a copy in that precision; None the generator as it is.
        progress: Called as ``progress(done, samples)`` after each batch.

    Returns:
        The shares with errors, intervals and maps. Images that do not vary at all have shares of 0.

    Raises:
        InputError: Too few samples, a batch below 1, or a generator that does not take such latents or cannot
            be frozen.
        NonFiniteError: An image has NaN or infinity.

    Example:
        >>> from riemann_noise_pytorch import EuclideanNoise
        >>> generator = EuclideanNoise(strength=1.0, planes="per_channel")  # z + noise: half each
        >>> [(share.kind, round(share.total, 1)) for share in attribution(generator, 4).groups]
        [('latent', 0.5), ('layer', 0.5)]
    """
    _check(samples, batch)
    with indexed_images(generator, z_dim, module=module, labels=labels, dtype=dtype, seed=seed) as source:
        groups = _groups_of(source)
        swaps = [(group,) for group in groups] if len(groups) > 1 else []
        middle, dtype = _middle(source, 2 * samples, batch)
        sums = SobolSums(middle, len(swaps), dtype)
        for first in range(0, samples, batch):
            members = _images(source, first, min(batch, samples - first), samples, [(), groups, *swaps])
            sums.add(next(members), next(members), members)
            if progress is not None:
                progress(min(first + batch, samples), samples)
    indices = sums.indices(seed) if swaps else [sums.settled(float(sums.varies()))]
    shares = tuple(_share(group, each) for group, each in zip(groups, indices, strict=True))
    variance = sums.variance()
    channels = variance.numel() / over_channels(variance).numel()
    return Attribution(
        groups=shares,
        variance=float(variance.mean()),
        variance_map=over_channels(variance) / channels,
        samples=samples,
        forwards=MIDDLE_IMAGES + samples * (2 + len(swaps)),
        ignores_latent=shares[0].ignored,
    )


@dataclass(frozen=True)
class _Group:
    name: str
    kind: Kind


def _groups_of(source: IndexedImages) -> tuple[_Group, ...]:
    classes = [_Group("class", "class")] if source.has_classes else []
    foreign = [_Group(FOREIGN, "foreign")] if source.has_foreign else []
    layers = [_Group(name, "layer") for name in source.layers]
    return (_Group("latent", "latent"), *classes, *layers, *foreign)


def _images(
    source: IndexedImages, first: int, count: int, offset: int, members: list[tuple[_Group, ...]]
) -> Iterator[Tensor]:
    """For each member, images of the samples from ``first``; what moves is taken ``offset`` samples later."""
    second = first + offset
    for moved in members:
        kinds = {group.kind for group in moved}
        names = [group.name for group in moved if group.kind == "layer"]
        z = source.latents(second if "latent" in kinds else first, count)
        classes = source.classes(second if "class" in kinds else first, count)
        if "foreign" in kinds:
            staying = [name for name in source.layers if name not in names]
            yield source.images(z, classes, second, others=staying, first_of_others=first)
        else:
            yield source.images(z, classes, first, others=names, first_of_others=second)


def _middle(source: IndexedImages, first: int, batch: int) -> tuple[Tensor, torch.dtype]:
    """About the mean image, from samples of its own; and the dtype of images."""
    parts = []
    for start in range(0, MIDDLE_IMAGES, batch):
        images = next(_images(source, first + start, min(batch, MIDDLE_IMAGES - start), 0, [()]))
        parts.append(images.double().sum(0))
    return torch.stack(parts).sum(0) / MIDDLE_IMAGES, images.dtype


def _share(group: _Group, indices: Indices) -> Share:
    return Share(
        name=told(group.name),
        kind=group.kind,
        first=indices.first.value,
        total=indices.total.value,
        first_error=indices.first_error,
        total_error=indices.total_error,
        first_interval=indices.first,
        total_interval=indices.total,
        ignored=indices.ignored,
        maps=indices.first_map,
        total_maps=indices.total_map,
    )


def _check(samples: int, batch: int) -> None:
    if samples < FEWEST_SAMPLES:
        raise InputError(f"{samples} samples are too few to split a variance; use at least {FEWEST_SAMPLES}")
    if batch < 1:
        raise InputError(
            f"the batch must be at least 1, not {batch}; give the number of images computed at once"
        )

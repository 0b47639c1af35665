r"""Sliced Wasserstein distance on Laplacian-pyramid patches: a distance between image sets without weights.

At each level l of the pyramid, the 7x7 patches of a set are normalised to mean 0 and standard deviation 1 per
channel over the set, projected on random directions u, and sorted:

.. math:: d_l = 10^3 \cdot \frac{1}{|U|\,M} \sum_{u \in U} \sum_{m=1}^{M} |p_{u(m)} - q_{u(m)}|

with :math:`p_{u(m)}` the m-th smallest projection of a real patch and :math:`q_{u(m)}` of a generated one.
The distance is the mean over the levels of 8 pixels and more. Coarse levels see the layout, fine ones the
texture.

Two details differ from Karras et al. They take 128 random positions in each image; here the positions are
drawn once for all images of both sets, so the distance does not depend on the order of the images, and is
exactly 0 between equal sets. They stop at 16 pixels; here the level of 8 pixels is kept. A level that has no
more than 128 positions (16 pixels: 100; 8 pixels: 4) uses each of them once.

The distance is blind to some failures: one real image repeated scores well. Look at :func:`sample_spread`
too.

References:
    Karras, Aila, Laine and Lehtinen, Progressive growing of GANs, ICLR 2018, Section 5.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.metrics.pyramid import SMALLEST, laplacian_pyramid
from riemann_noise_pytorch.seeds import derive
from riemann_noise_pytorch.statistics.intervals import Interval, redraw_interval
from riemann_noise_pytorch.statistics.sampling import Progress

PATCH = 7
PATCHES = 128
"""Positions at each level, as in the reference."""
SCALE = 1e3
"""Karras et al. print the distance times 1000."""
FLAT = 1e-5
"""A level that varies less than this share of the images' largest value is constant: rounding, no texture."""
DIRECTIONS_AT_ONCE = 32


@dataclass(frozen=True)
class SlicedWasserstein:
    """A sliced Wasserstein distance, times 1000.

    Attributes:
        value: Mean over the levels.
        levels: Distance by level, the key being the shorter side in pixels.
        images: Number of images in each of the two sets.
        directions: Number of random directions.
        patches: Largest number of patches of one image at one level.
    """

    value: float
    levels: dict[int, float]
    images: int
    directions: int
    patches: int

    @property
    def name(self) -> str:
        """The metric with its protocol."""
        levels = ", ".join(str(level) for level in self.levels)
        return (
            f"sliced Wasserstein distance x1e3 (levels {levels}; {self.images:,} images a side, "
            f"up to {self.patches} patches each, {self.directions} directions)"
        )


@final
class RealPatches:
    """The real side of the distance, prepared once for any number of generated sets.

    Args:
        real: Real images, (N, C, H, W), uint8 or floating point, at least 2 images of at least 8 pixels. Of
            a larger data set take a random part: many are sorted, scikit-learn's digits by writer.
        directions: Number of random directions, at least 1; 512 in the reference.
        patches: Positions at each level, at least 1; 128 in the reference. A level with no more positions
            than that uses all.
        seed: Seed of directions and positions. Distances are comparable under one seed only.
        cache_mib: Memory for the sorted projections; levels that do not fit are sorted again at each call.

    Raises:
        InputError: Images of a wrong shape, size, number or dtype, or counts that are not positive.
        NonFiniteError: An image has a NaN or an infinite value; the message names the first.

    Example:
        >>> images = torch.rand(20, 1, 16, 16, generator=torch.Generator().manual_seed(0))
        >>> real = RealPatches(images[:10])
        >>> real.distance(images[:10]).value
        0.0
        >>> sorted(real.distance(images[10:]).levels)
        [8, 16]
    """

    def __init__(
        self,
        real: Tensor,
        *,
        directions: int = 512,
        patches: int = PATCHES,
        seed: int = 0,
        cache_mib: float = 512,
    ) -> None:
        if directions < 1 or patches < 1:
            raise InputError(
                f"{directions} directions and {patches} patches measure nothing; give 1 or more of each"
            )
        self.image_shape = tuple(real.shape[1:])
        self.images = len(real)
        self.directions = directions
        self._patches = patches
        self._seed = seed
        self._descriptors = self._described(real, "real")
        self._directions = {level: self._drawn(level, len(d)) for level, d in self._descriptors.items()}
        self._cache: dict[int, list[Tensor]] = {}
        for level, descriptors in self._descriptors.items():
            cost_mib = directions * descriptors.shape[1] * descriptors.element_size() / 2**20
            if cost_mib <= cache_mib:
                cache_mib -= cost_mib
                self._cache[level] = [self._sorted(level, descriptors, at) for at in self._blocks()]

    def distance(self, fake: Tensor) -> SlicedWasserstein:
        """Measure the distance of generated images to the real ones.

        Args:
            fake: Generated images, (N, C, H, W), as many and as large as the real ones.

        Returns:
            The distance. It falls with the number of images even between equal distributions, which is why
            the numbers must be equal, and why :func:`real_floor` uses the same.

        Raises:
            InputError: The number, shape or dtype differs from the real images'.
            NonFiniteError: An image has a NaN or an infinite value; the message names the first.
        """
        if tuple(fake.shape[1:]) != self.image_shape or len(fake) != self.images:
            raise InputError(
                f"{len(fake)} generated images of shape {tuple(fake.shape[1:])} cannot be compared with "
                f"{self.images} real ones of shape {self.image_shape}; give equal numbers of equal shape"
            )
        levels = {}
        for level, descriptors in self._described(fake, "generated").items():
            total = 0.0
            for index, at in enumerate(self._blocks()):
                cached = self._cache.get(level)
                real = cached[index] if cached else self._sorted(level, self._descriptors[level], at)
                difference = self._sorted(level, descriptors, at).sub_(real).abs_()
                total += float(difference.mean(dim=1).sum(dtype=torch.float64))
            levels[level] = SCALE * total / self.directions
        value = sum(levels.values()) / len(levels)
        return SlicedWasserstein(value, levels, self.images, self.directions, self._patches)

    def _blocks(self) -> list[slice]:
        return [slice(at, at + DIRECTIONS_AT_ONCE) for at in range(0, self.directions, DIRECTIONS_AT_ONCE)]

    def _described(self, images: Tensor, kind: str) -> dict[int, Tensor]:
        _check_images(images, kind)
        images = images if images.dtype == torch.float64 else images.float()
        flat = FLAT * float(images.abs().amax())
        return {
            min(level.shape[2:]): _descriptors(level, self._positions(level), flat)
            for level in laplacian_pyramid(images)
        }

    def _positions(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """Rows and columns of the patches' upper left corners, (P,) each."""
        height, width = level.shape[2] - PATCH + 1, level.shape[3] - PATCH + 1
        generator = torch.Generator().manual_seed(derive(self._seed, "positions", height, width))
        chosen = torch.arange(height * width)
        if len(chosen) > self._patches:
            chosen = torch.randperm(len(chosen), generator=generator)[: self._patches]
        chosen = chosen.to(level.device)
        return chosen // width, chosen % width

    def _drawn(self, level: int, size: int) -> Tensor:
        generator = torch.Generator().manual_seed(derive(self._seed, "directions", level))
        u = torch.randn(self.directions, size, generator=generator, dtype=torch.float64)
        length: Tensor = u.norm(dim=1, keepdim=True)
        return (u / length).to(self._descriptors[level])

    def _sorted(self, level: int, descriptors: Tensor, at: slice) -> Tensor:
        """Sorted projections on some of the directions, (directions, patches)."""
        return _sort_rows(self._directions[level][at] @ descriptors)


def patch_bytes(image_shape: Sequence[int], patches: int = PATCHES) -> int:
    """Memory for the patches of one image in float32.

    Args:
        image_shape: (C, H, W).
        patches: Positions at each level.

    Example:
        >>> patch_bytes((3, 32, 32)) == (128 + 100 + 4) * 147 * 4
        True
    """
    channels, height, width = image_shape
    positions = 0
    while min(height, width) >= SMALLEST:
        positions += min(patches, (height - PATCH + 1) * (width - PATCH + 1))
        height, width = (height + 1) // 2, (width + 1) // 2
    return 4 * channels * PATCH**2 * positions


def sliced_wasserstein(
    real: Tensor, fake: Tensor, *, directions: int = 512, patches: int = PATCHES, seed: int = 0
) -> SlicedWasserstein:
    """Sliced Wasserstein distance of two sets of images, times 1000; see :class:`RealPatches`.

    Args:
        real: Real images, (N, C, H, W), uint8 or floating point, at least 8 pixels.
        fake: As many generated images of the same shape.
        directions: Number of random directions.
        patches: Positions at each level.
        seed: Seed of directions and positions.

    Returns:
        The distance with its levels.

    Raises:
        InputError: Numbers, shapes, sizes or dtypes that do not fit.
        NonFiniteError: An image has a NaN or an infinite value.
    """
    return RealPatches(real, directions=directions, patches=patches, seed=seed, cache_mib=0).distance(fake)


def real_floor(
    real: Tensor,
    images: int,
    *,
    splits: int = 5,
    directions: int = 512,
    patches: int = PATCHES,
    seed: int = 0,
    level: float = 0.95,
    progress: Progress | None = None,
) -> Interval:
    """The distance that a perfect generator would have: real against other real images.

    Args:
        real: Real images, (N, C, H, W), at least twice ``images``.
        images: Number of images a side: the same as in the measurement.
        splits: Number of random splits into disjoint sets, at least 2.
        directions: As in the measurement.
        patches: As in the measurement.
        seed: As in the measurement; also the seed of the splits.
        level: Coverage of the interval.
        progress: Called as ``progress(done, splits)``.

    Returns:
        The mean over the splits. Its interval covers the choice of the split, not of the data set.

    Raises:
        InputError: Fewer than twice ``images`` real images, or fewer than 2 splits.

    Example:
        >>> digits = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
        >>> real_floor(digits, 20, splits=3).n
        3
    """
    if len(real) < 2 * images:
        raise InputError(
            f"two disjoint sets of {images} need {2 * images} real images, but there are {len(real)}; "
            f"measure with {len(real) // 2} images or fewer"
        )
    values = []
    for split in range(splits):
        generator = torch.Generator().manual_seed(derive(seed, "split", split))
        order = torch.randperm(len(real), generator=generator).to(real.device)
        halves = real[order[:images]], real[order[images : 2 * images]]
        values.append(sliced_wasserstein(*halves, directions=directions, patches=patches, seed=seed).value)
        if progress is not None:
            progress(split + 1, splits)
    return redraw_interval(values, level=level)


def sample_spread(images: Tensor) -> float:
    """Standard deviation of the pixels over the samples, averaged over the pixels.

    A generator that repeats itself has little of it, however good its images.

    Args:
        images: (N, C, H, W), floating point, in [-1, 1]; at least 2.

    Returns:
        The spread, in units of the images.

    Raises:
        InputError: Images of a wrong shape, number or dtype.
        NonFiniteError: An image has a NaN or an infinite value.

    Example:
        >>> sample_spread(torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1))
        1.0
    """
    _check_samples(images, "given")
    return float(images.double().std(dim=0, correction=0).mean())


def _descriptors(level: Tensor, positions: tuple[Tensor, Tensor], flat: float) -> Tensor:
    """Normalised patches of one level, one a column: (C * 49, N * P)."""
    n, c, _, _ = level.shape
    rows, columns = torch.meshgrid(
        torch.arange(PATCH, device=level.device), torch.arange(PATCH, device=level.device), indexing="ij"
    )
    rows = rows.reshape(-1, 1) + positions[0]
    columns = columns.reshape(-1, 1) + positions[1]
    patches = level.transpose(0, 1)[:, :, rows, columns]
    patches = patches.permute(0, 2, 1, 3).reshape(c, -1)
    deviation, mean = torch.std_mean(patches, dim=1, correction=0, keepdim=True)
    scale = torch.where(deviation > flat, deviation, torch.inf)
    return ((patches - mean) / scale).reshape(c * PATCH**2, n * len(positions[0]))


def _sort_rows(values: Tensor) -> Tensor:
    """Sort each row; NumPy's sort is about four times faster than torch's on a CPU, and sorts in place."""
    if values.device.type != "cpu":
        return values.sort(dim=1).values
    threads = min(torch.get_num_threads(), len(values))
    if threads == 1:
        values.numpy().sort(axis=1)
        return values
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda rows: rows.numpy().sort(axis=1), values.chunk(threads)))
    return values


def _check_samples(images: Tensor, kind: str) -> None:
    if images.ndim != 4 or len(images) < 2:
        raise InputError(
            f"{kind} images must be at least 2 in a tensor (N, C, H, W), not of shape {tuple(images.shape)}; "
            "stack them along the first axis"
        )
    if not images.is_floating_point() and images.dtype != torch.uint8:
        raise InputError(f"{kind} images must be uint8 or floating point, not {images.dtype}; convert them")
    if images.is_floating_point():
        bad = (~images.isfinite().flatten(1).all(dim=1)).nonzero()
        if len(bad):
            raise NonFiniteError(
                f"{kind} image {int(bad[0])} of {len(images)} has NaN or infinite values; "
                "leave it out, or check the generator's weights"
            )


def _check_images(images: Tensor, kind: str) -> None:
    _check_samples(images, kind)
    if min(images.shape[2:]) < SMALLEST:
        raise InputError(
            f"{kind} images of {images.shape[2]}x{images.shape[3]} have no level of {SMALLEST} pixels; "
            "use larger images"
        )

r"""Features of many images in one pass of an extractor, kept only as far as the metrics ask for.

A metric asks for an output of the extractor either as *moments* (the Frechet distance: mean and covariance,
whatever the number of images) or as *rows* (neighbours and kernels: every image's vector). One pass serves
all metrics that share an extractor, and what nobody asks for is dropped with its batch.

Images come by their index, so neither the batch size nor the number of processes changes a row; moments are
merged in float64, where the order of merging shows only in the last digits.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from riemann_noise_pytorch.data.imageset import DECODING_THREADS, ImageSet, MirroredImages
from riemann_noise_pytorch.errors import InputError, NonFiniteError, unknown_name
from riemann_noise_pytorch.metrics.extractors.interfaces import Extractor
from riemann_noise_pytorch.metrics.moments import Moments
from riemann_noise_pytorch.seeds import derive
from riemann_noise_pytorch.statistics.sampling import ALONE, Processes, Progress

BLOCK = 1024
"""Features whose moments are taken at once; the same for every batch size, hence the same moments."""
_SOUND, _FAILED = -1, -2

ImageSource = Callable[[int, int], Tensor]
"""From the first index and a count n to uint8 images, (n, C, H, W)."""


@dataclass(frozen=True)
class Wanted:
    """What is kept of the outputs of an extractor.

    Args:
        moments: Outputs of which count, mean and scatter are kept.
        rows: Outputs of which every image's vector is kept.

    Example:
        >>> both = Wanted(frozenset({"pool3"})) | Wanted(rows=frozenset({"pool3"}))
        >>> both >= Wanted(rows=frozenset({"pool3"})), bool(Wanted())
        (True, False)
    """

    moments: frozenset[str] = frozenset()
    rows: frozenset[str] = frozenset()

    def __or__(self, other: "Wanted") -> "Wanted":
        return Wanted(self.moments | other.moments, self.rows | other.rows)

    def __ge__(self, other: "Wanted") -> bool:
        return self.moments >= other.moments and self.rows >= other.rows

    def __bool__(self) -> bool:
        return bool(self.moments or self.rows)


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """What was kept of the features of a set of images.

    Attributes:
        count: The number of images.
        moments: By output, count, mean and scatter.
        rows: By output, the vector of every image in order of index, (count, d), float32 on the CPU.
    """

    count: int
    moments: Mapping[str, Moments]
    rows: Mapping[str, Tensor]

    def part(self, wanted: Wanted) -> "FeatureSet":
        """Give what is wanted and nothing else, without copying.

        Args:
            wanted: Some of what is here.
        """
        return FeatureSet(
            self.count,
            {name: self.moments[name] for name in sorted(wanted.moments)},
            {name: self.rows[name] for name in sorted(wanted.rows)},
        )


def collect(
    extractor: Extractor,
    images: ImageSource,
    count: int,
    wanted: Wanted,
    *,
    batch: int = 64,
    what: str = "image",
    processes: Processes = ALONE,
    progress: Progress | None = None,
) -> FeatureSet:
    """Extract features of images 0 to ``count`` - 1 once, and keep what is wanted.

    Process r takes the r-th contiguous share. Where one fails, or meets features that are not finite, all
    learn of it and stop, and none is left waiting.

    Args:
        extractor: What turns uint8 images into named features.
        images: Gives images by index; they are moved to the extractor's device.
        count: The number of images over all processes.
        wanted: What is kept.
        batch: Images extracted at once, by each process.
        what: What an image is, for messages, such as ``generated image``.
        processes: Which of several processes this is.
        progress: Called as ``progress(done, share)`` after each batch, with the counts of this process.

    Returns:
        The features, the same in every process.

    Raises:
        InputError: Nothing or an unknown output is wanted, the counts are not positive, the images are not
            uint8 (n, C, H, W), or another process failed.
        NonFiniteError: A feature is NaN or infinite; the message names the first image.
    """
    check_wanted(extractor, wanted)
    if count < 1 or batch < 1:
        raise InputError(f"{count} images in batches of {batch} give no features; give positive numbers")
    share = processes.share(count)
    keeper = _Keeper(extractor, wanted, processes.largest_share(count))
    try:
        bad = keeper.take(images, share, batch, what, progress)
    except Exception:
        _agreed(processes, _FAILED, keeper.device)
        raise
    for rank, code in enumerate(_agreed(processes, bad, keeper.device)):
        if code == _FAILED:
            raise InputError(f"process {rank} of {processes.world_size} failed; its own message says why")
        if code != _SOUND:
            raise NonFiniteError(
                f"{extractor.name} gives NaN or infinite features for {what} {code} of {count:,}; "
                "check its weights"
            )
    return keeper.gathered(processes, count)


def real_subset(count_of_data: int, count: int, seed: int) -> Tensor:
    """Choose a random part of a data set, in the order of the set.

    Args:
        count_of_data: The number of images in the set.
        count: How many to take; all, if there are no more.
        seed: Seed of the choice.

    Returns:
        Sorted positions, int64 (min(count, count_of_data),).

    Raises:
        InputError: A count is not positive.

    Example:
        >>> real_subset(3, 5, seed=0), len(real_subset(100, 5, seed=0))
        (tensor([0, 1, 2]), 5)
    """
    if count < 1 or count_of_data < 1:
        raise InputError(
            f"no {count} of {count_of_data} images can be chosen; give positive numbers of images"
        )
    generator = torch.Generator().manual_seed(derive(seed, "real images"))
    return torch.randperm(count_of_data, generator=generator)[:count].sort().values


def originals(images: ImageSet) -> ImageSet:
    """Leave out mirror images, which no published protocol counts among the real ones.

    Args:
        images: A set, mirrored or not.

    Returns:
        The set of originals.

    Raises:
        InputError: The set has mirror images that cannot be told apart.

    Example:
        >>> from riemann_noise_pytorch.data.images import open_images
        >>> len(originals(open_images("digits", mirror=True)))
        1797
    """
    while isinstance(images, MirroredImages):
        images = images.images
    if images.num_originals != len(images):
        raise InputError(
            f"{images.name} mixes {images.num_originals:,} originals with mirror images; "
            "open the data without mirror images"
        )
    return images


def stored(images: ImageSet, positions: Tensor | None = None) -> ImageSource:
    """Give the images of a set by index, decoded by several threads.

    Args:
        images: The set.
        positions: Which images, int64 (n,), such as :func:`real_subset`; all if None.

    Returns:
        A source for :func:`collect`.
    """
    places = torch.arange(len(images)) if positions is None else positions

    def source(first: int, count: int) -> Tensor:
        chunks = places[first : first + count].tensor_split(min(count, DECODING_THREADS))
        if len(chunks) == 1:
            return images.batch(chunks[0])
        with ThreadPoolExecutor(len(chunks)) as pool:
            return torch.cat(list(pool.map(images.batch, chunks)))

    return source


def check_wanted(extractor: Extractor, wanted: Wanted) -> None:
    """Refuse what an extractor does not give.

    Args:
        extractor: The extractor.
        wanted: What is to be kept of its outputs.

    Raises:
        InputError: Nothing is wanted, or an output that there is not.
    """
    for name in sorted(wanted.moments | wanted.rows):
        if name not in extractor.dimensions:
            raise unknown_name(f"output of {extractor.name}", name, extractor.dimensions)
    if not wanted:
        raise InputError("no output of the extractor is wanted; name at least one, as moments or as rows")


def device_of(extractor: Extractor) -> torch.device:
    """Give the device an extractor computes on; the CPU if it has no weights."""
    state = [*extractor.parameters(), *extractor.buffers()]
    return state[0].device if state else torch.device("cpu")


@final
class _Keeper:
    """Takes batches of features and keeps moments and rows of one process's share."""

    def __init__(self, extractor: Extractor, wanted: Wanted, largest_share: int) -> None:
        self._extractor = extractor
        sizes = {name: extractor.dimensions[name] for name in sorted(wanted.moments | wanted.rows)}
        self._sizes = sizes
        self._moments: dict[str, Moments | None] = dict.fromkeys(sorted(wanted.moments))
        self._blocks = {name: torch.empty(BLOCK, sizes[name]) for name in self._moments}
        self._filled = 0
        self._rows = {name: torch.zeros(largest_share, sizes[name]) for name in sorted(wanted.rows)}
        self.device = device_of(extractor)

    @torch.no_grad()
    def take(
        self, images: ImageSource, share: range, batch: int, what: str, progress: Progress | None
    ) -> int:
        """Work through a share; give the index of the first image whose features are not finite, or -1."""
        for first in range(share.start, share.stop, batch):
            count = min(batch, share.stop - first)
            pixels = images(first, count)
            if pixels.dtype != torch.uint8 or pixels.ndim != 4 or len(pixels) != count:
                raise InputError(
                    f"{count} {what}s must be uint8 ({count}, C, H, W), not {pixels.dtype} "
                    f"{tuple(pixels.shape)}; turn floats in [-1, 1] into uint8 by to_uint8"
                )
            features = self._extractor(pixels.to(self.device))
            features = {name: features[name].float().cpu() for name in self._sizes}
            finite = torch.stack([f.isfinite().all(dim=1) for f in features.values()]).all(dim=0)
            if not finite.all():
                return first + int((~finite).nonzero()[0])
            self._keep(features, first - share.start)
            if progress is not None:
                progress(first - share.start + count, len(share))
        self._flush()
        return _SOUND

    def _keep(self, features: Mapping[str, Tensor], place: int) -> None:
        count = len(next(iter(features.values())))
        for name, rows in self._rows.items():
            rows[place : place + count] = features[name]
        taken = 0
        while self._moments and taken < count:
            part = min(count - taken, BLOCK - self._filled)
            for name, block in self._blocks.items():
                block[self._filled : self._filled + part] = features[name][taken : taken + part]
            self._filled += part
            taken += part
            if self._filled == BLOCK:
                self._flush()

    def _flush(self) -> None:
        if self._filled:
            for name, block in self._blocks.items():
                new, old = Moments.of(block[: self._filled]), self._moments[name]
                self._moments[name] = new if old is None else old + new
        self._filled = 0

    def gathered(self, processes: Processes, count: int) -> FeatureSet:
        """Join the shares of all processes, in order of rank."""
        self._blocks = {}
        moments = {name: self._merged(processes, name) for name in self._moments}
        rows = {}
        for name in list(self._rows):
            rows[name] = processes.gathered(self._rows.pop(name).to(self.device)).cpu()[:count]
        return FeatureSet(count, moments, rows)

    def _merged(self, processes: Processes, name: str) -> Moments:
        own, size = self._moments[name], self._sizes[name]
        packed = torch.zeros(1, 1 + size + size * size, dtype=torch.float64)
        if own is not None:
            packed[0] = torch.cat(
                [torch.tensor([float(own.count)]).double(), own.mean, own.scatter.flatten()]
            )
        shares = processes.gathered(packed.to(self.device)).cpu()
        total: Moments | None = None
        for row in shares[shares[:, 0] > 0]:
            new = Moments(int(row[0]), row[1 : 1 + size], row[1 + size :].view(size, size))
            total = new if total is None else total + new
        assert total is not None, "count is positive, so some process has a share"
        return total


def _agreed(processes: Processes, code: int, device: torch.device) -> list[int]:
    """Tell every process how this one fared, and learn the same of all."""
    codes: list[int] = processes.gathered(torch.tensor([code], device=device)).tolist()
    return codes

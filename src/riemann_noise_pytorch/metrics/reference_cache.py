"""Features of real images, computed once and kept in a cache folder.

The key is in :mod:`~riemann_noise_pytorch.metrics.reference_file`. Whatever is wrong with a file or with the
folder costs a computation, never the answer, and is said. Any number of writers may meet: each writes beside
and renames.

With several processes the first alone touches the folder, and sends what it read to the others, so all have
the same numbers, whether or not they share a file system.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from riemann_noise_pytorch.data.imageset import ImageSet
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.metrics.extractors.interfaces import Extractor
from riemann_noise_pytorch.metrics.feature_sets import (
    FeatureSet,
    Wanted,
    check_wanted,
    collect,
    device_of,
    stored,
)
from riemann_noise_pytorch.metrics.moments import Moments
from riemann_noise_pytorch.metrics.reference_file import (
    ReferenceKey,
    UnfitReference,
    read_reference,
    write_reference,
)
from riemann_noise_pytorch.statistics.sampling import ALONE, Processes, Progress

CHUNK_MIB = 64
"""What the first process sends at once; meanwhile each process holds this much from every one."""
_MISS, _HIT, _FAILED = 0, 1, 2

Say = Callable[[str], object]


def default_folder() -> Path:
    """Give the user's cache folder: in ``XDG_CACHE_HOME``, on Windows ``LOCALAPPDATA``, or else ``~/.cache``.

    Raises:
        InputError: This user has no home folder.
    """
    given = Path(os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME", ""))
    if given.is_absolute():
        return given / "riemann-noise"
    try:
        return Path.home() / ".cache" / "riemann-noise"
    except RuntimeError as error:
        raise InputError("this user has no home folder for the cache; name a cache folder") from error


def reference_features(
    images: ImageSet,
    extractor: Extractor,
    wanted: Wanted,
    *,
    positions: Tensor | None = None,
    folder: Path | None = None,
    batch: int = 64,
    processes: Processes = ALONE,
    progress: Progress | None = None,
    say: Say | None = None,
) -> FeatureSet:
    """Give the features of real images: from the cache where they are there, and otherwise put there.

    A file with more than what is wanted serves. One with less is computed again, with all it had.

    Args:
        images: The set, without mirror images.
        extractor: What extracts the features.
        wanted: What is kept.
        positions: Which images, int64 (n,), from
            :func:`~riemann_noise_pytorch.metrics.feature_sets.real_subset`; all if None.
        folder: The cache folder, made if missing; None keeps nothing.
        batch: Images extracted at once, by each process.
        processes: Which of several processes this is. The folder is that of the first.
        progress: Called as ``progress(done, share)`` after each batch, if there is anything to compute.
        say: Called with a line where a file was computed again or could not be written.

    Returns:
        The features, the same in every process.

    Raises:
        InputError: As :func:`~riemann_noise_pytorch.metrics.feature_sets.collect`; or an image is damaged.
        NonFiniteError: A feature is NaN or infinite; the message names the first image.
    """
    check_wanted(extractor, wanted)
    count = len(images) if positions is None else len(positions)
    desk = _Desk(images, extractor, folder, processes, say)
    found, missing = desk.ask(wanted, positions)
    if missing:
        source = stored(images, positions)
        found = collect(
            extractor, source, count, missing, batch=batch, what="real image", processes=processes,
            progress=progress,
        )  # fmt: skip
        desk.keep(found)
        return found.part(wanted)
    return desk.sent(found, wanted, count)


@final
class _Desk:
    """The folder as all processes see it: the first looks, and tells."""

    def __init__(
        self,
        images: ImageSet,
        extractor: Extractor,
        folder: Path | None,
        processes: Processes,
        say: Say | None,
    ) -> None:
        self._images, self._extractor, self._folder = images, extractor, folder
        self._processes, self._listener = processes, say
        self._sizes = dict(sorted(extractor.dimensions.items()))
        self._key: ReferenceKey | None = None

    def _say(self, line: str) -> None:
        if self._listener is not None:
            self._listener(line)

    def ask(self, wanted: Wanted, positions: Tensor | None) -> tuple[FeatureSet | None, Wanted]:
        """Give what the first process has found, to itself, and what all must compute."""
        found, missing = None, wanted
        if self._folder is None:
            return found, missing
        if self._processes.rank == 0:
            try:
                self._key = ReferenceKey.of(self._images, self._extractor, positions)
                found, missing = self._read(self._key.path(self._folder), self._key, wanted)
            except Exception:
                self._tell(_FAILED, wanted)
                raise
        return found, self._tell(_MISS if found is None else _HIT, missing)

    def _read(self, path: Path, key: ReferenceKey, wanted: Wanted) -> tuple[FeatureSet | None, Wanted]:
        try:
            found, held = read_reference(path, key, wanted, self._sizes)
        except UnfitReference as error:
            self._say(f"computing the statistics of {self._images.name} again: {path} {error}")
            return None, wanted
        if found is not None:
            return found, Wanted()
        if held:
            self._say(f"computing the statistics of {self._images.name} again: {path} lacks some of them")
        return None, held | wanted

    def _tell(self, code: int, missing: Wanted) -> Wanted:
        """Learn from the first process what all must compute; empty if there is nothing."""
        flags = [int(name in part) for part in (missing.moments, missing.rows) for name in self._sizes]
        code, *flags = self._from_first(torch.tensor([code, *flags])).tolist()
        if code == _FAILED and self._processes.rank:
            raise InputError(
                f"process 0 of {self._processes.world_size} cannot read the real images; "
                "its own message says why"
            )
        if code == _HIT:
            return Wanted()
        names = list(self._sizes)
        chosen = [name for name, flag in zip(names * 2, flags, strict=True) if flag]
        moments = sum(flags[: len(names)])
        return Wanted(frozenset(chosen[:moments]), frozenset(chosen[moments:]))

    def keep(self, features: FeatureSet) -> None:
        """Write the file, in the first process."""
        if self._key is not None and self._folder is not None:
            try:
                write_reference(self._key.path(self._folder), self._key, features)
            except InputError as error:
                self._say(f"the statistics of {self._images.name} are not kept: {error}")

    def sent(self, found: FeatureSet | None, wanted: Wanted, count: int) -> FeatureSet:
        """Give to all what the first process has found."""
        moments, rows = {}, {}
        for name in sorted(wanted.moments):
            size = self._sizes[name]
            own = found.moments[name] if found else _room(count, size)
            mean, scatter = self._from_first(own.mean), self._from_first(own.scatter)
            moments[name] = Moments(count, mean, scatter)
        for name in sorted(wanted.rows):
            vectors = found.rows[name] if found else torch.zeros(count, self._sizes[name])
            rows[name] = self._from_first(vectors)
        return FeatureSet(count, moments, rows)

    def _from_first(self, tensor: Tensor) -> Tensor:
        """Give the tensor of the first process to all; the others bring one of the same shape."""
        if self._processes.world_size == 1:
            return tensor
        device, flat = device_of(self._extractor), tensor.flatten()
        parts = torch.split(flat, max(1, int(CHUNK_MIB * 2**20) // flat.element_size()))
        joined = [self._processes.gathered(part.to(device))[: len(part)].cpu() for part in parts]
        return torch.cat(joined).view(tensor.shape)


def _room(count: int, size: int) -> Moments:
    return Moments(count, torch.zeros(size).double(), torch.zeros(size, size).double())

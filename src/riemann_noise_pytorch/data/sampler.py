"""The order in which images are seen: a pure function of seed and position, so that runs can be resumed.

Training reads an endless sequence of images. Position p of it is image pi_e(p mod n) of the n images, where
e = p // n is the epoch and pi_e a permutation drawn from the seed and e alone. Nothing else is remembered, so
"resume" means "start at position p", and every process can compute its own share.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import torch
from torch import Tensor

from riemann_noise_pytorch.data.imageset import ImageSet
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.seeds import derive

_AHEAD_PER_WORKER = 2


def batches(
    images: ImageSet,
    *,
    seed: int,
    start: int,
    batch: int,
    rank: int = 0,
    world_size: int = 1,
    workers: int = 0,
) -> Iterator[Tensor]:
    """Give this process's share of an endless sequence of shuffled batches.

    Args:
        images: The set; every epoch shows each of its images once.
        seed: Decides the order.
        start: Position in the sequence, in images seen by all processes together; 0 begins, and the position
            at which a run stopped continues it.
        batch: Images in a batch, all processes together; may exceed the size of the set.
        rank: This process, which takes the rank-th contiguous share of every batch.
        world_size: Number of processes; divides ``batch``.
        workers: Decoding threads that read ahead, two batches each; 0 reads when asked.

    Returns:
        An iterator of uint8 (batch / world_size, C, H, W). Closing or dropping it ends the threads. An error
        of the set is raised in place of the batch that it spoils.

    Raises:
        InputError: The numbers do not fit together.

    Example:
        >>> from riemann_noise_pytorch.data import open_images
        >>> stream = batches(open_images("digits"), seed=0, start=0, batch=64)
        >>> next(stream).shape
        torch.Size([64, 1, 16, 16])
    """
    order = index_batches(len(images), seed=seed, start=start, batch=batch, rank=rank, world_size=world_size)
    return _read(images, order, _require_workers(workers))


def index_batches(
    length: int, *, seed: int, start: int, batch: int, rank: int = 0, world_size: int = 1
) -> Iterator[Tensor]:
    """Give the positions in the set that :func:`batches` reads, for whoever needs labels beside the images.

    Args:
        length: Number n of images in the set.
        seed: As in :func:`batches`.
        start: As in :func:`batches`.
        batch: As in :func:`batches`.
        rank: As in :func:`batches`.
        world_size: As in :func:`batches`.

    Returns:
        An endless iterator of int64 (batch / world_size,).

    Raises:
        InputError: The numbers do not fit together.

    Example:
        >>> sorted(next(index_batches(4, seed=0, start=0, batch=4)).tolist())
        [0, 1, 2, 3]
    """
    if length < 1:
        raise InputError("there are no images to draw batches from; give at least one")
    if start < 0:
        raise InputError(f"a sequence of images cannot start at {start}; give 0 or more")
    if world_size < 1 or not 0 <= rank < world_size:
        raise InputError(f"there is no process {rank} among {world_size}; count from 0")
    if batch < 1 or batch % world_size:
        raise InputError(
            f"a batch of {batch} cannot be shared by {world_size} processes; give a multiple of them"
        )
    share = batch // world_size
    return _shares(length, seed, range(start + rank * share, 2**63, batch), share)


def in_order(images: ImageSet, *, batch: int, workers: int = 0) -> Iterator[Tensor]:
    """Give every image of a set once, in order, as statistics over the whole set need it.

    Args:
        images: The set.
        batch: Images in a batch; the last one may be smaller.
        workers: Decoding threads that read ahead; 0 reads when asked.

    Returns:
        An iterator of uint8 (at most batch, C, H, W).

    Raises:
        InputError: ``batch`` or ``workers`` is out of range.
    """
    if batch < 1:
        raise InputError(f"a batch of {batch} is empty; give 1 or more")
    return _read(images, torch.split(torch.arange(len(images)), batch), _require_workers(workers))


def epoch_permutation(length: int, seed: int, epoch: int) -> Tensor:
    """Draw the order of one epoch.

    Args:
        length: Number of images.
        seed: The sampler's seed.
        epoch: Its number, from 0.

    Returns:
        A permutation of 0..length-1, int64 (length,).
    """
    generator = torch.Generator().manual_seed(derive(seed, "epoch", epoch))
    return torch.randperm(length, generator=generator)


def _shares(length: int, seed: int, starts: Iterable[int], share: int) -> Iterator[Tensor]:
    epoch, order = -1, torch.empty(0, dtype=torch.int64)
    for position in starts:
        pieces: list[Tensor] = []
        end = position + share
        while position < end:
            if position // length != epoch:
                epoch = position // length
                order = epoch_permutation(length, seed, epoch)
            offset = position % length
            pieces.append(order[offset : offset + end - position])
            position += len(pieces[-1])  # noqa: PLW2901 - the loop walks through the share
        yield torch.cat(pieces)


def _read(images: ImageSet, order: Iterable[Tensor], workers: int) -> Iterator[Tensor]:
    return _read_ahead(images, iter(order), workers) if workers else map(images.batch, order)


def _read_ahead(images: ImageSet, order: Iterator[Tensor], workers: int) -> Iterator[Tensor]:
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    waiting: deque[Future[Tensor]] = deque()
    try:
        while True:
            missing = _AHEAD_PER_WORKER * workers - len(waiting)
            waiting.extend(pool.submit(images.batch, indices) for indices in islice(order, missing))
            if not waiting:
                return
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _require_workers(workers: int) -> int:
    if workers < 0:
        raise InputError(f"there cannot be {workers} decoding threads; give 0 or more")
    return workers

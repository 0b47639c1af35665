"""Many independent values computed in batches, by one process or by several, with progress."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from riemann_noise_pytorch.errors import InputError, NonFiniteError

Gather = Callable[[Tensor], Tensor]
Progress = Callable[[int, int], object]


@dataclass(frozen=True)
class Processes:
    """Which of several processes this is, and how they exchange what they computed.

    Args:
        rank: The number of this process, from 0.
        world_size: The number of processes.
        gather: Concatenates the equally shaped tensors of all processes along the first dimension, in order
            of rank, and returns the whole to each, as ``Accelerator.gather`` does. Needed where
            ``world_size`` exceeds 1.

    Raises:
        InputError: The rank is not among the processes, or several have no ``gather``.

    Example:
        >>> Processes(rank=1, world_size=2, gather=torch.clone).share(5), ALONE.share(5)
        (range(3, 5), range(0, 5))
    """

    rank: int = 0
    world_size: int = 1
    gather: Gather | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world_size or (self.world_size > 1 and self.gather is None):
            raise InputError(
                f"process {self.rank} of {self.world_size} cannot share the work; "
                "give 0 <= rank < world_size, and gather= for several"
            )

    def largest_share(self, total: int) -> int:
        """How many of ``total`` the first process takes, which no other exceeds."""
        return -(-total // self.world_size)

    def share(self, total: int) -> range:
        """Which of ``total`` this process takes: a contiguous part, in the last processes short or empty."""
        length = self.largest_share(total)
        return range(min(self.rank * length, total), min((self.rank + 1) * length, total))

    def gathered(self, tensor: Tensor) -> Tensor:
        """Concatenate the equally shaped tensors of all processes along the first dimension, for each."""
        return tensor if self.gather is None else self.gather(tensor)


ALONE = Processes()
"""The one process there is."""


def sample_values(
    compute: Callable[[int, int], Tensor],
    total: int,
    *,
    batch: int,
    what: str,
    processes: Processes = ALONE,
    progress: Progress | None = None,
) -> Tensor:
    """Compute values 0 to ``total`` - 1, each by its own index, and check that all are finite.

    Each process takes its share. Where a batch is not finite, the process stops early; the error
    is raised after gathering, hence in every process, and none is left waiting.

    Args:
        compute: Given the index of the first value and a count n, returns the values, (n,).
        total: The number of values over all processes.
        batch: The largest n.
        what: What a value belongs to, for messages, such as ``pair``.
        processes: Which process this is, of how many.
        progress: Called as ``progress(done, share)`` after each batch, with the counts of this process.

    Returns:
        All values in order of index, (total,), float64 on the CPU.

    Raises:
        InputError: The batch is not positive.
        NonFiniteError: A value is NaN or infinite; the message names the first.

    Example:
        >>> sample_values(lambda first, n: torch.arange(first, first + n), 5, batch=2, what="pair")
        tensor([0., 1., 2., 3., 4.], dtype=torch.float64)
    """
    if batch < 1:
        raise InputError(
            f"the batch must be at least 1, not {batch}; give the number of {what}s computed at once"
        )
    indices = processes.share(total)
    share = torch.full((processes.largest_share(total),), torch.nan, dtype=torch.float64)
    device = torch.device("cpu")
    for first in indices[::batch]:
        values = compute(first, min(batch, indices.stop - first)).double()
        device, done = values.device, first - indices.start + len(values)
        share[done - len(values) : done] = values.cpu()
        if not values.isfinite().all():
            break
        if progress is not None:
            progress(done, len(indices))
    if not indices and total > 0 and processes.gather is not None:
        device = compute(0, 1).device  # where the others gather from
    whole = processes.gathered(share.to(device)).cpu()
    return _finite(whole[:total], what)


def _finite(values: Tensor, what: str) -> Tensor:
    bad = (~values.isfinite()).nonzero()
    if len(bad):
        raise NonFiniteError(
            f"{what} {int(bad[0])} of {len(values)} gives {float(values[bad[0]])}: an image with NaN or "
            "infinity, or one that is zero everywhere; check the generator's weights"
        )
    return values

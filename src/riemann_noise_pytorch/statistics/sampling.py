"""Many independent values computed in batches, by one process or by several, with progress."""

from collections.abc import Callable

import torch
from torch import Tensor

from riemann_noise_pytorch.errors import InputError, NonFiniteError

Gather = Callable[[Tensor], Tensor]
Progress = Callable[[int, int], object]


def sample_values(
    compute: Callable[[int, int], Tensor],
    total: int,
    *,
    batch: int,
    what: str,
    rank: int = 0,
    world_size: int = 1,
    gather: Gather | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Compute values 0 to ``total`` - 1, each by its own index, and check that all are finite.

    Process r takes the r-th contiguous share. Where a batch is not finite, the process stops early; the error
    is raised after gathering, hence in every process, and none is left waiting.

    Args:
        compute: Given the index of the first value and a count n, returns the values, (n,).
        total: The number of values over all processes.
        batch: The largest n.
        what: What a value belongs to, for messages, such as ``pair``.
        rank: The number of this process, from 0.
        world_size: The number of processes.
        gather: Concatenates the equally long tensors of all processes in order of rank, and returns the whole
            to each, as ``Accelerator.gather`` does. Needed where ``world_size`` exceeds 1.
        progress: Called as ``progress(done, share)`` after each batch, with the counts of this process.

    Returns:
        All values in order of index, (total,), float64 on the CPU.

    Raises:
        InputError: The batch is not positive, or processes and ``gather`` do not fit.
        NonFiniteError: A value is NaN or infinite; the message names the first.

    Example:
        >>> sample_values(lambda first, n: torch.arange(first, first + n), 5, batch=2, what="pair")
        tensor([0., 1., 2., 3., 4.], dtype=torch.float64)
    """
    if batch < 1:
        raise InputError(
            f"the batch must be at least 1, not {batch}; give the number of {what}s computed at once"
        )
    if not 0 <= rank < world_size or (world_size > 1 and gather is None):
        raise InputError(
            f"process {rank} of {world_size} cannot share the work; "
            "give 0 <= rank < world_size, and gather= for several"
        )
    per_process = -(-total // world_size)
    start, stop = min(rank * per_process, total), min((rank + 1) * per_process, total)
    share = torch.full((per_process,), torch.nan, dtype=torch.float64)
    device = torch.device("cpu")
    for first in range(start, stop, batch):
        values = compute(first, min(batch, stop - first)).double()
        device = values.device
        share[first - start : first - start + len(values)] = values.cpu()
        if not values.isfinite().all():
            break
        if progress is not None:
            progress(first - start + len(values), stop - start)
    whole = share if gather is None else gather(share.to(device)).cpu()
    return _finite(whole[:total], what)


def _finite(values: Tensor, what: str) -> Tensor:
    bad = (~values.isfinite()).nonzero()
    if len(bad):
        raise NonFiniteError(
            f"{what} {int(bad[0])} of {len(values)} gives {float(values[bad[0]])}: an image with NaN or "
            "infinity, or one that is zero everywhere; check the generator's weights"
        )
    return values

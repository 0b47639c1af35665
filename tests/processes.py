"""Several processes played one after the other: what all send is known before any of them receives."""

import torch

from riemann_noise_pytorch.statistics.sampling import Processes


def in_processes(run, world_size):
    """Call ``run(processes)`` as each of several processes would; returns what the last of them returns."""
    sent = []

    def record(share):
        sent.append(share.clone())
        return torch.ones(world_size * len(share), *share.shape[1:], dtype=share.dtype)

    for rank in range(world_size):
        run(Processes(rank, world_size, record))
    assert len({share.shape for share in sent}) == 1
    return run(Processes(world_size - 1, world_size, lambda _: torch.cat(sent)))

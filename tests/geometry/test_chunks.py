"""As many directions go together as the memory allows."""

import pytest
import torch

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.geometry.chunks import chunk_size

X = torch.linspace(0.5, 2, 4, dtype=torch.float64)


def test_the_chunk_follows_the_memory():
    def grows(x):
        return {"sum": x.repeat(1000).sum().view(1)}

    each, fixed = 2 * 8 + 12 * 4000 * 8, 4 * 4000 * 8
    for memory, directions in ((1, 1), (2, 2), (3, 2), (4, 4)):  # 2 and 2, rather than 3 and 1
        assert chunk_size(grows, X, (fixed + memory * (each + 1)) / 2**20)[0] == directions
    assert chunk_size(grows, X, 1e-6)[0] == 1
    assert chunk_size(grows, torch.ones(128), 1024)[0] == 64
    with pytest.raises(InputError, match="positive number of MiB"):
        chunk_size(grows, X, 0)


def test_the_call_that_is_counted_serves_reverse_mode():
    def squares(x):
        return {"squares": x.square()}

    reverse = chunk_size(squares, X, 1024)[1]
    assert torch.equal(reverse.dense("squares"), torch.diag(2 * X))

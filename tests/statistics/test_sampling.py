"""Values computed in batches and shares are the values computed at once."""

import pytest
import torch

from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.statistics.sampling import ALONE, Processes, sample_values


def squares(first, count):
    return torch.arange(first, first + count).square()


def test_values_come_in_order_at_any_batch_size():
    for batch in (1, 3, 7, 100):
        assert sample_values(squares, 10, batch=batch, what="pair").tolist() == [i * i for i in range(10)]


def in_processes(compute, total, world_size, **settings):
    """Run the processes one after the other, each with a gather that knows what all would send."""
    sent: list[torch.Tensor] = []
    for rank in range(world_size):

        def record(share):
            sent.append(share.clone())
            return torch.zeros(total, dtype=torch.float64)

        sample_values(
            compute, total, batch=2, what="pair", processes=Processes(rank, world_size, record), **settings
        )
    assert len({len(share) for share in sent}) == 1
    first = Processes(0, world_size, lambda _: torch.cat(sent))
    return sample_values(compute, total, batch=2, what="pair", processes=first, **settings)


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
def test_processes_share_the_values_and_gather_all(world_size):
    assert in_processes(squares, 10, world_size).tolist() == [i * i for i in range(10)]


def test_a_process_without_a_share_takes_part():
    assert in_processes(squares, 3, 4).tolist() == [0, 1, 4]


def test_progress_counts_to_the_share():
    seen = []
    sample_values(squares, 5, batch=2, what="pair", progress=lambda *counts: seen.append(counts))
    assert seen == [(2, 5), (4, 5), (5, 5)]


def test_the_first_value_that_is_not_finite_is_named_and_stops_the_work():
    calls = []

    def compute(first, count):
        calls.append(first)
        return torch.where(torch.arange(first, first + count) >= 5, torch.nan, 1.0)

    with pytest.raises(NonFiniteError, match="pair 5 of 20 gives nan"):
        sample_values(compute, 20, batch=4, what="pair")
    assert calls == [0, 4]


def test_all_processes_learn_of_a_value_that_is_not_finite():
    def compute(first, count):
        return torch.where(torch.arange(first, first + count) == 7, torch.inf, 1.0)

    with pytest.raises(NonFiniteError, match="pair 7 of 10 gives inf"):
        in_processes(compute, 10, 2)


def test_a_process_without_a_share_sends_from_where_the_others_do():
    sent = []
    calls = []

    def counted(first, count):
        calls.append((first, count))
        return torch.ones(count)

    processes = Processes(3, 4, lambda share: sent.append(share) or torch.ones(4))
    assert len(sample_values(counted, 3, batch=2, what="pair", processes=processes)) == 3
    assert calls == [(0, 1)]
    assert sent[0].shape == (1,)


def test_processes_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"process 0 of 2 .* gather"):
        Processes(0, 2)
    for rank in (2, -1):
        with pytest.raises(InputError, match=f"process {rank} of 2"):
            Processes(rank, 2, torch.clone)
    with pytest.raises(InputError, match="process 0 of 0"):
        Processes(0, 0)


def test_a_batch_of_nothing_is_refused():
    with pytest.raises(InputError, match="batch"):
        sample_values(squares, 10, batch=0, what="pair")


@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("total", [0, 1, 3, 10])
def test_shares_are_contiguous_and_make_up_the_whole(world_size, total):
    processes = [Processes(rank, world_size, torch.clone) for rank in range(world_size)]
    shares = [process.share(total) for process in processes]
    assert [i for share in shares for i in share] == list(range(total))
    assert all(len(share) <= processes[0].largest_share(total) for share in shares)


def test_one_process_has_nothing_to_gather():
    values = torch.ones(3)
    assert ALONE.gathered(values) is values

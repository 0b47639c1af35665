import threading
import time
from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from riemann_noise_pytorch.data.folder import FolderImages
from riemann_noise_pytorch.data.imageset import ImageSet, TensorImages
from riemann_noise_pytorch.data.sampler import batches, epoch_permutation, in_order, index_batches
from riemann_noise_pytorch.errors import InputError
from tests.data.pictures import cut_short, write_folder


def numbered(count):
    """A set whose image i has the value i everywhere."""
    return TensorImages(torch.arange(count, dtype=torch.uint8).view(count, 1, 1, 1).repeat(1, 1, 2, 2))


def seen(stream, count):
    return torch.cat([pixels[:, 0, 0, 0] for pixels in islice(stream, count)]).tolist()


def decoding_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


class Faulty(ImageSet):
    """Gives image i after a moment that shrinks with i; position ``bad`` cannot be read."""

    def __init__(self, count, bad=None):
        super().__init__("faulty", (1, 1, 1))
        self.count, self.bad, self.reads = count, bad, 0

    def __len__(self):
        return self.count

    def image(self, index):
        self.reads += 1
        if index == self.bad:
            raise InputError(f"image {index} is broken")
        time.sleep(0.002 * (self.count - index) / self.count)
        return torch.full((1, 1, 1), index, dtype=torch.uint8)


@given(length=st.integers(1, 40), batch=st.integers(1, 50), seed=st.integers(0, 2**63 - 1))
@settings(max_examples=50, deadline=None)
def test_every_epoch_is_a_permutation(length, batch, seed):
    needed = -(-3 * length // batch)
    sequence = torch.cat(
        list(islice(index_batches(length, seed=seed, start=0, batch=batch), needed))
    ).tolist()
    for epoch in range(3):
        assert sorted(sequence[epoch * length : (epoch + 1) * length]) == list(range(length))


@given(length=st.integers(1, 40), batch=st.integers(1, 50), start=st.integers(0, 200))
@settings(max_examples=50, deadline=None)
def test_starting_anywhere_gives_the_tail_of_the_whole(length, batch, start):
    whole = torch.cat(list(islice(index_batches(length, seed=3, start=0, batch=1), start + 2 * batch)))
    tail = torch.cat(list(islice(index_batches(length, seed=3, start=start, batch=batch), 2)))
    assert torch.equal(tail, whole[start:])


@given(
    length=st.integers(1, 40),
    share=st.integers(1, 20),
    world_size=st.integers(1, 5),
    start=st.integers(0, 99),
)
@settings(max_examples=50, deadline=None)
def test_ranks_partition_the_global_batch(length, share, world_size, start):
    batch = share * world_size
    whole = islice(index_batches(length, seed=5, start=start, batch=batch), 3)
    ranks = [
        index_batches(length, seed=5, start=start, batch=batch, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    for expected in whole:
        assert torch.equal(torch.cat([next(rank) for rank in ranks]), expected)


def test_epochs_and_seeds_differ():
    orders = {tuple(epoch_permutation(50, seed, epoch).tolist()) for seed in (0, 1) for epoch in (0, 1)}
    assert len(orders) == 4


def test_global_random_state_is_neither_read_nor_written():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = seen(batches(numbered(20), seed=1, start=0, batch=7), 5)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    assert seen(batches(numbered(20), seed=1, start=0, batch=7), 5) == first


def test_batches_are_the_images_at_the_sampled_positions():
    order = torch.cat(list(islice(index_batches(20, seed=1, start=3, batch=7), 5))).tolist()
    assert seen(batches(numbered(20), seed=1, start=3, batch=7), 5) == order


@pytest.mark.parametrize("workers", [1, 3])
def test_decoding_threads_keep_the_order(workers):
    plain = seen(batches(Faulty(20), seed=1, start=0, batch=4), 12)
    assert seen(batches(Faulty(20), seed=1, start=0, batch=4, workers=workers), 12) == plain


def test_decoding_threads_read_ahead_but_not_without_bound():
    images = Faulty(20)
    stream = batches(images, seed=0, start=0, batch=2, workers=2)
    next(stream)
    deadline = time.monotonic() + 10
    while images.reads < 8 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert images.reads == 8
    stream.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_is_raised_at_its_place_and_ends_the_threads(workers):
    order = torch.cat(list(islice(index_batches(20, seed=1, start=0, batch=4), 5))).tolist()
    images = Faulty(20, bad=order[9])
    stream = batches(images, seed=1, start=0, batch=4, workers=workers)
    assert seen(stream, 2) == order[:8]
    with pytest.raises(InputError, match="is broken"):
        next(stream)
    assert decoding_threads() == []


def test_closing_or_dropping_the_stream_ends_its_threads():
    stream = batches(Faulty(20), seed=0, start=0, batch=4, workers=2)
    next(stream)
    assert decoding_threads()
    stream.close()
    assert decoding_threads() == []
    stream = batches(Faulty(20), seed=0, start=0, batch=4, workers=2)
    next(stream)
    del stream
    assert decoding_threads() == []


def test_a_truncated_file_is_named_through_the_threads(tmp_path):
    folder = write_folder(tmp_path, ["a.png", "b.png", "c.png"])
    cut_short(folder / "b.png")
    stream = batches(FolderImages(folder), seed=0, start=0, batch=1, workers=2)
    with pytest.raises(InputError, match=r"b\.png"):
        list(islice(stream, 3))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("batch", [1, 7, 20, 50])
def test_in_order_gives_every_image_once(workers, batch):
    assert seen(in_order(numbered(20), batch=batch, workers=workers), 100) == list(range(20))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch": 0}, "batch of 0"),
        ({"batch": 6, "world_size": 4}, "shared by 4 processes"),
        ({"batch": 4, "world_size": 2, "rank": 2}, "no process 2 among 2"),
        ({"batch": 4, "rank": -1}, "no process -1"),
        ({"batch": 4, "start": -1}, "cannot start at -1"),
        ({"batch": 4, "workers": -1}, "-1 decoding threads"),
    ],
)
def test_numbers_that_do_not_fit_are_refused_at_once(options, words):
    with pytest.raises(InputError, match=words):
        batches(numbered(8), **{"seed": 0, "start": 0, **options})


def test_in_order_refuses_empty_batches():
    with pytest.raises(InputError, match="batch of 0 is empty"):
        in_order(numbered(8), batch=0)

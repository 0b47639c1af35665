"""One pass gives every image's features and their moments, however the work is cut; nothing more is kept."""

import gc

import numpy as np
import pytest
import torch

from riemann_noise_pytorch.data.images import MirroredImages, TensorImages
from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.metrics import feature_sets
from riemann_noise_pytorch.metrics.feature_sets import Wanted, collect, originals, real_subset, stored
from tests.metrics.stand_ins import PixelSums, in_processes, pictures

BOTH = frozenset({"columns", "rows"})


def source(images):
    return lambda first, count: images[first : first + count]


def literal(images):
    planes = images.numpy().astype(np.float64).sum(axis=1)
    return {"columns": planes.sum(axis=1), "rows": planes.sum(axis=2)}


def assert_right(features, images):
    for name, truth in literal(images).items():
        assert features.count == len(images)
        assert features.rows[name].dtype == torch.float32
        assert np.array_equal(features.rows[name].numpy(), truth)
        moments = features.moments[name]
        centred = truth - truth.mean(axis=0)
        scatter = centred.T @ centred
        assert moments.count == len(images)
        assert np.allclose(moments.mean.numpy(), truth.mean(axis=0), rtol=1e-12, atol=0)
        assert np.allclose(moments.scatter.numpy(), scatter, rtol=0, atol=1e-12 * np.trace(scatter))


@pytest.mark.parametrize("batch", [1, 7, 32, 100])
def test_features_are_those_of_every_image_at_any_batch_size(batch):
    images = pictures(60)
    assert_right(collect(PixelSums(), source(images), 60, Wanted(BOTH, BOTH), batch=batch), images)


@pytest.mark.parametrize("batch", [1, 50, 700])
def test_moments_of_one_process_are_the_same_bits_at_any_batch_size(batch, monkeypatch):
    monkeypatch.setattr(feature_sets, "BLOCK", 32)
    images = pictures(150)
    usual = collect(PixelSums(), source(images), 150, Wanted(BOTH)).moments
    other = collect(PixelSums(), source(images), 150, Wanted(BOTH), batch=batch).moments
    for name in BOTH:
        assert torch.equal(usual[name].mean, other[name].mean)
        assert torch.equal(usual[name].scatter, other[name].scatter)


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
@pytest.mark.parametrize("count", [3, 50])
def test_several_processes_give_what_one_gives(world_size, count):
    images = pictures(count)

    def work(processes):
        return collect(PixelSums(), source(images), count, Wanted(BOTH, BOTH), batch=4, processes=processes)

    for features in in_processes(world_size, work):
        assert_right(features, images)


def test_each_image_is_extracted_once_for_all_that_is_wanted():
    extractor = PixelSums()
    collect(extractor, source(pictures(50)), 50, Wanted(BOTH, BOTH), batch=8)
    assert extractor.seen == 50


def test_rows_are_kept_only_if_wanted():
    images = pictures(20)
    features = collect(PixelSums(), source(images), 20, Wanted(frozenset({"rows"}), frozenset({"columns"})))
    assert list(features.moments) == ["rows"]
    assert list(features.rows) == ["columns"]


def test_moments_alone_hold_no_more_for_more_images(monkeypatch):
    monkeypatch.setattr(feature_sets, "BLOCK", 64)

    def held():
        tensors = [item for item in gc.get_objects() if type(item) is torch.Tensor]
        return sum(item.nelement() * item.element_size() for item in tensors)

    def largest(count):
        before, during = held(), []

        def images(first, number):
            if first % 256 == 0:
                during.append(held())
            return torch.zeros(number, 3, 6, 8, dtype=torch.uint8)

        collect(PixelSums(), images, count, Wanted(BOTH), batch=64)
        return max(during) - before

    one_row = 4 * (8 + 6)
    assert largest(1024) < largest(512) + 64 * one_row


def test_progress_counts_to_the_share():
    seen = []
    collect(PixelSums(), source(pictures(5)), 5, Wanted(BOTH), batch=2, progress=lambda *at: seen.append(at))
    assert seen == [(2, 5), (4, 5), (5, 5)]


class OneBad(PixelSums):
    """Gives NaN for images whose first pixel is 7, in one output alone."""

    def features_of(self, images):
        features = super().features_of(images)
        features["rows"][images[:, 0, 0, 0] == 7, 2] = torch.nan
        return features


def with_bad(count, *bad):
    images = pictures(count)
    images[:, :, 0, 0] = 8
    images[list(bad), :, 0, 0] = 7
    return images


def test_the_first_image_with_nan_features_is_named():
    with pytest.raises(NonFiniteError, match="NaN or infinite features for generated image 13 of 20; check"):
        collect(OneBad(), source(with_bad(20, 13, 17)), 20, Wanted(BOTH), batch=4, what="generated image")


def test_an_output_nobody_wants_is_not_looked_at():
    features = collect(OneBad(), source(with_bad(20, 13)), 20, Wanted(frozenset({"columns"})))
    assert list(features.moments) == ["columns"]


def test_all_processes_learn_of_nan_features():
    images = with_bad(20, 13)
    errors = in_processes(
        3, lambda processes: collect(OneBad(), source(images), 20, Wanted(BOTH), processes=processes)
    )
    assert {str(error) for error in errors} == {
        "pixel sums gives NaN or infinite features for image 13 of 20; check its weights"
    }


def test_no_process_waits_for_one_that_fails():
    images = pictures(20)

    def broken(first, count):
        if first >= 10:
            raise InputError("image 12 is damaged; replace it")
        return images[first : first + count]

    first, second = in_processes(
        2, lambda processes: collect(PixelSums(), broken, 20, Wanted(BOTH), processes=processes)
    )
    assert str(first) == "process 1 of 2 failed; its own message says why"
    assert str(second) == "image 12 is damaged; replace it"


@pytest.mark.parametrize(
    "images",
    [
        lambda first, count: torch.zeros(count, 3, 6, 8),
        lambda first, count: torch.zeros(count, 6, 8, dtype=torch.uint8),
        lambda first, count: torch.zeros(count + 1, 3, 6, 8, dtype=torch.uint8),
    ],
)
def test_images_that_are_not_uint8_batches_are_refused(images):
    with pytest.raises(InputError, match="to_uint8"):
        collect(PixelSums(), images, 5, Wanted(BOTH))


def test_unknown_outputs_and_empty_work_are_refused():
    images = source(pictures(5))
    with pytest.raises(InputError, match="unknown output of pixel sums 'row'; did you mean 'rows'"):
        collect(PixelSums(), images, 5, Wanted(rows=frozenset({"row"})))
    with pytest.raises(InputError, match="no output"):
        collect(PixelSums(), images, 5, Wanted())
    with pytest.raises(InputError, match="positive"):
        collect(PixelSums(), images, 0, Wanted(BOTH))
    with pytest.raises(InputError, match="positive"):
        collect(PixelSums(), images, 5, Wanted(BOTH), batch=0)


def test_a_part_of_the_reals_is_random_sorted_and_repeatable():
    part = real_subset(1000, 300, seed=3)
    assert part.dtype == torch.int64
    assert len(part.unique()) == 300
    assert torch.equal(part, part.sort().values)
    assert torch.equal(part, real_subset(1000, 300, seed=3))
    assert not torch.equal(part, real_subset(1000, 300, seed=4))
    assert 400 < float(part.float().mean()) < 600
    with pytest.raises(InputError, match="positive"):
        real_subset(1000, 0, seed=0)


def test_all_reals_are_taken_where_there_are_too_few():
    assert torch.equal(real_subset(5, 9, seed=0), torch.arange(5))


def test_mirror_images_are_left_out():
    plain = TensorImages(pictures(4))
    assert originals(MirroredImages(MirroredImages(plain))) is plain
    assert originals(plain) is plain


@pytest.mark.parametrize("count", [1, 2, 9, 40])
def test_stored_images_come_in_the_order_of_their_positions(count):
    pixels = pictures(60)
    images = stored(TensorImages(pixels), torch.arange(59, -1, -1))
    assert torch.equal(images(5, count), pixels.flip(0)[5 : 5 + count])
    assert torch.equal(stored(TensorImages(pixels))(5, count), pixels[5 : 5 + count])

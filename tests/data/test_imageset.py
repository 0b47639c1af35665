import hashlib

import numpy as np
import pytest
import torch

from riemann_noise_pytorch.data.imageset import MirroredImages, TensorImages, to_float, to_uint8
from riemann_noise_pytorch.errors import InputError


def some_pixels(count=6, channels=3, height=4, width=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, channels, height, width), generator=generator, dtype=torch.uint8)


def literal_hash(pixels, labels=None):
    """The documented hash, written out."""
    text = " ".join(str(side) for side in pixels.shape)
    total = hashlib.sha256(f"images {text} labels {labels is not None}\n".encode())
    for image in pixels:
        total.update(hashlib.sha256(image.numpy().tobytes()).digest())
    if labels is not None:
        total.update(np.array(labels, dtype="<i8").tobytes())
    return total.hexdigest()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_level_survives_the_round_trip(dtype):
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(to_float(levels).to(dtype)), levels)


def test_to_float_is_the_stated_formula():
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.allclose(to_float(levels).double(), levels.double() / 127.5 - 1, atol=1e-7, rtol=0)
    assert to_float(levels).dtype == torch.float32


def test_to_uint8_clamps_what_lies_outside():
    assert to_uint8(torch.tensor([-9.0, 9.0])).tolist() == [0, 255]


def test_to_uint8_of_half_types_is_computed_in_float32():
    values = torch.linspace(-1, 1, 201).to(torch.bfloat16)
    assert torch.equal(to_uint8(values), to_uint8(values.float()))


@pytest.mark.parametrize(
    ("convert", "wrong"),
    [(to_float, torch.zeros(2)), (to_uint8, torch.zeros(2, dtype=torch.uint8))],
)
def test_converting_twice_is_refused(convert, wrong):
    with pytest.raises(InputError, match="need no change"):
        convert(wrong)


def test_tensor_images_give_their_pixels():
    pixels = some_pixels()
    images = TensorImages(pixels, labels=torch.tensor([0, 4, 1, 1, 0, 2]))
    assert (len(images), images.image_shape, images.num_classes) == (6, (3, 4, 5), 5)
    assert torch.equal(images.image(2), pixels[2])
    assert torch.equal(images.batch(torch.tensor([3, 3, 0])), pixels[[3, 3, 0]])
    assert TensorImages(pixels).num_classes == 0


@pytest.mark.parametrize("index", [-1, 6])
def test_positions_outside_the_set_are_index_errors(index):
    with pytest.raises(IndexError, match="set of 6"):
        TensorImages(some_pixels()).image(index)


@pytest.mark.parametrize(
    ("pixels", "labels", "words"),
    [
        (torch.zeros(2, 3, 4, 4), None, "uint8"),
        (some_pixels()[0], None, "uint8 tensor"),
        (some_pixels()[:0], None, "non-empty"),
        (some_pixels(), torch.zeros(5, dtype=torch.int64), "one for each image"),
        (some_pixels(), torch.zeros(6), "int64"),
        (some_pixels(), torch.tensor([0, 0, 0, 0, 0, -1]), "negative"),
    ],
)
def test_unfit_tensors_are_refused(pixels, labels, words):
    with pytest.raises(InputError, match=words):
        TensorImages(pixels, labels=labels)


def test_second_half_of_a_mirrored_set_is_the_mirror_image_of_the_first():
    pixels = some_pixels()
    images = MirroredImages(TensorImages(pixels, labels=torch.arange(6)))
    assert len(images) == 12
    assert images.labels.tolist() == [*range(6), *range(6)]
    for index in range(6):
        assert torch.equal(images.image(index), pixels[index])
        assert torch.equal(
            images.image(index + 6), torch.from_numpy(pixels[index].numpy()[:, :, ::-1].copy())
        )


def test_mirrored_batch_equals_its_single_images_and_spares_the_original():
    pixels = some_pixels()
    before = pixels.clone()
    images = MirroredImages(TensorImages(pixels))
    indices = torch.tensor([11, 0, 6, 6, 5])
    assert torch.equal(images.batch(indices), torch.stack([images.image(i) for i in indices.tolist()]))
    assert torch.equal(pixels, before)


def test_mirror_images_are_told_from_originals_by_position():
    plain = TensorImages(some_pixels())
    once = MirroredImages(plain)
    twice = MirroredImages(once)
    assert (plain.num_originals, once.num_originals, twice.num_originals) == (6, 6, 6)
    for images in (once, twice):
        for index in range(len(images)):
            original = plain.image(index % images.num_originals)
            assert any(torch.equal(images.image(index), same) for same in (original, original.flip(-1)))


@pytest.mark.parametrize("labels", [None, [0, 3, 1, 1, 0, 2]])
def test_hash_equals_its_literal_transcription(labels):
    pixels = some_pixels()
    images = TensorImages(pixels, labels=None if labels is None else torch.tensor(labels))
    assert images.content_hash() == literal_hash(pixels, labels)


def test_hash_of_many_images_equals_its_literal_transcription():
    pixels = some_pixels(count=300, channels=1)
    assert TensorImages(pixels).content_hash() == literal_hash(pixels)


def test_hash_changes_with_any_one_pixel():
    pixels = some_pixels(count=2, height=3, width=3)
    seen = {TensorImages(pixels).content_hash()}
    for position in range(pixels.numel()):
        changed = pixels.clone()
        changed.view(-1)[position] ^= 1
        seen.add(TensorImages(changed).content_hash())
    assert len(seen) == 1 + pixels.numel()


def test_hash_changes_with_shape_order_and_labels_but_not_with_name_or_memory_layout():
    pixels = some_pixels(height=4, width=4)
    images = TensorImages(pixels, name="a")
    same = TensorImages(pixels.contiguous(memory_format=torch.channels_last), name="b")
    assert same.content_hash() == images.content_hash()
    others = [
        TensorImages(pixels.view(6, 3, 2, 8)),
        TensorImages(pixels.view(18, 1, 4, 4)),
        TensorImages(pixels.flip(0)),
        TensorImages(pixels, labels=torch.zeros(6, dtype=torch.int64)),
        TensorImages(pixels, labels=torch.ones(6, dtype=torch.int64)),
        MirroredImages(images),
    ]
    assert len({images.content_hash(), *(other.content_hash() for other in others)}) == 7


def test_mirrored_hash_is_that_of_the_doubled_pixels():
    pixels = some_pixels(count=200, channels=1)
    doubled = torch.cat([pixels, pixels.flip(-1)])
    assert MirroredImages(TensorImages(pixels)).content_hash() == TensorImages(doubled).content_hash()

"""The image of an index depends on the seed and that index alone; what is no image is named by its index."""

import pytest
import torch
from torch import nn

from riemann_noise_pytorch.data.imageset import TensorImages
from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.experiments.evaluation.drawing import Draws, labels_like
from riemann_noise_pytorch.experiments.evaluation.subject import Subject
from riemann_noise_pytorch.experiments.targets import Target
from riemann_noise_pytorch.statistics.sampling import ALONE
from tests.experiments.evaluation.networks import Classes, Foreign, Tiny, target_of
from tests.metrics.stand_ins import in_processes


def subject_of(generator, *, seed=0, labels=None, say=None, images=None):
    target = Target("set", "images") if images is not None else target_of(generator)
    return Subject(
        target, images, seed=seed, device="cpu", data_labels=labels, options={}, say=say or (lambda _: None)
    )


def test_images_do_not_depend_on_batch_or_order():
    draws = Draws(target_of(Tiny()), seed=3)
    whole = draws(0, 12)
    assert whole.dtype == torch.uint8
    assert len(set(map(bytes, whole.flatten(1).numpy()))) == 12
    parts = {first: draws(first, count) for first, count in ((7, 5), (0, 3), (3, 4))}
    assert torch.equal(whole, torch.cat([parts[first] for first in (0, 3, 7)]))
    assert not torch.equal(whole, Draws(target_of(Tiny()), seed=4)(0, 12))


def test_latents_are_standard_normal():
    seen = []

    def generator(z):
        seen.append(z)
        return z.view(-1, 1, 2, 3).tanh()

    Draws(target_of(generator), seed=0)(0, 2000)
    z = seen[0]
    assert (z.dtype, z.device.type) == (torch.float32, "cpu")
    assert float(z.mean()) == pytest.approx(0, abs=4 / 12000**0.5)
    assert float(z.var()) == pytest.approx(1, abs=4 * (2 / 12000) ** 0.5)


def test_a_module_gets_latents_of_its_own_precision():
    assert torch.equal(Draws(target_of(Tiny(0.0).double()), 0)(0, 4), Draws(target_of(Tiny(0.0)), 0)(0, 4))


@pytest.mark.parametrize("world_size", [2, 3])
def test_images_do_not_depend_on_the_number_of_processes(world_size):
    def work(processes):
        return subject_of(Tiny()).all_images(0, 10, 3, processes)

    alone = work(ALONE)
    for images in in_processes(world_size, work):
        assert torch.equal(images, alone)


def test_foreign_noise_is_new_in_every_batch_and_leaves_torch_alone():
    for generator in (Foreign(0.0), Foreign(0.0).forward):
        torch.manual_seed(7)
        before = torch.get_rng_state()
        draws = Draws(target_of(generator), seed=0)
        first, second = draws(0, 4), draws(4, 4)
        assert torch.equal(before, torch.get_rng_state())
        clean = Draws(target_of(Tiny(0.0)), seed=0)
        noise = [(noisy.float() - clean(i, 4).float()) for i, noisy in ((0, first), (4, second))]
        assert not torch.allclose(*noise, atol=5)
        assert torch.equal(draws(0, 4), first)


def test_redraws_are_other_images_and_longer_sources_begin_alike():
    subject = subject_of(Tiny())
    assert torch.equal(subject.source(0, 20)(0, 8), subject.source(0, 8)(0, 8))
    assert not torch.equal(subject.source(0, 8)(0, 8), subject.source(1, 8)(0, 8))
    assert not torch.equal(subject.source(0, 8)(0, 8), subject_of(Tiny(), seed=1).source(0, 8)(0, 8))


def test_of_a_set_a_random_part_is_taken_and_longer_parts_begin_alike():
    images = TensorImages(torch.arange(200, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 2, 2))
    chosen = [subject_of(None, images=images).source(0, n)(0, n)[:, 0, 0, 0] for n in (50, 120, 200)]
    assert torch.equal(chosen[0], chosen[1][:50])
    assert torch.equal(chosen[2].sort().values, images.pixels[:, 0, 0, 0])
    assert 60 < float(chosen[0].float().mean()) < 140
    other = subject_of(None, images=images, seed=1).source(0, 50)(0, 50)[:, 0, 0, 0]
    assert not torch.equal(chosen[0], other)


def test_classes_are_drawn_as_often_as_in_the_data():
    data = torch.tensor([0] * 10 + [1] * 20 + [2] * 70)
    drawn = labels_like(data, seed=0)(0, 5000)
    shares = torch.bincount(drawn, minlength=3) / 5000
    assert torch.allclose(shares, torch.tensor([0.1, 0.2, 0.7]), atol=4 * 0.5 / 5000**0.5)
    assert torch.equal(labels_like(data, seed=0)(4990, 10), drawn[4990:])


def test_a_generator_with_classes_is_told_other_ones_in_every_redraw():
    data = torch.tensor([0, 1, 1, 2])
    subject = subject_of(Classes(0.0), labels=data)
    levels = [subject.source(redraw, 300)(0, 300).float().mean(dim=(1, 2, 3)) for redraw in range(2)]
    found = [(level / 115).round().long() for level in levels]
    assert not torch.equal(*found)
    for classes in found:
        share = float((classes == 1).float().mean())
        assert share == pytest.approx(0.5, abs=4 * 0.5 / 300**0.5)


def test_values_out_of_range_are_told_once_with_the_range():
    said = []
    subject = subject_of(lambda z: z.view(-1, 1, 2, 3).sigmoid() * 255, say=said.append)
    subject.image_shape  # noqa: B018 - looks at one image, and says nothing
    for redraw in range(2):
        source = subject.source(redraw, 40)
        source(0, 20)
        source(20, 20)
    assert len(said) == 1
    assert "returns values from " in said[0]
    assert "what lies outside is cut off" in said[0]
    quiet = subject_of(lambda z: 1.4 * z.view(-1, 1, 2, 3).tanh(), say=said.append)
    quiet.source(0, 20)(0, 20)
    assert len(said) == 1


def test_a_generator_that_is_never_dark_is_told_from_so_many_images_on():
    def light(z):
        return z.view(-1, 1, 2, 3).sigmoid()

    said = []
    source = subject_of(light, say=said.append).source(0, 200)
    source(0, 99)
    assert said == []
    source(99, 101)
    assert len(said) == 1
    assert "images are taken to be in [-1, 1], with black at -1" in said[0]
    subject_of(lambda z: 0.01 * z.view(-1, 1, 2, 3).sigmoid(), say=said.append).source(0, 200)(0, 200)
    assert len(said) == 1


def test_images_are_drawn_in_full_precision_whatever_is_allowed_outside():
    seen = set()

    def generator(z):
        seen.add((torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32))
        return z.view(-1, 1, 2, 3).tanh()

    torch.set_float32_matmul_precision("medium")
    try:
        Draws(target_of(generator), seed=0)(0, 4)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert seen == {("highest", False)}


def often_nan():
    """Give a generator, and the list in which it leaves the rows of its last batch that were not finite."""

    def generator(z):
        images = z.view(-1, 1, 2, 3).tanh()
        worst = (z[:, 0] > 2).nonzero()
        images[worst] = float("nan")
        bad[:] = worst.flatten().tolist()
        return images

    bad = []
    return generator, bad


def test_the_first_image_that_is_not_finite_is_named_by_its_index():
    generator, bad = often_nan()
    with pytest.raises(NonFiniteError) as caught:
        Draws(target_of(generator), seed=0)(50, 100)
    assert bad[0] > 0
    assert str(caught.value).startswith(f"generated image {50 + bad[0]} of tiny is not finite;")


def broken_line(z):
    return z + undefined_name  # noqa: F821


@pytest.mark.parametrize(
    ("generator", "words"),
    [
        (lambda z: (z.view(-1, 1, 2, 3) * 127).byte(), "returns torch.uint8 (8, 1, 2, 3) for 8 latents"),
        (lambda z: z, "returns torch.float32 (8, 6) for 8 latents"),
        (lambda z: z[:1].view(-1, 1, 2, 3), "returns torch.float32 (1, 1, 2, 3) for 8 latents"),
        (lambda z: z.view(-1, 1, 2, 3).numpy(), "returns ndarray for 8 latents"),
        (lambda z: None, "returns NoneType for 8 latents"),
        (nn.Linear(4, 4), "mat1 and mat2 shapes cannot be multiplied (8x6 and 4x4)); mend it"),
        (lambda z, labels: z, "TypeError: "),
        (broken_line, "NameError in test_drawing.py line "),
    ],
)
def test_what_gives_no_images_is_refused_in_one_line(generator, words):
    with pytest.raises(InputError) as caught:
        Draws(target_of(generator), seed=0)(0, 8)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_memory_that_runs_out_is_no_fault_of_the_users():
    def hungry(z):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        Draws(target_of(hungry), seed=0)(0, 8)


def test_where_one_process_fails_all_learn_of_it():
    generator, _ = often_nan()

    def work(processes):
        return subject_of(generator).all_images(0, 100, 10, processes)

    kinds = {type(result) for result in in_processes(4, work)}
    assert kinds <= {InputError, NonFiniteError}
    assert NonFiniteError in kinds

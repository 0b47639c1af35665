"""What is kept of an optimisation, against a list of all its steps."""

from itertools import pairwise

import pytest
import torch

from riemann_noise_pytorch.data.imageset import to_uint8
from riemann_noise_pytorch.experiments.inversion.film import Film, spaced
from riemann_noise_pytorch.inversion.projector import StepInfo, invert
from riemann_noise_pytorch.inversion.recipes import RECIPES
from tests.inversion.generators import images, stylegan2


@pytest.mark.parametrize("lengths", [[100], [100, 30], [1], [3, 200, 1], [1000, 1000]])
@pytest.mark.parametrize("count", [2, 7, 60])
def test_steps_begin_and_end_with_each_stage_and_are_as_many_as_asked_for(lengths, count):
    found = spaced(count, lengths)
    assert found == sorted(set(found))
    ends = [sum(lengths[: i + 1]) for i in range(len(lengths))]
    for end, length in zip(ends, lengths, strict=True):
        inside = [step for step in found if end - length < step <= end]
        assert {inside[0], inside[-1]} == {end - length + 1, end}
        gaps = [after - before for before, after in pairwise(inside)]
        assert all(wider >= gap - 1 for gap, wider in pairwise(gaps))
    if all(length >= count for length in lengths):
        assert len(found) == max(count, 2 * len(lengths))


def test_the_film_shows_the_best_start_so_far_and_the_curve_its_loss():
    generator, steps = stylegan2(), [6, 4]
    targets, _ = images(generator, 3)
    recipe = RECIPES["image2stylegan++"].changed(mean_samples=20)
    for stage, count in enumerate(steps):
        recipe = recipe.changed(stage, steps=count)
    film, seen = Film(3, 2, steps, (1, 16, 16), 5), []

    def watch(info):
        seen.append((info, film.saw(info)))

    found = invert(generator, targets, recipe, restarts=2, batch=4, on_step=watch)
    best = {}
    expected = torch.zeros(5, 3, 1, 16, 16, dtype=torch.uint8)
    for info, losses in seen:
        for sample, loss, image in zip(info.samples.tolist(), info.losses, info.images, strict=True):
            key = (sample // 2, info.stage)
            if key not in best or loss < best[key][0]:
                best[key] = (loss, image)
        about = sorted({sample // 2 for sample in info.samples.tolist()})
        now = torch.stack([best[target, info.stage][0] for target in about])
        assert losses == (pytest.approx(float(now.median())), pytest.approx(float(now.min())))
        step = (info.step - 1) % 10 + 1
        if step in film.frame_steps:
            for target in about:
                image = to_uint8(best[target, info.stage][1].float())
                expected[film.frame_steps.index(step) :, target] = image
    last = torch.full((3, 1, 16, 16), 7, dtype=torch.uint8)
    expected[-1] = last
    assert torch.equal(film.frames(last)["frames"], expected)
    curve = film.curve()
    assert curve["steps"].tolist() == list(range(1, 11))
    final = found.losses.amin(dim=1)
    assert float(curve["median"][-1]) == pytest.approx(float(final[:, 1].median()))
    assert float(curve["best"][5]) == pytest.approx(float(final[:, 0].min()))


def info(step, stage, losses, images=None):
    count = len(losses)
    images = torch.zeros(count, 1, 2, 2) if images is None else images
    return StepInfo(step, 4, stage, torch.arange(count), torch.tensor(losses), images, dict)


def test_what_is_not_finite_is_never_the_best():
    film = Film(2, 1, [4], (1, 2, 2), 4)
    nan = float("nan")
    film.saw(info(1, 0, [nan, nan]))
    assert film.curve()["median"].isnan().all()
    film.saw(info(2, 0, [nan, 3.0], torch.full((2, 1, 2, 2), nan)))
    film.saw(info(3, 0, [2.0, nan], torch.ones(2, 1, 2, 2)))
    assert film.curve()["best"].tolist() == [pytest.approx(nan, nan_ok=True), 3.0, 2.0, 2.0]
    assert film.curve()["median"].tolist()[1:] == [3.0, 2.5, 2.5]
    frames = film.frames(torch.zeros(2, 1, 2, 2, dtype=torch.uint8))["frames"]
    assert frames[2, :, 0, 0, 0].tolist() == [255, 128]


def test_a_film_goes_on_from_its_tensors():
    films = [Film(2, 1, [4], (1, 2, 2), 4) for _ in range(2)]
    films[0].saw(info(1, 0, [5.0, 4.0], torch.ones(2, 1, 2, 2)))
    films[1].take_up(films[0].tensors())
    for film in films:
        film.saw(info(2, 0, [6.0, 3.0]))
    for name, tensor in films[0].tensors().items():
        assert torch.equal(tensor, films[1].tensors()[name]) or tensor.isnan().any(), name

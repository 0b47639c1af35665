"""What a diagnosis takes on fits into its minutes, and what it leaves out is told."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.diagnosis.budget import FEWEST, Costs, fitted
from riemann_noise_pytorch.experiments.diagnosis.options import DiagnoseConfig


def costs_of(**others):
    usual = {"latent": 100, "joint": 100, "spaces": 1, "groups": 2, "images": 5000, "kinds": 2, "values": 64}
    return Costs(**{**usual, "image_s": 0.001, "call_s": 0.001, **others})


def test_all_that_was_asked_for_is_done_where_there_is_time():
    work = fitted(DiagnoseConfig(), costs_of(joint=400, spaces=2, groups=3, image_s=1e-6))
    assert (work.num_latents, work.pairs, work.samples, work.joint) == (4, 50_000, 1024, True)
    assert work.images == 5000
    assert work.reductions == ()


@given(
    budget=st.floats(0.01, 100),
    image_s=st.floats(1e-6, 10),
    latent=st.integers(1, 512),
    joint=st.integers(0, 4096),
    groups=st.integers(0, 12),
    images=st.integers(0, 5000),
    values=st.integers(1, 10**6),
)
def test_what_is_taken_fits_or_is_the_least_that_says_anything(
    budget, image_s, latent, joint, groups, images, values
):
    costs = Costs(latent, joint, 2, groups, images, 2, values, image_s, 2 * image_s)
    config = DiagnoseConfig(budget=budget)
    work = fitted(config, costs)
    seconds = sum(costs.seconds(work).values())
    least = (work.num_latents, work.pairs) == (1, FEWEST["pairs"]) and (
        work.samples == FEWEST["samples"] or not groups
    )
    least &= work.images == min(images, FEWEST["images"])
    assert seconds <= 60 * budget * (1 + 1e-6) or (least and not work.joint)
    assert min(images, FEWEST["images"]) <= work.images <= images
    assert work.pairs >= FEWEST["pairs"]
    assert 1 <= work.num_latents <= config.num_latents
    assert bool(work.reductions) == (
        (work.num_latents, work.pairs) != (4, 50_000)
        or (work.samples < 1024 and groups > 0)
        or work.images < images
        or (joint > 0 and not work.joint)
    )


def test_ranks_are_given_up_last():
    shrinking = [fitted(DiagnoseConfig(budget=b), costs_of()) for b in (100, 1, 0.12, 0.05, 0.01)]
    assert [w.num_latents for w in shrinking] == sorted((w.num_latents for w in shrinking), reverse=True)
    assert shrinking[1].num_latents == 4
    assert shrinking[1].pairs < 50_000
    assert "of 5,000 images for the dimension" in shrinking[1].reductions[2]
    assert shrinking[-1].joint is False


def test_a_smaller_wish_than_the_least_is_granted():
    costs = costs_of(images=60, image_s=1.0)
    work = fitted(DiagnoseConfig(pairs=100, samples=32, budget=0.001), costs)
    assert (work.pairs, work.samples, work.images, work.num_latents) == (100, 32, 60, 1)


def test_time_that_is_gone_is_not_spent_again():
    late = fitted(DiagnoseConfig(budget=2), costs_of(), 60)
    assert late == fitted(DiagnoseConfig(budget=1), costs_of())
    assert late.pairs < fitted(DiagnoseConfig(budget=2), costs_of()).pairs
    assert fitted(DiagnoseConfig(budget=1), costs_of(), 1000).pairs == FEWEST["pairs"]


def test_each_part_has_its_cost():
    work = fitted(DiagnoseConfig(budget=100), costs_of())
    before = costs_of().seconds(work)
    assert costs_of(call_s=0.002).seconds(work)["latents"] > before["latents"]
    assert costs_of(kinds=1).seconds(work)["images"] < before["images"]
    halves = costs_of(values=10**6).seconds(replace(work, images=2500))["images"]
    assert halves < 0.4 * costs_of(values=10**6).seconds(work)["images"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"num_latents": 0}, "--num-latents is 0"),
        ({"pairs": 10}, "give 100 or more"),
        ({"samples": 1}, "give 32 or more"),
        ({"batch": 0}, "--batch is 0"),
        ({"budget": 0.0}, "--budget is 0; give a number above 0"),
        ({"budget": float("nan")}, "--budget is nan"),
        ({"memory_mib": -1.0}, "--memory-mib is -1"),
        ({"tolerance": 1.0}, "between 0 and 1"),
        ({"tolerance": 0.0}, "between 0 and 1"),
        ({"tolerance": float("nan")}, "between 0 and 1"),
        ({"seed": -1}, "--seed is -1"),
        ({"layers": " , "}, "--layers names no layer"),
        ({"resolution": 0}, "--resolution is 0"),
        ({"resize_filter": "cubic"}, "bicubic"),
    ],
)
def test_options_that_cannot_be_used_are_refused_in_one_line(options, told):
    with pytest.raises(InputError, match=told) as refused:
        DiagnoseConfig(**options).validate()
    assert "\n" not in str(refused.value)

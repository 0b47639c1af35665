"""What is said of an inversion, from records of known numbers."""

import pytest

from riemann_noise_pytorch.experiments.inversion.subject import Subject
from riemann_noise_pytorch.experiments.inversion.summary import Facts, gain_of, summarised

MAPS = {"a": (1, 4, 4), "b": (1, 8, 8)}


def side(psnr):
    return None if psnr is None else {"psnr": psnr, "ssim": None, "mse": 0.1, "perceptual": 0.1}


def image(without=20.0, optimised=25.0, change=9.0, ending="all steps", spread=3.0):
    fresh = (
        None
        if change is None
        else {"draws": 4, "psnr": 12.0, "psnr_sd": 1.0, "change": change, "spread": spread}
    )
    return {
        "without": side(without),
        "with": side(optimised),
        "fresh": fresh,
        "ending": ending,
        "noise_rms": 2.5,
    }


def summed(*images, strengths=None, maps=MAPS, rates=None, masked=False):
    strengths = {"a": 0.1, "b": 0.2} if strengths is None else strengths
    subject = Subject((1, 16, 16), ("z",), maps, len(strengths), strengths)
    return summarised(images, Facts(subject, rates or {"1": 0.5}, 4, masked, 0))


def test_the_headline_has_both_sides_and_the_median_gain():
    found = summed(image(20, 25), image(10, 12), image(30, 31))
    assert found["gain"]["median"] == 2
    assert 1 <= found["gain"]["low"] <= found["gain"]["high"] <= 5
    assert found["sentences"][0].startswith(
        "3 images, median PSNR 20.0 dB under frozen noise and 25.0 dB with the noise optimised for each "
        "image: a median gain of 2.00 dB (95 % interval 1.00 to 5.00)"
    )
    assert "80 values for each image, its latents 4" in found["sentences"][2]
    assert "root mean square of 2.5, that of drawn noise is about 1." in found["sentences"][2]


def test_noise_that_moves_no_pixel_is_told_as_doing_nothing():
    small = summed(image(spread=0.2), image(spread=0.4), image(spread=0.3))
    assert (small["spread"], small["change"]) == (0.3, 9.0)
    assert small["sentences"][1:3] == [
        "The noise of this generator does next to nothing: fresh draws differ by 0.3 grey levels of 255, "
        "which is lost in rounding.",
        "Fresh draws in place of the noise change an image by 9 grey levels of 255 (median), to a PSNR of "
        "12.0 dB; among themselves they differ by a standard deviation of 0.3.",
    ]
    assert not any("next to nothing" in line for line in summed(image())["sentences"])
    single = summed(image(spread=None))
    assert single["sentences"][1].endswith("by 9 grey levels of 255, to a PSNR of 12.0 dB.")


def test_learned_strengths_near_0_are_told_as_such():
    found = summed(image(), strengths={"a": 0.0, "b": -1e-4, "c": 0.3})
    assert found["strengths"] == {"a": 0.0, "b": -1e-4, "c": 0.3}
    assert found["sentences"][2] == (
        "The learned strength is near 0, below 0.001, in 2 of 3 noise layers (a, b); the largest is 0.3."
    )


def test_one_side_alone_has_no_gain():
    frozen = summed(image(20, None))
    assert frozen["gain"] is None
    assert frozen["sentences"][0] == "1 image, PSNR 20.0 dB under frozen noise."
    plain = summed(image(20, None, None), strengths={}, maps={})
    assert plain["sentences"] == ["1 image, PSNR 20.0 dB by a generator without noise."]
    assert plain["change"] is None


def test_rates_endings_and_masks_are_told():
    rates = {"1": 0.25, "4": 0.5, "6": 1.0}
    found = summed(image(), image(ending="diverged"), rates=rates, masked=True)
    told = " ".join(found["sentences"])
    shares = "by the number of starts: 25 % with 1, 50 % with 4, 100 % with 6."
    assert f"above 30 dB under frozen noise {shares}" in told
    plain = summed(image(20, None, None), strengths={}, maps={}, rates=rates)
    assert plain["sentences"][1] == f"Share of images above 30 dB {shares}"
    assert "Of 1 image the optimisation diverged; the best state before is kept." in told
    assert "masks hide" in told


def test_images_without_a_finite_reconstruction_are_left_out_of_the_medians():
    found = summed(image(None, None, None, "diverged"), image(20, 22))
    assert found["gain"]["median"] == 2
    assert summed(image(None, None, None))["sentences"][0] == "None of 1 image has a finite reconstruction."


def test_the_gains_interval_covers_the_median_and_narrows_with_more_images():
    few, many = (gain_of([i % 10 for i in range(n)], 0) for n in (10, 1000))
    for gain in (few, many):
        assert gain.median == pytest.approx(4.5)
        assert gain.low <= gain.median <= gain.high
    assert many.high - many.low < few.high - few.low
    assert gain_of([3.0], 0).low is None
    assert gain_of([], 0) is None

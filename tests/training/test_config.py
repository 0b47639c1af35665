import dataclasses
import math
import subprocess
import sys
from typing import Any

import pytest

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.models.choices import NoiseKind
from riemann_noise_pytorch.training.config import PRESETS, TrainConfig, preset_of, resolve_config
from riemann_noise_pytorch.training.state import config_for_images
from tests.training.runs import blobs


def test_presets_are_the_papers_rows_and_differ_in_the_noise_alone():
    noise = {name: resolve_config(name).noise for name in PRESETS}
    assert noise == {"dcgan": "none", "dcgan-eni": "euclidean", "dcgan-rni": "riemannian"}
    plain = dataclasses.asdict(resolve_config("dcgan"))
    for name in PRESETS:
        other = dataclasses.asdict(resolve_config(name))
        assert {key for key in plain if plain[key] != other[key]} <= {"preset", "noise"}


def test_overrides_win_over_the_preset():
    config = resolve_config("dcgan-eni", {"noise_strength": 0.1, "batch": 32})
    assert (config.preset, config.noise, config.noise_strength, config.batch) == (
        "dcgan-eni",
        "euclidean",
        0.1,
        32,
    )


@pytest.mark.parametrize(
    ("preset", "overrides", "message"),
    [
        ("dcgan-rnl", {}, "unknown preset 'dcgan-rnl'; did you mean 'dcgan-rni'"),
        ("dcgan", {"bach": 1}, "unknown option 'bach'; did you mean 'batch'"),
        ("dcgan", {"noise": "riemanian"}, "unknown noise 'riemanian'; did you mean 'riemannian'"),
        ("dcgan", {"norm": "bathc"}, "did you mean 'batch'"),
        ("dcgan", {"d_norm": "instanc"}, "did you mean 'instance'"),
        ("dcgan", {"noise_place": "afterwards"}, "did you mean 'after'"),
        ("dcgan", {"precision": "fp61"}, "did you mean 'fp16'"),
        ("dcgan", {"device": "cudda"}, "did you mean 'cuda'"),
        ("dcgan", {"tracker": "tensorbord"}, "did you mean 'tensorboard'"),
        ("dcgan", {"ema_norm_statistics": "recalibrat"}, "did you mean 'recalibrate'"),
        ("dcgan-rni", {"riemann_preset": "author-fhq"}, "did you mean 'author-ffhq'"),
        ("dcgan", {"resize_filter": "lancoz"}, "did you mean 'lanczos'"),
    ],
)
def test_unknown_names_are_met_with_the_nearest(preset: str, overrides: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        resolve_config(preset, overrides)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"riemann_preset": "paper"}, "riemann_preset has no meaning with noise none"),
        (
            {"noise": "euclidean", "riemann_preset": "paper"},
            "riemann_preset has no meaning with noise euclidean",
        ),
        ({"noise_strength": 0.1}, "noise_strength has no meaning with noise none"),
        ({"noise": "riemannian", "noise_strength": 0.1}, "preset 'paper' ties the noise to the features"),
        ({"noise_place": "after"}, "noise_place has no meaning with noise none"),
        ({"noise_lr_multiplier": 5.0}, "noise_lr_multiplier has no meaning with noise none"),
        ({"kimg": 0.5, "tick_kimg": 1.0}, "tick_kimg 1 is longer than the whole run of kimg 0.5"),
        ({"kimg": 0.01, "tick_kimg": 0.01}, "kimg 0.01 is less than one batch of 64"),
        ({"precision": "fp16", "device": "cpu"}, "fp16 needs a GPU"),
        ({"norm": "none", "ema_norm_statistics": "recalibrate"}, "recalibrate has no meaning with norm none"),
        ({"r1_interval": 4}, "r1_interval has no meaning with r1_gamma 0; set that above 0"),
        ({"adam_lazy_correction": False}, "adam_lazy_correction has no meaning with r1_gamma 0"),
        (
            {"ema_recalibration_images": 64},
            "ema_recalibration_images has no meaning with ema_norm_statistics copy; set that to recalibrate",
        ),
    ],
)
def test_contradictory_options_are_refused_with_the_remedy(overrides: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message) as caught:
        resolve_config("dcgan", overrides)
    assert "\n" not in str(caught.value)
    assert ";" in str(caught.value)


@pytest.mark.parametrize(
    ("preset", "noise", "right"),
    [
        ("dcgan-eni", "riemannian", "dcgan-rni"),
        ("dcgan-eni", "none", "dcgan"),
        ("dcgan-rni", "euclidean", "dcgan-eni"),
        ("dcgan-rni", "none", "dcgan"),
    ],
)
def test_a_row_without_its_noise_is_refused_and_the_right_row_named(preset: str, noise: str, right: str):
    with pytest.raises(InputError, match=f"noise {noise} contradicts .*; .* set preset to {right}$"):
        resolve_config(preset, {"noise": noise})


def test_options_that_go_together_are_accepted():
    lazy = resolve_config("dcgan", {"r1_gamma": 1.0, "r1_interval": 4, "adam_lazy_correction": False})
    fresh = resolve_config("dcgan", {"ema_norm_statistics": "recalibrate", "ema_recalibration_images": 64})
    assert (lazy.r1_interval, fresh.ema_recalibration_images) == (4, 64)


@pytest.mark.parametrize("noise", ["none", "euclidean", "riemannian"])
def test_the_record_of_a_run_names_the_row_of_its_noise(noise: NoiseKind):
    complete = config_for_images(TrainConfig(noise=noise), blobs())
    assert complete.preset == preset_of(noise)
    assert complete == config_for_images(resolve_config(preset_of(noise)), blobs())
    complete.validate()


@pytest.mark.parametrize(
    "name", ["kimg", "lr_g", "lr_d", "tick_kimg", "r1_gamma", "ema_kimg", "noise_strength"]
)
@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_rates_and_lengths_must_be_finite_and_not_negative(name: str, value: float):
    with pytest.raises(InputError, match=f"{name} is {value}"):
        resolve_config("dcgan-eni", {name: value})


@pytest.mark.parametrize("name", ["batch", "kimg", "lr_g", "width", "z_dim", "r1_interval", "snapshot_ticks"])
def test_what_must_be_positive_is_not_zero(name: str):
    with pytest.raises(InputError, match=f"{name} is 0"):
        resolve_config("dcgan", {name: 0})


@pytest.mark.parametrize(
    ("name", "value"), [("batch", 2.5), ("batch", True), ("lr_g", "fast"), ("mirror", 1), ("data", 3)]
)
def test_values_of_another_type_are_refused(name: str, value: object):
    with pytest.raises(InputError, match=f"{name} is .*must be of type"):
        resolve_config("dcgan", {name: value})


@pytest.mark.parametrize("value", [-0.1, 1.0, math.nan])
def test_decays_lie_between_zero_and_one(value: float):
    with pytest.raises(InputError, match="beta1"):
        resolve_config("dcgan", {"beta1": value})


def test_a_batch_must_be_divisible_by_the_processes():
    with pytest.raises(InputError, match="a batch of 64 cannot be shared by 3 processes"):
        TrainConfig().validate(processes=3)


def test_zero_turns_off_what_may_be_off():
    off = {"r1_gamma": 0.0, "ema_kimg": 0.0, "noise_strength": 0.0, "workers": 0, "seed": 0}
    config = resolve_config("dcgan-eni", off)
    assert {name: getattr(config, name) for name in off} == off


def test_arms_differ_in_the_noise_alone_and_are_valid():
    config = resolve_config(
        "dcgan-rni",
        {"riemann_preset": "seed", "noise_lr_multiplier": 9.0, "noise_place": "after", "batch": 16},
    )
    for noise in ("none", "euclidean", "riemannian"):
        arm = config.with_noise(noise)
        arm.validate()
        assert (arm.noise, arm.batch) == (noise, 16)
        assert PRESETS[arm.preset].get("noise", "none") == noise
    assert config.with_noise("euclidean").noise_lr_multiplier == 9.0
    assert config.with_noise("riemannian") == config


def test_steps_round_up_to_whole_batches():
    assert TrainConfig(batch=64, kimg=0.128, tick_kimg=0.1).steps == 2
    assert TrainConfig(batch=64, kimg=0.129, tick_kimg=0.1).steps == 3
    assert TrainConfig(batch=64, tick_kimg=1.0).steps_per_tick == 16
    assert TrainConfig(batch=64, tick_kimg=0.001).steps_per_tick == 1


def test_reading_the_options_does_not_load_torch():
    code = "import sys, riemann_noise_pytorch.training.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

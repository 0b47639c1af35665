import dataclasses
import math
import subprocess
import sys
from typing import Any

import pytest

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.models.choices import NoiseKind
from riemann_noise_pytorch.training.config import TrainConfig, resolve_config
from riemann_noise_pytorch.training.presets import PRESETS, preset_of
from riemann_noise_pytorch.training.state import config_for_images
from riemann_noise_pytorch.training.validation import remarks
from tests.training.runs import blobs

ROWS = {
    "dcgan": ("dcgan", "none", 0),
    "dcgan-eni": ("dcgan", "euclidean", 0),
    "dcgan-rni": ("dcgan", "riemannian", 0),
    "stylegan2-plain": ("stylegan2", "none", 0),
    "stylegan2-eni": ("stylegan2", "euclidean", 2),
    "stylegan2-nopathreg-rni": ("stylegan2", "riemannian", 0),
    "stylegan2-rni": ("stylegan2", "riemannian", 2),
}


def test_presets_are_the_papers_rows():
    configs = {name: resolve_config(name) for name in PRESETS}
    rows = {name: (c.architecture, c.noise, c.pl_weight) for name, c in configs.items()}
    assert rows == ROWS | {f"{n}-small": row for n, row in ROWS.items() if row[0] == "stylegan2"}


@pytest.mark.parametrize("family", ["dcgan", "stylegan2", "stylegan2-small"])
def test_rows_of_a_family_differ_in_noise_and_path_length_alone(family):
    names = [
        n for n in PRESETS if n.startswith(family.split("-")[0]) and n.endswith("small") == ("-" in family)
    ]
    first, *others = (dataclasses.asdict(resolve_config(name)) for name in names)
    assert len(others) >= 2
    for other in others:
        assert {key for key in first if first[key] != other[key]} <= {"preset", "noise", "pl_weight"}


def test_stylegan2_is_config_e():
    config = resolve_config("stylegan2-rni")
    published = {
        "z_dim": 512,
        "w_dim": 512,
        "mapping_layers": 8,
        "channel_base": 16384,
        "channel_max": 512,
        "batch": 32,
        "kimg": 25_000,
        "lr_g": 0.002,
        "lr_d": 0.002,
        "beta1": 0.0,
        "beta2": 0.99,
        "gamma_rule": "config-e",
        "regularizer_interval": 16,
        "pl_weight": 2.0,
        "pl_interval": 4,
        "pl_decay": 0.01,
        "pl_batch_shrink": 2,
        "style_mixing": 0.9,
        "ema_kimg": 10.0,
        "stddev_group": 4,
        "adam_lazy_correction": True,
        "ema_rampup": None,
        "noise_strength": None,
    }
    assert {name: getattr(config, name) for name in published} == published


@pytest.mark.parametrize(
    ("preset", "overrides", "message"),
    [
        ("stylegan2-rni", {"norm": "none"}, "norm has no meaning with architecture stylegan2"),
        ("stylegan2-rni", {"width": 32}, "take a preset of dcgan"),
        ("dcgan", {"pl_weight": 2.0}, "pl_weight has no meaning with architecture dcgan"),
        ("dcgan", {"style_mixing": 0.5}, "style_mixing has no meaning with architecture dcgan"),
        ("dcgan", {"architecture": "stylegan2"}, "set preset to stylegan2-plain"),
        ("stylegan2-eni", {"noise": "riemannian"}, "set preset to stylegan2-rni"),
        ("stylegan2-nopathreg-rni", {"pl_weight": 2.0}, "set preset to stylegan2-rni"),
        ("stylegan2-plain", {"pl_decay": 0.1}, "pl_decay has no meaning with pl_weight 0"),
        (
            "stylegan2-plain",
            {"pl_interval": 8, "adam_lazy_correction": False},
            "pl_interval has no meaning with pl_weight 0",
        ),
        ("stylegan2-rni", {"batch": 7}, "cannot be split into groups of 2 to 4 images.*multiple of 4"),
        ("stylegan2-rni", {"half_resolutions": 2}, "half_resolutions has no meaning with precision no"),
        (
            "stylegan2-rni-small",
            {"gamma_rule": "resolution", "gamma": 5.0},
            "contradicts gamma_rule resolution",
        ),
        ("stylegan2-rni", {"pl_interval": 10**23}, "which no run can have"),
        ("stylegan2-rni", {"pl_interval": 10**7}, "pl_interval is 10000000, more than the 781250 steps"),
        (
            "stylegan2-plain",
            {"gamma_rule": "given", "gamma": 0.0, "regularizer_interval": 4},
            "regularizer_interval has no meaning with gamma 0; set that above 0",
        ),
        ("dcgan", {"kimg": 1e300}, "which no run can have"),
        (
            "stylegan2-plain",
            {"noise_layers": "block8.*=none", "noise_strength": 0.1},
            "no meaning with noise",
        ),
        ("stylegan2-rni", {"style_mixing": 1.5}, "a share is at most 1"),
        ("stylegan2-rni", {"batch": 1, "pl_batch_shrink": 2}, "cannot be shrunk 2 times"),
        ("stylegan2-rni", {"gamma_rule": "resolutio"}, "did you mean 'resolution'"),
        ("stylegan2-rni", {"gamma": 10.0}, "set gamma_rule to given"),
        (
            "stylegan2-rni",
            {"regularizer": "js", "gamma": 2.0},
            "gamma_rule config-e is made for regularizer r1; set gamma_rule to given",
        ),
        (
            "stylegan2-rni-small",
            {"regularizer": "r1-r2", "gamma_rule": "resolution"},
            "gamma_rule resolution is made for regularizer r1",
        ),
        ("stylegan2-rni", {"pl_weight": math.nan}, "pl_weight is nan"),
        ("dcgan", {"conditional": True}, "conditional has no meaning with architecture dcgan"),
        ("stylegan2-rni", {"classes": 3}, "classes has no meaning without conditional"),
        ("stylegan2-rni", {"conditional": True, "classes": -1}, "classes is -1"),
        ("dcgan", {"compile": 1}, "compile is 1, but it must be of type bool"),
    ],
)
def test_options_of_another_row_or_architecture_are_refused(preset, overrides, message):
    with pytest.raises(InputError, match=message):
        resolve_config(preset, overrides)


def test_processes_must_hold_whole_groups_of_the_spread():
    config = resolve_config("stylegan2-plain", {"batch": 12})
    config.validate(processes=3)
    with pytest.raises(InputError, match="a share of 6 images cannot be split into groups of 4"):
        config.validate(processes=2)


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
        ("dcgan", {"regularizer": "wgangp"}, "unknown regularizer 'wgangp'; did you mean 'wgan-gp'"),
        ("dcgan", {"loss": "wassertein"}, "unknown loss 'wassertein'; did you mean 'wasserstein'"),
        ("dcgan", {"generator_loss": "min-max"}, "did you mean 'minimax'"),
        ("dcgan", {"r1_gamma": 1.0}, "unknown option 'r1_gamma'; did you mean 'gamma'"),
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
        ({"regularizer_interval": 4}, "regularizer_interval has no meaning with gamma 0; set that above 0"),
        ({"adam_lazy_correction": False}, "adam_lazy_correction has no meaning with gamma 0"),
        ({"regularizer_interval": 16}, "regularizer_interval has no meaning with gamma 0; set that above 0"),
        (
            {"gamma": 1.0, "adam_lazy_correction": False},
            "adam_lazy_correction has no meaning with regularizer_interval 1; set that above 1",
        ),
        (
            {"gamma": 1.0, "regularizer_interval": 126, "kimg": 8.0},
            "regularizer_interval is 126, more than the 125 steps of the run; give a smaller one, or a",
        ),
        ({"regularizer": "js"}, "regularizer has no meaning with gamma 0; set that above 0"),
        ({"anneal": True}, "anneal has no meaning with gamma 0; set that above 0"),
        ({"gamma": 2e6}, "gamma is 2e.06, which drowns every loss; give 10 or so"),
        (
            {"regularizer": "js", "gamma": 2.0, "loss": "hinge"},
            "js takes sigmoid.logit. for the probability .* with loss hinge; take regularizer r1-r2, or loss",
        ),
        (
            {"regularizer": "js", "gamma": 2.0, "loss": "f-kl"},
            "js takes sigmoid.logit. for the probability .* with loss f-kl; take regularizer f-gan, or loss",
        ),
        (
            {"regularizer": "f-gan", "gamma": 2.0, "loss": "least-squares"},
            "f-gan takes its weight from an f-divergence, which loss least-squares has not; take",
        ),
        (
            {"regularizer": "f-gan", "gamma": 2.0, "loss": "f-total-variation"},
            "f-gan is 0 with loss f-total-variation, whose conjugate is linear; take",
        ),
        ({"loss": "hinge", "generator_loss": "minimax"}, "hinge loss has one form.*; leave out"),
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


def test_a_penalty_is_in_every_step_of_a_dcgan_and_in_every_sixteenth_of_stylegan2():
    for name in PRESETS:
        penalised = {"gamma": 1.0, "gamma_rule": "given"}
        wanted = 16 if name.startswith("stylegan2") else 1
        assert resolve_config(name, penalised).regularizer_interval == wanted
        assert resolve_config(name, {**penalised, "gamma": 0.0}).regularizer_interval == wanted
    assert TrainConfig().regularizer_interval == 1


def test_intervals_as_published_are_taken_in_the_shortest_trial():
    resolve_config("stylegan2-rni-small", {"kimg": 0.016, "tick_kimg": 0.016})
    lazy = {"gamma": 1.0, "regularizer_interval": 16, "kimg": 0.064, "tick_kimg": 0.064}
    assert resolve_config("dcgan", lazy).steps == 1
    resolve_config("dcgan", {"gamma": 1.0, "regularizer_interval": 125, "kimg": 8.0})


def test_options_that_go_together_are_accepted():
    lazy = resolve_config("dcgan", {"gamma": 1.0, "regularizer_interval": 4, "adam_lazy_correction": False})
    fresh = resolve_config("dcgan", {"ema_norm_statistics": "recalibrate", "ema_recalibration_images": 64})
    assert (lazy.regularizer_interval, fresh.ema_recalibration_images) == (4, 64)


@pytest.mark.parametrize("noise", ["none", "euclidean", "riemannian"])
def test_the_record_of_a_run_names_the_row_of_its_noise(noise: NoiseKind):
    complete = config_for_images(TrainConfig(noise=noise), blobs())
    assert complete.preset == preset_of(noise)
    assert complete == config_for_images(resolve_config(preset_of(noise)), blobs())
    complete.validate()


@pytest.mark.parametrize("name", ["kimg", "lr_g", "lr_d", "tick_kimg", "gamma", "ema_kimg", "noise_strength"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_rates_and_lengths_must_be_finite_and_not_negative(name: str, value: float):
    with pytest.raises(InputError, match=f"{name} is {value}"):
        resolve_config("dcgan-eni", {name: value})


@pytest.mark.parametrize(
    "name", ["batch", "kimg", "lr_g", "width", "z_dim", "regularizer_interval", "snapshot_ticks"]
)
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
    off = {"gamma": 0.0, "ema_kimg": 0.0, "noise_strength": 0.0, "workers": 0, "seed": 0}
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


@pytest.mark.parametrize(
    ("preset", "options"),
    [
        ("stylegan2-plain", {"pl_interval": 8}),
        ("stylegan2-plain", {"gamma_rule": "given", "gamma": 0.0, "adam_lazy_correction": False}),
        ("stylegan2-rni-small", {"gamma_rule": "resolution"}),
        ("stylegan2-rni-small", {"regularizer": "js", "gamma": 2.0, "anneal": True}),
        ("stylegan2-rni", {"regularizer": "r1-r2", "gamma": 10.0, "gamma_rule": "given"}),
        ("dcgan", {"regularizer": "f-gan", "gamma": 0.5, "loss": "f-reverse-kl"}),
        ("dcgan", {"regularizer": "wgan-gp", "gamma": 10.0, "loss": "wasserstein", "d_norm": "none"}),
        ("dcgan", {"loss": "f-total-variation", "generator_loss": "minimax"}),
        ("stylegan2-plain", {"noise_layers": "block8.*=euclidean", "noise_strength": 0.1}),
        ("stylegan2-plain", {"noise_layers": "block8.*=neutral", "noise_lr_multiplier": 2.0}),
        ("stylegan2-plain", {"noise_layers": "block8.*=riemannian", "riemann_preset": "neutral"}),
        ("stylegan2-rni", {"batch": 6, "pl_batch_shrink": 4}),
    ],
)
def test_options_that_mean_something_are_taken(preset, options):
    config = resolve_config(preset, options)
    assert all(getattr(config, name) == value for name, value in options.items())


def test_processes_shrink_a_batch_for_the_path_length_without_rest():
    config = resolve_config("stylegan2-rni", {"batch": 24, "pl_batch_shrink": 8})
    config.validate(1)
    with pytest.raises(InputError, match=r"share of 12 images.*shrunk 8 times without rest.*of 16"):
        config.validate(2)


def test_a_wasserstein_loss_that_nothing_bounds_is_remarked_on():
    bare = resolve_config("dcgan", {"loss": "wasserstein"})
    assert [line.split(",")[0] for line in remarks(bare)] == [
        "loss wasserstein without a penalty estimates no distance"
    ]
    published = resolve_config(
        "stylegan2-plain", {"loss": "wasserstein", "gamma_rule": "given", "gamma": 0.0}
    )
    (remark,) = remarks(published)
    assert remark.endswith("regularizer wgan-gp with gamma 10 and regularizer_interval 1 would")
    for options in ({}, {"loss": "hinge"}, {"loss": "wasserstein", "regularizer": "wgan-gp", "gamma": 10.0}):
        assert remarks(resolve_config("dcgan", options)) == []

"""Each sign of a GAN going wrong is told once as it appears, with time and remedy; sound runs are silent."""

import json
import math
import re

import pytest
import torch

from riemann_noise_pytorch.training import loop
from riemann_noise_pytorch.training.config import TrainConfig, resolve_config
from riemann_noise_pytorch.training.sample_grid import spread
from riemann_noise_pytorch.training.symptoms import SIGNS, YOUNG, YOUNG_STEPS, Symptoms
from tests.training.runs import blobs, small

CONFIG = TrainConfig()


def line(tick, **measures):
    sound = {
        "kimg": 10.0 * tick,
        "images_seen": 10_000 * tick,
        "d_real_accuracy": 0.8,
        "d_fake_accuracy": 0.75,
        "loss_g": 1.0 + 0.1 * math.sin(tick),
        "loss_d": 1.2,
        "grad_norm_g": 1.0,
        "grad_norm_d": 2.0,
        "sample_spread": 0.4,
    }
    return sound | measures


def told(lines, config=CONFIG):
    symptoms = Symptoms(config)
    return [sentence for each in lines for sentence in symptoms.look(each)]


SICK = {
    "a saturated discriminator": [line(t, d_real_accuracy=0.99, d_fake_accuracy=1.0) for t in range(12)],
    "collapse": [line(t, sample_spread=0.4 if t < 9 else 0.1) for t in range(12)],
    "oscillation": [line(t, loss_g=1.0 if t % 2 else 5.0) for t in range(12)],
    "exploding gradients": [line(t, grad_norm_g=1.0 if t < 9 else 20.0) for t in range(12)],
    "an exploding penalty": [line(t, grad_norm_penalty=3.0 if t < 9 else 80.0) for t in range(12)],
}


def test_a_sound_run_is_silent():
    assert told([line(t) for t in range(100)]) == []


def test_a_slow_decline_of_the_loss_is_no_oscillation():
    assert told([line(t, loss_g=5.0 / (1 + t)) for t in range(40)]) == []


@pytest.mark.parametrize("name", SICK)
def test_each_sign_is_told_once_with_time_and_remedy(name):
    (sentence,) = told(SICK[name])
    assert re.match(rf"at step \d+ \(\d+ kimg\): {name}: ", sentence)
    assert any(option in sentence for option in ("gamma", "lr_g", "instance_noise"))
    assert "\n" not in sentence


def test_every_sign_can_be_seen():
    assert {sign.name for sign in SIGNS} == set(SICK)


def test_a_sign_that_went_and_came_back_is_told_again():
    once = [line(t, grad_norm_d=50.0 if t in (20, 40) else 2.0) for t in range(50)]
    sentences = told(once)
    assert len(sentences) == 2
    assert sentences[0].startswith("at step 3125 (200 kimg)")
    assert sentences[1].startswith("at step 6250 (400 kimg)")


def test_a_sign_that_comes_and_goes_within_a_while_is_told_once():
    assert len(told([line(t, grad_norm_d=50.0 if t in (20, 24, 30, 40) else 2.0) for t in range(50)])) == 1


def test_a_saturated_discriminator_whose_gradient_jumps_is_told_of_as_saturated_alone():
    sure = {"d_real_accuracy": 1.0, "d_fake_accuracy": 1.0, "grad_norm_d": 0.1}
    (sentence,) = told([line(t, **sure | ({"grad_norm_d": 5.0} if t == 13 else {})) for t in range(20)])
    assert "saturated" in sentence


def test_a_penalty_that_explodes_is_to_be_weakened():
    (sentence,) = told(SICK["an exploding penalty"], TrainConfig(gamma=50.0))
    assert ": an exploding penalty: the discriminator's gradient at steps with a penalty is 80," in sentence
    assert sentence.endswith("; lower gamma, which is 50, or lr_d, which is 0.0002")


@pytest.mark.parametrize("name", ["grad_norm_g", "grad_norm_d"])
def test_a_penalty_beside_a_gradient_that_explodes_is_not_told(name):
    both = [
        line(t, **{name: 1.0 if t < 9 else 60.0}, grad_norm_penalty=3.0 if t < 9 else 80.0) for t in range(12)
    ]
    (sentence,) = told(both)
    assert ": exploding gradients: " in sentence


def test_a_penalty_is_judged_at_ticks_that_have_one():
    norms = [3.0 if t % 2 == 0 else None for t in range(40)]
    norms[20] = 80.0
    seen = Symptoms(CONFIG)
    told_at = [t for t, norm in enumerate(norms) if seen.look(line(t, grad_norm_penalty=norm))]
    assert told_at == [20]
    beside = [
        line(t, grad_norm_d=60.0 if t == 20 else 2.0, grad_norm_penalty=norm) for t, norm in enumerate(norms)
    ]
    rare = beside[:21] + [each | {"grad_norm_penalty": None} for each in beside[21:]]
    (sentence,) = told(rare)  # and nothing of a penalty of long ago, once the gradients have come down
    assert ": exploding gradients: " in sentence


def test_a_noisy_start_that_settles_at_the_spread_of_the_data_is_no_collapse():
    settling = [line(t, sample_spread=0.95 if t < 6 else 0.43, real_spread=0.43) for t in range(20)]
    assert told(settling) == []
    without = [{name: value for name, value in each.items() if name != "real_spread"} for each in settling]
    assert len(told(without)) == 1
    (sentence,) = told([*settling, line(20, sample_spread=0.2, real_spread=0.43)])
    assert "fell from 0.95 to 0.2, where that of real images is 0.43" in sentence


def test_samples_less_diverse_than_the_data_are_measured_by_their_own_widest():
    narrow = [line(t, sample_spread=0.2 if t < 9 else 0.11, real_spread=0.9) for t in range(12)]
    assert told(narrow) == []
    assert len(told([*narrow, line(12, sample_spread=0.09, real_spread=0.9)])) == 1


def test_a_line_has_the_spread_of_the_real_images_of_its_last_step(tmp_path):
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        step = loop.Trainer.step
        patch.setattr(loop.Trainer, "step", lambda *args: seen.append(args[1]) or step(*args))
        loop.train(small(6), blobs(), tmp_path / "run")
    lines = [json.loads(text) for text in (tmp_path / "run" / "stats.jsonl").read_text().splitlines()]
    assert [each["real_spread"] for each in lines] == [spread(seen[i] / 127.5 - 1) for i in (2, 5)]


def test_nothing_is_said_of_the_beginning():
    sick = SICK["a saturated discriminator"]
    assert told(sick[:YOUNG]) == []
    short = [each | {"images_seen": CONFIG.batch * tick} for tick, each in enumerate(sick)]
    assert len(short) < YOUNG_STEPS
    assert told(short) == []


def test_measures_that_are_missing_are_not_judged():
    assert told([{"kimg": 10.0 * t, "images_seen": 10_000 * t, "loss_g": None} for t in range(20)]) == []


def test_gradients_that_were_small_and_recover_do_not_explode():
    norms = (0.9, 0.2, 0.05, 0.04, 0.8, 0.16, 0.19, 1.7, 0.6, 2.3, 3.2, 2.9, 2.7)  # of a run on photographs
    assert told([line(t, grad_norm_d=norm) for t, norm in enumerate(norms)]) == []


def test_an_average_that_still_remembers_its_start_is_not_judged():
    early = [line(t, images_seen=2000 * t, sample_spread=0.03 if t < 9 else 0.01) for t in range(12)]
    assert len(told(early, TrainConfig(ema_kimg=1.0))) == 1
    assert told(early, TrainConfig(ema_kimg=10.0)) == []
    assert len(told(early, TrainConfig(ema_kimg=10.0, ema_rampup=0.05))) == 1


def test_a_loss_around_zero_does_not_swing_by_chance():
    hinge = TrainConfig(loss="hinge")
    assert told([line(t, loss_g=0.2 * (-1) ** t, loss_d=1.8) for t in range(30)], hinge) == []


@pytest.mark.parametrize("name", ["a saturated discriminator", "oscillation"])
def test_the_wasserstein_loss_has_no_boundary_to_judge_by(name):
    assert told(SICK[name], TrainConfig(loss="wasserstein")) == []


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({}, "set gamma above 0 (regularizer js or r1), or add instance_noise 0.1, or lower lr_d, which is"),
        ({"loss": "hinge"}, "(regularizer r1)"),
        ({"loss": "wasserstein"}, "(regularizer wgan-gp)"),
        ({"gamma": 0.5}, "raise gamma, which is 0.5"),
        ({"instance_noise": 0.2}, "raise instance_noise, which is 0.2"),
    ],
)
def test_what_would_help_depends_on_what_is_set(options, advice):
    config = TrainConfig(**options)
    config.validate()
    (sentence,) = told(SICK["collapse"], config)
    assert advice in sentence
    for regularizer in re.findall(r"js|r1|wgan-gp", sentence) if "regularizer" in sentence else ():
        resolve_config("dcgan", {**options, "gamma": 1.0, "regularizer": regularizer})
    if "add instance_noise" in sentence:
        resolve_config("dcgan", {**options, "instance_noise": 0.1})


@pytest.mark.parametrize(
    ("loss", "kind"), [("logistic", "js"), ("logistic", "r1"), ("wasserstein", "wgan-gp")]
)
def test_a_penalty_advised_to_a_run_with_a_lazy_preset_has_the_interval_of_its_paper(loss, kind):
    without = {"gamma_rule": "given", "gamma": 0.0, "loss": loss}
    (sentence,) = told(SICK["collapse"], resolve_config("stylegan2-plain", without))
    assert re.search(rf"set gamma above 0 \(regularizer .*{kind}.*, regularizer_interval 1\)", sentence)
    advised = {**without, "gamma": 2.0, "regularizer": kind, "regularizer_interval": 1}
    assert resolve_config("stylegan2-plain", advised).regularizer_interval == 1


def test_the_spread_is_the_mean_over_pixels_of_the_deviation_over_images():
    images = torch.randn(7, 3, 5, 4, dtype=torch.float64)
    expected = sum(
        float(images[:, c, y, x].var(correction=0)) ** 0.5
        for c in range(3)
        for y in range(5)
        for x in range(4)
    )
    assert spread(images) == pytest.approx(expected / 60, rel=1e-6)
    assert spread(images[:1].expand(4, 3, 5, 4)) == 0
    assert spread(images[:1]) is None
    assert spread(images * math.nan) is None


def test_a_run_tells_its_signs_to_the_log_and_to_those_who_watch(tmp_path, monkeypatch):
    monkeypatch.setattr(Symptoms, "look", lambda _, line: [f"a sign of {line['sample_spread']}"])
    seen = []
    loop.train(small(6), blobs(), tmp_path / "run", on_tick=lambda info: seen.extend(info.signs))
    lines = [json.loads(text) for text in (tmp_path / "run" / "stats.jsonl").read_text().splitlines()]
    assert seen == [f"a sign of {each['sample_spread']}" for each in lines]
    log = (tmp_path / "run" / "log.txt").read_text()
    assert all(sentence in log for sentence in seen)
    assert all(0 < each["sample_spread"] < 1 for each in lines)


def test_a_resumed_run_looks_at_the_lines_before(tmp_path, monkeypatch):
    config = small(12)
    read = []
    look = Symptoms.look
    monkeypatch.setattr(
        Symptoms, "look", lambda self, each: read.append(each["images_seen"]) or look(self, each)
    )
    loop.train(small(6), blobs(), tmp_path / "run")
    assert read == [24, 48]
    loop.train(config, blobs(), tmp_path / "run", resume=True)
    assert read == [24, 48, 24, 48, 72, 96]


@pytest.mark.parametrize("name", SICK)
def test_a_resumed_run_says_what_an_uninterrupted_one_would(name):
    lines = SICK[name]
    whole = Symptoms(CONFIG)
    by_tick = [whole.look(each) for each in lines]
    for cut in range(len(lines)):
        resumed = Symptoms(CONFIG, lines[:cut])
        assert [resumed.look(each) for each in lines[cut:]] == by_tick[cut:]

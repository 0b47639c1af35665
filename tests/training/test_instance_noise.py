"""Schedules begin where they are told, never rise and end at zero; what D sees is blurred once a step."""

import itertools
import json
import math

import pytest
import torch
from accelerate import Accelerator

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.training import loop
from riemann_noise_pytorch.training.batch import Batch
from riemann_noise_pytorch.training.checkpoints import newest_snapshot
from riemann_noise_pytorch.training.config import TrainConfig, resolve_config
from riemann_noise_pytorch.training.instance_noise import SCHEDULES, InstanceNoise, adapted, scheduled
from riemann_noise_pytorch.training.processes import make_accelerator
from riemann_noise_pytorch.training.regularizers import JS
from riemann_noise_pytorch.training.state import TrainState, config_for_images
from riemann_noise_pytorch.training.step import Trainer
from riemann_noise_pytorch.training.validation import MOST_INSTANCE_NOISE
from tests.training.runs import blobs, equal, small, weights

ADAPTIVE = {"instance_noise": 0.2, "instance_noise_schedule": "adaptive"}


def at(schedule, step, kimg=None):
    options = {"instance_noise": 0.3, "instance_noise_schedule": schedule, "instance_noise_kimg": kimg}
    return scheduled(TrainConfig(kimg=64.0, **options), step)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("kimg", [None, 32.0])
def test_a_schedule_begins_at_the_deviation_never_rises_and_is_zero_from_its_end_on(schedule, kimg):
    end = 1000 if kimg is None else 500
    sigmas = [at(schedule, step, kimg) for step in range(end + 5)]
    assert sigmas[0] == pytest.approx(0.3, abs=1e-15)
    assert all(after <= before for before, after in itertools.pairwise(sigmas))
    assert all(sigma > 0 for sigma in sigmas[:end])
    assert sigmas[end:] == [0.0] * 5


@pytest.mark.parametrize("schedule", [name for name in SCHEDULES if name != "constant"])
def test_a_schedule_comes_to_its_end_without_a_jump(schedule):
    steps = [at(schedule, step) for step in range(1001)]
    assert max(before - after for before, after in itertools.pairwise(steps)) < 0.3 * 0.005


@pytest.mark.parametrize(
    ("schedule", "share"),
    [
        ("constant", 1.0),
        ("linear", 0.75),
        ("cosine", math.cos(math.pi / 8) ** 2),
        ("exponential", (math.sqrt(0.1) - 0.01) / 0.99),
    ],
)
def test_after_a_quarter_of_its_time_a_schedule_has_the_share_of_its_formula(schedule, share):
    assert at(schedule, 250) == pytest.approx(0.3 * share, rel=1e-12)


def test_the_adaptive_deviation_rises_where_the_discriminator_is_too_often_right_and_falls_where_not():
    assert adapted(0.1, 0.9, 0.8, 500) == pytest.approx(0.1 + 0.1 * 0.1 * 0.5, rel=1e-12)
    assert adapted(0.1, 0.8, 0.8, 64) == 0.1
    assert adapted(0.1, 0.6, 0.8, 500) == pytest.approx(0.1 - 0.1 * 0.2 * 0.5, rel=1e-12)
    assert adapted(0.0, 0.0, 0.8, 64) == 0
    assert adapted(MOST_INSTANCE_NOISE, 1.0, 0.8, 64) == MOST_INSTANCE_NOISE


def test_two_half_batches_of_one_accuracy_move_it_as_far_as_a_whole_one():
    assert adapted(adapted(0.1, 1.0, 0.7, 32), 1.0, 0.7, 32) == pytest.approx(adapted(0.1, 1.0, 0.7, 64))


def test_it_holds_an_accuracy_that_falls_with_the_noise_at_its_target():
    sigma = 0.0
    for _ in range(5000):
        sigma = adapted(sigma, 0.5 + 0.5 * math.exp(-5 * sigma), 0.8, 64)
    assert 0.5 + 0.5 * math.exp(-5 * sigma) == pytest.approx(0.8, abs=1e-3)


def both(process=0, step=3, seed=0, sigma=0.5):
    shape = (64, 3, 32, 32)
    noise = InstanceNoise(TrainConfig(instance_noise=0.5, seed=seed), process=process)
    return noise.blur(Batch(torch.zeros(shape), torch.zeros(shape)), sigma, step)


def test_real_and_generated_images_get_noise_of_the_deviation_each_their_own():
    seen = both()
    for images in (seen.real, seen.fake):
        assert float(images.mean()) == pytest.approx(0, abs=5 * 0.5 / math.sqrt(images.numel()))
        assert float(images.std()) == pytest.approx(0.5, rel=0.01)
    together = torch.stack([seen.real.flatten(), seen.fake.flatten()])
    assert abs(float(torch.corrcoef(together)[0, 1])) < 0.01


def test_the_noise_depends_on_seed_step_and_process_alone():
    assert torch.equal(both().real, both().real)
    for other in ({"seed": 1}, {"step": 4}, {"process": 1}):
        assert not torch.equal(both().real, both(**other).real)
        assert not torch.equal(both().fake, both(**other).fake)


def test_the_noise_does_not_depend_on_the_layout_of_the_images():
    noise = InstanceNoise(TrainConfig(instance_noise=0.5))
    images = torch.rand(4, 3, 8, 8)
    other = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(
        noise.blur(Batch(images, images), 0.5, 0).real, noise.blur(Batch(other, other), 0.5, 0).real
    )


def test_without_deviation_the_batch_is_given_as_it_is():
    batch = Batch(torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 4))
    assert InstanceNoise(TrainConfig(instance_noise=0.5)).blur(batch, 0.0, 0) is batch


def trained(**options):
    """Take one step with a discriminator that notes what it sees."""
    config = config_for_images(small(d_norm="none", **options), blobs())
    accelerator = make_accelerator(config, "")
    trainer = Trainer(config, TrainState(config, accelerator.device), accelerator)
    seen = []
    trainer.state.discriminator.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0].detach().clone())
    )
    pixels = blobs().batch(torch.arange(config.batch))
    made = []
    trainer.state.generator.register_forward_hook(lambda *call: made.append(call[-1].detach().clone()))
    measures, _ = trainer.step(pixels)
    return trainer, seen, made[0], pixels / 127.5 - 1, measures


def test_loss_penalty_and_generator_see_the_same_blurred_images():
    options = {"gamma": 1.0, "regularizer": "r1-r2", "regularizer_interval": 1}
    _, seen, made, real, measures = trained(instance_noise=0.25, **options)
    fake_d, real_d, real_penalty, fake_penalty, fake_g = seen
    assert torch.equal(fake_d, fake_g)
    assert torch.equal(fake_d, fake_penalty)
    assert torch.equal(real_d, real_penalty)
    assert float((fake_d - made).std()) == pytest.approx(0.25, rel=0.1)
    assert float((real_d - real).std()) == pytest.approx(0.25, rel=0.1)
    assert measures["instance_noise"] == 0.25


def test_the_gradient_reaches_the_generator_through_the_noise():
    trainer, *_, measures = trained(instance_noise=0.25)
    assert measures["grad_norm_g"] > 0
    assert all(p.grad is not None for p in trainer.state.generator.parameters())


def test_an_adaptive_deviation_follows_the_accuracies_of_the_step():
    trainer, *_, measures = trained(**ADAPTIVE, instance_noise_target=0.6)
    accuracy = (measures["d_real_accuracy"] + measures["d_fake_accuracy"]) / 2
    assert trainer.state.adapted_sigma == adapted(0.2, accuracy, 0.6, 8)
    assert trainer.state.adapted_sigma != 0.2
    assert measures["instance_noise"] == 0.2


def stats(run_dir):
    return [json.loads(text) for text in (run_dir / "stats.jsonl").read_text().splitlines()]


def test_a_line_has_the_mean_deviation_of_its_tick(tmp_path):
    loop.train(small(6, instance_noise=0.6), blobs(), tmp_path / "run")
    assert [line["instance_noise"] for line in stats(tmp_path / "run")] == pytest.approx([0.5, 0.2])
    loop.train(small(3), blobs(), tmp_path / "without")
    assert "instance_noise" not in stats(tmp_path / "without")[0]


@pytest.mark.parametrize(
    "options",
    [ADAPTIVE, {"instance_noise": 0.2, "instance_noise_schedule": "cosine", "instance_noise_kimg": 0.08}],
)
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, options):
    config = small(12, **options)
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    loop.train(config, blobs(), whole)

    def stop(info):
        if info.images_seen == 48:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        loop.train(config, blobs(), halves, on_tick=stop)
    loop.train(config, blobs(), halves, resume=True)
    assert equal(weights(newest_snapshot(whole)), weights(newest_snapshot(halves)))
    assert [s["instance_noise"] for s in stats(whole)] == [s["instance_noise"] for s in stats(halves)]


def test_a_snapshot_without_the_adaptive_deviation_is_refused():
    config = config_for_images(small(**ADAPTIVE), blobs())
    state = TrainState(config)
    tensors = {name: tensor for name, tensor in state.tensors().items() if "instance_noise" not in name}
    with pytest.raises(InputError, match="lacks instance_noise/sigma"):
        state.load(tensors, 0, "this snapshot")


def of_stylegan2(**options):
    sizes = {"w_dim": 8, "z_dim": 8, "mapping_layers": 1, "channel_base": 64, "channel_max": 8, "batch": 8}
    short = {"resolution": 16, "kimg": 0.016, "tick_kimg": 0.016, "sample_grid": 4, "device": "cpu"}
    return resolve_config("stylegan2-plain-small", {**sizes, **short, **options})


def of_dcgan(**options):
    return small(2, tick_kimg=0.016, gamma=1.0, **options)


def train_both(folder, **options):
    for make in (of_dcgan, of_stylegan2):
        loop.train(make(**options), blobs(), folder / make.__name__)


def test_both_networks_train_with_it(tmp_path):
    train_both(tmp_path, **ADAPTIVE)
    for make in (of_dcgan, of_stylegan2):
        (line,) = stats(tmp_path / make.__name__)
        assert line["instance_noise"] > 0
        assert line["penalty"] > 0


def test_in_half_precision_the_penalty_sees_noisy_images_of_float32_and_a_run_resumes(tmp_path, monkeypatch):
    seen, halves_of, original = [], [], JS.__call__

    def note(penalty, network, batch, step):
        value = original(penalty, network, batch, step)
        with torch.no_grad():
            seen.append((batch.real.dtype, batch.fake.dtype, network(batch.real).dtype, value.dtype))
        halves_of.extend(block.half_dtype for block in network.modules() if hasattr(block, "half_dtype"))
        assert value.isfinite()
        return value

    monkeypatch.setattr(JS, "__call__", note)
    of_js = {"gamma": 2.0, "regularizer": "js", "regularizer_interval": 1, **ADAPTIVE}
    half = {"precision": "bf16", "half_resolutions": 2, "tick_kimg": 0.016, **of_js}
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    alone = {"accelerator": Accelerator(cpu=True)}  # that of other tests, for layers know their precision
    loop.train(of_stylegan2(**half, kimg=0.032), blobs(), whole, **alone)
    assert seen == [(torch.float32,) * 4] * 4
    assert set(halves_of) == {None}
    loop.train(of_stylegan2(**half), blobs(), halves, **alone)
    loop.train(of_stylegan2(**half, kimg=0.032), blobs(), halves, resume=True, **alone)
    assert equal(weights(newest_snapshot(whole)), weights(newest_snapshot(halves)))
    measures = [{n: s[n] for n in ("loss_d", "penalty", "grad_norm_penalty")} for s in stats(whole)]
    assert all(math.isfinite(value) for each in measures for value in each.values())
    assert [s["instance_noise"] for s in stats(whole)] == [s["instance_noise"] for s in stats(halves)]


def test_small_noise_on_images_of_half_precision_is_not_rounded_away():
    images = torch.full((4, 1, 8, 8), 0.75, dtype=torch.bfloat16)
    seen = InstanceNoise(TrainConfig(instance_noise=1e-4)).blur(Batch(images.float(), images), 1e-4, 0)
    assert float(seen.fake.std()) == pytest.approx(1e-4, rel=0.2)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"instance_noise": -0.1}, "instance_noise is -0.1, but it must be a finite number, zero or more"),
        ({"instance_noise": math.nan}, "instance_noise is nan, but it must be a finite number"),
        ({"instance_noise": 11.0}, "instance_noise is 11, which drowns images in .-1, 1.; give 0.1 or so"),
        ({"instance_noise": "much"}, "instance_noise is 'much', but it must be of type float"),
        ({"instance_noise": 0.1, "instance_noise_schedule": "linar"}, "did you mean 'linear'"),
        ({"instance_noise": 0.1, "instance_noise_kimg": 300.0}, "instance_noise_kimg 300 is beyond the end"),
        ({"instance_noise": 0.1, "instance_noise_kimg": 0.0}, "instance_noise_kimg is 0.0, but it must be"),
        ({"instance_noise_kimg": 3.0}, "instance_noise_kimg has no meaning with instance_noise 0; set that"),
        (
            {"instance_noise_schedule": "cosine"},
            "instance_noise_schedule has no meaning with instance_noise 0",
        ),
        ({"instance_noise_target": 0.7}, "instance_noise_target has no meaning with instance_noise 0"),
        (
            {"instance_noise": 0.1, "instance_noise_target": 0.7},
            "instance_noise_schedule linear; take adaptive, or leave instance_noise_target out",
        ),
        ({**ADAPTIVE, "instance_noise_kimg": 3.0}, "instance_noise_kimg has no meaning with .* adaptive"),
        ({**ADAPTIVE, "instance_noise_target": 0.5}, "instance_noise_target is 0.5, but the share"),
        ({**ADAPTIVE, "instance_noise_target": 1.0}, "instance_noise_target is 1, but the share"),
        ({**ADAPTIVE, "loss": "wasserstein"}, "loss wasserstein has no boundary"),
    ],
)
def test_options_that_cannot_be_used_are_refused_with_a_remedy(options, told):
    with pytest.raises(InputError, match=told) as caught:
        resolve_config("dcgan", options)
    assert "\n" not in str(caught.value)

"""StyleGAN2 in the training loop: styles, path lengths, half precision; resumed and shared runs."""

import dataclasses
import json
import math
import os
import signal
import socket

import pytest
import torch
from accelerate import Accelerator

from riemann_noise_pytorch.errors import InputError, Interrupted, NonFiniteError
from riemann_noise_pytorch.models.stylegan2 import StyleGAN2Generator
from riemann_noise_pytorch.noise.control import off
from riemann_noise_pytorch.training.checkpoints import list_snapshots, load_generator, load_snapshot
from riemann_noise_pytorch.training.config import resolve_config
from riemann_noise_pytorch.training.describe import describe
from riemann_noise_pytorch.training.loop import train
from riemann_noise_pytorch.training.path_length import PathLength
from riemann_noise_pytorch.training.regularizers import R1
from riemann_noise_pytorch.training.run_folder import load_config
from riemann_noise_pytorch.training.state import TrainState, config_for_images
from riemann_noise_pytorch.training.step import Trainer
from riemann_noise_pytorch.training.styles import Styles
from tests.training.runs import blobs, equal, in_processes, weights
from tests.training.test_loop import stats_of
from tests.training.test_processes import by_sample, join

ROWS = ("stylegan2-plain", "stylegan2-eni", "stylegan2-nopathreg-rni", "stylegan2-rni")
STEPS = 10


def small(row, steps=STEPS, **options):
    """Options of a run of so many steps at 16x16, with every penalty due within them."""
    tiny = {
        "z_dim": 6,
        "w_dim": 8,
        "mapping_layers": 2,
        "channel_base": 64,
        "channel_max": 8,
        "resolution": 16,
    }
    run = {"batch": 8, "kimg": 8 * steps / 1000, "tick_kimg": 0.024, "snapshot_ticks": 1, "sample_grid": 4}
    penalties = {"gamma_rule": "resolution", "regularizer_interval": 4, "device": "cpu", "ema_kimg": 0.05}
    if "eni" in row:
        options = {"noise_strength": 0.3, **options}
    return resolve_config(row, {**tiny, **run, **penalties, **options})


def complete(row, **options):
    return config_for_images(small(row, **options), blobs())


def classed():
    """The same images, the brighter ones of another class, and a third class of a few."""
    pixels = blobs().pixels
    bright = pixels.float().mean(dim=(1, 2, 3)) > 40
    labels = torch.where(torch.arange(256) % 8 == 0, 2, bright.long())
    return type(blobs())(pixels, name="classed", labels=labels)


def losses(row, run_dir, **options):
    seen = []
    images = classed() if options else blobs()
    config = small(row, **options)
    train(config, images, run_dir, progress=lambda info: seen.append(info.measures), noise_source=by_sample)
    return seen


@pytest.mark.parametrize("row", ROWS)
def test_every_row_trains_and_tells_its_measures(row, tmp_path):
    train(small(row), blobs(), tmp_path / "run")
    lines = stats_of(tmp_path / "run")
    assert lines[0]["loss_d"] > 0
    assert lines[0]["penalty"] > 0
    has_paths = small(row).pl_weight > 0
    assert ("pl_length" in lines[0]) == has_paths
    if has_paths:
        assert lines[0]["pl_length"] > 0
        assert lines[0]["pl"] > 0
    assert len(lines[0]["noise_strengths"]) == (0 if "plain" in row else 5)
    generator = load_generator(tmp_path / "run")
    assert generator(torch.randn(2, 6)).shape == (2, 1, 16, 16)
    assert generator.mapping.w_avg.abs().sum() > 0


def test_rows_start_from_equal_weights():
    states = {row: TrainState(complete(row)) for row in ROWS}
    plain = states["stylegan2-plain"]
    for state in states.values():
        shared = dict(state.generator.named_parameters())
        assert all(torch.equal(p, shared[name]) for name, p in plain.generator.named_parameters())
        assert equal(plain.discriminator.state_dict(), state.discriminator.state_dict())
    eni, rni = (states[row].generator.state_dict() for row in ("stylegan2-eni", "stylegan2-rni"))
    assert all(torch.equal(eni[name], rni[name]) for name in eni if name.endswith("noise_const"))


def test_both_players_have_the_lazy_correction_even_without_a_path_length():
    for row in ROWS:
        state = TrainState(complete(row, lr_g=0.002, lr_d=0.002, regularizer_interval=16))
        (g, *_), (d,) = state.optimizer_g.param_groups, state.optimizer_d.param_groups
        assert g["lr"] == pytest.approx(0.002 * 4 / 5)
        assert g["betas"] == pytest.approx((0.0, 0.99 ** (4 / 5)))
        assert d["lr"] == pytest.approx(0.002 * 16 / 17)
        assert d["betas"] == pytest.approx((0.0, 0.99 ** (16 / 17)))


def test_the_rules_of_r1_give_their_numbers():
    assert config_for_images(resolve_config("stylegan2-rni"), blobs()).gamma == 100
    small_run = config_for_images(resolve_config("stylegan2-rni", {"gamma_rule": "resolution"}), blobs())
    assert small_run.gamma == pytest.approx(0.0002 * 16 * 16 / 32)
    assert small_run.gamma_rule == "given"
    small_run.validate()


def test_styles_are_mixed_at_the_share_and_rows_asked_for():
    config = complete("stylegan2-plain", style_mixing=0.75, batch=400, kimg=0.4)
    generator = TrainState(config).generator
    accelerator = Accelerator(cpu=True)
    rows = Styles(config, accelerator).rows(generator, 3, 400)
    assert rows.shape == (400, generator.synthesis.num_ws, 8)
    changes = (rows[:, 1:] != rows[:, :-1]).any(dim=2)
    assert set(changes.sum(dim=1).tolist()) == {0, 1}
    assert changes.any(dim=1).float().mean().item() == pytest.approx(0.75, abs=0.07)
    where = changes.float().argmax(dim=1)[changes.any(dim=1)]
    assert set(where.tolist()) == set(range(generator.synthesis.num_ws - 1))
    never = Styles(dataclasses.replace(config, style_mixing=0.0), accelerator).rows(generator, 3, 400)
    assert (never == never[:, :1]).all()
    assert torch.equal(never[:, 0], rows[:, 0])


def test_the_average_w_follows_the_batches():
    config = complete("stylegan2-plain")
    generator = TrainState(config).generator
    rows = Styles(config, Accelerator(cpu=True)).rows(generator, 0, 8, follow=True)
    first = generator.mapping.w_avg.clone()
    torch.testing.assert_close(first, 0.005 * rows[:, 0].detach().mean(dim=0))
    Styles(config, Accelerator(cpu=True)).rows(generator, 0, 8)
    assert torch.equal(generator.mapping.w_avg, first)


def test_the_path_length_is_that_of_a_smaller_batch_in_full_precision(monkeypatch):
    config = complete("stylegan2-eni", precision="bf16", half_resolutions=2, pl_interval=1)
    state = TrainState(config)
    trainer = Trainer(config, state, Accelerator(cpu=True))
    seen = []
    lengths = type(trainer.path_length).lengths

    def note(penalty, synthesis, ws, noise):
        halves = [block.half_dtype for block in state.generator.synthesis.blocks()]
        seen.append((tuple(ws.shape), tuple(noise.shape), set(halves)))
        return lengths(penalty, synthesis, ws, noise)

    monkeypatch.setattr(type(trainer.path_length), "lengths", note)
    trainer.step(blobs().batch(torch.arange(8)))
    assert seen == [((4, state.generator.synthesis.num_ws, 8), (4, 1, 16, 16), {None})]
    assert [b.half_dtype for b in state.generator.synthesis.blocks()] == [
        None,
        torch.bfloat16,
        torch.bfloat16,
    ]
    assert state.pl_average > 0


def test_half_precision_follows_full_precision():
    steps = {}
    for precision in ("no", "bf16"):
        half = {} if precision == "no" else {"half_resolutions": 2}
        config = complete("stylegan2-eni", precision=precision, style_mixing=0.0, **half)
        state = TrainState(config)
        trainer = Trainer(config, state, Accelerator(cpu=True), by_sample)
        for step in range(4):
            measures, _ = trainer.step(blobs().batch(torch.arange(8 * step, 8 * step + 8)))
        steps[precision] = measures
    assert steps["bf16"]["loss_d"] != steps["no"]["loss_d"]
    for name in ("loss_d", "loss_g"):
        assert steps["bf16"][name] == pytest.approx(steps["no"][name], rel=0.05)


def test_a_run_interrupted_and_resumed_equals_one_left_alone(tmp_path):
    config = small("stylegan2-rni")
    train(config, blobs(), tmp_path / "whole")

    def stop(info):
        if info.step == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        train(config, blobs(), tmp_path / "cut", progress=stop)
    train(config, blobs(), tmp_path / "cut", resume=True)
    whole, cut = (load_snapshot(list_snapshots(tmp_path / name)[-1]) for name in ("whole", "cut"))
    assert "path_length/average" in whole.tensors
    assert equal(weights(cut), weights(whole))


def test_images_need_not_be_square(tmp_path):
    images = blobs()
    wide = type(images)(images.pixels.repeat(1, 1, 1, 2)[..., :20], name="wide")
    config = dataclasses.replace(small("stylegan2-eni", 3), resolution=None)
    train(config, wide, tmp_path / "run")
    generator = load_generator(tmp_path / "run")
    assert generator(torch.randn(2, 6)).shape == (2, 1, 16, 20)
    with pytest.raises(InputError, match="dcgan needs square ones"):
        config_for_images(resolve_config("dcgan"), wide)


def everything(rank, port, folder):
    """Do in two processes all that the tests below look at."""
    join(rank, port)
    for row in ROWS:
        seen = losses(row, folder / row)
        if rank == 0:
            (folder / f"{row}.json").write_text(json.dumps(seen))
    seen = losses("stylegan2-rni", folder / "classed", conditional=True)
    if rank == 0:
        (folder / "classed.json").write_text(json.dumps(seen))
    measured = describe(small("stylegan2-rni"), blobs()).measured
    assert measured.steps_timed > 2
    with pytest.raises(InputError, match="a share of 6 images cannot be split into groups of 4"):
        train(small("stylegan2-plain", batch=12), blobs(), folder / "odd")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stylegan2-processes")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert in_processes([(everything, rank, port, folder) for rank in range(2)]) == [0, 0]
    return folder


@pytest.mark.parametrize("row", [*ROWS, "classed"])
def test_two_processes_train_to_the_losses_of_one(folder, tmp_path, row):
    options = {"conditional": True} if row == "classed" else {}
    alone = losses("stylegan2-rni" if options else row, tmp_path / "run", **options)
    together = json.loads((folder / f"{row}.json").read_text())
    assert len(alone) == len(together) == STEPS
    for one, two in zip(alone, together, strict=True):
        assert one.keys() == two.keys()
        for name, value in one.items():
            assert two[name] == pytest.approx(value, rel=1e-4), name
    mean = load_snapshot(list_snapshots(folder / row)[-1]).tensors["generator/mapping.w_avg"]
    own = load_snapshot(list_snapshots(tmp_path / "run")[-1]).tensors["generator/mapping.w_avg"]
    torch.testing.assert_close(mean, own, rtol=1e-4, atol=1e-7)


def test_classes_are_learned_shown_and_resumed(tmp_path):
    config = small("stylegan2-rni", conditional=True, sample_grid=6)
    train(config, classed(), tmp_path / "whole")
    assert load_config(tmp_path / "whole").classes == 3
    train(small("stylegan2-rni", 5, conditional=True, sample_grid=6), classed(), tmp_path / "cut")
    train(config, classed(), tmp_path / "cut", resume=True)
    whole, cut = (load_snapshot(list_snapshots(tmp_path / name)[-1]) for name in ("whole", "cut"))
    assert equal(weights(cut), weights(whole))
    shuffled = type(blobs())(blobs().pixels, labels=classed().labels.flip(0))
    train(config, shuffled, tmp_path / "shuffled")
    other = load_snapshot(list_snapshots(tmp_path / "shuffled")[-1])
    assert not torch.equal(
        whole.tensors["discriminator/from_image.weight"], other.tensors["discriminator/from_image.weight"]
    )
    assert whole.tensors["generator/mapping.embed.weight"].shape == (8, 3)


def test_classes_of_generated_images_are_as_frequent_as_those_of_real_ones():
    config = complete("stylegan2-plain", batch=2000, kimg=2.0)
    styles = Styles(config, Accelerator(cpu=True), classed().labels)
    drawn, real = styles.labels(3), classed().labels
    assert drawn.shape == (2000,)
    for label in range(3):
        share = (real == label).float().mean().item()
        assert (drawn == label).float().mean().item() == pytest.approx(share, abs=0.04)
    assert torch.equal(styles.labels(3), drawn)
    assert not torch.equal(styles.labels(4), drawn)
    assert not torch.equal(styles.labels(3, 2000, "path length "), drawn)
    assert Styles(config, Accelerator(cpu=True)).labels(3) is None


def test_real_images_come_with_their_own_classes(tmp_path, monkeypatch):
    seen = []
    step = Trainer.step

    def note(trainer, pixels, stop=False, labels=None):
        seen.append((pixels, labels))
        return step(trainer, pixels, stop, labels)

    monkeypatch.setattr(Trainer, "step", note)
    train(small("stylegan2-plain", 3, conditional=True), classed(), tmp_path / "run")
    images = classed()

    def pairs(pixels, labels):
        return {(p.numpy().tobytes(), int(label)) for p, label in zip(pixels, labels, strict=True)}

    known = pairs(images.pixels, images.labels)
    assert all(pairs(pixels, labels) <= known for pixels, labels in seen)


def test_grids_show_the_classes_in_order(tmp_path, monkeypatch):
    seen = []
    forward = StyleGAN2Generator.forward

    def note(generator, z, labels=None, **options):
        seen.append(labels.tolist())
        return forward(generator, z, labels, **options)

    monkeypatch.setattr(StyleGAN2Generator, "forward", note)
    train(small("stylegan2-plain", 3, conditional=True, sample_grid=6), classed(), tmp_path / "run")
    assert seen
    assert all(labels == [0, 0, 1, 1, 2, 2] for labels in seen)


@pytest.mark.parametrize(
    ("options", "images", "message"),
    [
        ({"conditional": True}, blobs, "blobs have no classes.*put a dataset.json.*turn conditional off"),
        (
            {"conditional": True, "classes": 4},
            classed,
            "classes is 4, but the images have 3; leave classes out",
        ),
    ],
)
def test_images_without_the_classes_asked_for_are_refused(options, images, message, tmp_path):
    with pytest.raises(InputError, match=message):
        train(small("stylegan2-plain", **options), images(), tmp_path / "run")


def test_noise_of_a_trained_generator_is_reached_by_name(tmp_path):
    train(small("stylegan2-eni", 3), blobs(), tmp_path / "run")
    generator, z = load_generator(tmp_path / "run"), torch.randn(2, 6)
    with off(generator, "synthesis.block16.*"), off(generator, ["synthesis.block4.*", "synthesis.block8.*"]):
        assert torch.equal(generator(z), generator(z, noise_mode="none"))


def scaled(interval):
    """A trainer under a loss scaler, as on a GPU in float16, whose regularisers can be poisoned."""
    config = complete("stylegan2-eni", regularizer_interval=interval, pl_interval=1)
    state = TrainState(config)
    state.scaler = torch.amp.GradScaler("cpu", init_scale=8.0, enabled=True)
    return state, Trainer(config, state, Accelerator(cpu=True), by_sample)


def poisoned_backward(value):
    """The same value with gradients that are not a number."""
    value = value * 1
    value.register_hook(lambda gradient: gradient * float("nan"))
    return value


@pytest.mark.parametrize(("penalty", "interval"), [(R1, 4), (R1, 1), (PathLength, 4)])
def test_a_loss_scaler_excuses_no_gradient_of_a_penalty(monkeypatch, penalty, interval):
    state, trainer = scaled(interval)
    original = penalty.__call__
    monkeypatch.setattr(penalty, "__call__", lambda *args: poisoned_backward(original(*args)))
    player = state.discriminator if penalty is R1 else state.generator
    with pytest.raises(NonFiniteError, match="is nan at step 0"):
        trainer.step(blobs().batch(torch.arange(8)))
    assert all(p.isfinite().all() for p in player.parameters())


def test_a_loss_scaler_leaves_out_the_steps_of_gradients_that_overflow():
    state, trainer = scaled(1)
    state.discriminator.logit.weight.register_hook(lambda gradient: gradient * math.inf)
    before = {name: tensor.clone() for name, tensor in state.discriminator.state_dict().items()}
    measures, _ = trainer.step(blobs().batch(torch.arange(8)))
    assert not math.isfinite(measures["grad_norm_d"])
    assert equal(state.discriminator.state_dict(), before)
    assert state.scaler.get_scale() < 8


@pytest.mark.parametrize("lost", ["path_length/average", "adam_g/", "adam_d/", "tick/sums"])
def test_a_state_without_all_its_parts_is_refused(lost):
    config = complete("stylegan2-rni")
    state = TrainState(config)
    trainer = Trainer(config, state, Accelerator(cpu=True), by_sample)
    trainer.step(blobs().batch(torch.arange(8)))
    tensors = {name: tensor for name, tensor in state.tensors().items() if not name.startswith(lost)}
    with pytest.raises(InputError, match=f"lacks {lost.rstrip('/')}; take another snapshot"):
        TrainState(config).load(tensors, 1, "forged.safetensors")


def test_a_grid_is_drawn_in_parts_of_a_batch(tmp_path):
    """As many images at once as in a step, so that what a step's memory can hold, the grid's can."""
    sizes = []
    config = small("stylegan2-plain", 3, sample_grid=20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StyleGAN2Generator, "__call__", counted(StyleGAN2Generator.__call__, sizes))
        train(config, blobs(), tmp_path / "run")
    assert max(sizes) == 8
    assert sizes[:3] == [8, 8, 4]


def counted(call, sizes):
    """The same call, which notes how many images came."""

    def noted(self, *args, **others):
        images = call(self, *args, **others)
        sizes.append(len(images))
        return images

    return noted

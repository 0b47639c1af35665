import contextlib
import json
import math
import os
import signal
import threading

import pytest
import torch
from PIL import Image

from riemann_noise_pytorch.data.imageset import TensorImages
from riemann_noise_pytorch.errors import InputError, Interrupted, NonFiniteError
from riemann_noise_pytorch.noise.interfaces import NoiseLayer
from riemann_noise_pytorch.training import checkpoints
from riemann_noise_pytorch.training.checkpoints import list_snapshots, load_generator, load_snapshot
from riemann_noise_pytorch.training.describe import describe
from riemann_noise_pytorch.training.hooks import Stopped
from riemann_noise_pytorch.training.loop import train
from riemann_noise_pytorch.training.regularizers import R1
from riemann_noise_pytorch.training.run_folder import RunFolder, load_config
from riemann_noise_pytorch.training.signals import StopRequest
from riemann_noise_pytorch.training.state import TrainState, config_for_images
from tests.training.runs import blobs, equal, in_processes, small, weights

TIMINGS = ("images_per_s", "elapsed_s", "peak_memory_mib")


def stats_of(run_dir):
    lines = [json.loads(line) for line in (run_dir / "stats.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMINGS} for line in lines]


NEUTRAL = {"noise": "riemannian", "riemann_preset": "neutral", "noise_lr_multiplier": 10.0}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A whole run with everything in it, and what its hooks were told."""
    run_dir = tmp_path_factory.mktemp("finished") / "run"
    ticks, steps = [], []
    config = small(gamma=1.0, regularizer_interval=4, **NEUTRAL)
    last = train(config, blobs(), run_dir, on_tick=ticks.append, progress=steps.append)
    return run_dir, last, ticks, steps


def test_a_run_folder_holds_options_statistics_samples_and_snapshots(finished):
    run_dir, last, _, _ = finished
    names = [f"{images:08d}" for images in (0, 24, 48, 72, 96)]
    assert [path.stem for path in list_snapshots(run_dir)] == names
    assert sorted(path.stem for path in (run_dir / "samples").iterdir()) == names
    assert last == list_snapshots(run_dir)[-1]
    assert load_config(run_dir) == load_snapshot(last).config
    assert (load_config(run_dir).resolution, load_config(run_dir).channels) == (16, 1)
    assert load_config(run_dir).riemann_preset == "neutral"
    assert Image.open(run_dir / "samples" / "00000096.png").size == (33, 33)
    assert "started" in (run_dir / "log.txt").read_text()


def test_statistics_have_a_line_a_tick(finished):
    run_dir, _, _, _ = finished
    lines = [json.loads(line) for line in (run_dir / "stats.jsonl").read_text().splitlines()]
    assert [line["kimg"] for line in lines] == [0.024, 0.048, 0.072, 0.096]
    for line in lines:
        assert all(math.isfinite(line[name]) for name in ("loss_g", "loss_d", "grad_norm_g", "grad_norm_d"))
        assert 0 <= line["d_real_accuracy"] <= 1
        assert 0 <= line["d_fake_accuracy"] <= 1
        assert line["images_per_s"] > 0
        assert line["peak_memory_mib"] > 1
        assert [*line["noise_strengths"]] == ["stage4.noise", "stage8.noise"]
    assert [line["penalty"] is not None for line in lines] == [True, True, True, False]
    assert lines[0]["elapsed_s"] < lines[-1]["elapsed_s"]


def test_hooks_are_told_of_every_step_and_tick(finished):
    run_dir, _, ticks, steps = finished
    assert [info.step for info in steps] == [*range(1, 13)]
    assert steps[-1].seconds_left == 0
    assert {info.steps for info in steps} == {12}
    assert [info.images_seen for info in ticks] == [24, 48, 72, 96]
    assert [info.is_last for info in ticks] == [False, False, False, True]
    assert ticks[0].run_dir == run_dir
    trained = load_generator(run_dir)
    z = torch.randn(2, 100)
    assert torch.equal(ticks[-1].generator.stage4.conv(z), trained.stage4.conv(z))


def test_a_tick_exports_the_average_as_a_snapshot_of_its_own(tmp_path):
    seen = []

    def export(info):
        path = info.export("kept.safetensors")
        seen.append((path, {name: t.clone() for name, t in info.generator.state_dict().items()}))

    last = train(small(6, keep_snapshots=1), blobs(), tmp_path / "run", on_tick=export)
    path, state = seen[-1]
    assert path == tmp_path / "run" / "kept.safetensors"
    assert list_snapshots(tmp_path / "run") == [last]
    kept = load_snapshot(path)
    assert (kept.images_seen, kept.step, kept.config) == (48, 6, load_snapshot(last).config)
    assert {name.partition("/")[0] for name in kept.tensors} == {"ema"}
    assert equal(load_generator(path).state_dict(), state)
    with pytest.raises(InputError) as caught:
        load_generator(path, which="raw")
    assert "\n" not in str(caught.value)


def test_exporting_changes_nothing_in_the_run(finished, tmp_path):
    config = small(gamma=1.0, regularizer_interval=4, **NEUTRAL)
    last = train(config, blobs(), tmp_path / "run", on_tick=lambda info: info.export("kept.safetensors"))
    assert equal(weights(load_snapshot(last)), weights(load_snapshot(finished[1])))


def test_a_hook_is_told_after_the_snapshot_that_is_due_and_can_have_one_that_is_not(finished, tmp_path):
    there = []

    def look(info):
        names = [path.stem for path in list_snapshots(tmp_path / "run")]
        saved = info.save()
        assert saved == list_snapshots(tmp_path / "run")[-1]
        written = saved.stat().st_mtime_ns
        assert info.save().stat().st_mtime_ns == written
        there.append((f"{info.images_seen:08d}" in names, load_snapshot(saved).step))

    config = small(gamma=1.0, regularizer_interval=4, **NEUTRAL, snapshot_ticks=2)
    last = train(config, blobs(), tmp_path / "run", on_tick=look)
    assert there == [(False, 3), (True, 6), (False, 9), (True, 12)]
    for path in list_snapshots(tmp_path / "run"):
        same = finished[0] / "snapshots" / path.name
        assert equal(weights(load_snapshot(path)), weights(load_snapshot(same)))
    assert last == list_snapshots(tmp_path / "run")[-1]


def test_a_hook_that_fails_costs_no_training(finished, tmp_path):
    def fail(info):
        if info.images_seen == 48:
            raise ZeroDivisionError

    config = small(gamma=1.0, regularizer_interval=4, **NEUTRAL)
    with pytest.raises(ZeroDivisionError):
        train(config, blobs(), tmp_path / "run", on_tick=fail)
    assert list_snapshots(tmp_path / "run")[-1].stem == "00000048"
    last = train(config, blobs(), tmp_path / "run", resume=True)
    assert equal(weights(load_snapshot(last)), weights(load_snapshot(finished[1])))
    assert stats_of(tmp_path / "run") == stats_of(finished[0])


@pytest.mark.parametrize(
    ("steps", "words"), [(12, "go on with: riemann-noise train"), (3, "the run is complete")]
)
def test_a_hook_that_leaves_its_work_ends_the_run_with_its_state(tmp_path, steps, words):
    def leave(info):
        assert not info.stopping()
        os.kill(os.getpid(), signal.SIGTERM)
        assert info.stopping()
        raise Stopped

    with pytest.raises(Interrupted, match=words) as caught:
        train(small(steps, snapshot_ticks=9), blobs(), tmp_path / "run", on_tick=leave)
    assert caught.value.exit_code == 128 + signal.SIGTERM
    newest = list_snapshots(tmp_path / "run")[-1]
    assert newest.stem == "00000024"
    assert str(newest) in str(caught.value)


def test_a_tick_tells_of_the_processes(finished):
    _, _, ticks, _ = finished
    assert {(info.processes.rank, info.processes.world_size) for info in ticks} == {(0, 1)}
    assert ticks[0].stats["kimg"] == 0.024


def test_riemannian_noise_is_the_papers_unless_another_preset_is_named():
    assert config_for_images(small(noise="riemannian"), blobs()).riemann_preset == "paper"
    assert config_for_images(small(**NEUTRAL), blobs()).riemann_preset == "neutral"


def test_learned_strengths_move_from_zero(finished):
    strengths = stats_of(finished[0])[-1]["noise_strengths"]
    assert all(0 < strength < 12 * 10 * 2.1e-4 for strength in strengths.values())


def test_the_same_options_give_the_same_run_and_another_seed_another(finished, tmp_path):
    run_dir, last, _, _ = finished
    config = small(gamma=1.0, regularizer_interval=4, **NEUTRAL)
    torch.manual_seed(1234)
    again = train(config, blobs(), tmp_path / "again")
    assert equal(weights(load_snapshot(last)), weights(load_snapshot(again)))
    assert stats_of(run_dir) == stats_of(tmp_path / "again")
    other = train(
        small(noise="riemannian", gamma=1.0, regularizer_interval=4, noise_lr_multiplier=10.0, seed=1),
        blobs(),
        tmp_path / "other",
    )
    assert not equal(weights(load_snapshot(last)), weights(load_snapshot(other)))


def test_training_leaves_the_global_random_state_alone(tmp_path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(small(3, noise="euclidean", noise_strength=0.1), blobs(), tmp_path / "run")
    assert torch.equal(before, torch.get_rng_state())


def test_arms_start_from_equal_weights():
    states = [
        TrainState(config_for_images(small().with_noise(noise), blobs()))
        for noise in ("none", "euclidean", "riemannian")
    ]
    plain = states[0].generator.state_dict()
    for state in states[1:]:
        own = state.generator.state_dict()
        assert all(torch.equal(plain[name], own[name]) for name in plain)
        assert equal(state.discriminator.state_dict(), states[0].discriminator.state_dict())


@pytest.mark.parametrize(
    "options", [{"gamma": 2.0, "regularizer_interval": 1}, {"norm": "none", "d_norm": "instance"}]
)
def test_other_settings_train(tmp_path, options):
    train(small(3, ema_rampup=0.05, **options), blobs(), tmp_path / "run")
    assert math.isfinite(stats_of(tmp_path / "run")[-1]["loss_g"])


def test_recalibrated_statistics_are_in_the_snapshot_and_the_record(tmp_path):
    options = {"ema_norm_statistics": "recalibrate", "ema_recalibration_images": 64}
    last = train(small(3, **options), blobs(), tmp_path / "recalibrated")
    copied = load_snapshot(train(small(3), blobs(), tmp_path / "copied")).tensors
    tensors = load_snapshot(last).tensors
    name = "stage4.norm.running_mean"
    assert torch.equal(copied[f"ema/{name}"], copied[f"generator/{name}"])
    assert not torch.equal(tensors[f"ema/{name}"], tensors[f"generator/{name}"])
    assert torch.equal(tensors[f"generator/{name}"], copied[f"generator/{name}"])
    assert (
        json.loads((tmp_path / "recalibrated" / "config.json").read_text())["ema_norm_statistics"]
        == "recalibrate"
    )


def test_only_the_newest_snapshots_are_kept_if_asked(tmp_path):
    train(small(keep_snapshots=2), blobs(), tmp_path / "run")
    assert [path.stem for path in list_snapshots(tmp_path / "run")] == ["00000072", "00000096"]


def test_tensorboard_is_written_through_accelerate(tmp_path):
    pytest.importorskip("tensorboard")
    train(small(3, tracker="tensorboard"), blobs(), tmp_path / "run")
    assert [*(tmp_path / "run").glob("riemann-noise/events*")]


def test_a_missing_tracker_is_told_before_anything_is_written(tmp_path, monkeypatch):
    from riemann_noise_pytorch.training import processes

    monkeypatch.setitem(processes._TRACKERS, "wandb", lambda: False)
    with pytest.raises(InputError, match="wandb is not installed; install it"):
        train(small(3, tracker="wandb"), blobs(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_with_something_in_it_is_left_alone(finished, tmp_path):
    run_dir = finished[0]
    before = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match="is not empty; choose another folder, or resume"):
        train(small(), blobs(), run_dir)
    assert before == {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file; choose a folder"):
        train(small(), blobs(), tmp_path / "file")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        train(small(), blobs(), tmp_path / "file" / "run")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": 32}, "resolution is 32, but the images have 16"),
        ({"channels": 3}, "channels is 3, but the images have 1"),
        ({"kimg": math.nan}, "kimg is nan"),
    ],
)
def test_options_that_do_not_fit_write_nothing(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        train(small(**options), blobs(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("shape", "message"), [((16, 32), "16x32.*square"), ((20, 20), "20 does not fit.* 16 ")]
)
def test_images_that_do_not_fit_are_refused(tmp_path, shape, message):
    images = TensorImages(torch.zeros(8, 1, *shape, dtype=torch.uint8))
    with pytest.raises(InputError, match=message):
        train(small(), images, tmp_path / "run")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_told(tmp_path):
    with pytest.raises(InputError, match="no GPU here; give device cpu"):
        train(small(device="cuda"), blobs(), tmp_path / "run")
    with pytest.raises(InputError, match="fp16 needs a GPU"):
        train(small(device="auto", precision="fp16"), blobs(), tmp_path / "run")


def test_another_precision_in_one_process_is_refused_not_ignored(tmp_path):
    train(small(3), blobs(), tmp_path / "first")
    with pytest.raises(InputError, match="precision bf16; start a new process"):
        train(small(3, precision="bf16"), blobs(), tmp_path / "second")


def train_in_bfloat16(run_dir):
    torch.set_num_threads(1)
    seen = []

    def look(generator, step, first_sample):
        generator.to_image.conv.register_forward_hook(lambda *args: seen.append(args[2].dtype))
        return contextlib.nullcontext()

    original = R1.__call__

    def penalty(self, discriminator, batch, step):
        seen.extend({batch.real.dtype, batch.fake.dtype})
        value = original(self, discriminator, batch, step)
        seen.append(value.dtype)
        return value

    R1.__call__ = penalty
    config = small(3, precision="bf16", gamma=1.0, noise="riemannian")
    train(config, blobs(), run_dir, noise_source=look)
    (run_dir / "dtypes.json").write_text(json.dumps([str(dtype) for dtype in seen]))


def test_half_precision_computes_the_networks_in_it_and_the_penalty_in_float32(tmp_path):
    assert in_processes([(train_in_bfloat16, tmp_path / "run")]) == [0]
    dtypes = json.loads((tmp_path / "run" / "dtypes.json").read_text())
    assert dtypes[:3] == ["torch.bfloat16", "torch.float32", "torch.float32"]
    tensors = weights(load_snapshot(list_snapshots(tmp_path / "run")[-1]))
    assert {t.dtype for name, t in tensors.items() if "conv" in name} == {torch.float32}
    assert math.isfinite(stats_of(tmp_path / "run")[-1]["penalty"])


def poisoned(step, poison):
    """Give a source of noise that harms the generator at a step, and adds nothing else."""

    def source(generator, now, first_sample):
        if now == step:
            poison(generator)
        return contextlib.nullcontext()

    return source


def nan_weights(generator):
    generator.to_image.conv.weight.data.fill_(math.nan)


def nan_gradient(generator):
    generator.stage4.conv.weight.register_hook(lambda gradient: gradient * math.nan)


@pytest.mark.parametrize(("poison", "term"), [(nan_weights, "loss_d"), (nan_gradient, "gradient of G")])
def test_what_is_not_finite_stops_the_run_with_its_name_and_the_last_good_snapshot(tmp_path, poison, term):
    with pytest.raises(NonFiniteError) as caught:
        train(small(), blobs(), tmp_path / "run", noise_source=poisoned(7, poison))
    message = str(caught.value)
    assert message.startswith(f"{term} is nan at step 7;")
    newest = list_snapshots(tmp_path / "run")[-1]
    assert newest.stem == "00000048"
    assert str(newest) in message
    assert "\n" not in message
    assert all(
        torch.isfinite(t).all() for t in weights(load_snapshot(newest)).values() if t.is_floating_point()
    )
    assert message in (tmp_path / "run" / "log.txt").read_text()


def test_a_penalty_that_is_not_finite_is_named(tmp_path, monkeypatch):
    original = R1.__call__
    monkeypatch.setattr(R1, "__call__", lambda *args: original(*args) * math.inf)
    with pytest.raises(NonFiniteError, match=r"^penalty of the regularizer r1 is inf at step 0;"):
        train(small(gamma=1.0), blobs(), tmp_path / "run")


def test_nothing_is_updated_with_what_is_not_finite(tmp_path, monkeypatch):
    seen = {}

    def poison(generator):
        nan_gradient(generator)
        seen["generator"] = generator
        seen["before"] = [p.detach().clone() for p in generator.parameters()]

    with pytest.raises(NonFiniteError):
        train(small(), blobs(), tmp_path / "run", noise_source=poisoned(2, poison))
    assert all(torch.equal(p, q) for p, q in zip(seen["generator"].parameters(), seen["before"], strict=True))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_the_step_and_writes_a_snapshot(tmp_path, number):
    def progress(info):
        if info.step == 5:
            os.kill(os.getpid(), number)

    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    with pytest.raises(Interrupted, match=f"^{number.name} came at 0.04 kimg.*--resume {tmp_path}") as caught:
        train(small(), blobs(), tmp_path / "run", progress=progress)
    assert caught.value.exit_code == 128 + number
    newest = list_snapshots(tmp_path / "run")[-1]
    assert newest.stem == "00000040"
    assert str(newest) in str(caught.value)
    assert before == {each: signal.getsignal(each) for each in before}


def test_a_second_signal_after_a_while_acts_as_before(monkeypatch):
    monkeypatch.setattr("riemann_noise_pytorch.training.signals.PATIENCE_S", -1.0)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # which a background job ignores
    try:
        with StopRequest() as stop:
            signal.raise_signal(signal.SIGINT)
            assert stop.number == signal.SIGINT
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_repeated_delivery_of_one_signal_is_no_second_one():
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    assert stop.number == signal.SIGINT


def test_other_threads_leave_the_handlers_alone():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def enter():
        with StopRequest():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [before]


def test_a_full_disk_stops_the_run_and_keeps_what_was_written(tmp_path, monkeypatch):
    def fail_at_second(*args, **kwargs):
        if list_snapshots(tmp_path / "run"):
            raise OSError(28, "No space left on device")
        return save(*args, **kwargs)

    save = checkpoints.save_file
    monkeypatch.setattr(checkpoints, "save_file", fail_at_second)
    with pytest.raises(InputError, match="No space left on device"):
        train(small(), blobs(), tmp_path / "run")
    assert [path.stem for path in list_snapshots(tmp_path / "run")] == ["00000000"]
    load_generator(tmp_path / "run")


def test_noise_is_fresh_at_every_step_and_the_same_in_every_run(tmp_path, monkeypatch):
    def drawn(run_dir, seed):
        seen = []

        def record(layer, mu):
            epsilon = draw(layer, mu)
            if layer.training:
                seen.append(tuple(epsilon.flatten()[:4].tolist()))
            return epsilon

        monkeypatch.setattr(NoiseLayer, "draw", record)
        train(small(3, noise="euclidean", seed=seed), blobs(), run_dir)
        return seen

    draw = NoiseLayer.draw
    first = drawn(tmp_path / "first", 0)
    assert len(set(first)) == len(first) == 3 * 2
    assert drawn(tmp_path / "again", 0) == first
    assert not set(drawn(tmp_path / "other", 1)) & set(first)


def test_a_description_counts_without_training(tmp_path):
    found = describe(small(steps=10, noise="riemannian"), blobs())
    generator = TrainState(found.config).generator
    assert found.generator_parameters == sum(p.numel() for p in generator.parameters())
    assert (found.images, found.steps, found.config.resolution) == (256, 10, 16)
    both = found.generator_parameters + found.discriminator_parameters
    assert found.memory_mib == pytest.approx((4 * both + found.generator_parameters) * 4 / 2**20)


def test_grids_show_the_same_latents_and_noise_at_every_tick(tmp_path):
    still = {"lr_g": 1e-30, "norm": "instance", "noise": "euclidean", "noise_strength": 0.5}
    train(small(3, **still), blobs(), tmp_path / "run")
    first, last = sorted((tmp_path / "run" / "samples").iterdir())
    assert first.read_bytes() == last.read_bytes()


def test_options_of_the_run_are_read_back_or_the_file_is_named(finished, tmp_path):
    assert load_config(finished[0]).width == 8
    with pytest.raises(InputError, match=r"is no run folder, for it has no config\.json"):
        load_config(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config\.json is damaged"):
        load_config(tmp_path)


def test_a_line_cut_off_by_a_crash_is_dropped(tmp_path):
    folder = RunFolder(tmp_path)
    for images in (8, 16, 24):
        folder.append_stats({"images_seen": images})
    with (tmp_path / "stats.jsonl").open("a") as stream:
        stream.write('{"images_se')
    assert folder.cut_stats(16) == [{"images_seen": 8}, {"images_seen": 16}]
    assert len((tmp_path / "stats.jsonl").read_text().splitlines()) == 2


def test_what_the_user_should_know_of_the_options_is_in_the_log(tmp_path):
    train(small(3, loss="wasserstein"), blobs(), tmp_path / "run")
    assert "nothing bounds the slope of the discriminator" in (tmp_path / "run" / "log.txt").read_text()

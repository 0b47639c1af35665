"""Two processes with half the batch each train as one process does with the whole."""

import json
import os
import signal
import socket

import pytest
import torch

from riemann_noise_pytorch.data.imageset import TensorImages
from riemann_noise_pytorch.errors import InputError, Interrupted
from riemann_noise_pytorch.noise.control import frozen
from riemann_noise_pytorch.noise.interfaces import NoiseLayer
from riemann_noise_pytorch.seeds import derive
from riemann_noise_pytorch.training.checkpoints import list_snapshots, load_snapshot
from riemann_noise_pytorch.training.instance_noise import InstanceNoise
from riemann_noise_pytorch.training.loop import train
from tests.training.runs import blobs, equal, in_processes, small, weights

STEPS = 20
ARMS = [(noise, norm) for norm in ("none", "instance") for noise in ("none", "euclidean", "riemannian")]


SPREAD = {
    "wasserstein": {"loss": "wasserstein", "regularizer": "wgan-gp", "gamma": 10.0},
    "js": {"regularizer": "js", "anneal": True, "generator_loss": "minimax"},
    "f-gan": {"loss": "f-gan", "regularizer": "f-gan"},
}


def options(noise, norm, **others):
    strength = {"noise_strength": 0.3} if noise == "euclidean" else {}
    given = {"gamma": 1.0, "regularizer_interval": 4, **strength, **others}
    return small(STEPS, noise=noise, norm=norm, d_norm=norm, **given)


def by_sample(generator, step, first_sample):
    """Noise that depends on the global index of a sample, not on the process that holds it."""
    return frozen(generator, derive(0, "test noise", step), first_sample=first_sample)


def losses(config, run_dir):
    seen = []
    train(config, blobs(), run_dir, progress=lambda info: seen.append(info.measures), noise_source=by_sample)
    return seen


def join(rank, port):
    """Become one of two processes."""
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    torch.set_num_threads(1)


def everything(rank, port, folder):
    """Do in two processes all that the tests below look at."""
    join(rank, port)
    for noise, norm in ARMS:
        seen = losses(options(noise, norm), folder / f"{noise}-{norm}")
        if rank == 0:
            (folder / f"{noise}-{norm}.json").write_text(json.dumps(seen))
    for name, others in SPREAD.items():
        seen = losses(options("none", "none", **others), folder / name)
        if rank == 0:
            (folder / f"{name}.json").write_text(json.dumps(seen))
    draw_noise(rank, folder)
    blur(rank, folder)
    spoil_one(rank, folder)
    stop_one(rank, folder)
    with pytest.raises(InputError, match="a batch of 9 cannot be shared by 2 processes"):
        train(small(batch=9), blobs(), folder / "odd")
    ticks = []
    train(small(3), blobs(), folder / "batch-norm", on_tick=ticks.append)
    sums = ticks[0].processes.gathered(torch.tensor([rank + 1.0]))
    told = [len(ticks), ticks[0].processes.rank, ticks[0].images_seen, bool(ticks[0].stats), sums.tolist()]
    (folder / f"tick-{rank}.json").write_text(json.dumps(told))
    torch.distributed.destroy_process_group()


def draw_noise(rank, folder):
    """Write down the first noise of each process."""
    seen = []
    draw = NoiseLayer.draw

    def remember(layer, mu):
        epsilon = draw(layer, mu)
        if layer.training:
            seen.append(epsilon.flatten().tolist()[:8])
        return epsilon

    NoiseLayer.draw = remember
    train(small(3, noise="euclidean", noise_strength=1.0), blobs(), folder / "fresh")
    NoiseLayer.draw = draw
    (folder / f"noise-{rank}.json").write_text(json.dumps(seen[0]))


def blur(rank, folder):
    """Train with adaptive instance noise, at once and in two parts; write down each process's own of it."""
    options = {"instance_noise": 0.2, "instance_noise_schedule": "adaptive", "gamma": 1.0, "d_norm": "none"}
    seen, original = [], InstanceNoise.blur

    def note(noise, batch, sigma, step):
        blurred = original(noise, batch, sigma, step)
        added = torch.cat([blurred.real - batch.real, blurred.fake - batch.fake]).detach()
        seen.append([sigma, *(added[:, 0, 0, 0] / sigma).tolist()])
        return blurred

    InstanceNoise.blur = note
    train(small(6, **options), blobs(), folder / "blurred")
    InstanceNoise.blur = original
    (folder / f"blur-{rank}.json").write_text(json.dumps(seen))
    train(small(3, **options), blobs(), folder / "blurred-in-parts")
    train(small(6, **options), blobs(), folder / "blurred-in-parts", resume=True)


class Spoilt(TensorImages):
    """Blobs that fail from some batch on."""

    left = 10**9

    def batch(self, indices):
        self.left -= 1
        if self.left < 0:
            raise InputError("image 7 is damaged")
        return super().batch(indices)


def spoil_one(rank, folder):
    """Let the images fail in the second process alone; both must stop, and go on together."""
    config = options("riemannian", "none")
    images = Spoilt(blobs().pixels)
    digest = images.content_hash()
    if rank == 1:
        images.left = 5
    with pytest.raises(InputError) as caught:
        train(config, images, folder / "spoilt", noise_source=by_sample)
    (folder / f"spoilt-{rank}").write_text(str(caught.value))
    images.left = 10**9
    train(config, images, folder / "spoilt", resume=True, noise_source=by_sample)
    assert load_snapshot(list_snapshots(folder / "spoilt")[0]).data["content_hash"] == digest
    others = TensorImages(blobs().pixels.flip(0))
    with pytest.raises(InputError, match=r"saw other images: .*content_hash"):
        train(config, others, folder / "spoilt", resume=True, noise_source=by_sample)


def stop_one(rank, folder):
    """Interrupt the second process alone; both must stop, and go on together."""

    def source(generator, step, first_sample):
        if step == 5 and rank == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return by_sample(generator, step, first_sample)

    config = options("riemannian", "none")
    with pytest.raises(Interrupted, match=r"SIGTERM came at 0.056 kimg"):
        train(config, blobs(), folder / "stopped", noise_source=source)
    train(config, blobs(), folder / "stopped", resume=True, noise_source=by_sample)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert in_processes([(everything, rank, port, folder) for rank in range(2)]) == [0, 0]
    return folder


@pytest.mark.parametrize(("noise", "norm"), ARMS)
def test_two_processes_train_to_the_losses_of_one(folder, tmp_path, noise, norm):
    alone = losses(options(noise, norm), tmp_path / "run")
    assert_same(alone, json.loads((folder / f"{noise}-{norm}.json").read_text()))


@pytest.mark.parametrize("name", SPREAD)
def test_two_processes_compute_the_losses_and_penalties_of_one(folder, tmp_path, name):
    alone = losses(options("none", "none", **SPREAD[name]), tmp_path / "run")
    assert_same(alone, json.loads((folder / f"{name}.json").read_text()))


def assert_same(alone, together):
    assert len(alone) == len(together) == STEPS
    for one, two in zip(alone, together, strict=True):
        assert one.keys() == two.keys()
        for name, value in one.items():
            assert two[name] == pytest.approx(value, rel=1e-5), name


def test_fresh_noise_differs_between_processes(folder):
    first, second = (json.loads((folder / f"noise-{rank}.json").read_text()) for rank in range(2))
    assert len(first) == 8
    assert not set(first) & set(second)


def test_instance_noise_has_one_deviation_in_all_processes_and_other_draws(folder):
    first, second = (json.loads((folder / f"blur-{rank}.json").read_text()) for rank in range(2))
    assert len(first) == 6
    deviations = [each[0] for each in first]
    assert deviations == [each[0] for each in second]
    assert len(set(deviations)) == 6
    draws = [round(value, 3) for each in (*first, *second) for value in each[1:]]
    assert len(draws) == 2 * 6 * 8
    assert len(set(draws)) > 0.9 * len(draws)


def test_processes_with_instance_noise_resume_exactly(folder):
    whole, parts = (load_snapshot(list_snapshots(folder / f"blurred{n}")[-1]) for n in ("", "-in-parts"))
    assert "instance_noise/sigma" in whole.tensors
    assert whole.step == 6
    assert equal(weights(whole), weights(parts))


def test_a_signal_to_one_process_stops_all_at_the_same_step_and_they_resume_exactly(folder):
    whole = load_snapshot(list_snapshots(folder / "riemannian-none")[-1])
    resumed = load_snapshot(list_snapshots(folder / "stopped")[-1])
    assert [path.stem for path in list_snapshots(folder / "stopped")].count("00000056") == 1
    assert equal(weights(resumed), weights(whole))


def test_images_that_fail_in_one_process_stop_all_and_they_resume_exactly(folder):
    first, second = ((folder / f"spoilt-{rank}").read_text() for rank in range(2))
    saved = folder / "spoilt" / "snapshots" / "00000040.safetensors"
    assert first.startswith(f"the images failed in another process; the state before it is in {saved};")
    assert second.startswith(f"image 7 is damaged; the state before it is in {saved};")
    whole = load_snapshot(list_snapshots(folder / "riemannian-none")[-1])
    resumed = load_snapshot(list_snapshots(folder / "spoilt")[-1])
    assert saved.is_file()
    assert equal(weights(resumed), weights(whole))


def test_random_states_of_every_process_are_in_the_snapshot(folder):
    tensors = load_snapshot(list_snapshots(folder / "stopped")[-1]).tensors
    assert {name.split("/")[1] for name in tensors if name.startswith("rng/")} == {"0", "1"}


def test_only_the_first_process_writes(folder):
    lines = (folder / "batch-norm" / "stats.jsonl").read_text().splitlines()
    assert [json.loads(line)["images_seen"] for line in lines] == [24]


def test_every_process_is_told_of_a_tick(folder):
    told = [json.loads((folder / f"tick-{rank}.json").read_text()) for rank in range(2)]
    assert told == [[1, 0, 24, True, [1.0, 2.0]], [1, 1, 24, False, [1.0, 2.0]]]

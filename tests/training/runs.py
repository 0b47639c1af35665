"""Small runs for the tests: 16x16, width 8, batch 8; and processes to run them in."""

import multiprocessing
from functools import cache

import torch
import torch._dynamo

from riemann_noise_pytorch.data.imageset import TensorImages
from riemann_noise_pytorch.training.config import TrainConfig

STEPS = 12


@cache
def blobs():
    """Give 256 images, 1x16x16, of one bright blob each."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    centre = torch.randint(4, 12, (256, 2, 1, 1), generator=generator)
    radius = torch.randint(2, 5, (256, 1, 1), generator=generator)
    axis = torch.arange(16)
    distance = (axis.view(-1, 1) - centre[:, 0]) ** 2 + (axis - centre[:, 1]) ** 2
    return TensorImages((255 * torch.exp(-distance / radius**2)).to(torch.uint8).unsqueeze(1), name="blobs")


def small(steps=STEPS, **options):
    """Give options for a run of so many steps, with a tick every 3 and a snapshot every tick."""
    defaults = {
        "width": 8,
        "batch": 8,
        "kimg": 8 * steps / 1000,
        "tick_kimg": 0.024,
        "snapshot_ticks": 1,
        "sample_grid": 4,
        "device": "cpu",
        "ema_kimg": 0.05,
    }
    return TrainConfig(**{**defaults, **options})


def weights(snapshot):
    """Keep the tensors of a snapshot that are weights or moments."""
    return {name: tensor for name, tensor in snapshot.tensors.items() if not name.startswith("rng/")}


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def in_processes(calls):
    """Run functions at once in processes forked from a server that has torch in memory but never computed.

    Args:
        calls: Tuples of a function and its arguments.

    Returns:
        The exit codes.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["tests.training.test_resume", "tests.training.test_processes", "tests.training.test_loop"]
    )
    processes = [
        context.Process(target=function, args=arguments, daemon=True) for function, *arguments in calls
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(90)
        process.kill()
    return [process.exitcode for process in processes]

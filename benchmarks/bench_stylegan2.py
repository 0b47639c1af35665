"""StyleGAN2 in training: seconds per 1000 images, and the share of what one large convolution reaches.

A cycle is 16 iterations of this package's own training step with config e's widths: R1 once, the path length
four times. Every arm takes a step in turn, so a slow spell meets them all. The share of the peak counts the
operations that the formulas of a cycle need, not those executed; Winograd's way saves some, and may exceed 1.

    main step, an image:  G forward, G backward (twice a forward); D forward on a generated and a real image,
                          D backward for both (twice each); D forward and backward to the image for G's loss
    R1, an image:         D forward, backward to the image, and twice that for the derivative of the latter
    path length, half a   G forward, backward to w, twice that for its derivative, and twice a forward, for
    batch:                modulation is a product

With --peer the pip package stylegan2_pytorch (MIT; install it) takes its own training steps in turn with
ours, at the capacity that gives it as many channels at the last resolution; it wants a GPU, so its calls of
.cuda() do nothing. Past its step 5000 it has a gradient penalty every 4 steps and the path length every 32:
steps of the three kinds are timed there and weighed as often as they come.

Run: python benchmarks/bench_stylegan2.py [--size 64 8] [--size 128 4] [--cycles 1] [--peer]
"""

import argparse
import contextlib
import gc
import itertools
import statistics
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from measuring import record
from PIL import Image
from torch.nn import functional as F  # noqa: N812

from riemann_noise_pytorch.cli.allocator import keep_big_buffers
from riemann_noise_pytorch.models.convolution import direct_convolutions
from riemann_noise_pytorch.models.sizes import block_channels, block_sizes
from riemann_noise_pytorch.training.config import resolve_config
from riemann_noise_pytorch.training.state import TrainState
from riemann_noise_pytorch.training.step import Trainer

CYCLE = 16
PEER = "stylegan2_pytorch"
PEER_STEPS = {30_016: 1 / 32, 30_001: 24 / 32, 30_004: 7 / 32}  # its step number, and the share of such steps
DIRECT = "Euclidean, float32, torch's convolutions"
ARMS: dict[str, dict[str, Any]] = {
    "Euclidean, float32": {"preset": "stylegan2-eni"},
    "Riemannian, float32": {"preset": "stylegan2-rni"},
    "Euclidean, bfloat16": {"preset": "stylegan2-eni", "precision": "bf16"},
    DIRECT: {"preset": "stylegan2-eni"},
}


def network_operations(resolution: int, base: int = 16384, most: int = 512) -> tuple[float, float]:
    """Multiplications and additions of one forward pass of the synthesis and of the discriminator."""
    sizes = [height for height, _ in block_sizes(resolution, resolution)]
    wide = [block_channels((height, height), base, most) for height in sizes]
    g = d = 0.0
    for i, (size, outputs) in enumerate(zip(sizes, wide, strict=True)):
        g += 9 * size**2 * outputs**2 + 3 * size**2 * outputs
        if i:
            inputs = wide[i - 1]
            g += 9 * (size // 2) ** 2 * inputs * outputs + 16 * size**2 * outputs
            d += 9 * size**2 * outputs**2 + 9 * (size // 2) ** 2 * inputs * outputs
            d += (size // 2) ** 2 * inputs * outputs + 16 * (size + 1) ** 2 * outputs
    d += 3 * resolution**2 * wide[-1] + 9 * sizes[0] ** 2 * wide[0] * (wide[0] + 1) + 16 * wide[0] ** 2
    return 2 * g, 2 * d


def cycle_operations(resolution: int, batch: int) -> float:
    """What a cycle must compute, by the formulas above."""
    g, d = network_operations(resolution)
    main = CYCLE * (3 * g + (2 + 4 + 2) * d)
    return batch * (main + 4 * d + 4 * 0.5 * 6 * g)


def peak(dtype: torch.dtype, device: str) -> Callable[[], float]:
    """A function that measures operations per second of one large channels-last convolution."""
    n, c, size = (8, 512, 64) if device == "cpu" else (32, 512, 64)
    x = torch.randn(n, c, size, size, device=device, dtype=dtype).contiguous(
        memory_format=torch.channels_last
    )
    w = torch.randn(c, c, 3, 3, device=device, dtype=dtype).contiguous(memory_format=torch.channels_last)

    def measure() -> float:
        start = now(device)
        F.conv2d(x, w, padding=1)
        return 2 * 9 * n * c * c * size**2 / (now(device) - start)

    return measure


def now(device: str) -> float:
    """The time, when all that was asked for is done."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def make_trainer(arm: str, resolution: int, batch: int, device: str) -> Trainer:
    """A training in this package, about to take its second step."""
    options = dict(ARMS[arm])
    preset = options.pop("preset")
    config = resolve_config(
        preset,
        {
            "resolution": resolution,
            "channels": 3,
            "batch": batch,
            "gamma_rule": "given",
            "gamma": 1.0,
            **options,
        },
    )
    accelerator = Accelerator(cpu=device == "cpu")
    return Trainer(config, TrainState(config, accelerator.device), accelerator)


def steps(arm: str, resolution: int, batch: int, device: str) -> Iterator[float]:
    """Take steps, and give the seconds of each; the first, with both penalties, is a warm-up."""
    trainer = make_trainer(arm, resolution, batch, device)
    pixels = torch.randint(256, (batch, 3, resolution, resolution), dtype=torch.uint8)
    while True:
        with direct_convolutions() if arm == DIRECT else contextlib.nullcontext():
            start = now(device)
            trainer.step(pixels)
            spent = now(device) - start
        yield spent


def peer_steps(resolution: int, batch: int) -> Iterator[float]:
    """Take steps of the pip package stylegan2_pytorch on a CPU, of each kind in turn; give the seconds."""
    sys.modules.setdefault("aim", types.ModuleType("aim"))  # its tracker, which is not used here
    there = torch.cuda.is_available
    torch.cuda.is_available = lambda: True
    torch.Tensor.cuda = torch.nn.Module.cuda = lambda self, *_, **__: self
    from stylegan2_pytorch.stylegan2_pytorch import Trainer as PeerTrainer

    torch.cuda.is_available = there
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder) / "pictures"
        pictures.mkdir()
        noise = torch.randint(256, (4 * batch, resolution, resolution, 3), dtype=torch.uint8)
        for i, picture in enumerate(noise):
            Image.fromarray(picture.numpy()).save(pictures / f"{i}.png")
        never = {"save_every": 10**9, "evaluate_every": 10**9}
        trainer = PeerTrainer(
            "peer",
            base_dir=folder,
            image_size=resolution,
            network_capacity=block_channels((resolution, resolution), 16384, 512) // 2,
            batch_size=batch,
            gradient_accumulate_every=1,
            num_workers=0,
            **never,
        )
        trainer.set_data_src(str(pictures))
        for number in itertools.chain([max(PEER_STEPS)], itertools.cycle(PEER_STEPS)):
            trainer.steps = number
            start = time.perf_counter()
            trainer.train()
            yield time.perf_counter() - start


def peer_step_s(spent: list[float]) -> float:
    """The mean step of the peer's training, from steps of each kind in turn."""
    shares = itertools.cycle(PEER_STEPS.values())
    return (
        sum(share * step for share, step in zip(shares, spent, strict=False)) * len(PEER_STEPS) / len(spent)
    )


def measure(size: tuple[int, int], options: argparse.Namespace, setting: str) -> dict[str, Any]:
    """Time cycles of all arms at one size."""
    resolution, batch = size
    device = options.device
    peaks = {
        "float32": peak(torch.float32, device),
        "bfloat16": peak(torch.bfloat16, device),
    }
    reached: dict[str, list[float]] = {name: [] for name in peaks}
    arms = {arm: steps(arm, resolution, batch, device) for arm in options.arms}
    if options.peer:
        arms[PEER] = peer_steps(resolution, batch)
    times_s: dict[str, list[float]] = {arm: [] for arm in arms}
    for number in range(1 + CYCLE * options.cycles):
        for arm, stream in arms.items():
            if arm == PEER and len(times_s[arm]) == 2 * len(PEER_STEPS):
                continue
            spent = next(stream)
            if number:
                times_s[arm].append(spent)
        for name, convolution in peaks.items():
            reached[name].append(convolution())
    best = {name: statistics.median(values) for name, values in reached.items()}
    needed = cycle_operations(resolution, batch)
    print(
        f"\n{resolution}x{resolution}, batch {batch}, {device}, allocator {setting}; one convolution: "
        + ", ".join(f"{name} {value / 1e9:.0f} GFLOP/s" for name, value in best.items())
    )
    rows = {}
    for arm, spent in times_s.items():
        cycle_s = CYCLE * (peer_step_s(spent) if arm == PEER else statistics.fmean(spent))
        per_kimg = cycle_s / (CYCLE * batch) * 1000
        share = needed / cycle_s / best["float32"]
        to_first = cycle_s / (sum(times_s[options.arms[0]]) / options.cycles)
        print(
            f"  {arm:<41} {per_kimg:8.1f} s per 1000 images, {100 * share:5.1f} % of the float32 peak, "
            f"{to_first:.3f} of {options.arms[0]}"
        )
        rows[arm] = {
            "s_per_kimg": round(per_kimg, 1),
            "share_of_float32_peak": round(share, 3),
            "to_first": round(to_first, 3),
            "steps_s": [round(t, 3) for t in spent],
        }
    del arms
    gc.collect()
    return {
        "resolution": resolution,
        "batch": batch,
        "device": device,
        "allocator": setting,
        "cycles": options.cycles,
        "peak_gflops": {n: round(v / 1e9) for n, v in best.items()},
        "operations_per_image": needed / (CYCLE * batch),
        "arms": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--size", type=int, nargs=2, action="append", metavar=("PIXELS", "BATCH"))
    parser.add_argument("--arms", nargs="+", choices=ARMS, help="all; on a GPU but the last")
    parser.add_argument("--cycles", type=int, default=1)
    parser.add_argument("--peer", action="store_true", help="also time the pip package stylegan2_pytorch")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only-tuned", action="store_true", help="leave out the allocator as it is")
    parser.add_argument("--record", type=Path, help="append the results to this file")
    options = parser.parse_args()
    options.arms = options.arms or [arm for arm in ARMS if arm != DIRECT or options.device == "cpu"]
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    sizes = [
        tuple(size)
        for size in options.size or ([(64, 8), (128, 4)] if options.device == "cpu" else [(128, 32)])
    ]
    results = []
    if options.device == "cuda" or not options.only_tuned:
        results += [measure(size, options, "as it is") for size in sizes]
    if options.device == "cpu" and keep_big_buffers():
        results += [measure(size, options, "keeping big buffers") for size in sizes]
    if options.record:
        record(options.record, options.threads, benchmark="stylegan2", results=results)


if __name__ == "__main__":
    main()

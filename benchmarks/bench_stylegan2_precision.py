"""Loss curves of StyleGAN2 in bfloat16 beside float32, as far apart as two seeds are.

A short run of the small row with Euclidean noise, but as wide as Winograd's way needs it, in float32 and in
bfloat16 from the same weights, images and noise; in float32 with torch's convolutions; and in float32 from
other seeds. Curves are means over windows of steps; the distance of two curves is the root mean square of
their difference. Training is chaotic, so roundings alone part two runs: two ways agree where they are no
further apart than other seeds are.

Run: python benchmarks/bench_stylegan2_precision.py [--steps 120] [--batch 8] [--channels 256] [--others 1 2]
"""

import argparse
import math
from itertools import combinations, islice
from pathlib import Path

import torch
from accelerate import Accelerator
from measuring import record

from riemann_noise_pytorch.cli.allocator import keep_big_buffers
from riemann_noise_pytorch.data.images import open_images
from riemann_noise_pytorch.data.sampler import batches
from riemann_noise_pytorch.models.convolution import direct_convolutions
from riemann_noise_pytorch.training.config import resolve_config
from riemann_noise_pytorch.training.state import TrainState, config_for_images
from riemann_noise_pytorch.training.step import Trainer

WINDOW = 20
CURVES = ("loss_g", "loss_d")
HALF = {"precision": "bf16", "half_resolutions": 4}


def curves(seed: int, options: argparse.Namespace, **changes: object) -> dict[str, list[float]]:
    """Train, and give each loss as means over windows of steps."""
    kimg = options.steps * options.batch / 1000
    lengths = {"batch": options.batch, "kimg": kimg, "tick_kimg": kimg, "seed": seed, "device": "cpu"}
    widths = {"channel_base": 32 * options.channels, "channel_max": options.channels}
    config = resolve_config("stylegan2-eni-small", {"data": "digits", **lengths, **widths, **changes})
    images = open_images(config.data, resolution=config.resolution)
    config = config_for_images(config, images)
    trainer = Trainer(config, TrainState(config), Accelerator(cpu=True))
    seen: dict[str, list[float]] = {name: [] for name in CURVES}
    order = batches(images, seed=seed, start=0, batch=options.batch)
    for pixels in islice(order, options.steps):
        measures, _ = trainer.step(pixels)
        for name, values in seen.items():
            values.append(measures[name])
    starts = range(0, options.steps - WINDOW + 1, WINDOW)
    return {name: [sum(values[i : i + WINDOW]) / WINDOW for i in starts] for name, values in seen.items()}


def apart(first: list[float], second: list[float]) -> float:
    """Root mean square of the difference of two curves."""
    return math.sqrt(sum((a - b) ** 2 for a, b in zip(first, second, strict=True)) / len(first))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--channels", type=int, default=256, help="of every block")
    parser.add_argument("--others", type=int, nargs="+", default=[1, 2], help="seeds of further runs")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--record", type=Path, help="append the results to this file")
    options = parser.parse_args()
    keep_big_buffers()
    torch.set_num_threads(options.threads)
    half = curves(0, options, **HALF)
    whole = {seed: curves(seed, options) for seed in (0, *options.others)}
    with direct_convolutions():
        direct = curves(0, options)
    results = []
    for name in CURVES:
        distance, ways = (apart(other[name], whole[0][name]) for other in (half, direct))
        seeds = [apart(whole[a][name], whole[b][name]) for a, b in combinations(whole, 2)]
        print(
            f"{name}: bfloat16 and float32 {distance:.3f} apart, two ways of float32 {ways:.3f}, two seeds "
            f"{min(seeds):.3f} to {max(seeds):.3f}, over {options.steps} steps of {options.batch} images"
        )
        results.append(
            {
                "curve": name,
                "bfloat16_to_float32": round(distance, 4),
                "torchs_convolutions_to_winograds": round(ways, 4),
                "seeds_of_float32": [round(value, 4) for value in seeds],
                "bfloat16": [round(value, 4) for value in half[name]],
                "float32_torchs_convolutions": [round(value, 4) for value in direct[name]],
                "float32": {seed: [round(v, 4) for v in runs[name]] for seed, runs in whole.items()},
            }
        )
    if options.record:
        names = ("steps", "batch", "channels")
        lengths = {**{name: getattr(options, name) for name in names}, "window": WINDOW, **HALF}
        record(options.record, options.threads, benchmark="stylegan2-precision", **lengths, results=results)


if __name__ == "__main__":
    main()

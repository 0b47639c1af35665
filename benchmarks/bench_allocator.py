"""What keeping big buffers saves in training on a CPU: the same steps with and without it.

Each setting runs in processes of its own, in turn, so that a slow spell of the machine meets both.

Run: python benchmarks/bench_allocator.py [--rounds 3]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from riemann_noise_pytorch.cli.allocator import keep_big_buffers
from riemann_noise_pytorch.data.images import open_images
from riemann_noise_pytorch.training.config import resolve_config
from riemann_noise_pytorch.training.loop import StepInfo, train

WARM_UP, STEPS = 4, 12
CASES = {
    "digits 16x16, width 32, batch 32": {"data": "digits", "width": 32, "batch": 32},
    "photos 64x64, width 64, batch 16": {"data": "photos", "resolution": 64, "width": 64, "batch": 16},
}


def measure(case: str, tuned: bool) -> None:
    """Train in this process, and print seconds a step and the peak memory as JSON."""
    if tuned:
        keep_big_buffers()
    torch.set_num_threads(1)
    options = CASES[case]
    kimg = (WARM_UP + STEPS) * int(options["batch"]) / 1000
    config = resolve_config("dcgan-rni", {**options, "kimg": kimg, "tick_kimg": kimg, "device": "cpu"})
    times_s: list[float] = []
    peaks_mib: list[float] = []

    def note(_: StepInfo) -> None:
        times_s.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        images = open_images(config.data, resolution=config.resolution)
        train(
            config,
            images,
            Path(folder) / "run",
            progress=note,
            on_tick=lambda tick: peaks_mib.append(tick.stats["peak_memory_mib"]),
        )
    print(json.dumps([(times_s[-1] - times_s[WARM_UP - 1]) / STEPS, peaks_mib[-1]]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each setting")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        measure(options.child[0], options.child[1] == "tuned")
        return
    for case in CASES:
        results: dict[str, list[list[float]]] = {"default": [], "tuned": []}
        for _ in range(options.rounds):
            for setting, runs in results.items():
                command = [sys.executable, __file__, "--child", case, setting]
                printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                runs.append(json.loads(printed))
        seconds_s, mib = (
            {setting: statistics.median(run[i] for run in runs) for setting, runs in results.items()}
            for i in range(2)
        )
        print(
            f"{case}: {1000 * seconds_s['default']:.1f} -> {1000 * seconds_s['tuned']:.1f} ms a step, "
            f"{seconds_s['default'] / seconds_s['tuned']:.2f} times as fast; "
            f"peak {mib['default']:.0f} -> {mib['tuned']:.0f} MiB ({mib['tuned'] / mib['default']:.2f} times)"
        )


if __name__ == "__main__":
    main()

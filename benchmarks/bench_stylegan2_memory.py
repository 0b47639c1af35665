"""Peak memory of StyleGAN2 in training, with Euclidean and with Riemannian noise.

Each arm takes two steps of config e's widths in a process of its own, the first of them with both penalties,
R1 and the path length, whose double backward needs most. The peak is the whole process's resident memory;
beside it that without what the process held before the networks were built.

Run: python benchmarks/bench_stylegan2_memory.py [--size 64 8] [--size 128 4] [--rounds 3] [--as-it-is]
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from bench_stylegan2 import ARMS, make_trainer
from measuring import record

from riemann_noise_pytorch.cli.allocator import keep_big_buffers

COMPARED = ("Euclidean, float32", "Riemannian, float32")
STEPS = 2


def peak_mib() -> float:
    """The most memory that this process has held so far; Linux counts it in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(arm: str, resolution: int, batch: int, tuned: bool, threads: int) -> None:
    """Train in this process, and print the peak in MiB before and after as JSON."""
    if tuned:
        keep_big_buffers()
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    pixels = torch.randint(256, (batch, 3, resolution, resolution), dtype=torch.uint8)
    before = peak_mib()
    trainer = make_trainer(arm, resolution, batch, "cpu")
    for _ in range(STEPS):
        trainer.step(pixels)
    print(json.dumps([before, peak_mib()]))


def compare(size: tuple[int, int], options: argparse.Namespace) -> dict[str, Any]:
    """Measure both arms in turn, and print what Riemannian noise adds."""
    resolution, batch = size
    peaks: dict[str, list[list[float]]] = {arm: [] for arm in COMPARED}
    for _ in range(options.rounds):
        for arm, runs in peaks.items():
            child = [arm, str(resolution), str(batch), str(int(not options.as_it_is)), str(options.threads)]
            command = [sys.executable, __file__, "--child", *child]
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            runs.append(json.loads(printed))
    rows = {}
    for arm, runs in peaks.items():
        rows[arm] = {
            "peak_mib": round(statistics.median(peak for _, peak in runs)),
            "of_training_mib": round(statistics.median(peak - before for before, peak in runs)),
        }
    first, second = (rows[arm] for arm in COMPARED)
    added = {key: round(second[key] / first[key], 3) for key in first}
    setting = "as it is" if options.as_it_is else "keeping big buffers"
    print(
        f"{resolution}x{resolution}, batch {batch}, allocator {setting}: "
        + "; ".join(f"{arm} {row['peak_mib']} MiB" for arm, row in rows.items())
        + f"; {added['peak_mib']:.3f} times (of training alone {added['of_training_mib']:.3f})"
    )
    return {
        "resolution": resolution,
        "batch": batch,
        "allocator": setting,
        "rounds": options.rounds,
        "arms": rows,
        "riemannian_to_euclidean": added,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", type=int, nargs=2, action="append", metavar=("PIXELS", "BATCH"))
    parser.add_argument("--rounds", type=int, default=3, help="processes of each arm")
    parser.add_argument("--as-it-is", action="store_true", help="leave the allocator alone")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--record", type=Path, help="append the results to this file")
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        arm, *numbers = options.child
        assert arm in ARMS
        resolution, batch, tuned, threads = map(int, numbers)
        measure(arm, resolution, batch, bool(tuned), threads)
        return
    results = [compare(tuple(size), options) for size in options.size or [(64, 8), (128, 4)]]
    if options.record:
        record(options.record, options.threads, benchmark="stylegan2-memory", results=results)


if __name__ == "__main__":
    main()

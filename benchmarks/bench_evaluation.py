"""What FID, IS and KID cost together, as a share of one pass of Inception over the generated images.

The features are extracted once for all three. The pass and each part are timed in turn in one run: moments by
blocks of 1024, rows copied, and the score, each per image; the kernel distance of 100 subsets and the Frechet
distance once. From these the whole is summed for several numbers of images. Weights are random, which costs
the same; the real side is taken from the cache, as it is after the first evaluation.

Run: python benchmarks/bench_evaluation.py [--images 64] [--batch 32] [--rounds 5] [--record FILE]
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from bench_extractors import random_weights
from bench_metrics import features
from measuring import interleaved, record

from riemann_noise_pytorch.cli.allocator import keep_big_buffers
from riemann_noise_pytorch.metrics.extractors.choices import make_extractor
from riemann_noise_pytorch.metrics.frechet import frechet_distance
from riemann_noise_pytorch.metrics.inception_score import inception_score
from riemann_noise_pytorch.metrics.kernel_distance import SUBSETS, kernel_distance
from riemann_noise_pytorch.metrics.moments import Moments

BLOCK = 1024
FEATURES, CLASSES = 2048, 1008
TIMED_SUBSETS = 10
COUNTS = (5_000, 10_000, 50_000)


def parts(options: argparse.Namespace, folder: Path) -> dict[str, Callable[[], object]]:
    """What is timed, by name."""
    weights = folder / "inception.pth"
    random_weights("inception", weights)
    extractor = make_extractor("inception", weights)
    pixels = torch.randint(256, (options.batch, 3, 64, 64), dtype=torch.uint8)
    block = features(BLOCK, FEATURES, 0)
    total = Moments.of(features(BLOCK, FEATURES, 1))
    logits = 4 * features(BLOCK, CLASSES, 0)
    one, two = (features(5000, FEATURES, seed) for seed in (0, 1))
    first, second = Moments.of(one), Moments.of(two)
    rows = torch.empty_like(block)
    return {
        "pass": lambda: [extractor(pixels) for _ in range(options.images // options.batch)],
        "moments": lambda: total + Moments.of(block),
        "rows": lambda: rows.copy_(block),
        "score": lambda: inception_score(logits),
        "kernel distance": lambda: kernel_distance(one, two, subsets=TIMED_SUBSETS),
        "Frechet distance": lambda: frechet_distance(first, second),
    }


def together(times_s: dict[str, float], options: argparse.Namespace, count: int) -> dict[str, float]:
    """Seconds of one pass over so many images, of what is added to it, and their ratio."""
    one_pass = times_s["pass"] / (options.images // options.batch * options.batch) * count
    per_image = sum(times_s[name] for name in ("moments", "rows", "score")) / BLOCK
    once = times_s["kernel distance"] * SUBSETS / TIMED_SUBSETS + times_s["Frechet distance"]
    added = per_image * count + once
    return {"images": count, "pass_s": one_pass, "added_s": added, "to_pass": 1 + added / one_pass}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--record", type=Path, help="append the results to this file")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_big_buffers()
    with tempfile.TemporaryDirectory() as folder:
        timed = interleaved(parts(options, Path(folder)), "cpu", options.rounds, warm_up=1)
    times_s = {name: statistics.median(values) for name, values in timed.items()}
    results: list[dict[str, Any]] = []
    for count in COUNTS:
        row = together(times_s, options, count)
        print(
            f"{count:>6,} images: one pass {row['pass_s']:.0f} s, FID, IS and KID add "
            f"{row['added_s']:.0f} s: {row['to_pass']:.3f} passes"
        )
        results.append({name: round(value, 3) for name, value in row.items()})
    if options.record:
        rounded = {name: round(value, 4) for name, value in times_s.items()}
        record(options.record, options.threads, benchmark="evaluation", parts_s=rounded, results=results)


if __name__ == "__main__":
    main()

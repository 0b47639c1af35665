"""How far the estimates of dimension fall short: Gaussians of 1 to 32 dimensions, and what the search costs.

Each dimension has a cloud of standard normal points. The estimates see the distances between points alone, so
a cloud in a larger space gives the same numbers. The cost is that of exact nearest neighbours in as many
dimensions as an image has numbers, beside one product of matrices of that size.

Run: python benchmarks/bench_dimension.py [--points 20000] [--record FILE] [--search 50000 3072]
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from measuring import seconds

from riemann_noise_pytorch.experiments.records import commit, environment
from riemann_noise_pytorch.files import atomic_write
from riemann_noise_pytorch.geometry.dimension import DimensionEstimate, mle_dimension, twonn_dimension
from riemann_noise_pytorch.seeds import derive
from riemann_noise_pytorch.statistics.neighbours import nearest

NEIGHBOURS = 20


def estimate(dimension: int, points: int) -> dict[str, Any]:
    """Both estimates of one cloud."""
    stream = torch.Generator().manual_seed(derive(0, "dimension bias", dimension))
    neighbours = nearest(torch.randn(points, dimension, dtype=torch.float64, generator=stream), NEIGHBOURS)
    return {
        "record": "bias",
        "dimension": dimension,
        "points": points,
        "mle": shown(mle_dimension(neighbours, NEIGHBOURS)),
        "twonn": shown(twonn_dimension(neighbours)),
    }


def shown(found: DimensionEstimate) -> dict[str, float]:
    """A number with its interval."""
    return {"value": found.value, "low": found.interval.low, "high": found.interval.high}


def search(points: int, size: int) -> dict[str, Any]:
    """Time an exact search among float32 vectors, and a product of matrices of the same operations."""
    stream = torch.Generator().manual_seed(0)
    vectors = torch.randn(points, 64, generator=stream) @ torch.randn(64, size, generator=stream)
    vectors += 0.1 * torch.randn(points, size, generator=stream)
    rows = vectors[:8192]
    spent = seconds(lambda: nearest(vectors, NEIGHBOURS), "cpu")
    product = seconds(lambda: rows @ vectors[:4096].T, "cpu", repeats=3)
    ideal = product * (points / len(rows)) * (points / 4096)
    print(f"{points} x {size}: {spent:.0f} s, products alone {ideal:.0f} s, ratio {spent / ideal:.2f}")
    return {"record": "search", "points": points, "size": size, "seconds": spent, "products_s": ideal}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--points", type=int, default=20_000)
    parser.add_argument("--dimensions", type=int, nargs=2, default=(1, 32), metavar=("FIRST", "LAST"))
    parser.add_argument("--search", type=int, nargs=2, metavar=("POINTS", "SIZE"), help="also time a search")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--record", type=Path, help="write a file of records, such as records.jsonl")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    lines: list[dict[str, Any]] = [
        {"record": "setup", "commit": commit(), "environment": environment(options.threads)}
    ]
    first, last = options.dimensions
    print("dimension    MLE  TwoNN")
    for dimension in range(first, last + 1):
        lines.append(estimate(dimension, options.points))
        print(f"{dimension:9d} {lines[-1]['mle']['value']:6.2f} {lines[-1]['twonn']['value']:6.2f}")
    if options.search:
        lines.append(search(*options.search))
    if options.record is not None:
        with atomic_write(options.record) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()

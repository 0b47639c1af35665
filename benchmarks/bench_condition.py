"""What condition numbers cost beside the bare forward passes that they are made of.

One measurement of 50,000 pairs of a DCGAN at 32x32, in z, with both bootstraps. Between its batches the same
generator runs bare on latents that are there already: twice as many images as pairs, in the same batches,
mode and dtype. The two alternate in blocks, so that a slow spell of the machine meets both. The ratio of a
block is that of its pairs; the whole also has what comes before and after them, the bootstraps above all. A
small measurement before it does not count: the first one of a process loads parts of torch, for some seconds.

Run: python benchmarks/bench_condition.py [--pairs 50000] [--noise none euclidean riemannian] [--record FILE]
"""

import argparse
import time
from pathlib import Path
from typing import Any, get_args

import torch
from measuring import ratio, record, seconds

from riemann_noise_pytorch.cli.allocator import keep_big_buffers
from riemann_noise_pytorch.geometry.condition import PAPER_PAIRS, SMALLEST_PAIRS, condition_numbers
from riemann_noise_pytorch.models.choices import NoiseKind
from riemann_noise_pytorch.models.dcgan import DCGANGenerator

NOISE_KINDS = get_args(NoiseKind)
RESOLUTION = 32
BLOCKS = 40


class Alternation:
    """Takes the clock from a measurement at every block, and runs the generator bare meanwhile."""

    def __init__(self, generator: torch.nn.Module, options: argparse.Namespace) -> None:
        self._generator = generator
        self._batches = -(-options.pairs // options.batch)
        self._every = max(1, self._batches // BLOCKS)
        parameter = next(generator.parameters())
        self._z = torch.randn(options.batch, generator.z_dim).to(parameter)
        self._batch, self._pairs = options.batch, options.pairs
        self._counted, self._since = 0, time.perf_counter()
        self.pairs_s: list[float] = []
        self.bare_s: list[float] = []

    def __call__(self, done: int, total: int) -> None:
        """Run bare what was measured since the last block, if a block is full."""
        batches = -(-done // self._batch) - self._counted
        if batches < self._every and done < total:
            return
        self.pairs_s.append(time.perf_counter() - self._since)
        self.bare_s.append(seconds(lambda: self._bare(done, batches), self._z.device.type))
        self._counted += batches
        self._since = time.perf_counter()

    def _bare(self, done: int, batches: int) -> None:
        for i in range(batches):
            first = (self._counted + i) * self._batch
            for _ in range(2):
                self._generator(self._z[: min(self._batch, done - first)])


def measure(noise: str, options: argparse.Namespace) -> dict[str, Any]:
    """Measure one generator beside its bare passes; print and return the ratios."""
    torch.manual_seed(0)
    dtype = getattr(torch, options.dtype)
    generator = DCGANGenerator(RESOLUTION, width=options.width, noise=noise).to(options.device, dtype).eval()
    condition_numbers(generator, num_pairs=2 * SMALLEST_PAIRS, batch=options.batch)
    alternation = Alternation(generator, options)
    start = time.perf_counter()
    result = condition_numbers(generator, num_pairs=options.pairs, batch=options.batch, progress=alternation)
    bare_s = sum(alternation.bare_s)
    whole_s = time.perf_counter() - start - bare_s
    last_s = whole_s - sum(alternation.pairs_s)
    blocks = ratio(alternation.pairs_s, alternation.bare_s)
    print(
        f"{noise:<10} {result.mc_name}: {whole_s:.1f} s for {2 * options.pairs:,} passes of {bare_s:.1f} s: "
        f"{whole_s / bare_s:.3f}; blocks {blocks['ratio']:.3f} "
        f"({blocks['low']:.3f} to {blocks['high']:.3f}), bootstraps {last_s:.2f} s"
    )
    return {
        "noise": noise,
        "name": result.mc_name,
        "batch": options.batch,
        "dtype": options.dtype,
        "width": options.width,
        "whole_s": round(whole_s, 2),
        "bare_s": round(bare_s, 2),
        "after_s": round(last_s, 2),
        "whole_to_bare": round(whole_s / bare_s, 3),
        "blocks": blocks,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pairs", type=int, default=PAPER_PAIRS, help=f"{SMALLEST_PAIRS} or more")
    parser.add_argument("--noise", nargs="+", choices=NOISE_KINDS, default=list(NOISE_KINDS))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--width", type=int, default=64, help="channels of the last hidden stage")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--record", type=Path, help="append the results to this file")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_big_buffers()
    results = [measure(noise, options) for noise in options.noise]
    if options.record:
        record(options.record, options.threads, benchmark="condition", results=results)


if __name__ == "__main__":
    main()

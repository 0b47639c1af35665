"""The 3x3 convolution and its two first derivatives, by Winograd's way and by torch's, on a CPU.

Both ways take turns. The limit of Winograd's way is its products of matrices at the speed of torch's
convolution, all else free: a quarter of the multiplications in float32, four ninths in bfloat16. Errors are
root mean squares over that of the exact result.

Run: python benchmarks/bench_convolution.py [--rounds 7] [--shape SAMPLES CHANNELS SIZE]
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from measuring import interleaved, ratio, record
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.nn.grad import conv2d_input, conv2d_weight

from riemann_noise_pytorch.cli.allocator import keep_big_buffers
from riemann_noise_pytorch.models import winograd

SHAPES = [(8, 256, 64), (8, 512, 32), (8, 512, 16), (8, 512, 8), (4, 128, 128), (4, 256, 64), (4, 512, 16)]
OPERATIONS = ("forward", "by features", "by kernel")


def ways(x: Tensor, weight: Tensor, upstream: Tensor) -> dict[str, tuple[Callable[[], Tensor], ...]]:
    """Each operation by Winograd's way and by torch's."""
    return {
        "forward": (lambda: winograd.convolved(x, weight), lambda: F.conv2d(x, weight, padding=1)),
        "by features": (
            lambda: winograd.convolved(upstream, weight, transposed=True),
            lambda: conv2d_input(x.shape, weight, upstream, padding=1),
        ),
        "by kernel": (
            lambda: winograd.kernel_gradient(x, upstream),
            lambda: conv2d_weight(x, weight.shape, upstream, padding=1),
        ),
    }


def error(found: Tensor, exact: Tensor) -> float:
    """Root mean square of the error over that of the exact result."""
    return ((found.double() - exact).square().mean() / exact.square().mean()).sqrt().item()


def measure(shape: tuple[int, int, int], dtype: torch.dtype, rounds: int) -> dict[str, Any]:
    """Time the three operations both ways."""
    samples, channels, size = shape
    features = (samples, channels, size, size)
    x, upstream = (torch.randn(features).to(dtype, memory_format=torch.channels_last) for _ in range(2))
    weight = torch.randn(channels, channels, 3, 3).to(dtype, memory_format=torch.channels_last)
    both = ways(x, weight, upstream)
    cases = {(name, way): call for name, calls in both.items() for way, call in zip("wt", calls, strict=True)}
    times = interleaved(cases, "cpu", rounds, warm_up=1)
    exact = ways(x[:1].double(), weight.double(), upstream[:1].double())
    first = ways(x[:1], weight, upstream[:1])
    saved = winograd.FILTERINGS[dtype].size
    saving = ((saved + 2) / (3 * saved)) ** 2
    rows = {}
    for name in OPERATIONS:
        ours, theirs = times[name, "w"], times[name, "t"]
        truth = exact[name][1]()
        rows[name] = {
            "ms": round(1000 * sorted(ours)[len(ours) // 2], 2),
            "torch_to_ours": ratio(theirs, ours),
            "limit": round(1 / saving, 2),
            "error": [float(f"{error(call(), truth):.1e}") for call in first[name]],
        }
    return {"shape": features, "dtype": str(dtype).removeprefix("torch."), "operations": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--shape", type=int, nargs=3, action="append", metavar=("SAMPLES", "CHANNELS", "SIZE")
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--record", type=Path, help="append the results to this file")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    kept = keep_big_buffers()
    print("times that torch's way takes of ours (limit); rounding of ours and torch's")
    results = []
    for dtype in winograd.FILTERINGS:
        for shape in map(tuple, options.shape or SHAPES):
            result = measure(shape, dtype, options.rounds) | {"keeping_big_buffers": kept}
            results.append(result)
            cells = [
                f"{name} {row['torch_to_ours']['ratio']:.2f} ({row['limit']}), "
                + " ".join(map(str, row["error"]))
                for name, row in result["operations"].items()
            ]
            print(f"  {result['dtype']:<9}{'x'.join(map(str, result['shape'])):<16}" + "; ".join(cells))
    if options.record:
        record(options.record, options.threads, benchmark="convolution", results=results)


if __name__ == "__main__":
    main()

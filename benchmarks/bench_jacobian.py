"""What the Jacobians of all layers of a generator cost, beside that of the image alone by torch's own ways.

The generator is a DCGAN in eval mode without noise, in float64. The rank profile of one latent includes the
copy in float64, the checks, the tangents of all layers and their singular values. Beside it: the tangents
alone, and the Jacobian of the image by ``torch.func.jacfwd`` and ``torch.func.jacrev``; the latter in chunks,
for all rows at once take tens of gigabytes, and once, for it takes a minute. The peak of memory is that of a
process of its own, with the allocator as it is: what the tangents take beyond what was there before.

Run: python benchmarks/bench_jacobian.py [--resolution 64] [--rounds 9] [--as-it-is] [--record FILE]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from measuring import interleaved, ratio, record
from torch import Tensor

from riemann_noise_pytorch.cli.allocator import OFF, keep_big_buffers
from riemann_noise_pytorch.geometry.layer_tangents import layer_tangents
from riemann_noise_pytorch.geometry.rank_profile import rank_profile
from riemann_noise_pytorch.geometry.still import StillNetwork, still
from riemann_noise_pytorch.models.dcgan import DCGANGenerator

PROFILE, TANGENTS = "rank profile of all layers", "tangents of all layers"
FORWARD, REVERSE = "torch.func.jacfwd of the image", "torch.func.jacrev of the image"
WARM_MIB = 16
"""A budget for what is done before memory is watched, so that libraries have what they need."""


def built(resolution: int, z_dim: int) -> DCGANGenerator:
    torch.manual_seed(0)
    return DCGANGenerator(resolution, z_dim=z_dim).eval()


def latent(z_dim: int) -> Tensor:
    return torch.randn(z_dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def followed(net: StillNetwork, memory_mib: float) -> None:
    """Compute all tangents, and let them go."""
    for _ in layer_tangents(net, latent(net.z_dim), memory_mib=memory_mib).chunks():
        pass


def timed(options: argparse.Namespace) -> dict[str, Any]:
    """Time all cases; print and return seconds, and ratios to both of torch's."""
    generator, z = built(options.resolution, options.z_dim), latent(options.z_dim)
    plain = built(options.resolution, options.z_dim).double()

    def image(z: Tensor) -> Tensor:
        return plain(z[None])[0]

    with still(generator) as net, torch.no_grad():
        started = time.perf_counter()
        by_reverse = torch.func.jacrev(image, chunk_size=options.chunk)(z)
        reverse_s = time.perf_counter() - started
        by_forward = torch.func.jacfwd(image)(z)
        off = float((by_forward - by_reverse).abs().max() / by_forward.abs().max())
        cases = {
            PROFILE: lambda: rank_profile(generator, num_latents=1, memory_mib=options.memory),
            TANGENTS: lambda: followed(net, options.memory),
            FORWARD: lambda: torch.func.jacfwd(image)(z),
        }
        times_s = interleaved(cases, "cpu", options.rounds, warm_up=1)
    rows: dict[str, dict[str, Any]] = {}
    for case, times in times_s.items():
        median = statistics.median(times)
        rows[case] = {
            "s": round(median, 3),
            "to_forward": ratio(times, times_s[FORWARD]),
            "to_reverse": round(median / reverse_s, 4),
        }
        print(
            f"{case:<32} {median:8.2f} s {rows[case]['to_forward']['ratio']:7.2f} times jacfwd, "
            f"{rows[case]['to_reverse']:6.3f} times jacrev"
        )
    rows[REVERSE] = {"s": round(reverse_s, 3)}
    print(f"{REVERSE:<32} {reverse_s:8.2f} s, once")
    print(f"jacfwd and jacrev differ by {off:.1e} of the largest value")
    return {"cases": rows, "largest_difference": off}


def peak_mib() -> float:
    """The most memory that this process has held since :func:`forget_peak`."""
    status = Path("/proc/self/status").read_text()
    return next(float(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


def forget_peak() -> float:
    """Let the peak start anew, and tell what is held now, in MiB."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_mib()


def watched(options: argparse.Namespace) -> None:
    """Compute the tangents in this process, and print by how much they raise its memory, in MiB."""
    torch.set_num_threads(options.threads)
    with still(built(options.resolution, options.z_dim)) as net:
        followed(net, WARM_MIB)
        before = forget_peak()
        followed(net, options.child)
        print(json.dumps(peak_mib() - before))


def memory(options: argparse.Namespace) -> list[dict[str, float]]:
    """Peak memory for several budgets, each in a process of its own."""
    rows = []
    for budget in options.budgets:
        size = ["--resolution", str(options.resolution), "--z-dim", str(options.z_dim)]
        child = [*size, "--threads", str(options.threads), "--child", str(budget)]
        printed = subprocess.run(
            [sys.executable, __file__, *child],
            check=True, capture_output=True, text=True, env={**os.environ, OFF: "1"},
        ).stdout  # fmt: skip
        rows.append({"budget_mib": budget, "peak_mib": round(json.loads(printed), 1)})
        print(f"budget {budget:6.0f} MiB: the tangents take {rows[-1]['peak_mib']:.0f} MiB")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--z-dim", type=int, default=100)
    parser.add_argument("--memory", type=float, default=1024, help="budget of the tangents in MiB")
    parser.add_argument(
        "--budgets", type=float, nargs="*", default=[128, 256, 1024], help="for the peaks, in MiB"
    )
    parser.add_argument("--chunk", type=int, default=128, help="rows of reverse mode at once")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--as-it-is", action="store_true", help="leave the allocator alone")
    parser.add_argument("--record", type=Path, help="append the results to this file")
    parser.add_argument("--child", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        watched(options)
        return
    peaks = memory(options)
    setting = "as it is" if options.as_it_is or not keep_big_buffers() else "keeping big buffers"
    torch.set_num_threads(options.threads)
    print(f"\nDCGAN {options.resolution}x{options.resolution}, float64, allocator {setting}")
    results = timed(options)
    if options.record:
        size = f"{options.resolution}x{options.resolution} x {options.z_dim}"
        record(
            options.record, options.threads, benchmark="jacobian",
            results=[{"generator": "DCGAN", "size": size, "allocator": setting, "rounds": options.rounds,
                      "chunk_of_reverse": options.chunk, **results, "memory": peaks}],
        )  # fmt: skip


if __name__ == "__main__":
    main()

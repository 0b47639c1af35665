"""What an injection costs: each kind of noise in copies of the feature map, beside what its formulas move.

One copy reads a map and writes a map. Everything is timed in one interleaved run against ``mu.clone()``,
under the system's allocator as it is and, on a CPU, as ``riemann-noise train`` sets it.

Run: python benchmarks/bench_injection.py [--device cpu] [--dtype float32] [--shape 16 128 64 64]
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from measuring import interleaved, ratio, record
from torch import Tensor, nn

from riemann_noise_pytorch import EuclideanNoise, RiemannNoise
from riemann_noise_pytorch.cli.allocator import keep_big_buffers
from riemann_noise_pytorch.noise.presets import RIEMANN_PRESETS

SHAPES = {"cpu": [(16, 128, 64, 64), (16, 256, 32, 32)], "cuda": [(32, 256, 64, 64)]}


def layers(size: tuple[int, int]) -> dict[str, nn.Module]:
    """Every kind of noise, one plane for all channels; and one with a plane for each."""
    kinds: dict[str, nn.Module] = {"euclidean": EuclideanNoise(strength=0.1)}
    for name, preset in RIEMANN_PRESETS.items():
        own = {"w": 0.1} if preset.strength == "own" else {}
        kinds[f"riemannian, {name}"] = RiemannNoise(size, preset=name, planes="shared", **own)
    kinds["riemannian, neutral, a plane per channel"] = RiemannNoise(size, w=0.1, planes="per_channel")
    return kinds


def maps_moved(layer: nn.Module) -> tuple[int, int]:
    """How many feature maps the formulas read and write: forward, and forward with backward.

    Forward: mu once for the geometry, mu and o for the injection; Euclidean noise needs the second alone.
    Backward: G and mu for the sums over the channels, G and the gradient for the rest; mu once more where
    the identifier is not linear. A plane per channel is written when drawn and read, and read for its sum.
    """
    if isinstance(layer, EuclideanNoise):
        return 2, 3
    noise = 2 if layer.planes == "per_channel" else 0
    backward = (4 if layer.settings.identifier == "sum" else 5) + noise // 2
    return 3 + noise, 3 + noise + backward


def saved_maps(layer: nn.Module, mu: Tensor) -> float:
    """Distinct bytes that autograd keeps for the backward pass, in feature maps."""
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        output = layer(mu)
    del output
    return sum(kept.values()) / (mu.numel() * mu.element_size())


def measure(shape: tuple[int, ...], options: argparse.Namespace, setting: str) -> dict[str, object]:
    """Time all kinds at one shape; print and return ratios to one copy."""
    dtype = getattr(torch, options.dtype)
    layout = torch.channels_last if options.channels_last else torch.contiguous_format
    mu = torch.randn(shape, device=options.device).to(dtype, memory_format=layout).requires_grad_()
    upstream = torch.randn_like(mu)
    kinds = {name: layer.to(options.device) for name, layer in layers(shape[2:]).items()}
    cases: dict[str, Callable[[], object]] = {"copy": lambda: mu.detach().clone()}
    for name, layer in kinds.items():
        inputs = [mu, *layer.parameters()]
        cases[f"{name}: forward"] = lambda layer=layer: layer(mu.detach())
        cases[f"{name}: both"] = lambda layer=layer, inputs=inputs: torch.autograd.grad(
            layer(mu), inputs, upstream
        )
    repeats = 20 if options.device == "cuda" else 1
    times_s = interleaved(cases, options.device, options.rounds, repeats)
    copy_s = sorted(times_s["copy"])[options.rounds // 2]
    gigabytes = 2 * mu.numel() * mu.element_size() / copy_s / 1e9
    print(
        f"\n{shape}, {options.dtype}, {options.device}, allocator {setting}: "
        f"one copy {1000 * copy_s:.2f} ms, {gigabytes:.0f} GB/s"
    )
    print(f"{'in copies':<42} {'forward':>8} {'must':>6} {'both':>8} {'must':>6} {'saved maps':>11}")
    rows = {}
    for name, layer in kinds.items():
        forward = ratio(times_s[f"{name}: forward"], times_s["copy"])
        both = ratio(times_s[f"{name}: both"], times_s["copy"])
        least_forward, least_both = (moved / 2 for moved in maps_moved(layer))
        saved = round(saved_maps(layer, mu), 3)
        print(
            f"{name:<42} {forward['ratio']:8.2f} {least_forward:6.1f} {both['ratio']:8.2f} "
            f"{least_both:6.1f} {saved:11.3f}"
        )
        rows[name] = {
            "forward": forward,
            "must_forward": least_forward,
            "both": both,
            "must_both": least_both,
            "saved_maps": saved,
        }
    return {
        "shape": list(shape),
        "dtype": options.dtype,
        "layout": "channels last" if options.channels_last else "contiguous",
        "device": options.device,
        "allocator": setting,
        "rounds": options.rounds,
        "copy_ms": round(1000 * copy_s, 3),
        "copy_gb_per_s": round(gigabytes, 1),
        "kinds": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--shape", type=int, nargs=4, help="N C H W; the published ones by default")
    parser.add_argument("--channels-last", action="store_true", help="features in channels-last layout")
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--record", type=Path, help="append the results to this file")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    shapes = [tuple(options.shape)] if options.shape else SHAPES[options.device]
    results = [measure(shape, options, "as it is") for shape in shapes]
    if options.device == "cpu" and keep_big_buffers():
        results += [measure(shape, options, "keeping big buffers") for shape in shapes]
    if options.record:
        record(options.record, options.threads, benchmark="injection", results=results)


if __name__ == "__main__":
    main()

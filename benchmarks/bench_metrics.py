"""What the statistics of features cost, beside SciPy and torch-fidelity on the same features.

Each measure counts the operations of its products, so that seconds become operations a second: the yardstick
is one large product of float64 matrices, timed in the same rounds. Peers are timed as their own package calls
them; where torch-fidelity is not installed, only its cases are left out. ``--threads`` sets torch's threads;
NumPy and SciPy take all cores unless OMP_NUM_THREADS says otherwise.

Run: python benchmarks/bench_metrics.py [--measures frechet kernel] [--dimensions 2048] [--record FILE]
"""

import argparse
import statistics
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import interleaved, ratio, record
from scipy import linalg
from torch import Tensor

from riemann_noise_pytorch.metrics.frechet import frechet_distance
from riemann_noise_pytorch.metrics.inception_score import inception_score
from riemann_noise_pytorch.metrics.kernel_distance import kernel_distance
from riemann_noise_pytorch.metrics.moments import Moments
from riemann_noise_pytorch.metrics.precision_recall import precision_recall

Cases = dict[str, Callable[[], object]]
PEER = find_spec("torch_fidelity") is not None
YARDSTICK = "a product of float64 matrices"


def features(n: int, d: int, seed: int) -> Tensor:
    """Positive float32 features whose directions fall off in strength, as a network's do."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(d, d, generator=generator) * torch.linspace(1, d, d).rsqrt()[:, None]
    return (torch.randn(n, d, generator=generator) @ mixing + 0.3 * seed).clamp(min=0)


def frechet(options: argparse.Namespace) -> tuple[Cases, float]:
    """The distance from moments of more images than dimensions, and of fewer; SciPy's root alone."""
    d = options.dimensions
    many = [Moments.of(features(2 * d, d, seed)) for seed in (0, 1)]
    few = [Moments.of(features(d // 4, d, seed)) for seed in (0, 1)]
    one, two = (moments.covariance.numpy() for moments in many)
    cases: Cases = {
        "ours": lambda: frechet_distance(*many),
        "ours, fewer images than dimensions": lambda: frechet_distance(*few),
        "SciPy's sqrtm of the product": lambda: linalg.sqrtm(one @ two),
    }
    if PEER:
        from torch_fidelity.metric_fid import fid_statistics_to_metric

        first, second = ({"mu": m.mean.numpy(), "sigma": m.covariance.numpy()} for m in many)
        cases["torch-fidelity"] = lambda: fid_statistics_to_metric(first, second, False)
    cholesky, eigenvalues = d**3 / 3, 4 * d**3 / 3
    return cases, 2 * cholesky + 2 * 2 * d**3 + eigenvalues


def moments(options: argparse.Namespace) -> tuple[Cases, float]:
    """The moments of 1024 features merged into a total; NumPy's covariance of them, without a merge."""
    d = options.dimensions
    block = features(1024, d, 0)
    total = Moments.of(features(1024, d, 1))
    array = block.numpy()
    return {
        "ours": lambda: total + Moments.of(block),
        "NumPy's covariance": lambda: np.cov(array, rowvar=False),
    }, 1024 * d**2


def kernel(options: argparse.Namespace) -> tuple[Cases, float]:
    """The kernel distance on subsets of 1000, or of half the images if that is fewer."""
    d, subsets, size = options.dimensions, options.subsets, min(1000, options.images // 2)
    fake, real = features(options.images, d, 0), features(options.images, d, 1)
    cases: Cases = {"ours": lambda: kernel_distance(fake, real, subsets=subsets, size=size)}
    if PEER:
        from torch_fidelity.metric_kid import kid_features_to_metric

        same = {"kid_subsets": subsets, "kid_subset_size": size, "verbose": False}
        cases["torch-fidelity, float32"] = lambda: kid_features_to_metric(fake, real, **same)
        double = fake.double(), real.double()
        cases["torch-fidelity, float64"] = lambda: kid_features_to_metric(*double, **same)
    return cases, subsets * 4 * size**2 * d


def neighbours(options: argparse.Namespace) -> tuple[Cases, float]:
    """Precision and recall at twice the dimensions, as VGG16's features have twice Inception's."""
    d, n = 2 * options.dimensions, options.images
    fake, real = features(n, d, 0), features(n, d, 1)
    cases: Cases = {"ours": lambda: precision_recall(fake, real)}
    if PEER:
        from torch_fidelity.metric_prc import prc_features_to_metric

        same = {"prc_neighborhood": 3, "prc_batch_size": 10000, "save_cpu_ram": False, "verbose": False}
        cases["torch-fidelity, float32"] = lambda: prc_features_to_metric(fake, real, **same)
    return cases, 4 * n**2 * d


def score(options: argparse.Namespace) -> tuple[Cases, float]:
    """The inception score of 1008 classes, which multiplies no matrices."""
    logits = 4 * features(options.images, 1008, 0)
    cases: Cases = {"ours": lambda: inception_score(logits)}
    if PEER:
        from torch_fidelity.metric_isc import isc_features_to_metric

        cases["torch-fidelity"] = lambda: isc_features_to_metric(logits, 10, False)
    return cases, 0


MEASURES = {
    "frechet": frechet,
    "moments": moments,
    "kernel": kernel,
    "neighbours": neighbours,
    "score": score,
}


def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Time all cases of one measure; print and return seconds, and ratios to ours."""
    cases, operations = MEASURES[name](options)
    side = torch.randn(options.dimensions, options.dimensions, dtype=torch.float64)
    cases[YARDSTICK] = lambda: side @ side
    times_s = interleaved(cases, "cpu", options.rounds, warm_up=options.warm_up)
    peak = 2 * options.dimensions**3 / statistics.median(times_s[YARDSTICK])
    ours_s = statistics.median(times_s["ours"])
    rate = f", {operations / ours_s / 1e9:.0f} GFLOP/s of {peak / 1e9:.0f}" if operations else ""
    print(f"\n{name}: {MEASURES[name].__doc__}\n{operations:.3g} operations in products{rate}")
    rows: dict[str, dict[str, Any]] = {}
    for case, times in times_s.items():
        rows[case] = {"s": round(statistics.median(times), 4), "to_ours": ratio(times, times_s["ours"])}
        print(f"{case:<36} {rows[case]['s']:9.3f} s {rows[case]['to_ours']['ratio']:8.2f} times ours")
    return {
        "measure": name,
        "size": f"{options.images} x {options.dimensions}",
        "rounds": options.rounds,
        "operations": operations,
        "share_of_peak": round(operations / ours_s / peak, 3),
        "cases": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measures", nargs="+", choices=MEASURES, default=list(MEASURES))
    parser.add_argument("--dimensions", type=int, default=2048, help="of Inception's features")
    parser.add_argument("--images", type=int, default=5000, help="on either side")
    parser.add_argument("--subsets", type=int, default=100, help="of the kernel distance")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--warm-up", type=int, default=0, help="rounds that do not count")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--record", type=Path, help="append the results to this file")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    results = [measure(name, options) for name in options.measures]
    if options.record:
        record(options.record, options.threads, benchmark="metrics", results=results)


if __name__ == "__main__":
    main()

"""What the benchmarks share: interleaved timing, so that a slow spell of the machine meets all; records."""

import json
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from riemann_noise_pytorch.experiments.records import commit, environment
from riemann_noise_pytorch.files import append_line

RESULTS = Path(__file__).parent / "results"


def seconds(work: Callable[[], object], device: str, repeats: int = 1) -> float:
    """Time one call, as the mean of several without a stop between them."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeats


def interleaved(
    cases: Mapping[str, Callable[[], object]], device: str, rounds: int, repeats: int = 1, warm_up: int = 3
) -> dict[str, list[float]]:
    """Time every case once a round, after rounds that do not count; seconds of a call by case."""
    times_s: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(warm_up + rounds):
        for name, work in cases.items():
            spent = seconds(work, device, repeats)
            if number >= warm_up:
                times_s[name].append(spent)
    return times_s


def ratio(times: list[float], least: list[float]) -> dict[str, float]:
    """The median over rounds of the ratio to another case of the same round, and its quartiles."""
    low, middle, high = statistics.quantiles(
        [t / base for t, base in zip(times, least, strict=True)]
        if len(times) > 1
        else 2 * [times[0] / least[0]],
        n=4,
    )
    return {"ratio": round(middle, 3), "low": round(low, 3), "high": round(high, 3)}


def record(path: Path, threads: int, **results: Any) -> None:
    """Append a line with results, versions and machine to a file of records."""
    path.parent.mkdir(parents=True, exist_ok=True)
    append_line(path, json.dumps({"commit": commit(), "environment": environment(threads), **results}))

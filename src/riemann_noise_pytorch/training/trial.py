"""What training costs, by a few of its steps on random pixels, on the very device of the run."""

import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState

from riemann_noise_pytorch.training.config import TrainConfig
from riemann_noise_pytorch.training.processes import make_accelerator
from riemann_noise_pytorch.training.randomness import random_states, restore_random_states
from riemann_noise_pytorch.training.state import TrainState
from riemann_noise_pytorch.training.step import Trainer

BUDGET_S = 30.0
ROUNDS = 5
MIB = 2**20


@dataclass(frozen=True)
class Trial:
    """What was measured.

    Args:
        device: Kind of device, ``cpu`` or ``cuda``.
        steps_timed: Steps that count; where they are slow, as few as two.
        is_upper_bound: Whether a kind of step was too slow to be timed, and stands as the slowest one.
        seconds_per_kimg: Seconds of training for 1000 images, the mean over a cycle of the lazy penalties.
        hours: Of training in the whole run, without reading images, sample grids and snapshots.
        peak_memory_mib: Most memory in use: on a GPU what torch allocated there, on a CPU the whole
            process's; None where the system does not tell.
        activation_memory_mib: That without what was there before, and without weights, gradients, moments and
            the average; None where the system does not tell.
    """

    device: str
    steps_timed: int
    is_upper_bound: bool
    seconds_per_kimg: float
    hours: float
    peak_memory_mib: float | None
    activation_memory_mib: float | None


def kinds_of_steps(config: TrainConfig) -> dict[int, float]:
    """List one step of each kind, by the penalties that are due, with the share of its kind in a cycle.

    Args:
        config: Complete options.

    Returns:
        Shares by number of a step; the kind with most penalties first, the one with fewest next.

    Example:
        >>> kinds_of_steps(TrainConfig(gamma=1.0, regularizer_interval=16, pl_weight=2.0, pl_interval=4))
        {0: 0.0625, 1: 0.75, 4: 0.1875}
    """
    penalties = 1 / config.regularizer_interval if config.gamma > 0 else 0.0
    paths = 1 / config.pl_interval if config.pl_weight > 0 else 0.0
    both = 1 / math.lcm(config.regularizer_interval, config.pl_interval) if penalties and paths else 0.0
    shares = {0: both or max(penalties, paths), 1: 1 - penalties - paths + both}
    if both:
        shares |= {config.regularizer_interval: penalties - both, config.pl_interval: paths - both}
    return {step: share for step, share in shares.items() if share > 1e-12}


def try_steps(
    config: TrainConfig,
    labels: torch.Tensor | None = None,
    *,
    weights_mib: float,
    budget_s: float = BUDGET_S,
    tell: Callable[[str], None] | None = None,
) -> Trial:
    """Take steps of every kind, warmed up, for a limited time, and put them together to the mean of a cycle.

    Nothing is written, and the global random states are put back.

    Args:
        config: Complete options.
        labels: Classes of the real images, for a run with classes.
        weights_mib: Memory of weights, gradients, moments and the average.
        budget_s: About how many seconds of steps, after warming up; two steps are taken whatever they need.
        tell: Called with lines for the user.

    Raises:
        InputError: The device or the compiler is not there.
        NonFiniteError: A step went wrong.
    """
    with _leaving_no_trace():
        accelerator = make_accelerator(config, Path())
        device = accelerator.device
        tell = tell if tell and accelerator.is_main_process else None
        if tell:
            first = ", after compiling" if config.compile else ""
            tell(
                f"measuring on {device.type}: up to {budget_s:g} s of training steps on random "
                f"pixels{first}, or two steps where they are slower"
            )
        memory = _Memory(device)
        stopwatch = _Stopwatch(config, accelerator, labels)
        began_s = time.perf_counter()
        times, is_bound = _timed(stopwatch, config, budget_s)
        if tell:
            tell(f"measured {_count(times)} steps in {time.perf_counter() - began_s:.1f} s")
        peak, activations = memory.peaks(weights_mib)
    slowest = max(max(each) for each in times.values() if each)
    kinds = kinds_of_steps(config)
    mean_s = sum(share * (statistics.median(times[n]) if times[n] else slowest) for n, share in kinds.items())
    per_kimg_s = 1000 * mean_s / config.batch
    hours = mean_s * config.steps / 3600
    return Trial(device.type, _count(times), is_bound, _short(per_kimg_s), _short(hours), peak, activations)


def _timed(
    stopwatch: "_Stopwatch", config: TrainConfig, budget_s: float
) -> tuple[dict[int, list[float]], bool]:
    """Seconds of steps by kind, and whether a kind is missing."""
    kinds = list(kinds_of_steps(config))
    times: dict[int, list[float]] = {kind: [] for kind in kinds}
    warming_s = stopwatch.seconds(kinds[0])
    spent_s = 0.0
    if warming_s > budget_s and not config.compile:  # so slow that warming up makes no difference
        times[kinds[0]].append(warming_s)
        spent_s = warming_s
    for kind in kinds * ROUNDS:
        owed = kind in kinds[:2] and not times[kind]
        slowest_s = max(map(max, filter(None, times.values())), default=0.0)
        if owed or spent_s + max(times[kind], default=slowest_s) <= budget_s:
            times[kind].append(stopwatch.seconds(kind))
            spent_s += times[kind][-1]
    return times, not all(times.values())


@final
class _Stopwatch:
    """Takes single steps of a training on random pixels."""

    def __init__(self, config: TrainConfig, accelerator: Accelerator, labels: torch.Tensor | None) -> None:
        self._accelerator = accelerator
        self._state = TrainState(config, accelerator.device)
        self._trainer = Trainer(config, self._state, accelerator, labels=labels)
        share = config.batch // accelerator.num_processes
        stream = torch.Generator().manual_seed(config.seed)
        shape = (share, *self._state.generator.image_shape)
        self._pixels = torch.randint(256, shape, generator=stream, dtype=torch.uint8)
        chosen = torch.arange(share)
        self._labels = None if labels is None else labels[chosen % len(labels)]

    def seconds(self, kind: int) -> float:
        """Take the step of this number; all processes agree on its seconds."""
        self._state.step = kind
        self._wait()
        began_s = time.perf_counter()
        self._trainer.step(self._pixels, labels=self._labels)
        self._wait()
        seconds = time.perf_counter() - began_s
        if self._accelerator.num_processes == 1:
            return seconds
        mine = torch.tensor(seconds, device=self._accelerator.device)
        return float(self._accelerator.reduce(mine, "mean"))

    def _wait(self) -> None:
        if self._accelerator.device.type == "cuda":
            torch.cuda.synchronize(self._accelerator.device)


@final
class _Memory:
    """Reads how much memory was in use at most, since it was made."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._before_mib: float | None = torch.cuda.memory_allocated(device) / MIB
        else:
            self._before_mib = _forget_peak()

    def peaks(self, weights_mib: float) -> tuple[float | None, float | None]:
        """The peak, and it without what was there before and without the weights and what belongs to them."""
        if self._before_mib is None:
            return None, None
        on_gpu = self._device.type == "cuda"
        peak = torch.cuda.max_memory_allocated(self._device) / MIB if on_gpu else _of_process("VmHWM")
        return round(peak, 1), round(max(0.0, peak - self._before_mib - weights_mib), 1)


def _forget_peak() -> float | None:
    """Let Linux measure this process's peak from now on; its memory now in MiB, or None where that fails."""
    if sys.platform != "linux":
        return None
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        return _of_process("VmRSS")
    except OSError:
        return None


def _of_process(field: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))


@contextmanager
def _leaving_no_trace() -> Iterator[None]:
    """Put back the random states, and let the process train with another device or precision afterwards."""
    is_first = not AcceleratorState._shared_state
    device = torch.device("cpu")  # a trainer on a GPU has a stream of its own there
    states = random_states(device)
    try:
        yield
    finally:
        restore_random_states(states, device)
        if is_first and not torch.distributed.is_initialized():
            AcceleratorState._reset_state(reset_partial_state=True)
            GradientState._reset_state()


def _count(times: dict[int, list[float]]) -> int:
    return sum(map(len, times.values()))


def _short(value: float) -> float:
    return float(f"{value:.4g}")

"""One arm of the toy, all its seeds at once: train, measure on the way, keep what a page shows."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final, final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from riemann_noise_pytorch.errors import InputError, Interrupted
from riemann_noise_pytorch.experiments.records import Record, write_records
from riemann_noise_pytorch.experiments.toy.measures import coverage, gradient_noise, is_near
from riemann_noise_pytorch.experiments.toy.mixtures import Mixture, make_mixture
from riemann_noise_pytorch.experiments.toy.options import Arm, ToyConfig
from riemann_noise_pytorch.experiments.toy.train import Member, Protocol, ToyTraining
from riemann_noise_pytorch.files import atomic_write
from riemann_noise_pytorch.training.signals import StopRequest

Report = Callable[[str, int, int], None]

MEASURED_POINTS: Final = 2_000
SHOWN_POINTS: Final = 256
COLUMNS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Shares of the training at which the figure shows the points; there, gradients are compared as well."""
GRADIENTS: Final = ("by_noise", "by_penalty")
SAVE_EVERY_S: Final = 30.0
REPORT_EVERY: Final = 20
FARTHEST: Final = 1e4
"""Shown points beyond this are drawn there: they are stored in half precision."""


@dataclass(frozen=True)
class ArmRun:
    """An arm and where its files are.

    Args:
        arm: How it is trained.
        config: All options.
        out: Folder of the whole.
    """

    arm: Arm
    config: ToyConfig
    out: Path

    @property
    def records(self) -> Path:
        """The finished arm's records."""
        return self.out / "arms" / f"{self.arm.key}.jsonl"

    @property
    def artifacts(self) -> Path:
        """Points at every checkpoint."""
        return self.out / "artifacts" / f"{self.arm.key}.safetensors"

    @property
    def state(self) -> Path:
        """What a stopped training goes on from; gone when it is finished."""
        return self.out / "arms" / f"{self.arm.key}.state.safetensors"

    @property
    def is_finished(self) -> bool:
        """Whether an earlier attempt completed this arm."""
        return self.records.is_file() and self.artifacts.is_file()

    @property
    def mixture(self) -> Mixture:
        """The real points' law."""
        return make_mixture(self.config.data, self.config.ambient)


def column_steps(steps: Sequence[int]) -> list[int]:
    """Choose the checkpoints that the figure shows, each once.

    Args:
        steps: All checkpoints.

    Example:
        >>> column_steps(range(100, 4001, 100))
        [100, 200, 400, 1000, 2000, 4000]
    """
    targets = [share * steps[-1] for share in COLUMNS]
    return sorted({min(steps, key=lambda step: abs(step - target)) for target in targets})


def run_arm(run: ArmRun, report: Report) -> None:
    """Train and measure an arm; a stopped one goes on where it was.

    Raises:
        NonFiniteError: A network diverged.
        Interrupted: A request to stop came; the state was saved.
        InputError: The saved state cannot be read, or a file cannot be written.
    """
    watched = _WatchedTraining(run)
    if run.state.is_file():
        watched.load(run.state)
    saved_s = time.monotonic()
    with StopRequest() as stop:
        while watched.step < run.config.size.steps:
            watched.advance()
            if watched.step % REPORT_EVERY == 0:
                report("training", watched.step, run.config.size.steps)
            if stop.number or time.monotonic() - saved_s > SAVE_EVERY_S:
                watched.save(run.state)
                saved_s = time.monotonic()
            if stop.number:
                raise Interrupted(f"{run.arm.key} stopped", stop.number)
    with atomic_write(run.artifacts) as temporary:
        save_file(watched.shown(), temporary)
    write_records(run.records, [watched.record(seed) for seed in range(run.config.seeds)])
    run.state.unlink(missing_ok=True)


@final
class _WatchedTraining:
    """A training, and what was measured of it so far."""

    def __init__(self, run: ArmRun) -> None:
        config, arm = run.config, run.arm
        members = [Member(seed, arm.gamma, arm.variance) for seed in range(config.seeds)]
        self._training = ToyTraining(
            run.mixture,
            members,
            Protocol(arm.generator_loss, config.size.batch, config.lr, config.size.width),
        )
        self._arm, self._mixture = arm, run.mixture
        self._steps = config.measured_steps
        self._columns = column_steps(self._steps)
        self._found: dict[str, list[Tensor]] = {
            name: [] for name in ("modes", "good", "height", "points", "is_near", *GRADIENTS)
        }
        self._seconds = 0.0

    @property
    def step(self) -> int:
        """Steps done."""
        return self._training.step

    def advance(self) -> None:
        """Do one step, and measure where a checkpoint is."""
        started_s = time.monotonic()
        self._training.advance()
        self._seconds += time.monotonic() - started_s
        if self.step in self._steps:
            self._measure()
        if self.step in self._columns and (self._arm.gamma or self._arm.variance):
            noise = gradient_noise(self._training)
            self._found["by_noise"].append(noise.by_noise)
            self._found["by_penalty"].append(noise.by_penalty)

    def _measure(self) -> None:
        points = self._training.samples(MEASURED_POINTS)
        found, shown = coverage(self._mixture, points), points[:, :SHOWN_POINTS]
        new = {"modes": found.modes, "good": found.good, "height": found.height}
        new["points"] = self._mixture.coordinates(shown).clamp(-FARTHEST, FARTHEST).half()
        new["is_near"] = is_near(self._mixture, shown).to(torch.uint8)
        for name, tensor in new.items():
            self._found[name].append(tensor)

    def save(self, path: Path) -> None:
        """Write all that is needed to go on."""
        tensors = {f"training.{name}": tensor for name, tensor in self._training.state_dict().items()}
        tensors |= {f"found.{name}": torch.stack(each) for name, each in self._found.items() if each}
        tensors["seconds"] = torch.tensor(self._seconds, dtype=torch.float64)
        with atomic_write(path) as temporary:
            save_file(tensors, temporary)

    def load(self, path: Path) -> None:
        """Go on from what :meth:`save` wrote."""
        try:
            tensors = load_file(path)
            self._training.load_state_dict(_part("training.", tensors))
            self._seconds = tensors["seconds"].item()
        except (SafetensorError, KeyError, RuntimeError) as error:
            raise InputError(f"{path} is damaged ({error}); delete it to train that arm anew") from error
        for name, found in _part("found.", tensors).items():
            self._found[name] = list(found)

    def shown(self) -> dict[str, Tensor]:
        """Points in the plane (seeds, checkpoints, N, 2), and which are near (seeds, checkpoints, N)."""
        names = {"points": "points", "near": "is_near"}
        return {name: torch.stack(self._found[key], dim=1).contiguous() for name, key in names.items()}

    def record(self, seed: int) -> Record:
        """What is to be known of one seed."""
        modes = [int(found[seed]) for found in self._found["modes"]]
        whole = [count == len(self._mixture.centres) for count in modes]
        first = whole.index(True) if any(whole) else None
        later = [] if first is None else whole[first + 1 :]
        by_noise, by_penalty = ([float(each[seed]) for each in self._found[name]] for name in GRADIENTS)
        return {
            "record": "run",
            "arm": self._arm.key,
            "seed": seed,
            "seconds": round(self._seconds, 1),
            "modes": modes,
            "good": [round(float(found[seed]), 4) for found in self._found["good"]],
            "height": [float(f"{float(found[seed]):.4g}") for found in self._found["height"]],
            "full": sum(whole) / len(whole),
            "first_full": None if first is None else self._steps[first],
            "held": sum(later) / len(later) if later else None,
            "gradient_variance": {"noise": by_noise, "penalty": by_penalty},
            "variance_ratio": _median_ratio(by_noise, by_penalty),
        }


def _median_ratio(above: Sequence[float], below: Sequence[float]) -> float | None:
    ratios = [one / other for one, other in zip(above, below, strict=True) if other > 0]
    return median(ratios) if ratios else None


def _part(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

"""What the training loop tells those who watch it: a progress display, an evaluation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from riemann_noise_pytorch.models.interfaces import Generator
from riemann_noise_pytorch.statistics.sampling import Processes


@dataclass(frozen=True, slots=True)
class StepInfo:
    """What a progress display is told after every step.

    Args:
        step: Steps done.
        steps: Steps of the whole run.
        images_seen: Real images seen.
        images_per_s: Real images a second, over the current tick.
        measures: Losses, gradient norms and the rest of the step, by name.
    """

    step: int
    steps: int
    images_seen: int
    images_per_s: float
    measures: Mapping[str, float]

    @property
    def seconds_left(self) -> float:
        """Time left at the present speed."""
        left = self.images_seen * (self.steps / self.step - 1)
        return left / self.images_per_s


class Stopped(Exception):  # noqa: N818 - no error: the run was asked to stop
    """Raised by a hook that leaves its work because the run was asked to stop."""


@dataclass(frozen=True)
class TickInfo:
    """What an evaluation is told at every tick, in every process.

    Args:
        generator: The averaged generator, in evaluation mode; not to be changed. Its weights are the same in
            all processes; its batch statistics are, but for those of a batch norm on CPUs.
        images_seen: Real images seen.
        stats: The line of ``stats.jsonl``; empty but in the first process.
        run_dir: The run folder.
        is_last: Whether the run ends here.
        processes: Which process this is, and how all exchange what they computed.
        export: Writes the averaged generator as a snapshot file of the given name into the run folder, to be
            read by :func:`~riemann_noise_pytorch.training.checkpoints.load_generator`, and gives its path;
            for the first process.
        save: Writes a snapshot of this state, unless there is one, and gives its path; to be called by all
            processes, before work that takes long or may fail.
        stopping: Whether this process was asked to stop; work that takes long asks now and then, and raises
            :class:`Stopped`.
        signs: Signs of trouble that appeared at this tick, a sentence each; empty but in the first process.
    """

    generator: Generator
    images_seen: int
    stats: Mapping[str, Any]
    run_dir: Path
    is_last: bool
    processes: Processes
    export: Callable[[str], Path]
    save: Callable[[], Path]
    stopping: Callable[[], bool]
    signs: Sequence[str] = ()

"""How far a comparison has come: bars on a terminal, a line a finished task elsewhere. Both go to stderr."""

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from riemann_noise_pytorch.experiments.compare import REFERENCE
from riemann_noise_pytorch.experiments.pool import Event
from riemann_noise_pytorch.experiments.resumable import Progress as CompareProgress

STAGES = {
    "training": (0.0, 0.7),
    "distance": (0.7, 0.75),
    "path length, full": (0.75, 0.84),
    "path length, end": (0.84, 0.93),
    "condition": (0.93, 1.0),
}
"""Where in a task's time a stage begins and ends, measured with the default options on two cores."""
REFERENCE_WEIGHT = 0.03
"""Time of measuring real images as a share of a training's."""
EARLY = 0.02
"""Share of the whole below which the time left is anyone's guess."""


@final
class CompareDisplay:
    """Shows every task under way and the time left, within a ``with`` block.

    Args:
        console: Where to write, without markup.
        clock: Tells the seconds.
        stages: Where in the time of a task each of its stages begins and ends, from 0 to 1.
        reference: The task that only measures real images.

    Attributes:
        bars: One for the whole, one for each task under way.
    """

    def __init__(
        self,
        console: Console,
        clock: Callable[[], float] = time.monotonic,
        *,
        stages: Mapping[str, tuple[float, float]] = STAGES,
        reference: str = REFERENCE,
    ) -> None:
        self._console = console
        self.bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._rows: dict[str, TaskID] = {}
        self._whole: TaskID | None = None
        self._time = _TimeLeft(clock, stages, reference)

    def __enter__(self) -> "CompareDisplay":
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def update(self, progress: CompareProgress) -> None:
        """Show how far the comparison is."""
        event = progress.event
        share, left = self._time.update(progress)
        if self._whole is None:
            self._whole = self.bars.add_task("all", total=1.0, note="")
        self.bars.update(self._whole, completed=share, note=left)
        if event.stage == "finished":
            if event.task in self._rows:
                self.bars.remove_task(self._rows.pop(event.task))
            if not self._console.is_terminal:
                line = f"{event.task} finished, {progress.finished} of {progress.tasks}"
                self._console.print(f"{line}, {left}" if left else line, markup=False, soft_wrap=True)
        else:
            if event.task not in self._rows:
                self._rows[event.task] = self.bars.add_task(event.task, total=1.0, note="")
            self.bars.update(self._rows[event.task], completed=self._time.share(event.task), note=event.stage)


@final
class _TimeLeft:
    """Adds the tasks up: what was done since the first event, in what time, tells how long the rest takes."""

    def __init__(
        self, clock: Callable[[], float], stages: Mapping[str, tuple[float, float]], reference: str
    ) -> None:
        self._clock, self._stages, self._reference = clock, stages, reference
        self._started: float | None = None
        self._before: dict[str, float] = {}
        self._shares: dict[str, float] = {}

    def share(self, task: str) -> float:
        """How much of a task is done."""
        return self._shares[task]

    def update(self, progress: CompareProgress) -> tuple[float, str]:
        """Count an event; the share of the whole, and the time left in words, empty where it is unknown."""
        task = progress.event.task
        now = self._clock()
        if self._started is None:
            self._started = now
        share = self._share_of(progress.event)
        self._before.setdefault(task, 0.0 if progress.event.stage == "finished" else share)
        self._shares[task] = max(self._shares.get(task, 0.0), share)
        total = progress.tasks - (1 - REFERENCE_WEIGHT) * (self._reference in self._shares)
        whole = min(1.0, sum(self._weight(name) * done for name, done in self._shares.items()) / total)
        earned = whole - sum(self._weight(name) * done for name, done in self._before.items()) / total
        if earned < EARLY or progress.finished == progress.tasks:
            return whole, ""
        seconds = (now - self._started) * (1 - whole) / earned
        return whole, f"about {timedelta(seconds=round(seconds))} left"

    def _weight(self, task: str) -> float:
        return REFERENCE_WEIGHT if task == self._reference else 1.0

    def _share_of(self, event: Event) -> float:
        """How much of its task an event stands for; a stage without a place leaves it as it was."""
        if event.stage == "finished":
            return 1.0
        alone = event.task == self._reference
        begin, end = (0.0, 1.0) if alone else self._stages.get(event.stage, (0.0, 0.0))
        return begin + (end - begin) * event.done / event.total

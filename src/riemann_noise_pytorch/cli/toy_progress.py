"""How far the toy has come: a bar on a terminal, a line a finished arm elsewhere. Both go to stderr."""

import time
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import final

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bar

from riemann_noise_pytorch.experiments.toy.toy import Progress

EARLY = 0.02
"""Share of the whole below which the time left is anyone's guess."""


@final
class ToyDisplay:
    """Shows the share that is done and the time left, within a ``with`` block.

    Args:
        console: Where to write, without markup.
        clock: Tells the seconds.

    Attributes:
        bar: One for the whole.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console, clock
        self.bar = Bar(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._whole: TaskID | None = None
        self._shares: dict[str, float] = {}
        self._before: dict[str, float] = {}
        self._started: float | None = None

    def __enter__(self) -> "ToyDisplay":
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def update(self, progress: Progress) -> None:
        """Show how far the toy is."""
        share, left = self._count(progress)
        if self._whole is None:
            self._whole = self.bar.add_task("training", total=1.0, note="")
        self.bar.update(self._whole, completed=share, note=left)
        event = progress.event
        if event.stage == "finished" and not self._console.is_terminal:
            line = f"{event.task} finished, {progress.finished} of {progress.arms}"
            self._console.print(f"{line}, {left}" if left else line, markup=False, soft_wrap=True)

    def _count(self, progress: Progress) -> tuple[float, str]:
        """The share that is done, and the time left in words, empty where it is unknown."""
        event, now = progress.event, self._clock()
        if self._started is None:
            self._started = now
        share = event.done / event.total
        self._before.setdefault(event.task, 0.0 if event.stage == "finished" else share)
        self._shares[event.task] = share
        whole = sum(self._shares.values()) / progress.arms
        earned = whole - sum(self._before.values()) / progress.arms
        if earned < EARLY or progress.finished == progress.arms:
            return whole, ""
        seconds = (now - self._started) * (1 - whole) / earned
        return whole, f"about {timedelta(seconds=round(seconds))} left"

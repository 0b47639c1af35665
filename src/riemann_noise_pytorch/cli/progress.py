"""How far a training has come: a bar on a terminal, a line a tick elsewhere. Both go to stderr."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from riemann_noise_pytorch.training.loop import StepInfo, TickInfo

if TYPE_CHECKING:
    from riemann_noise_pytorch.experiments.evaluation.metric_files import Evaluation

LOSSES = ("loss_g", "loss_d")
SMOOTHING = 0.98
"""Losses on the bar are moving averages: each step keeps this share of what was shown before."""


@final
class TrainingDisplay:
    """Shows kimg, images per second, losses and the time left, within a ``with`` block.

    Args:
        console: Where to write; stderr by default.

    Example:
        >>> with TrainingDisplay() as display:
        ...     pass  # train(..., on_tick=display.tick, progress=display.step)
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._bar = Progress(
            BarColumn(bar_width=None),
            TextColumn("{task.description}"),
            console=self._console,
            transient=True,
            expand=True,
        )
        self._task: TaskID | None = None
        self._losses: dict[str, float] = {}
        self._last: StepInfo | None = None
        self._stage = ""

    def __enter__(self) -> "TrainingDisplay":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._bar.stop()

    def step(self, info: StepInfo) -> None:
        """Move the bar; called after every step."""
        self._last = info
        if not self._console.is_terminal:
            return
        for name in LOSSES:
            value = info.measures[name]
            self._losses[name] = SMOOTHING * self._losses.get(name, value) + (1 - SMOOTHING) * value
        if self._task is None:
            self._task = self._bar.add_task("", total=info.steps)
            self._bar.start()
        self._bar.update(self._task, completed=info.step, description=_line(info, self._losses))

    def tick(self, info: TickInfo) -> None:
        """Write the signs of trouble, and a line where there is no terminal; called at every tick."""
        if self._last is not None and not self._console.is_terminal:
            losses = {name: info.stats[name] for name in LOSSES if info.stats[name] is not None}
            self._console.print(_line(self._last, losses), soft_wrap=True)
        for sign in info.signs:
            self.say(sign)

    def stage(self, stage: str, done: int, total: int) -> None:
        """Show how far an evaluation is: beside the bar, or by a line where there is no terminal."""
        if not self._console.is_terminal:
            if stage != self._stage:
                self._console.print(f"measuring {stage}: {total:,}", soft_wrap=True, markup=False)
        elif self._task is not None:
            text = escape(f"measuring {stage}: {done:,}/{total:,}")
            self._bar.update(self._task, description=text)
        self._stage = stage

    def measured(self, evaluations: Sequence["Evaluation"]) -> None:
        """Write a line of what was measured."""
        shown = "  ".join(
            f"{name} {value:.4g}" for each in evaluations for name, value in each.results.items()
        )
        self._stage = ""
        kimg = (evaluations[0].target["images_seen"] or 0) / 1000
        self._console.print(f"{kimg:.1f} kimg  {shown}", soft_wrap=True)

    def say(self, line: str) -> None:
        """Write a line that the user should know."""
        self._console.print(line, soft_wrap=True, markup=False)


def _line(info: StepInfo, losses: Mapping[str, float]) -> str:
    whole_kimg = info.images_seen / info.step * info.steps / 1000
    shown = "  ".join(f"{name} {value:.3f}" for name, value in losses.items())
    left = timedelta(seconds=round(info.seconds_left))
    return (
        f"{info.images_seen / 1000:.1f}/{whole_kimg:.1f} kimg  {info.images_per_s:.0f} images/s  "
        f"{shown}  {left} left"
    )

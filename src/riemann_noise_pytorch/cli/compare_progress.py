"""How far a comparison has come: bars on a terminal, a line a finished task elsewhere. Both go to stderr."""

from types import TracebackType
from typing import final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from riemann_noise_pytorch.experiments.compare import Progress as CompareProgress

TRAINING_SHARE = 0.6
"""Share of a task's time that is training, for the bar of the whole."""


@final
class CompareDisplay:
    """Shows every task under way and the time left, within a ``with`` block.

    Args:
        console: Where to write; stderr by default.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[stage]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._share: dict[str, float] = {}
        self._whole: TaskID | None = None

    def __enter__(self) -> "CompareDisplay":
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def update(self, progress: CompareProgress) -> None:
        """Show how far the comparison is."""
        event = progress.event
        if self._whole is None:
            self._whole = self._bars.add_task("all", total=100 * progress.tasks, stage="")
        if event.stage == "finished":
            self._share[event.task] = 1.0
            if event.task in self._tasks:
                self._bars.remove_task(self._tasks.pop(event.task))
            if not self._console.is_terminal:
                self._console.print(f"{event.task} finished, {progress.finished} of {progress.tasks}")
        else:
            self._show(event.task, event.stage, event.done, event.total)
        self._bars.update(self._whole, completed=round(100 * sum(self._share.values())))

    def _show(self, name: str, stage: str, done: int, total: int) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=total, stage=stage)
        self._bars.update(self._tasks[name], completed=done, total=total, stage=stage)
        training = TRAINING_SHARE * done / total if stage == "training" else TRAINING_SHARE
        self._share[name] = max(self._share.get(name, 0.0), training)

"""How far an evaluation has come: a bar for each stage on a terminal, a line elsewhere. Both go to stderr."""

from types import TracebackType
from typing import final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Task as RichTask
from rich.text import Text


@final
class EvaluateDisplay:
    """Shows each stage with its rate and the time left, within a ``with`` block.

    Args:
        console: Where to write, without markup.
        quiet: Show nothing: for all processes but the first.

    Attributes:
        bars: One for the stage that is under way.
    """

    def __init__(self, console: Console, quiet: bool = False) -> None:
        self._console, self._quiet = console, quiet
        self.bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            _Rate(),
            TextColumn("{task.fields[note]}", markup=False),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        )
        self._stage = ""
        self._task: TaskID | None = None

    def __enter__(self) -> "EvaluateDisplay":
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def update(self, stage: str, done: int, total: int) -> None:
        """Show how far a stage is; a new stage takes the place of the one before."""
        if self._quiet:
            return
        if stage != self._stage:
            self._stage = stage
            if not self._console.is_terminal:
                self._console.print(f"{stage}: {total:,}", soft_wrap=True)
            if self._task is not None:
                self.bars.remove_task(self._task)
            self._task = self.bars.add_task(stage, total=total, note="")
        if self._task is not None:
            self.bars.update(self._task, completed=done, total=total)

    def note(self, text: str) -> None:
        """Show a word on the stage that is under way beside its bar, such as its loss."""
        if self._task is not None:
            self.bars.update(self._task, note=text)

    def say(self, line: str) -> None:
        """Print a line that the user should know."""
        if not self._quiet:
            self._console.print(line, style="yellow", soft_wrap=True)


class _Rate(TextColumn):
    """Units a second, and how many of how many are done."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: RichTask) -> Text:
        speed = task.finished_speed or task.speed
        rate = f"{speed:.3g}/s" if speed else ""
        return Text(f"{task.completed:,.0f}/{task.total:,.0f} {rate}")

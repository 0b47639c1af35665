"""Bars on a terminal, a line a finished task elsewhere, and a time left that follows the work."""

import io
import re

import pytest
from rich.console import Console

from riemann_noise_pytorch.cli.compare_progress import STAGES, CompareDisplay
from riemann_noise_pytorch.experiments.compare import REFERENCE
from riemann_noise_pytorch.experiments.pool import Event
from riemann_noise_pytorch.experiments.resumable import Progress

ARM = "riemannian-seed10"


class Shown:
    """A display on a stream, with a clock that the test moves."""

    def __init__(self, *, terminal: bool, width: int = 80, tasks: int = 10) -> None:
        self.stream, self.now, self.tasks, self.finished = io.StringIO(), 0.0, tasks, 0
        console = Console(file=self.stream, force_terminal=terminal, no_color=True, width=width)
        self.display = CompareDisplay(console, clock=lambda: self.now)

    def tell(self, task: str, stage: str, done: int = 1, total: int = 1) -> None:
        self.finished += stage == "finished"
        self.display.update(Progress(Event(task, stage, done, total), self.finished, self.tasks))

    def rows(self) -> list[str]:
        """The bars as they stand, one line each."""
        page = Console(file=io.StringIO(), width=80, no_color=True)
        with page.capture() as capture:
            page.print(self.display.bars.get_renderable())
        return capture.get().splitlines()


def _seconds(text: str) -> int | None:
    found = re.search(r"about (\d+):(\d\d):(\d\d) left", text)
    return (
        None if found is None else sum(int(n) * s for n, s in zip(found.groups(), (3600, 60, 1), strict=True))
    )


def test_elsewhere_than_on_a_terminal_every_finished_task_is_one_line() -> None:
    shown = Shown(terminal=False, tasks=2, width=40)
    with shown.display:
        for done in range(1, 11):
            shown.now += 5
            shown.tell("none-seed0", "training", done, 10)
        shown.now = 60
        shown.tell("none-seed0", "finished")
        shown.now = 120
        shown.tell(ARM, "finished")
    assert shown.stream.getvalue().splitlines() == [
        "none-seed0 finished, 1 of 2, about 0:00:59 left",
        f"{ARM} finished, 2 of 2",
    ]


def test_a_task_name_is_no_markup() -> None:
    shown = Shown(terminal=False, tasks=2)
    shown.tell("[red]x[/y]", "finished")
    assert shown.stream.getvalue().startswith("[red]x[/y] finished, 1 of 2")
    shown = Shown(terminal=True)
    with shown.display:
        shown.tell("[/y]", "[/stage]")
        assert shown.rows()[1].startswith("[/y]")
        assert shown.rows()[1].rstrip().endswith("[/stage]")


@pytest.mark.parametrize("stage", STAGES)
def test_every_bar_is_one_line_of_80_columns(stage: str) -> None:
    shown = Shown(terminal=True)
    with shown.display:
        shown.tell(ARM, "training", 1, 1)
        shown.now = 100_000
        shown.tell(ARM, stage, 9_999, 10_000)
        shown.tell("author-church-seed10", stage, 9_999, 10_000)
        rows = shown.rows()
    assert [row.split()[0] for row in rows] == ["all", ARM, "author-church-seed10"]
    assert rows[1].rstrip().endswith(f"% {stage}")
    assert all(len(row) <= 80 and "…" not in row for row in rows)


def test_a_finished_task_leaves_the_terminal() -> None:
    shown = Shown(terminal=True, tasks=2)
    with shown.display:
        shown.tell("none-seed0", "training", 1, 2)
        shown.tell(ARM, "training", 1, 2)
        shown.tell("none-seed0", "finished")
        assert [row.split()[0] for row in shown.rows()] == ["all", ARM]
    assert "finished" not in shown.stream.getvalue()


def test_a_tasks_bar_never_goes_back_from_stage_to_stage() -> None:
    shown = Shown(terminal=True)
    percents = []
    with shown.display:
        for stage in [*STAGES, "done"]:
            for done in (1, 5, 10):
                shown.tell(ARM, stage, done, 10)
                found = re.search(r"(\d+) %", shown.rows()[1])
                assert found is not None
                percents.append(int(found[1]))
    assert percents == sorted(percents)
    assert percents[-1] == 100


@pytest.mark.parametrize("workers", [1, 3])
def test_the_time_left_is_right_for_tasks_that_take_equally_long(workers: int) -> None:
    """Nine trainings of 100 s by one or three workers, after real images that take 3 s."""
    shown, whole = Shown(terminal=False), 3 + 900 / workers
    shown.tell(REFERENCE, "floor", 1, 3)
    shown.now = 3.0
    shown.tell(REFERENCE, "finished")
    told = []
    for first in range(0, 9, workers):
        for step in range(1, 101):
            shown.now += 1
            for arm in range(first, first + workers):
                for stage, (begin, end) in STAGES.items():
                    if begin < step / 100 <= end + 1e-9:
                        shown.tell(
                            f"arm-seed{arm}", stage, round(step - 100 * begin), round(100 * (end - begin))
                        )
        for arm in range(first, first + workers):
            shown.tell(f"arm-seed{arm}", "finished")
            told.append((_seconds(shown.stream.getvalue().splitlines()[-1]), whole - shown.now))
    assert len(told) == 9
    for guess, truth in told[:-1]:
        if truth > 0:
            assert guess == pytest.approx(truth, rel=0.1, abs=3)
    assert told[-1][0] is None


def test_real_images_that_are_soon_measured_promise_no_soon_end() -> None:
    shown = Shown(terminal=False)
    shown.tell(REFERENCE, "floor", 1, 5)
    shown.now = 2.0
    shown.tell(REFERENCE, "finished")
    assert _seconds(shown.stream.getvalue()) is None


def test_what_was_done_before_a_resume_is_not_taken_for_speed() -> None:
    shown = Shown(terminal=False, tasks=2)
    shown.tell("none-seed0", "training", 9, 10)
    shown.now = 30.0
    shown.tell("none-seed0", "distance", 1, 1)
    shown.now = 37.0
    shown.tell("none-seed0", "finished")
    earned = 1 - 0.9 * STAGES["training"][1]
    assert _seconds(shown.stream.getvalue()) == round(37.0 / earned)


def test_a_display_that_shows_nothing_leaves_no_trace() -> None:
    shown = Shown(terminal=False)
    with shown.display:
        pass
    assert shown.stream.getvalue() == ""

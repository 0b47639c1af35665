"""A bar on a terminal, a line a tick elsewhere."""

import dataclasses
import io
from pathlib import Path

import pytest
from rich.console import Console

from riemann_noise_pytorch.cli.progress import TrainingDisplay
from riemann_noise_pytorch.models.dcgan import DCGANGenerator
from riemann_noise_pytorch.statistics.sampling import ALONE
from riemann_noise_pytorch.training.loop import StepInfo, TickInfo

STEP = StepInfo(50, 200, 5000, 1000.0, {"loss_g": 0.5, "loss_d": 1.25})


def tick(loss_d: float | None = 1.25) -> TickInfo:
    stats = {"kimg": 5.0, "images_per_s": 1000.0, "loss_g": 0.5, "loss_d": loss_d}
    hooks = {"export": Path, "save": Path, "stopping": lambda: False}
    return TickInfo(DCGANGenerator(16, width=4), 5000, stats, Path("run"), False, ALONE, **hooks)


@pytest.mark.parametrize(("terminal", "lines"), [(False, 2), (True, 0)])
def test_lines_are_written_where_there_is_no_terminal(terminal: bool, lines: int) -> None:
    stream = io.StringIO()
    with TrainingDisplay(Console(file=stream, force_terminal=terminal, width=120)) as display:
        for _ in range(3):
            display.step(STEP)
        display.tick(tick())
        display.tick(tick(None))
    whole = "5.0/20.0 kimg  1000 images/s  loss_g 0.500  loss_d 1.250  0:00:15 left"
    assert (whole in stream.getvalue()) is True
    assert stream.getvalue().count("kimg  1000 images/s  loss_g 0.500") >= lines
    assert stream.getvalue().endswith("left\n") is not terminal


@pytest.mark.parametrize("terminal", [True, False])
def test_the_stage_of_an_evaluation_is_shown(terminal: bool) -> None:
    stream = io.StringIO()
    with TrainingDisplay(Console(file=stream, force_terminal=terminal, width=120)) as display:
        display.step(STEP)
        for done in range(3):
            display.stage("swd[2k]", done, 2)
        display.stage("mc1k_z", 0, 1000)
        if terminal:
            display._bar.refresh()
    shown = stream.getvalue()
    assert "measuring mc1k_z" in shown
    if not terminal:
        assert shown == "measuring swd[2k]: 2\nmeasuring mc1k_z: 1,000\n"


def test_a_display_that_shows_nothing_leaves_no_trace() -> None:
    stream = io.StringIO()
    with TrainingDisplay(Console(file=stream, force_terminal=False)):
        pass
    assert stream.getvalue() == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_signs_of_trouble_are_shown_on_a_terminal_too(terminal: bool) -> None:
    stream = io.StringIO()
    told = "at step 50 (5 kimg): collapse: [less] spread"
    console = Console(file=stream, force_terminal=terminal, width=120, highlight=False)
    with TrainingDisplay(console) as display:
        display.step(STEP)
        display.tick(dataclasses.replace(tick(), signs=(told,)))
    assert told in stream.getvalue()

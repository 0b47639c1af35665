"""`riemann-noise trap` refuses in one line what it cannot do, and prints what it found."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from riemann_noise_pytorch.cli.allocator import OFF
from riemann_noise_pytorch.cli.main import main
from riemann_noise_pytorch.experiments import resumable
from riemann_noise_pytorch.experiments.pool import Event, Task

TINY = "--dimension 8 --z-dims 2 --noise none --seeds 1 --kimg 0.32 --width 4 --images 400 --epochs 1"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dimension", "999", "--resolution", "16"], "1 to 64"),
        (["--z-dims", "0"], "z_dim"),
        (["--noise", "riemanian"], "riemannian"),
        (["--seeds", "0"], "--seeds is 0"),
        (["--kimg", "nan"], "kimg"),
        (["--resolution", "20"], "resolution"),
        (["--resume"], "--resume"),
        (["--rank"], "unknown option '--rank'"),
        (["--device", "cuda"], "torch finds no GPU here; give device cpu"),
    ],
)
def test_what_cannot_be_done_is_refused(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    refused: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert words in refused("trap", *arguments)
    assert list(tmp_path.iterdir()) == []


def run_here(tasks: Sequence[Task], workers: int, threads: int, on_event: Callable[[Event], None]) -> None:
    """Do the tasks in this process."""
    assert (workers, threads) == (2, 1)
    for task in tasks:
        task.function(*task.arguments, lambda *stage, name=task.name: on_event(Event(name, *stage)))
        on_event(Event(task.name, "finished", 1, 1))


def test_a_small_experiment_ends_in_a_table_sentences_and_a_figure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(OFF, "1")
    monkeypatch.setattr(resumable, "run_tasks", run_here)
    out = tmp_path / "trap"
    assert main(["trap", *TINY.split(), "--workers", "2", "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert "z_dim  noise" in printed.out
    assert "- z_dim 2, noise none: rank 2 against 8 dimensions of the data" in printed.out
    assert printed.out.rstrip().endswith(f"Figure: {out / 'trap.svg'}")
    assert (out / "trap.svg").read_text().startswith("<svg")
    assert "z2-none-seed0 finished, " in printed.err
    assert " finished, 2 of 2" in printed.err

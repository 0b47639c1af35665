"""The scripts in examples/ are short, quick, and run from any folder."""

import runpy
import time
from pathlib import Path

import pytest
import sklearn.datasets  # noqa: F401 - what an example imports does not count
import torch
import torch._dynamo

SCRIPTS = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))
QUICK_S = 5.0


def test_there_are_examples() -> None:
    assert SCRIPTS


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_an_example_has_fewer_than_80_lines(script: Path) -> None:
    assert len(script.read_text().splitlines()) < 80


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_an_example_runs_quickly(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(script), "--quick"])
    with torch.random.fork_rng():
        start = time.perf_counter()
        runpy.run_path(str(script), run_name="__main__")
        seconds = time.perf_counter() - start
    assert capsys.readouterr().out.strip()
    assert seconds <= QUICK_S

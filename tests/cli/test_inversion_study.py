"""`riemann-noise inversion-study` refuses in one line what it cannot do, and prints what it found."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from riemann_noise_pytorch.cli.allocator import OFF
from riemann_noise_pytorch.cli.main import main
from riemann_noise_pytorch.experiments import resumable
from tests.experiments.inversion_study.test_study import run_here
from tests.experiments.tiny_comparison import tiny_comparison

TINY = "--images 3 --restarts 2 --steps 3 --noise-steps 3"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Folder of riemann-noise compare"),
        (["nowhere"], "nowhere holds no finished comparison, for it has no records.jsonl; check the path"),
        (["nowhere", "--images", "1"], "--images is 1; give 2 or more"),
        (["nowhere", "--space", "y"], "--space"),
        (["nowhere", "--restart", "4"], "unknown option '--restart'; did you mean '--restarts'"),
    ],
)
def test_what_cannot_be_done_is_refused(
    arguments: list[str], words: str, tmp_path: Path, refused: Callable[..., str]
) -> None:
    assert words in refused("inversion-study", *arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_small_study_ends_in_tables_the_claim_a_figure_and_a_page(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    refused: Callable[..., str],
) -> None:
    monkeypatch.setenv(OFF, "1")
    monkeypatch.setattr(resumable, "run_tasks", run_here)
    comparison, out = tiny_comparison(tmp_path / "comparison"), tmp_path / "study"
    assert main(["inversion-study", str(comparison), *TINY.split(), "--out", str(out)]) == 0
    printed = capsys.readouterr()
    for words in (
        "How near, noise frozen",
        "Differences, paired by seed",
        "- Noise frozen: of 24 comparisons",
    ):
        assert words in printed.out
    assert "The paper's claim at this scale (2 seeds, 3 targets of each kind, noise frozen)." in printed.out
    assert printed.out.rstrip().endswith(f"Report: {out / 'report.html'}")
    assert (out / "inversion_study.svg").read_text().startswith("<svg")
    assert "none-seed0-plain finished, " in printed.err
    assert " finished, 30 of 30" in printed.err
    for path in out.rglob("*.jsonl"):
        assert all(json.loads(line)["record"] for line in path.read_text().splitlines())
    assert "--resume" in refused("inversion-study", comparison, *TINY.split(), "--out", out)

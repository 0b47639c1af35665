"""The benchmarks run and print ratios."""

import runpy
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_the_cost_of_noise_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--device", "cpu", "--shape", "1", "2", "8", "8", "--rounds", "1"]
    monkeypatch.setattr("sys.argv", ["bench_noise.py", *arguments])
    runpy.run_path(str(BENCHMARKS / "bench_noise.py"), run_name="__main__")
    printed = capsys.readouterr().out.splitlines()
    assert printed[2].split()[0] == "constant"
    assert printed[2].count("1.00x") == 2
    assert len(printed) == 7

"""The benchmarks run, print ratios, and write records."""

import json
import runpy
from pathlib import Path

import pytest

from riemann_noise_pytorch.noise.presets import RIEMANN_PRESETS

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("RIEMANN_NOISE_NO_MALLOC_TUNING", "1")

    def call(name: str, *arguments: str) -> list[str]:
        monkeypatch.setattr("sys.argv", [name, *arguments])
        runpy.run_path(str(BENCHMARKS / name), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    return call


def test_the_cost_of_noise_is_measured(run, tmp_path):
    record = tmp_path / "injection.jsonl"
    size = ("--device", "cpu", "--shape", "1", "2", "8", "8", "--rounds", "2", "--threads", "1")
    printed = run("bench_injection.py", *size, "--record", str(record))
    (line,) = record.read_text().splitlines()
    (result,) = json.loads(line)["results"]
    assert len(result["kinds"]) == len(RIEMANN_PRESETS) + 2
    assert len(printed) == 3 + len(result["kinds"])
    assert result["kinds"]["riemannian, paper"]["must_both"] == 3.5
    assert result["kinds"]["euclidean"]["forward"]["ratio"] > 0

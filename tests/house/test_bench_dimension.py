"""The benchmark of the estimates of dimension runs, prints the curve, and writes a record."""

import json
import runpy
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_the_bias_is_measured_by_dimension(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    record = tmp_path / "records.jsonl"
    size = ("--points", "300", "--dimensions", "1", "3", "--search", "200", "30", "--threads", "1")
    monkeypatch.setattr("sys.argv", ["bench_dimension.py", *size, "--record", str(record)])
    runpy.run_path(str(BENCHMARKS / "bench_dimension.py"), run_name="__main__")
    setup, *lines = (json.loads(line) for line in record.read_text().splitlines())
    assert {"torch", "cpu", "cores", "threads"} <= set(setup["environment"])
    assert [line["record"] for line in lines] == ["bias"] * 3 + ["search"]
    values = [line["mle"]["value"] for line in lines[:3]]
    assert values == sorted(values)
    assert abs(values[0] - 1) < 0.2
    assert len(capsys.readouterr().out.splitlines()) == 5

"""The benchmark of the extractors runs, prints ratios, and writes a record."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "bench_extractors.py"


@pytest.mark.slow
def test_the_speed_of_an_extractor_is_measured(tmp_path):
    record = tmp_path / "extractors.jsonl"
    size = ("--images", "2", "--batch", "1", "--rounds", "1", "--threads", "1")
    command = [sys.executable, str(BENCHMARK), *size, "--record", str(record)]
    environment = os.environ | {"RIEMANN_NOISE_NO_MALLOC_TUNING": "1"}
    printed = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    (result,) = json.loads(record.read_text())["results"]
    assert len(printed.splitlines()) == 4
    assert len(result["images_per_s"]) == 3
    assert all(row["ratio"] > 0 for row in result["to_theirs"].values())
    assert result["features_apart"] < 1e-5

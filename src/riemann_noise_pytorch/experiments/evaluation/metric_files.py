"""``metric-NAME.jsonl``: one line for every number measured, appended when it is complete."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.files import append_line
from riemann_noise_pytorch.statistics.intervals import Interval


@dataclass(frozen=True)
class Evaluation:
    """A metric with its numbers, and all that another laboratory needs to compare them.

    Args:
        metric: The honest name, such as ``fid50k_full``.
        name: The protocol, as printed.
        results: Numbers by name; most metrics have one, called as the metric.
        intervals: Intervals of those that have one, by the same names.
        values: The numbers of every redraw, by the same names; empty for means over pairs.
        target: What was measured.
        protocol: How it was measured.
        seconds: How long it took, what is shared with other metrics included.
    """

    metric: str
    name: str
    results: Mapping[str, float]
    intervals: Mapping[str, Interval]
    values: Mapping[str, Sequence[float]]
    target: Mapping[str, Any]
    protocol: Mapping[str, Any]
    seconds: float


def metric_path(folder: Path, metric: str) -> Path:
    """Give the file of a metric in a folder."""
    return folder / f"metric-{metric}.jsonl"


def append_evaluation(folder: Path, evaluation: Evaluation) -> Path:
    """Append a line to the file of its metric; give the file.

    Raises:
        InputError: It cannot be written.
    """
    path = metric_path(folder, evaluation.metric)
    line = asdict(evaluation) | {"timestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
    append_line(path, json.dumps(line))
    return path


def read_evaluations(folder: Path) -> list[Evaluation]:
    """Read what was measured, in the order of the files' names; a line that was cut off is left out.

    Raises:
        InputError: A line is damaged that is not the last; the message names it.
    """
    found = []
    for path in sorted(folder.glob("metric-*.jsonl")):
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, text in enumerate(lines, start=1):
            try:
                found.append(_read(json.loads(text)))
            except (ValueError, TypeError, KeyError) as error:
                if number == len(lines):
                    break
                raise InputError(
                    f"{path} line {number} is damaged ({error}); delete that line, or the file"
                ) from error
    return found


def _read(line: dict[str, Any]) -> Evaluation:
    line.pop("timestamp")
    intervals = {name: Interval(**interval) for name, interval in line.pop("intervals").items()}
    return Evaluation(**line, intervals=intervals)

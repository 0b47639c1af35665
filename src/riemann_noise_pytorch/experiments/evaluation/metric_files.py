"""``metric-NAME.jsonl``: one line for every number measured, appended when it is complete."""

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
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


def require_writable(folder: Path) -> None:
    """Make sure that a folder takes files before hours are spent on what goes there.

    Raises:
        InputError: It cannot be made, or not be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot write into {folder}: {reason}; choose another place by --out") from error


def append_evaluation(folder: Path, evaluation: Evaluation) -> Path:
    """Append a line to the file of its metric; give the file.

    Where a line was cut off, by a full disk or a killed process, the new one stands below it.

    Raises:
        InputError: It cannot be written.
    """
    path = metric_path(folder, evaluation.metric)
    line = asdict(evaluation) | {"timestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
    append_line(path, f"{_end_of_line(path)}{json.dumps(line)}")
    return path


def read_evaluations(folder: Path, say: Callable[[str], object] | None = None) -> list[Evaluation]:
    """Read what was measured, in the order of the files' names.

    Args:
        folder: The folder.
        say: Called with a line for each line that is damaged and left out.

    Raises:
        InputError: A file cannot be read.
    """
    found = []
    for path in sorted(folder.glob("metric-*.jsonl")):
        for number, text in enumerate(_lines(path), start=1):
            try:
                found.append(_read(json.loads(text)))
            except (ValueError, TypeError, KeyError, AttributeError):
                if text.strip() and say is not None:
                    say(f"{path} line {number} is damaged, and left out; delete that line")
    return found


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror or error}; check its permissions, or move it away"
        ) from error


def _end_of_line(path: Path) -> str:
    """What must come before a new line: nothing, or the end of one that was cut off."""
    with contextlib.suppress(OSError), path.open("rb") as stream:
        if stream.seek(0, os.SEEK_END):
            stream.seek(-1, os.SEEK_END)
            return "" if stream.read(1) == b"\n" else "\n"
    return ""


def _read(line: dict[str, Any]) -> Evaluation:
    line.pop("timestamp")
    intervals = {name: Interval(**interval) for name, interval in line.pop("intervals").items()}
    return Evaluation(**line, intervals=intervals)

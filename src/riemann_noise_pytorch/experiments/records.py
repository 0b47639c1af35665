"""Records of an experiment: JSON lines, and where and with what they came about."""

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

import riemann_noise_pytorch
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.files import atomic_write

Record = dict[str, Any]


def write_records(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write records as JSON lines, at once or not at all.

    Raises:
        InputError: The file cannot be written.
    """
    with atomic_write(path) as temporary:
        temporary.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def read_records(path: Path) -> list[Record]:
    """Read records from JSON lines.

    Raises:
        InputError: A line is damaged; the message names it.
    """
    records = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            records.append(json.loads(line))
        except ValueError as error:
            raise InputError(
                f"{path} line {number} is damaged ({error}); delete the file and run again"
            ) from error
    return records


def setup_record(threads: int) -> Record:
    """Begin the records of an experiment: what it was made with. Its options come on top.

    Args:
        threads: Threads of one worker process.
    """
    return {
        "record": "setup",
        "version": riemann_noise_pytorch.__version__,
        "commit": commit(),
        "environment": environment(threads),
    }


def environment(threads: int) -> dict[str, Any]:
    """Say what the numbers were computed with.

    Args:
        threads: Threads of one worker process.

    Returns:
        Versions and machine, without names or paths.
    """
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cpu": _cpu(),
        "cores": cores(),
        "threads": threads,
        "platform": f"{platform.system()} {platform.machine()}",
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def cores() -> int:
    """Count the processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def commit() -> str | None:
    """Name the commit of the checkout that the package is imported from, None outside a checkout of it."""
    root = Path(riemann_noise_pytorch.__file__).parents[2]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.is_file() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"

"""The folder of a run: ``config.json``, ``stats.jsonl``, ``log.txt``, ``samples/`` and ``snapshots/``."""

import contextlib
import dataclasses
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, final

from torch import Tensor

from riemann_noise_pytorch.data.grid import save_grid
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.files import append_line, atomic_write
from riemann_noise_pytorch.training.checkpoints import config_from_record
from riemann_noise_pytorch.training.config import TrainConfig

MAY_CHANGE = ("workers", "keep_snapshots", "tracker", "device", "compile")
"""Options that a resumed run may have of its own. The first three do not touch what it computes. Another
device, or compiled code, computes the same run with other roundings, so that its numbers drift from those of
the first; another device draws other noise, too. The log tells where the device changed."""

_LEFTOVERS = (
    ".config.json.*.partial",
    ".stats.jsonl.*.partial",
    ".best.safetensors.*.partial",
    ".evaluation.json.*.partial",
    "samples/.*.png.*.partial",
    "snapshots/.*.safetensors.*.partial",
)


def load_config(run_dir: str | os.PathLike[str]) -> TrainConfig:
    """Read the options of a run.

    Raises:
        InputError: The folder is no run, or its ``config.json`` is damaged.
    """
    path = Path(run_dir) / "config.json"
    if not path.is_file():
        raise InputError(f"{run_dir} is no run folder, for it has no config.json; check the path")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}); restore it from a copy") from error
    return config_from_record(record, str(path))


@final
class RunFolder:
    """Reads and writes the text and picture files of a run.

    Args:
        path: The folder.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def require_new(self) -> None:
        """Refuse a folder that holds something else than what a run killed before its first file left.

        Raises:
            InputError: It does, or it is a file.
        """
        if self.path.is_dir() and {*self.path.iterdir()} - {*self._leftovers()}:
            raise InputError(f"{self.path} is not empty; choose another folder, or resume the run in it")
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{self.path} is a file; choose a folder")

    def remove_leftovers(self) -> None:
        """Delete the half-written files of a killed run."""
        for path in self._leftovers():
            with contextlib.suppress(OSError):  # harmless where they cannot go
                path.unlink()

    def _leftovers(self) -> list[Path]:
        return [path for pattern in _LEFTOVERS for path in self.path.glob(pattern)]

    @property
    def is_begun(self) -> bool:
        """Whether it holds the options of a run."""
        return (self.path / "config.json").is_file()

    def require_same(self, config: TrainConfig) -> None:
        """Refuse options that differ from the run's in more than a greater length.

        Raises:
            InputError: They do; the message names the options.
        """
        before = load_config(self.path)
        differing = [
            f"{field.name} ({getattr(before, field.name)} before, {getattr(config, field.name)} now)"
            for field in dataclasses.fields(TrainConfig)
            if getattr(before, field.name) != getattr(config, field.name) and field.name not in MAY_CHANGE
            if not (field.name == "kimg" and config.kimg > before.kimg)
        ]
        if differing:
            raise InputError(
                f"the run in {self.path} was started with other options: {', '.join(differing)}; "
                "resume it with its own (only kimg may grow), or start a new run"
            )

    def write_config(self, config: TrainConfig) -> None:
        """Write ``config.json``."""
        with atomic_write(self.path / "config.json") as temporary:
            temporary.write_text(json.dumps(dataclasses.asdict(config), indent=1) + "\n", encoding="utf-8")

    def append_stats(self, stats: Mapping[str, Any]) -> None:
        """Append a line to ``stats.jsonl``."""
        append_line(self.path / "stats.jsonl", json.dumps(stats))

    def stats(self) -> list[dict[str, Any]]:
        """Read ``stats.jsonl``, up to a line that was cut off, if there is one."""
        path = self.path / "stats.jsonl"
        lines: list[dict[str, Any]] = []
        for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
            try:
                lines.append(json.loads(text))
            except ValueError:
                break
        return lines

    def cut_stats(self, images_seen: int) -> list[dict[str, Any]]:
        """Remove the lines of ``stats.jsonl`` beyond a position, and give those that stay."""
        kept = [line for line in self.stats() if line["images_seen"] <= images_seen]
        with atomic_write(self.path / "stats.jsonl") as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        return kept

    def log(self, message: str) -> None:
        """Append a line with the time to ``log.txt``."""
        append_line(self.path / "log.txt", f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC  {message}")

    def save_samples(self, images: Tensor, images_seen: int) -> Path:
        """Write a sample grid of images (N, C, H, W); the file is named by the images seen.

        Of other than 1 or 3 channels, the first 3 or the first are shown.
        """
        path = self.path / "samples" / f"{images_seen:08d}.png"
        visible = 3 if images.shape[1] >= 3 else 1
        save_grid(images[:, :visible], path)
        return path

"""Snapshots: one safetensors file each, with everything that is needed to go on, and never a pickle.

The tensors are the weights of the generator, the discriminator and the average, the optimisers' moments, the
sums of the current tick and the random states; the header's metadata tells the format version, the options,
the progress, the versions of the libraries, and a checksum of the tensors.
"""

import dataclasses
import json
import os
import platform
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from riemann_noise_pytorch.errors import InputError, unknown_name
from riemann_noise_pytorch.files import atomic_write
from riemann_noise_pytorch.models.interfaces import Generator
from riemann_noise_pytorch.models.networks import build_generator
from riemann_noise_pytorch.training.config import TrainConfig
from riemann_noise_pytorch.training.state import load_weights, network_config

FORMAT_VERSION = 1
FOLDER = "snapshots"
BEST = "best.safetensors"
"""The average that scored best, beside the snapshots: it is no place to go on from."""
RENAMED = {
    "r1_gamma": "gamma",
    "r1_rule": "gamma_rule",
    "r1_interval": "regularizer_interval",
}
"""Options by the names that older records have for them, and their names now."""
_KEY = "riemann_noise_snapshot"
_FIELDS = {"format_version", "config", "images_seen", "step", "data", "versions", "checksum"}


class DamagedSnapshot(InputError):  # noqa: N818 - a state of the file, told as an InputError
    """A snapshot's content is not what was written."""


@dataclass(frozen=True)
class Snapshot:
    """What a snapshot file holds.

    Args:
        path: The file.
        config: The options of the run.
        images_seen: Real images seen.
        step: Steps done.
        data: Name, number, shape and content hash of the real images.
        device: Kind of device that computed it, ``cpu`` or ``cuda``; empty where that is not known.
        versions: Versions of the libraries that wrote it.
        tensors: All tensors, on the CPU.
    """

    path: Path
    config: TrainConfig
    images_seen: int
    step: int
    data: Mapping[str, Any]
    device: str
    versions: Mapping[str, str]
    tensors: Mapping[str, Tensor]


def snapshot_path(run_dir: str | os.PathLike[str], images_seen: int) -> Path:
    """Give the place of the snapshot of a run after so many images."""
    return Path(run_dir) / FOLDER / f"{images_seen:08d}.safetensors"


def best_snapshot(run_dir: str | os.PathLike[str]) -> Path:
    """Give the snapshot of the average that scored best in the evaluations of a run.

    Raises:
        InputError: The run was not evaluated while it trained.
    """
    path = Path(run_dir) / BEST
    if not path.is_file():
        raise InputError(
            f"{run_dir} has no {BEST}, for it was trained without --metrics; evaluate its last snapshot"
        )
    return path


def write_snapshot(
    path: Path,
    tensors: Mapping[str, Tensor],
    *,
    config: TrainConfig,
    images_seen: int,
    step: int,
    data: Mapping[str, Any],
    device: str = "",
) -> Path:
    """Write a snapshot, whole or not at all.

    Args:
        path: The file, such as :func:`snapshot_path` names it.
        tensors: Contiguous CPU tensors that share no memory.
        config: The options of the run.
        images_seen: Real images seen.
        step: Steps done.
        data: Name, number, shape and content hash of the real images.
        device: Kind of device that computed it.

    Returns:
        The file.

    Raises:
        InputError: It cannot be written.
    """
    content = {
        "format_version": FORMAT_VERSION,
        "config": dataclasses.asdict(config),
        "images_seen": images_seen,
        "step": step,
        "data": dict(data),
        "device": device,
        "versions": {
            "riemann-noise-pytorch": version("riemann-noise-pytorch"),
            "torch": str(torch.__version__),
            "python": platform.python_version(),
        },
        "checksum": _checksum(tensors),
    }
    with atomic_write(path) as temporary:
        try:
            save_file(dict(tensors), temporary, {_KEY: json.dumps(content)})
        except SafetensorError as error:
            raise OSError(str(error)) from error
    return path


def load_snapshot(path: str | os.PathLike[str]) -> Snapshot:
    """Read and check a snapshot file.

    Args:
        path: The file.

    Raises:
        DamagedSnapshot: The file is truncated, or its content has changed.
        InputError: There is no such file, or it is no snapshot, or one of a newer format.

    Example:
        >>> load_snapshot("nowhere.safetensors")
        Traceback (most recent call last):
        ...
        riemann_noise_pytorch.errors.InputError: there is no snapshot nowhere.safetensors; check the path
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(f"there is no snapshot {file}; check the path")
    content, tensors = _read(file)
    found = content["format_version"]
    if not isinstance(found, int) or found > FORMAT_VERSION:
        raise InputError(
            f"{file} has snapshot format {found}, but this version reads up to {FORMAT_VERSION}; "
            "upgrade riemann-noise-pytorch"
        )
    if content["checksum"] != _checksum(tensors):
        raise DamagedSnapshot(f"{file} is damaged: its checksum does not fit; take an older snapshot")
    return Snapshot(
        file,
        config_from_record(content["config"], str(file)),
        content["images_seen"],
        content["step"],
        content["data"],
        content.get("device", ""),
        content["versions"],
        tensors,
    )


def config_from_record(record: object, source: str) -> TrainConfig:
    """Build options from what was recorded of them.

    Args:
        record: A mapping of options by name, also by older ones; what is missing has its default. Some that
            did nothing in that run are not looked at, for older records hold another default of them.
        source: Where it comes from, for messages.

    Raises:
        InputError: The record is of another kind, or not of these options.
    """
    names = {field.name for field in dataclasses.fields(TrainConfig)}
    if isinstance(record, dict):
        record = _without_idle(with_new_names(record))
    if not isinstance(record, dict) or not names.issuperset(record):
        extra = f" ({', '.join(sorted(set(record) - names))})" if isinstance(record, dict) else ""
        raise InputError(f"{source} holds options unknown here{extra}; upgrade riemann-noise-pytorch")
    config = TrainConfig(**record)
    config.validate()
    return config


def with_new_names(record: Mapping[str, Any]) -> dict[str, Any]:
    """Give recorded options the names that they have now."""
    return {RENAMED.get(name, name): value for name, value in record.items()}


def _without_idle(record: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what older records of a dcgan hold, and what did nothing.

    That is an interval of 16, once the default, without a penalty; and a correction of Adam for steps of the
    penalty's own where it had none.
    """
    if record.get("architecture", "dcgan") != "dcgan":
        return dict(record)
    off = record.get("gamma", 0) == 0 and record.get("gamma_rule", "given") == "given"
    idle = {"regularizer_interval"} if off else set()
    if off or record.get("regularizer_interval", 1) == 1:
        idle.add("adam_lazy_correction")
    return {name: value for name, value in record.items() if name not in idle}


def list_snapshots(run_dir: str | os.PathLike[str]) -> list[Path]:
    """List the snapshots of a run by the number of images seen, the newest last."""
    files = (Path(run_dir) / FOLDER).glob("*.safetensors")
    return sorted((file for file in files if file.stem.isdigit()), key=lambda file: int(file.stem))


def newest_snapshot(run_dir: str | os.PathLike[str]) -> Snapshot:
    """Read the newest snapshot of a run that is not damaged.

    Raises:
        InputError: There is none.
    """
    damaged: DamagedSnapshot | None = None
    for path in reversed(list_snapshots(run_dir)):
        try:
            return load_snapshot(path)
        except DamagedSnapshot as error:
            damaged = damaged or error
    if damaged:
        raise damaged
    raise InputError(f"{run_dir} holds no snapshots, so it is no run that could be read; check the path")


def set_aside_beyond(run_dir: str | os.PathLike[str], images_seen: int) -> list[Path]:
    """Rename the snapshots beyond a position to ``NAME.damaged``, so that nothing takes them for the newest.

    Args:
        run_dir: The run folder.
        images_seen: Position of the newest snapshot that could be read: what is beyond it could not.

    Returns:
        The files under their new names.

    Raises:
        InputError: One cannot be renamed.
    """
    aside = []
    for path in list_snapshots(run_dir):
        if int(path.stem) > images_seen:
            try:
                aside.append(path.replace(path.with_name(f"{path.name}.damaged")))
            except OSError as error:
                raise InputError(
                    f"cannot set the damaged {path} aside: {error.strerror or error}; delete it"
                ) from error
    return aside


def prune_snapshots(run_dir: str | os.PathLike[str], keep: int, written: Path | None = None) -> None:
    """Delete all but the newest snapshots of a run.

    Args:
        run_dir: The run folder.
        keep: Number of snapshots to keep; 0 keeps all.
        written: The file just written, which stays whatever its number.
    """
    for path in list_snapshots(run_dir)[:-keep] if keep else ():
        if path != written:
            path.unlink(missing_ok=True)


def load_generator(
    run_or_snapshot: str | os.PathLike[str],
    *,
    which: Literal["ema", "raw"] = "ema",
    device: torch.device | str = "cpu",
) -> Generator:
    """Load a trained generator, ready to make images.

    Args:
        run_or_snapshot: A run folder, for its newest snapshot, or a snapshot file.
        which: ``ema``: the moving average; ``raw``: the weights last trained.
        device: Where to put it.

    Returns:
        The generator, in evaluation mode.

    Raises:
        InputError: There is no such run or snapshot, or it cannot be used.
    """
    place = Path(run_or_snapshot)
    return generator_of(newest_snapshot(place) if place.is_dir() else load_snapshot(place), which, device)


def generator_of(
    snapshot: Snapshot, which: Literal["ema", "raw"] = "ema", device: torch.device | str = "cpu"
) -> Generator:
    """Build the generator of a snapshot; arguments, result and errors as of :func:`load_generator`."""
    parts = {"ema": "ema", "raw": "generator"}
    if which not in parts:
        raise unknown_name("kind of weights", which, parts)
    with torch.random.fork_rng(devices=[]):
        generator = build_generator(network_config(snapshot.config))
    load_weights(generator, snapshot.tensors, parts[which], str(snapshot.path))
    return generator.eval().to(device)


def _read(file: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(file, framework="pt") as stream:
            text = (stream.metadata() or {}).get(_KEY)
            if text is None:
                raise InputError(
                    f"{file} is a safetensors file of another program; give a snapshot of riemann-noise"
                )
            # copies, for a tensor that maps the file would end the process if the file were cut short
            tensors = {name: stream.get_tensor(name).clone() for name in stream.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise DamagedSnapshot(
            f"{file} is damaged or no snapshot ({error}); take an older one, or check the path"
        ) from error
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if not isinstance(content, dict) or not _FIELDS.issubset(content):
        raise DamagedSnapshot(f"{file} is damaged: its header cannot be read; take an older snapshot")
    return content, tensors


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    total = 0
    for name in sorted(tensors):
        tensor = tensors[name]
        total = zlib.crc32(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode(), total)
        total = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, total)
    return f"crc32:{total:08x}"

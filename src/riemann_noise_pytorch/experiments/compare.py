"""Does noise injection improve a generator? The same GAN with each kind of noise, over seeds, measured alike.

The arms start from the same weights wherever their networks agree, see the same images in the same order and
the same latents, and train equally long. Each arm and seed is a task of its own, so that several run at once;
what is finished is kept when the comparison is stopped.
"""

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from safetensors.torch import save_file

from riemann_noise_pytorch.data.images import to_uint8
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.arm import (
    Arm,
    Report,
    is_finished,
    reference_images,
    run_arm,
)
from riemann_noise_pytorch.experiments.artifacts import SHOWN_SAMPLES
from riemann_noise_pytorch.experiments.contrast import contrast, noise_use
from riemann_noise_pytorch.experiments.options import CompareConfig
from riemann_noise_pytorch.experiments.pool import Task
from riemann_noise_pytorch.experiments.records import Record, read_records, setup_record, write_records
from riemann_noise_pytorch.experiments.resumable import Progress, Workers, open_folder, run_all
from riemann_noise_pytorch.files import atomic_write
from riemann_noise_pytorch.metrics.sliced_wasserstein import real_floor
from riemann_noise_pytorch.models.networks import build_generator
from riemann_noise_pytorch.training.config import TrainConfig
from riemann_noise_pytorch.training.processes import require_device
from riemann_noise_pytorch.training.real_images import open_data
from riemann_noise_pytorch.training.state import config_for_images, network_config

REFERENCE = "real images"


def compare(
    config: CompareConfig,
    out: str | os.PathLike[str],
    *,
    resume: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> Path:
    """Train every arm with every seed, measure, and record.

    Args:
        config: The options.
        out: Folder to write to, new or empty unless ``resume``.
        resume: Go on with a comparison that was stopped, with the same options.
        on_progress: Called as the tasks go on.

    The work is done in processes of its own, so a script that calls this needs an
    ``if __name__ == "__main__":`` guard.

    Returns:
        ``records.jsonl`` in the folder, from which the report is made.

    Raises:
        InputError: Options, images or folder cannot be used.
        NonFiniteError: A training or a measurement is not finite; the message names the arm.
        Interrupted: SIGTERM or SIGINT came; finished arms and snapshots are kept.
    """
    config.validate()
    require_device(config.device)
    folder = Path(out)
    arms = [
        Arm(label, config.training(label, seed), folder, config.budget)
        for seed in range(config.seeds)
        for label in config.noise
    ]
    _check_images(arms[0])
    open_folder(folder / "compare.json", "comparison", dataclasses.asdict(config), resume)
    _check_same_images(arms[0])
    tasks = [Task(REFERENCE, measure_reference, (arms[0],))] * (not _reference_path(folder).is_file())
    tasks += [Task(arm.name, run_arm, (arm,)) for arm in arms if not is_finished(arm)]
    run_all(tasks, Workers(config.workers, config.threads, config.device), folder, on_progress)
    path = folder / "records.jsonl"
    write_records(path, _collect(config, arms))
    return path


def measure_reference(arm: Arm, report: Report) -> None:
    """Measure real images against real images, and keep some to show."""
    images = open_data(arm.config, mirror=False)
    count = arm.budget.images_a_side(len(images))
    every = reference_images(images, len(images))
    floor = real_floor(every, count, progress=lambda done, total: report("floor", done, total))
    with atomic_write(arm.out / "artifacts" / "real.safetensors") as temporary:
        save_file({"real": to_uint8(every[:SHOWN_SAMPLES])}, temporary)
    record = {
        "record": "reference",
        "metric": "swd",
        "name": f"real against real, {count:,} images a side, {floor.n} splits",
        "floor": floor.value,
        "floor_low": floor.low,
        "floor_high": floor.high,
    }
    data = {
        "name": images.name,
        "hash": images.content_hash(),
        "count": len(images),
        "image_shape": list(images.image_shape),
    }
    write_records(_reference_path(arm.out), [record, data])


def _reference_path(folder: Path) -> Path:
    return folder / "reference.jsonl"


def _check_images(arm: Arm) -> None:
    images = open_data(arm.config)
    build_generator(network_config(config_for_images(arm.config, images)))
    count = arm.budget.images_a_side(len(open_data(arm.config, mirror=False)))
    if count < 50:
        raise InputError(
            f"{images.name} has {len(images)} images, but the distance needs two disjoint sets of 50; "
            "give 100 images or more"
        )


def _check_same_images(arm: Arm) -> None:
    """Refuse images other than those that the finished arms of a comparison saw."""
    path = _reference_path(arm.out)
    if not path.is_file():
        return
    before = read_records(path)[-1]
    images = open_data(arm.config, mirror=False)
    if images.content_hash() != before["hash"]:
        raise InputError(
            f"{images.name} holds other images than when the comparison in {arm.out} was started; "
            "restore them, or start anew in another folder"
        )


def _collect(config: CompareConfig, arms: Sequence[Arm]) -> list[Record]:
    reference, data = read_records(_reference_path(arms[0].out))
    each = [record for arm in arms for record in read_records(arm.records)]
    runs = [record for record in each if record["record"] == "run"]
    measurements = [record for record in each if record["record"] == "measurement"]
    _check_same_metrics(measurements, arms[0].out)
    reference["untrained"] = {
        label: sum(run["swd_untrained"] for run in runs if run["arm"] == label) / config.seeds
        for label in config.noise
    }
    setup = {
        **setup_record(config.threads),
        "data": data,
        "config": _common(arms),
        "arms": list(config.noise),
        "seeds": list(range(config.seeds)),
    }
    *contrasts, verdict = contrast(measurements, config.noise, range(config.seeds))
    verdict["sentences"] += noise_use(runs)
    return [setup, reference, *runs, *measurements, *contrasts, verdict]


def _check_same_metrics(measurements: Sequence[Record], out: Path) -> None:
    """Refuse arms that cannot be compared, measured before and after a change of this library."""
    arms: dict[str, list[str]] = {}
    for record in measurements:
        arms.setdefault(record["metric"], []).append(f"{record['arm']}-seed{record['seed']}")
    fewest = min(arms, key=lambda metric: len(arms[metric]))
    if len(arms[fewest]) < max(map(len, arms.values())):
        raise InputError(
            f"of the arms in {out}, {', '.join(arms[fewest])} alone were measured by {fewest}, with another "
            "version of this library; start anew in another folder"
        )


def _common(arms: Sequence[Arm]) -> Record:
    """The options of the trainings; where arms differ, one value for each."""
    options: Record = {}
    for field in dataclasses.fields(TrainConfig):
        values = {arm.label: getattr(arm.config, field.name) for arm in arms}
        if field.name not in ("seed", "noise", "preset"):
            options[field.name] = values if len(set(values.values())) > 1 else next(iter(values.values()))
    return options | {f"measured {name}": value for name, value in dataclasses.asdict(arms[0].budget).items()}

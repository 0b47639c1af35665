"""Does a regulariser rescue a GAN that collapses, and does it harm one that does not?

The same DCGAN at settings that work and at settings that do not, with each regulariser, over seeds: each is a
task of its own, as in a comparison, and what is finished is kept when the study is stopped. Runs of one seed
begin with the same weights, and see the same images and latents in the same order.
"""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from riemann_noise_pytorch.experiments.pool import Task
from riemann_noise_pytorch.experiments.records import Record, read_records, setup_record, write_records
from riemann_noise_pytorch.experiments.rescue.arm import RescueArm, measure_data, run_arm
from riemann_noise_pytorch.experiments.rescue.options import (
    AMONG_REAL,
    COLLAPSED_BELOW,
    LABELS,
    METHODS,
    TRAINING,
    RescueConfig,
)
from riemann_noise_pytorch.experiments.resumable import Progress, Workers, open_folder, run_all
from riemann_noise_pytorch.training.processes import require_device

DATA = "data"
NONE = "none"
RULE = (
    "A setting fails if more than half of its runs without a regulariser collapse, and works if none does; a "
    "method rescues a failing one if none of its runs there collapses, and harms a working one if any does."
)


def rescue_study(
    config: RescueConfig,
    out: str | os.PathLike[str],
    *,
    resume: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> Path:
    """Train and measure every method at every setting, and record.

    The work is done in processes of its own, so a script that calls this needs an
    ``if __name__ == "__main__":`` guard.

    Args:
        config: The options.
        out: Folder to write to, new or empty unless ``resume``.
        resume: Go on with a study that was stopped, with the same options.
        on_progress: Called as the tasks go on.

    Returns:
        ``records.jsonl`` in the folder.

    Raises:
        InputError: Options or folder cannot be used.
        Interrupted: SIGTERM or SIGINT came; finished runs and snapshots are kept.
    """
    config.validate()
    require_device(config.device)
    folder = Path(out)
    arms = _arms(config, folder)
    fixed = {"training": dict(TRAINING), "weights": {name: dict(METHODS[name]) for name in config.methods}}
    open_folder(folder / "rescue.json", "study", dataclasses.asdict(config) | fixed, resume)
    data = folder / "data.jsonl"
    tasks = [Task(DATA, measure_data, (arms[0], data))] * (not data.is_file())
    tasks += [Task(arm.name, run_arm, (arm,)) for arm in arms if not arm.records.is_file()]
    run_all(tasks, Workers(config.workers, config.threads, config.device), folder, on_progress)
    path = folder / "records.jsonl"
    write_records(path, _collect(config, arms, data))
    return path


def _arms(config: RescueConfig, folder: Path) -> list[RescueArm]:
    """All runs, in the order in which they are started."""
    return [
        RescueArm(setting, method, config.training(setting, method, seed), folder)
        for seed in range(config.seeds)
        for setting in config.settings
        for method in config.methods
        if setting.fits(method)
    ]


def _collect(config: RescueConfig, arms: Sequence[RescueArm], data: Path) -> list[Record]:
    runs = [record for arm in arms for record in read_records(arm.records)]
    setup = {
        **setup_record(config.threads),
        "options": dataclasses.asdict(config),
        "training": dict(TRAINING),
        "methods": {method: {"label": LABELS[method], **METHODS[method]} for method in config.methods},
        "collapsed_below": COLLAPSED_BELOW,
        "among_real": AMONG_REAL,
    }
    sentences = verdict(runs, config.methods)
    return [setup, *read_records(data), *runs, {"record": "verdict", "sentences": sentences}]


def verdict(runs: Sequence[Record], methods: Sequence[str]) -> list[str]:
    """Say of every method how many runs collapsed, and what became of settings that fail or work without any.

    Args:
        runs: The records of all runs.
        methods: The methods, in their order.

    Returns:
        The rule, where there are runs without a method to judge by, and a sentence for each method.
    """
    plain = _by_setting(runs, NONE)
    sentences = [RULE] if plain else []
    for method in methods:
        mine = _by_setting(runs, method)
        every = [run for each in mine.values() for run in each]
        collapsed = f"{_collapsed(every)} of {len(every)} runs collapsed"
        recall = f"mean recall {_recall(every)}"
        if method != NONE and plain:
            beside = [run for name in mine for run in plain[name]]
            collapsed += f", without it {_collapsed(beside)} of {len(beside)}; {_outcome(mine, plain)}"
            recall += f", without it {_recall(beside)} at the same settings"
        stopped = sum("stopped" in run for run in every)
        told = [collapsed, recall, *([f"{stopped} stopped as not finite"] if stopped else [])]
        sentences.append(f"{LABELS[method]}: {'; '.join(told)}.")
    return sentences


def _outcome(mine: Mapping[str, Sequence[Record]], plain: Mapping[str, Sequence[Record]]) -> str:
    """What became of settings that fail, and of those that work, without a method."""
    failing = [name for name in mine if _collapsed(plain[name]) > len(plain[name]) / 2]
    working = [name for name in mine if not _collapsed(plain[name])]
    rescued = sum(not _collapsed(mine[name]) for name in failing)
    harmed = sum(_collapsed(mine[name]) > 0 for name in working)
    return (
        f"it rescued {rescued} of {len(failing)} failing settings and harmed {harmed} of "
        f"{len(working)} working ones"
    )


def _by_setting(runs: Sequence[Record], method: str) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for run in runs:
        if run["method"] == method:
            found.setdefault(run["setting"], []).append(run)
    return found


def _collapsed(runs: Sequence[Record]) -> int:
    return sum(run["collapsed"] for run in runs)


def _recall(runs: Sequence[Record]) -> str:
    return f"{fmean(run['reached'] for run in runs):.2f}"

"""What does regularisation do to a GAN? A mixture that one can look at, trained with and without, over seeds.

Every arm is a task of its own, its seeds one batched network; what is finished is kept when the work is
stopped, and a training goes on at the step where it was.
"""

import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from riemann_noise_pytorch.errors import InputError, Interrupted
from riemann_noise_pytorch.experiments.pool import Event, Task, run_tasks
from riemann_noise_pytorch.experiments.records import Record, cores, read_records, setup_record, write_records
from riemann_noise_pytorch.experiments.toy.arm_run import ArmRun, column_steps, run_arm
from riemann_noise_pytorch.experiments.toy.measures import GOOD_STDS, reach
from riemann_noise_pytorch.experiments.toy.options import Arm, ToyConfig
from riemann_noise_pytorch.experiments.toy.verdict import sentences
from riemann_noise_pytorch.files import atomic_write

OPTIONS, RECORDS = "toy.json", "records.jsonl"
THREADS = 1


@dataclass(frozen=True)
class Progress:
    """How far the toy is.

    Args:
        event: What happened last.
        finished: Arms done.
        arms: All arms of this call.
    """

    event: Event
    finished: int
    arms: int


def toy(
    config: ToyConfig,
    out: str | os.PathLike[str],
    *,
    resume: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> Path:
    """Train every arm over its seeds, measure, and record.

    The work is done in processes of its own, so a script that calls this needs an
    ``if __name__ == "__main__":`` guard.

    Args:
        config: The options.
        out: Folder to write to, new or empty unless ``resume``.
        resume: Go on with what was stopped, with the same options.
        on_progress: Called as the arms go on.

    Returns:
        ``records.jsonl`` in the folder, from which the page is made.

    Raises:
        InputError: Options or folder cannot be used.
        NonFiniteError: A network diverged; the message names its arm and seed.
        Interrupted: SIGTERM or SIGINT came; what was done is kept.
    """
    config.validate()
    folder = Path(out)
    runs = [ArmRun(arm, config, folder) for arm in config.arms]
    mixture = runs[0].mixture
    _open_folder(folder, config, resume)
    _run([run for run in runs if not run.is_finished], config, folder, on_progress)
    each = [record for run in runs for record in read_records(run.records)]
    setup = {
        **setup_record(THREADS),
        "options": dataclasses.asdict(config) | config.size._asdict(),
        "mixture": {
            "name": mixture.name,
            "ambient": mixture.ambient,
            "std": mixture.std,
            "reach": reach(mixture),
            "good": GOOD_STDS * mixture.std,
        }
        | {"centres": [[round(x, 6) for x in centre] for centre in mixture.centres.tolist()]},
        "arms": [dataclasses.asdict(arm) | {"key": arm.key, "method": arm.method} for arm in config.arms],
        "seeds": list(range(config.seeds)),
        "steps": config.measured_steps,
        "columns": column_steps(config.measured_steps),
    }
    summaries = [summarise(arm, [run for run in each if run["arm"] == arm.key]) for arm in config.arms]
    verdict = {"record": "verdict", "sentences": sentences(config.arms, summaries, len(mixture.centres))}
    path = folder / RECORDS
    write_records(path, [setup, *each, *summaries, verdict])
    return path


def summarise(arm: Arm, runs: Sequence[Record]) -> Record:
    """Average one arm over its seeds.

    Args:
        arm: The arm.
        runs: Its records, one for each seed.

    Returns:
        A record with the mean and the deviation over seeds of what was measured at the end; how many seeds
        ever found all modes, and after how many steps; how much of the time after that they held them.
    """
    first = [run["first_full"] for run in runs if run["first_full"] is not None]
    held = [run["held"] for run in runs if run["held"] is not None]
    ratios = [run["variance_ratio"] for run in runs if run["variance_ratio"] is not None]
    return {
        "record": "summary",
        "arm": arm.key,
        "seeds": len(runs),
        "modes": _spread([float(run["modes"][-1]) for run in runs]),
        "good": _spread([run["good"][-1] for run in runs]),
        "height": _spread([run["height"][-1] for run in runs]),
        "full": _spread([run["full"] for run in runs]),
        "covered": len(first),
        "first_full": sorted(first),
        "held": _spread(held),
        "variance_ratio": _spread(ratios),
    }


def _spread(values: Sequence[float]) -> Record | None:
    """The mean and the standard deviation over seeds; None where there is no value."""
    if not values:
        return None
    return {"mean": fmean(values), "sd": stdev(values) if len(values) > 1 else None}


def _run(
    runs: Sequence[ArmRun], config: ToyConfig, folder: Path, on_progress: Callable[[Progress], None] | None
) -> None:
    costly_first = sorted(runs, key=lambda run: not run.arm.gamma)
    tasks = [Task(run.arm.key, run_arm, (run,)) for run in costly_first]
    finished = 0

    def on_event(event: Event) -> None:
        nonlocal finished
        finished += event.stage == "finished"
        if on_progress is not None:
            on_progress(Progress(event, finished, len(tasks)))

    try:
        run_tasks(tasks, config.workers or cores(), THREADS, on_event)
    except Interrupted as stopped:
        raise Interrupted(
            f"stopped; what was done is kept in {folder}: give the same command with --resume to go on",
            stopped.exit_code - 128,
        ) from None


def _open_folder(folder: Path, config: ToyConfig, resume: bool) -> None:
    path = folder / OPTIONS
    options = json.loads(json.dumps(dataclasses.asdict(config)))
    if resume:
        _check_same(folder, path, options)
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists and is not empty; choose another --out, or go on with --resume")
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(options, indent=1) + "\n", encoding="utf-8")


def _check_same(folder: Path, path: Path, options: Record) -> None:
    """Refuse to go on with other options than those that the work was started with."""
    if not path.is_file():
        raise InputError(f"{folder} holds no toy to resume; check the path, or leave --resume away")
    try:
        before = dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{path} is damaged ({error}); restore it, or start anew in another folder"
        ) from error
    differing = [name for name, value in options.items() if before.get(name) != value and name != "workers"]
    if differing:
        raise InputError(
            f"the toy in {folder} was started with another {', '.join(differing)}; "
            "resume it with its own options"
        )

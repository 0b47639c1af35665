"""What does regularisation do to a GAN? A mixture that one can look at, trained with and without, over seeds.

Every arm is a task of its own, its seeds one batched network; what is finished is kept when the work is
stopped, and a training goes on at the step where it was.
"""

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean, stdev

from riemann_noise_pytorch.experiments.pool import Task
from riemann_noise_pytorch.experiments.records import Record, read_records, setup_record, write_records
from riemann_noise_pytorch.experiments.resumable import Progress, Workers, open_folder, run_all
from riemann_noise_pytorch.experiments.toy.arm_run import ArmRun, column_steps, run_arm
from riemann_noise_pytorch.experiments.toy.measures import GOOD_STDS, reach
from riemann_noise_pytorch.experiments.toy.mixtures import Mixture
from riemann_noise_pytorch.experiments.toy.options import Arm, ToyConfig
from riemann_noise_pytorch.experiments.toy.verdict import sentences

OPTIONS, RECORDS = "toy.json", "records.jsonl"
THREADS = 1


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
    open_folder(folder / OPTIONS, "toy", dataclasses.asdict(config), resume)
    costly_first = sorted(runs, key=lambda run: not run.arm.gamma)
    tasks = [Task(run.arm.key, run_arm, (run,)) for run in costly_first if not run.is_finished]
    run_all(tasks, Workers(config.workers, THREADS, "cpu"), folder, on_progress)
    path = folder / RECORDS
    write_records(path, _collect(config, runs, mixture))
    return path


def _collect(config: ToyConfig, runs: Sequence[ArmRun], mixture: Mixture) -> list[Record]:
    """Everything that is to be known of finished arms."""
    each = [record for run in runs for record in read_records(run.records)]
    summaries = [summarise(arm, [run for run in each if run["arm"] == arm.key]) for arm in config.arms]
    verdict = {"record": "verdict", "sentences": sentences(config.arms, summaries, len(mixture.centres))}
    return [_setup(config, mixture), *each, *summaries, verdict]


def _setup(config: ToyConfig, mixture: Mixture) -> Record:
    return {
        **setup_record(THREADS),
        "options": dataclasses.asdict(config) | config.size._asdict(),
        "mixture": {
            "name": mixture.name,
            "ambient": mixture.ambient,
            "std": mixture.std,
            "reach": reach(mixture),
            "good": GOOD_STDS * mixture.std,
            "centres": [[round(x, 6) for x in centre] for centre in mixture.centres.tolist()],
        },
        "arms": [dataclasses.asdict(arm) | {"key": arm.key, "method": arm.method} for arm in config.arms],
        "seeds": list(range(config.seeds)),
        "steps": config.measured_steps,
        "columns": column_steps(config.measured_steps),
    }


def summarise(arm: Arm, runs: Sequence[Record]) -> Record:
    """Average one arm over its seeds.

    Args:
        arm: The arm.
        runs: Its records, one for each seed.

    Returns:
        A record with the mean and the deviation over seeds of what was measured at the end, and of the share
        of all checkpoints that had all modes (``full``); how many seeds ever found all modes, and after how
        many steps; at what share of the checkpoints after that they had them (``held``, of the ``n`` seeds
        that did so before the last checkpoint).
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
    """The mean and the standard deviation over so many seeds; None where there is no value."""
    if not values:
        return None
    return {"mean": fmean(values), "sd": stdev(values) if len(values) > 1 else None, "n": len(values)}

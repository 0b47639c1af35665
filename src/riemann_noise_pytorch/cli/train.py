"""``riemann-noise train``: a run folder from a preset, options and images; or on with one that was begun."""

import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from riemann_noise_pytorch.cli.allocator import keep_big_buffers
from riemann_noise_pytorch.cli.options import parse, peek
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.training.config import TrainConfig, resolve_config

if TYPE_CHECKING:
    from riemann_noise_pytorch.cli.progress import TrainingDisplay
    from riemann_noise_pytorch.data.imageset import ImageSet
    from riemann_noise_pytorch.experiments.evaluation.in_training import Schedule, TrainingEvaluation
    from riemann_noise_pytorch.training.hooks import TickInfo


@dataclass(frozen=True)
class TrainOptions:
    """Train a GAN on real images, without noise or with noise injected into its generator.

    Several processes: accelerate launch -m riemann_noise_pytorch.cli.main train ... on GPUs, and on CPUs
    torchrun --nproc-per-node 2 -m riemann_noise_pytorch.cli.main train ...
    """

    config: tyro.conf.OmitArgPrefixes[TrainConfig]
    out: Path | None = None
    """Run folder to make: options, statistics, sample grids and snapshots."""
    resume: Path | None = None
    """Run folder to go on in, from its newest snapshot and with its own options; only kimg may grow."""
    dry_run: Annotated[tyro.conf.FlagCreatePairsOff[bool], tyro.conf.arg(aliases=["-n"])] = False
    """Print as JSON the resolved options, sizes and steps, and what a few measured steps took: seconds per
    1000 images, hours, memory. Measuring takes half a minute, or two steps where they are slower. Nothing is
    written."""
    metrics: str | None = None
    """Metrics measured while training, such as quick or fid5k,ppl5k_zfull, into metric-NAME.jsonl; the best
    average by the first of them is kept as best.safetensors. riemann-noise evaluate --help explains each."""
    metric_ticks: int | None = None
    """Ticks from one such measurement to the next; the last tick is always measured. None: 10, or as the
    resumed run was told. A snapshot is written before each, beside those of snapshot_ticks."""


def main(arguments: Sequence[str]) -> None:
    """Train as the command line says.

    Raises:
        RiemannNoiseError: Options, images, folder or snapshot cannot be used, or the run was stopped.
    """
    options = parse(TrainOptions, "train", arguments, TrainOptions(_defaults(arguments)))
    options.config.validate()
    run_dir, schedule = _run_dir(options), _schedule(options)
    keep_big_buffers()
    if options.dry_run:
        described = _description(options.config)
        if _is_first():
            print(described)
    elif run_dir is not None:
        _train(options, run_dir, schedule)


def _defaults(arguments: Sequence[str]) -> TrainConfig:
    run_dir, preset = peek(arguments, "--resume"), peek(arguments, "--preset")
    if run_dir is not None:
        from riemann_noise_pytorch.training.run_folder import load_config

        return load_config(run_dir)
    return resolve_config("dcgan" if preset is None else preset)


def _run_dir(options: TrainOptions) -> Path | None:
    if options.out is not None and options.resume is not None:
        raise InputError(
            "--resume goes on in its own folder; leave --out away, or start anew without --resume"
        )
    if options.out is None and options.resume is None and not options.dry_run:
        raise InputError("there is nowhere to write; give --out RUN, a folder to make, or --dry-run")
    return options.out or options.resume


def _reopen(config: TrainConfig, run_dir: Path) -> "ImageSet":
    from riemann_noise_pytorch.data.decoding import BadImageError
    from riemann_noise_pytorch.training.real_images import images_failed, open_data

    try:
        return open_data(config)
    except BadImageError as error:
        raise images_failed(error, run_dir) from error


def _is_first() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _description(config: TrainConfig) -> str:
    from riemann_noise_pytorch.training.describe import describe
    from riemann_noise_pytorch.training.real_images import open_data

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    return json.dumps(dataclasses.asdict(describe(config, open_data(config), tell=tell)), indent=1)


def _train(options: TrainOptions, run_dir: Path, schedule: "Schedule | None") -> None:
    from riemann_noise_pytorch.cli.progress import TrainingDisplay
    from riemann_noise_pytorch.training.loop import train
    from riemann_noise_pytorch.training.real_images import open_data
    from riemann_noise_pytorch.training.validation import remarks

    images = _reopen(options.config, options.resume) if options.resume else open_data(options.config)
    if _is_first():
        print(
            f"Training on {len(images)} images of {images.name}{_skipped(images)}, into {run_dir}", flush=True
        )
    with TrainingDisplay() as display:
        for remark in remarks(options.config) if _is_first() else ():
            display.say(remark)
        measure = None if schedule is None else _evaluation(schedule, options.config, images, display)

        def on_tick(info: "TickInfo") -> None:
            display.tick(info)
            if measure is not None:
                measure(info)

        last = train(
            options.config,
            images,
            run_dir,
            resume=options.resume is not None,
            on_tick=on_tick,
            progress=display.step,
        )
    if _is_first():
        print(f"Done: {last}")


def _schedule(options: TrainOptions) -> "Schedule | None":
    """What is measured while the run trains: as asked for, or as the resumed run was told before."""
    if options.metrics is None and options.resume is None:
        if options.metric_ticks is not None:
            raise InputError("metric ticks has no meaning without --metrics; name some, or leave it out")
        return None
    from riemann_noise_pytorch.experiments.evaluation.in_training import DEFAULT_TICKS, Schedule

    before = None if options.resume is None else Schedule.of_run(options.resume)
    if options.metrics is not None:
        before = Schedule(options.metrics, before.every_ticks if before else DEFAULT_TICKS)
    if before is None or options.metric_ticks is None:
        return before
    return Schedule(before.metrics, options.metric_ticks)


def _evaluation(
    schedule: "Schedule", config: TrainConfig, images: "ImageSet", display: "TrainingDisplay"
) -> "TrainingEvaluation":
    from riemann_noise_pytorch.experiments.evaluation.in_training import TrainingEvaluation
    from riemann_noise_pytorch.training.state import config_for_images

    say, report = (display.say, display.stage) if _is_first() else (_silent, _silent)
    complete = config_for_images(config, images)
    return TrainingEvaluation(schedule, complete, images, display.measured, say, report)


def _silent(*_: object) -> None:
    """Tell nobody: the first process speaks for all."""


def _skipped(images: "ImageSet") -> str:
    if not images.skipped:
        return ""
    name, reason = images.skipped[0]
    return f" ({len(images.skipped)} bad images left out; the first is {name}: {reason})"

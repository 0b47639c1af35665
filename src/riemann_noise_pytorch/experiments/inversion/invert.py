"""Invert given images: read them, optimise, compare with and without noise, and write it all down."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import torch

from riemann_noise_pytorch.data.imageset import to_float
from riemann_noise_pytorch.experiments.inversion import results
from riemann_noise_pytorch.experiments.inversion.arms import (
    Arms,
    OnLoss,
    Report,
    Work,
    both_arms,
    images_of_first,
)
from riemann_noise_pytorch.experiments.inversion.film import Film
from riemann_noise_pytorch.experiments.inversion.fresh import FreshDraws, fresh_draws, ways
from riemann_noise_pytorch.experiments.inversion.masks import classes_of, read_masks
from riemann_noise_pytorch.experiments.inversion.options import InvertConfig
from riemann_noise_pytorch.experiments.inversion.plan import Plan, planned
from riemann_noise_pytorch.experiments.inversion.quality import Judge, perceptual_of
from riemann_noise_pytorch.experiments.inversion.results import PICTURES, RECORDS, TENSORS
from riemann_noise_pytorch.experiments.inversion.subject import Subject, range_warning, subject_of, try_out
from riemann_noise_pytorch.experiments.inversion.summary import Facts, rate_counts, summarised
from riemann_noise_pytorch.experiments.inversion.target_images import TargetImages, read_targets
from riemann_noise_pytorch.experiments.inversion.unfinished import Folder
from riemann_noise_pytorch.experiments.records import Record, setup_record, write_records
from riemann_noise_pytorch.experiments.resumable import open_folder
from riemann_noise_pytorch.experiments.targets import Target
from riemann_noise_pytorch.inversion.quality import FOUND_DB
from riemann_noise_pytorch.inversion.recipes import Stage
from riemann_noise_pytorch.inversion.task import Task
from riemann_noise_pytorch.training.signals import StopRequest

OPTIONS = "inversion.json"
Say = Callable[[str], object]


@final
@dataclass(frozen=True, eq=False)
class _Prepared:
    """Everything that is known before the first step."""

    subject: Subject
    images: TargetImages
    plan: Plan
    work: Work
    judge: Judge


def invert_images(
    target: Target,
    images: Sequence[Path | str],
    config: InvertConfig,
    *,
    out: Path,
    resume: bool = False,
    report: Report | None = None,
    say: Say | None = None,
    on_loss: OnLoss | None = None,
) -> None:
    """Find latents and noise for images, and write what the noise contributes.

    Args:
        target: From :func:`~riemann_noise_pytorch.experiments.targets.open_target`; not a set of images.
        images: Files, folders, ZIP archives, and names of built-in sets.
        config: The options.
        out: A new or empty folder; :mod:`~riemann_noise_pytorch.experiments.inversion.results` tells what
            is written there.
        resume: Go on with what is in ``out``, from the same target, images and options.
        report: Called as ``report(stage, done, total)`` as the work goes on.
        say: Called with a line where something is to be known.
        on_loss: Called with the median and the least loss, of the images at work, after each step.

    Raises:
        InputError: The target, an image, a mask or an option cannot be used, or ``out`` is not as it must be.
        Interrupted: SIGTERM or SIGINT came; what is done is kept, and the message tells how to go on.
    """
    config.validate()
    report, say = report or _silent, say or _silent
    ready = _prepared(target, images, config, say)
    options = _told_options(config) | {"target": target.sha256, "images": [str(each) for each in images]}
    open_folder(out / OPTIONS, "inversion", options, resume)
    if (out / RECORDS).is_file():
        say(f"the inversion in {out} is finished already; nothing is left to do")
        return
    with StopRequest() as stop:
        folder = Folder(out, stop)
        film = _film(ready, config)
        arms = both_arms(ready.work, ready.plan, folder, film, report, on_loss)
        fresh = _fresh(ready, arms, config, folder, report)
        found = ways(ready.work, arms.best, arms.found.space, config.points)
    work = ready.work
    shown = results.pictures(work.targets, arms, fresh, ready.subject, film, found, work.masks)
    results.write_tensors(out / PICTURES, shown)
    results.write_tensors(out / TENSORS, *results.tensors(arms, ready.work))
    results.write_images(out / results.RECONSTRUCTIONS, ready.images.names, arms.best.images)
    write_records(out / RECORDS, _records(target, config, ready, arms, fresh))
    folder.clear()


def _silent(*_: object) -> None:
    """Tell nobody."""


def _prepared(target: Target, images: Sequence[Path | str], config: InvertConfig, say: Say) -> _Prepared:
    """Read everything, and refuse what cannot be used before anything is written."""
    subject = subject_of(target)
    perceptual = perceptual_of(config)
    plan = planned(config, subject, perceptual)
    found = read_targets(images, subject.image_shape, config)
    for line in (range_warning(target), *_told_changes(found, config)):
        if line:
            say(line)
    _, height, width = subject.image_shape
    masks = None
    if config.mask is not None:
        masks = read_masks(config.mask, found.names, (height, width), resize=config.resize)
    labels = classes_of(found, config, target.classes)
    work = Work(target, to_float(found.pixels), masks, labels, config.seed, config.batch)
    Task(plan.recipe, work.targets, masks, labels, None, plan.restarts)
    try_out(target, [stage.space for stage in plan.recipe.stages], labels, subject.image_shape)
    judge = Judge(work.targets, masks, perceptual, work.device, config.batch)
    return _Prepared(subject, found, plan, work, judge)


def _told_changes(found: TargetImages, config: InvertConfig) -> list[str]:
    """What was done to images so that they fit."""
    count, told = len(found.names), []
    if found.resized:
        told.append(f"{found.resized} of {count} images were cropped and resized by {config.resize_filter}")
    if found.enlarged:
        told.append(f"{found.enlarged} of {count} images are smaller than the generator's, and were enlarged")
    if found.converted:
        told.append(f"{found.converted} of {count} images were turned from grey to colours, or back")
    return told


def _told_options(config: InvertConfig) -> dict[str, Any]:
    return {n: str(value) if isinstance(value, Path) else value for n, value in asdict(config).items()}


def _film(ready: _Prepared, config: InvertConfig) -> Film:
    return Film(
        len(ready.images.names),
        ready.plan.restarts,
        [stage.steps for stage in ready.plan.recipe.stages],
        ready.subject.image_shape,
        config.frames,
    )


def _fresh(
    ready: _Prepared, arms: Arms, config: InvertConfig, folder: Folder, report: Report
) -> FreshDraws | None:
    """Fresh draws of the noise, where the generator has any."""
    if not ready.subject.draws:
        return None

    def on_draw(done: int) -> None:
        report("fresh draws", done, config.draws)
        folder.check()

    return fresh_draws(ready.work, arms.best, arms.found.space, ready.judge, config.draws, on_draw)


def _records(
    target: Target, config: InvertConfig, ready: _Prepared, arms: Arms, fresh: FreshDraws | None
) -> list[Record]:
    """All records, in the order of the file."""
    found = arms.found
    without = ready.judge.quality(arms.without.images)
    optimised = None if arms.optimised is None else ready.judge.quality(arms.optimised.images)
    each = results.image_records(ready.images.names, arms, without, optimised, fresh)
    rates = {}
    for count in rate_counts(found.restarts):
        images = images_of_first(ready.work, ready.plan, arms, count)
        rates[str(count)] = float((ready.judge.psnr(images) >= FOUND_DB).double().mean())
    values = arms.without.latents[0].numel()
    facts = Facts(ready.subject, rates, values, ready.work.masks is not None, config.seed)
    return [
        _setup(target, config, ready, arms),
        *each,
        summarised(each, facts),
    ]


def _setup(target: Target, config: InvertConfig, ready: _Prepared, arms: Arms) -> Record:
    about = {n: getattr(target, n) for n in ("name", "kind", "sha256", "snapshot", "z_dim", "classes")}
    images, plan = ready.images, ready.plan
    return {
        **setup_record(torch.get_num_threads()),
        "target": about,
        "options": _told_options(config),
        "images": {
            "source": list(images.sources),
            "count": len(images.names),
            "shape": list(ready.subject.image_shape),
            "resized": images.resized,
            "enlarged": images.enlarged,
            "converted": images.converted,
        },
        "recipe": plan.recipe.name,
        "space": plan.recipe.space,
        "objectives": list(arms.found.objectives),
        "stages": [_told_stage(stage) for stage in plan.recipe.stages],
        "restarts": plan.restarts,
        "layers": list(ready.subject.maps),
        "noise_layers": ready.subject.draws,
        "sequential": plan.sequential,
        "distance": ready.judge.distance,
    }


def _told_stage(stage: Stage) -> dict[str, Any]:
    names = ("space", "latent", "noise", "steps", "lr", "schedule", "patience", "enough")
    return {name: getattr(stage, name) for name in names}

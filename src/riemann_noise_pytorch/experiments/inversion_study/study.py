"""Which kind of noise makes images easier to invert? The paper's last experiment, at our scale.

All generators invert the same images from the same starts in as many steps. Each generator and kind of target
is a task of its own, and what is finished is kept when the study is stopped.
"""

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.inversion_study.arm import (
    VISIBLE,
    StudyPart,
    run_part,
    targets_path,
)
from riemann_noise_pytorch.experiments.inversion_study.claim import RULE, claims, in_order, sentences
from riemann_noise_pytorch.experiments.inversion_study.numbers import comparisons, summaries
from riemann_noise_pytorch.experiments.inversion_study.options import InversionStudyConfig
from riemann_noise_pytorch.experiments.inversion_study.recipes import (
    latent_recipe,
    noise_recipe,
    space_for,
)
from riemann_noise_pytorch.experiments.inversion_study.targets import KINDS, Targets, make_targets
from riemann_noise_pytorch.experiments.pool import Task
from riemann_noise_pytorch.experiments.records import (
    Record,
    commit,
    read_records,
    setup_record,
    write_records,
)
from riemann_noise_pytorch.experiments.resumable import Progress, Workers, open_folder, run_all
from riemann_noise_pytorch.experiments.targets import weights_sha256
from riemann_noise_pytorch.files import atomic_write
from riemann_noise_pytorch.inversion.task import told_terms
from riemann_noise_pytorch.models.interfaces import Generator
from riemann_noise_pytorch.models.latent_space import Space
from riemann_noise_pytorch.noise.control import noise_layers
from riemann_noise_pytorch.training.checkpoints import Snapshot, generator_of, newest_snapshot
from riemann_noise_pytorch.training.processes import require_device

OPTIONS = "inversion_study.json"


@dataclass(frozen=True, eq=False)
class TrainedArms:
    """The generators of a comparison.

    Args:
        setup: The record of how they were made.
        arms: Their kinds of noise, none first and Riemannian last, in whatever order they were trained.
        seeds: The seeds of their trainings, in order.
        runs: By arm and seed, folder, snapshot and generator.
    """

    setup: Record
    arms: list[str]
    seeds: list[int]
    runs: Mapping[tuple[str, int], tuple[Path, Snapshot, Generator]]

    @property
    def first(self) -> tuple[Path, Snapshot, Generator]:
        """Any of them, for what all share."""
        return self.runs[self.arms[0], self.seeds[0]]


def inversion_study(
    comparison: str | os.PathLike[str],
    config: InversionStudyConfig,
    out: str | os.PathLike[str],
    *,
    resume: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> Path:
    """Invert the same images with every generator of a comparison, and record.

    Args:
        comparison: A folder of ``riemann-noise compare``, with its runs.
        config: The options.
        out: Folder to write to, new or empty unless ``resume``.
        resume: Go on with a study that was stopped, of the same generators with the same options.
        on_progress: Called as the tasks go on.

    The work is done in processes of its own, so a script that calls this needs an
    ``if __name__ == "__main__":`` guard.

    Returns:
        ``records.jsonl`` in the folder.

    Raises:
        InputError: The comparison, the options or the folder cannot be used.
        NonFiniteError: A reconstruction is not finite; the message names the generator.
        Interrupted: SIGTERM or SIGINT came; finished parts are kept.
    """
    config.validate()
    require_device(config.device)
    trained, folder = read_comparison_runs(Path(comparison)), Path(out)
    _, snapshot, generator = trained.first
    space = space_for(config, generator)
    targets = make_targets(snapshot.config, config.images, config.seed)
    runs = [_run(arm, seed, *trained.runs[arm, seed][1:]) for arm, seed in trained.runs]
    weights = {f"{run['arm']}-seed{run['seed']}": run["sha256"] for run in runs}
    options = dataclasses.asdict(config)
    open_folder(folder / OPTIONS, "study", options | {"generators": weights, "commit": commit()}, resume)
    _keep(targets, folder)
    parts = [
        StudyPart(arm, seed, kind, trained.runs[arm, seed][0], folder, config, space)
        for seed in trained.seeds
        for arm in trained.arms
        for kind in KINDS
    ]
    tasks = [Task(part.name, run_part, (part,)) for part in parts if not part.records.is_file()]
    run_all(tasks, Workers(config.workers, config.threads, config.device), folder, on_progress)
    scores = [record for part in parts for record in read_records(part.records)]
    setup = _setup(config, trained, targets, space) | _commits(folder)
    path = folder / "records.jsonl"
    write_records(path, [setup, *runs, *scores, *_findings(scores, trained, targets)])
    return path


def read_comparison_runs(folder: Path) -> TrainedArms:
    """Find the generators of a comparison.

    Args:
        folder: That of ``riemann-noise compare``.

    Raises:
        InputError: It is none, is not finished, or has no runs.
    """
    path = folder / "records.jsonl"
    if not path.is_file():
        unfinished = (folder / "compare.json").is_file()
        remedy = "finish it by riemann-noise compare --resume" if unfinished else "check the path"
        raise InputError(f"{folder} holds no finished comparison, for it has no records.jsonl; {remedy}")
    setup = next((record for record in read_records(path) if record.get("record") == "setup"), {})
    arms, seeds = setup.get("arms"), setup.get("seeds")
    if not arms or not seeds:
        raise InputError(f"{path} is not of a comparison; give the folder of riemann-noise compare")
    arms, runs = in_order(arms), {}
    for arm in arms:
        for seed in seeds:
            run_dir = folder / "runs" / f"{arm}-seed{seed}"
            if not run_dir.is_dir():
                raise InputError(
                    f"{folder} lacks the training runs/{run_dir.name}; give the folder that riemann-noise "
                    "compare wrote, with all its runs"
                )
            snapshot = newest_snapshot(run_dir)
            runs[arm, seed] = run_dir, snapshot, generator_of(snapshot)
    return TrainedArms(setup, arms, list(seeds), runs)


def _run(arm: str, seed: int, snapshot: Snapshot, generator: Generator) -> Record:
    return {
        "record": "run",
        "arm": arm,
        "seed": seed,
        "snapshot": snapshot.path.name,
        "sha256": weights_sha256(generator),
        "strengths": {name: layer.strength().item() for name, layer in noise_layers(generator).items()},
    }


def _commits(folder: Path) -> Record:
    """The commit that the study was started with, and the one that finished it, where it is another."""
    begun, now = json.loads((folder / OPTIONS).read_text(encoding="utf-8")), commit()
    started = begun.get("commit", now)
    return {"commit": started} | ({} if started == now else {"finished_by": now})


def _keep(targets: Targets, folder: Path) -> None:
    """Write the targets, or check that those of a study that goes on are the same."""
    path = targets_path(folder)
    tensors = targets.images | {VISIBLE: targets.visible}
    if path.is_file():
        before = load_file(path)
        if not all(name in before and torch.equal(before[name], tensors[name]) for name in tensors):
            raise InputError(
                f"the images are others than when the study in {folder} was started; restore them, or start "
                "anew in another folder"
            )
        return
    with atomic_write(path) as temporary:
        save_file(tensors, temporary)


def _setup(config: InversionStudyConfig, trained: TrainedArms, targets: Targets, space: Space) -> Record:
    _, _, generator = trained.first
    recipes = latent_recipe(config, space), noise_recipe(config, space)
    return {
        **setup_record(config.threads),
        "options": dataclasses.asdict(config),
        "comparison": {name: trained.setup.get(name) for name in ("version", "commit", "data", "config")},
        "arms": trained.arms,
        "seeds": trained.seeds,
        "kinds": targets.told,
        "held_out": targets.held_out,
        "source": targets.source,
        "image_shape": list(generator.image_shape),
        "space": space,
        "objectives": [told_terms(recipe.stages[0].objectives) for recipe in recipes],
        "lr": [recipe.stages[0].lr for recipe in recipes],
        "rule": RULE,
    }


def _findings(scores: list[Record], trained: TrainedArms, targets: Targets) -> list[Record]:
    means = summaries(scores, trained.arms, trained.seeds)
    differences = comparisons(scores, trained.arms, trained.seeds)
    found = claims(differences, means)
    told = sentences(found, differences, means, held_out=targets.held_out)
    return [
        *means,
        *differences,
        *({"record": "claim", **dataclasses.asdict(claim)} for claim in found),
        {"record": "verdict", "sentences": told},
    ]

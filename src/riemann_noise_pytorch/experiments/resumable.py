"""An experiment of many tasks in one folder: opened, run in worker processes, stopped and resumed."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from riemann_noise_pytorch.errors import InputError, Interrupted
from riemann_noise_pytorch.experiments.pool import Event, Task, run_tasks
from riemann_noise_pytorch.experiments.records import Record, cores
from riemann_noise_pytorch.files import atomic_write
from riemann_noise_pytorch.training.checkpoints import with_new_names
from riemann_noise_pytorch.training.config import Device

MAY_CHANGE = ("workers", "commit")
"""What a resumed experiment may have of its own: how it is worked at, and the commit that it goes on with."""


@dataclass(frozen=True)
class Progress:
    """How far an experiment is.

    Args:
        event: What happened last.
        finished: Tasks done.
        tasks: All tasks.
    """

    event: Event
    finished: int
    tasks: int


@dataclass(frozen=True)
class Workers:
    """In how many processes tasks are done.

    Args:
        workers: Tasks at once; 0: one for every core, or one on a GPU.
        threads: Threads of each.
        device: Where they compute.
    """

    workers: int
    threads: int
    device: Device

    @property
    def at_once(self) -> int:
        """Tasks at once."""
        on_gpu = self.device == "cuda" or (self.device == "auto" and torch.cuda.is_available())
        return self.workers or (1 if on_gpu else max(1, cores() // self.threads))


def open_folder(path: Path, what: str, options: Record, resume: bool) -> None:
    """Start an experiment in a new folder, or check that the one in it has the same options.

    Args:
        path: File of the options, in the folder of the experiment: new or empty, unless ``resume``.
        what: The kind of experiment in a word, such as ``comparison``.
        options: The options by name.
        resume: Go on with what is there.

    Raises:
        InputError: The folder holds something else, nothing to resume, or other options.
    """
    folder, options = path.parent, json.loads(json.dumps(options))
    if resume:
        _check_same(path, what, options)
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists and is not empty; choose another --out, or go on with --resume")
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(options, indent=1) + "\n", encoding="utf-8")


def run_all(
    tasks: Sequence[Task], workers: Workers, folder: Path, on_progress: Callable[[Progress], None] | None
) -> None:
    """Run the tasks of an experiment.

    Args:
        tasks: What is left to do.
        workers: In how many processes.
        folder: Where what is finished is kept, for the message when stopped.
        on_progress: Called as the tasks go on.

    Raises:
        RiemannNoiseError: A task could not go on.
        Interrupted: SIGTERM or SIGINT came; the message tells how to go on.
    """
    finished = 0

    def on_event(event: Event) -> None:
        nonlocal finished
        finished += event.stage == "finished"
        if on_progress is not None:
            on_progress(Progress(event, finished, len(tasks)))

    try:
        run_tasks(tasks, workers.at_once, workers.threads, on_event)
    except Interrupted as stopped:
        raise Interrupted(
            f"stopped; what is finished is kept in {folder}: give the same command with --resume to go on",
            stopped.exit_code - 128,
        ) from None


def _check_same(path: Path, what: str, options: Record) -> None:
    """Refuse to go on with other options than those that an experiment was started with."""
    if not path.is_file():
        raise InputError(f"{path.parent} holds no {what} to resume; check the path, or leave --resume away")
    try:
        before = with_new_names(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is damaged ({error}); restore it, or start anew in another folder"
        ) from error
    differing = [
        name for name, value in options.items() if before.get(name) != value and name not in MAY_CHANGE
    ]
    if differing:
        raise InputError(
            f"the {what} in {path.parent} was started with another {', '.join(differing)}; "
            "resume it with its own options"
        )

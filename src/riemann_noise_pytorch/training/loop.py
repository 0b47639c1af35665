"""The training loop: from options and images to a run folder that can be resumed.

A resumed run equals an uninterrupted one, bit for bit on a CPU: what a step draws depends on the seed and the
step alone, and a snapshot holds all that a step changes.

Several processes (``accelerate launch``, ``torchrun``) share every batch; losses, gradients and the wish to
stop are averaged in one communication for each player. Networks without batch norm then train as one process
would. Batch norm takes its statistics from each process's share, except on several GPUs, where they are
synchronised (for the discriminator only without a penalty: synchronised norms have no second derivative).
"""

import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast, final

import torch
from accelerate import Accelerator
from torch import Tensor

from riemann_noise_pytorch.data.imageset import ImageSet, to_float
from riemann_noise_pytorch.data.sampler import batches, index_batches
from riemann_noise_pytorch.errors import InputError, Interrupted, RiemannNoiseError
from riemann_noise_pytorch.models.interfaces import Generator
from riemann_noise_pytorch.noise.control import noise_layers
from riemann_noise_pytorch.statistics.sampling import Gather, Processes
from riemann_noise_pytorch.training.checkpoints import (
    Snapshot,
    list_snapshots,
    newest_snapshot,
    prune_snapshots,
    set_aside_beyond,
    snapshot_path,
    write_snapshot,
)
from riemann_noise_pytorch.training.config import TrainConfig
from riemann_noise_pytorch.training.hooks import StepInfo, Stopped, TickInfo
from riemann_noise_pytorch.training.processes import by_process, make_accelerator, synchronise_norms
from riemann_noise_pytorch.training.randomness import random_states, restore_random_states
from riemann_noise_pytorch.training.real_images import (
    data_record,
    images_failed,
    in_any_process,
    same_data_record,
)
from riemann_noise_pytorch.training.run_folder import RunFolder
from riemann_noise_pytorch.training.sample_grid import draw_samples, spread
from riemann_noise_pytorch.training.signals import StopRequest
from riemann_noise_pytorch.training.state import TrainState, config_for_images
from riemann_noise_pytorch.training.step import NoiseSource, Trainer
from riemann_noise_pytorch.training.symptoms import Symptoms
from riemann_noise_pytorch.training.validation import remarks

__all__ = ["NoiseSource", "StepInfo", "TickInfo", "train"]


def train(
    config: TrainConfig,
    images: ImageSet,
    run_dir: str | os.PathLike[str],
    *,
    resume: bool = False,
    on_tick: Callable[[TickInfo], None] | None = None,
    progress: Callable[[StepInfo], None] | None = None,
    accelerator: Accelerator | None = None,
    noise_source: NoiseSource | None = None,
) -> Path:
    """Train a generator, or go on training it.

    Before the first step every image is decoded once, in the first process, for the hash of their content.

    Args:
        config: The options; what they leave open is taken from the images.
        images: The real images, of the resolution and channels that the options ask for.
        run_dir: The run folder, new or empty unless ``resume``.
        resume: Go on from the newest undamaged snapshot in ``run_dir``, or from the start where the run
            was stopped before its first; only a greater ``kimg`` may differ from the run's options, and
            ``workers``, ``keep_snapshots``, ``tracker`` and ``device``.
        on_tick: Called at every tick, in every process, after the snapshot where one is due.
        progress: Called after every step, in the first process.
        accelerator: Device, precision and processes; made from the options by default.
        noise_source: Replaces fresh noise: from the generator, the step and the global index of the process's
            first sample to a context within which the generator is called.

    Returns:
        The last snapshot.

    Raises:
        InputError: Options, images, folder or snapshot cannot be used, or a file cannot be written. Where
            an image fails under way, a snapshot of the state before it is written.
        NonFiniteError: A loss or a gradient is not finite; the last snapshot is kept.
        Interrupted: SIGTERM or SIGINT came; a snapshot was written.

    Example:
        >>> from tempfile import mkdtemp
        >>> from riemann_noise_pytorch.data import open_images
        >>> config = TrainConfig(kimg=0.016, tick_kimg=0.016, batch=8, width=4)
        >>> train(config, open_images("digits"), mkdtemp()).name
        '00000016.safetensors'
    """
    config.validate()
    accelerator = accelerator or make_accelerator(config, run_dir)
    complete = config_for_images(config, images)
    complete.validate(accelerator.num_processes)
    folder = RunFolder(run_dir)
    snapshot = None
    if resume:
        folder.require_same(complete)
        if list_snapshots(run_dir) or folder.stats():
            snapshot = newest_snapshot(run_dir)
    else:
        folder.require_new()
    if snapshot is None:
        data = data_record(images, accelerator)
    else:
        data = same_data_record(snapshot.data, images, accelerator, run_dir)
    accelerator.wait_for_everyone()
    run = _Run(complete, images, data, folder, accelerator, noise_source)
    run.on_tick, run.progress = on_tick, progress
    try:
        with StopRequest() as stop:
            run.open(snapshot)
            return run.go(stop)
    except RiemannNoiseError as error:
        with suppress(InputError):
            if folder.is_begun:
                run.log(str(error))
        raise
    finally:
        run.close()


@final
class _Run:
    """A run under way: the trainer, the folder, the clock."""

    on_tick: Callable[[TickInfo], None] | None
    progress: Callable[[StepInfo], None] | None

    def __init__(
        self,
        config: TrainConfig,
        images: ImageSet,
        data: Mapping[str, Any],
        folder: RunFolder,
        accelerator: Accelerator,
        noise_source: NoiseSource | None,
    ) -> None:
        self.config = config
        self.images = images
        self.data = data
        self.folder = folder
        self.accelerator = accelerator
        self.is_main = accelerator.is_main_process
        self.state = TrainState(config, accelerator.device)
        synchronise_norms(self.state.generator, accelerator)
        if config.gamma == 0:
            synchronise_norms(self.state.discriminator, accelerator)
        self.labels = images.labels if config.conditional else None
        self.trainer = Trainer(config, self.state, accelerator, noise_source, labels=self.labels)
        self.symptoms = Symptoms(config)
        self._started_s = time.perf_counter()
        self._step_seconds_s = 0.0
        self._steps_timed = 0

    @property
    def images_seen(self) -> int:
        return self.state.step * self.config.batch

    def open(self, snapshot: Snapshot | None) -> None:
        """Start the folder, or take over a snapshot and cut what lies beyond it."""
        if self.is_main:
            self.folder.remove_leftovers()
        if snapshot is None:
            self._start()
        else:
            self._take_over(snapshot)
        if self.config.tracker != "none":
            options = {name: str(value) for name, value in asdict(self.config).items()}
            self.accelerator.init_trackers("riemann-noise", config=options)

    def _start(self) -> None:
        if self.is_main:
            self.folder.write_config(self.config)
            self._save_samples(self.state.ema.refresh())
        images, device = self.images, self.accelerator.device.type
        self.log(f"started with {len(images)} images of {images.name}, on {device}")
        for remark in remarks(self.config):
            self.log(remark)
        for name, reason in images.skipped:
            self.log(f"left out {name}: {reason}")
        self._save()

    def _take_over(self, snapshot: Snapshot) -> None:
        device = self.accelerator.device
        self.state.load(snapshot.tensors, snapshot.step, str(snapshot.path))
        mark = f"rng/{self.accelerator.process_index}/"
        states = {n.removeprefix(mark): t for n, t in snapshot.tensors.items() if n.startswith(mark)}
        restore_random_states(states, device)
        self.trainer.last_snapshot = snapshot.path
        if self.is_main:
            for path in set_aside_beyond(self.folder.path, snapshot.images_seen):
                self.log(f"a damaged snapshot was set aside as {path.name}")
            kept = self.folder.cut_stats(snapshot.images_seen)
            self._started_s -= kept[-1]["elapsed_s"] if kept else 0.0
            self.symptoms = Symptoms(self.config, kept)
            self.folder.write_config(self.config)
        self.log(f"resumed from {snapshot.path.name}, on {device.type}")
        if snapshot.device not in ("", device.type):
            self.log(f"the device was {snapshot.device} before: from here on roundings and noise are others")

    def go(self, stop: StopRequest) -> Path:
        """Take the steps that are left; give the last snapshot."""
        config, state = self.config, self.state
        alone = self.accelerator.num_processes == 1
        place = {
            "seed": config.seed,
            "start": self.images_seen,
            "batch": config.batch,
            "rank": self.accelerator.process_index,
            "world_size": self.accelerator.num_processes,
        }
        stream = batches(self.images, **place, workers=config.workers)
        order = index_batches(len(self.images), **place)
        while state.step < config.steps:
            began_s = time.perf_counter()
            labels = None if self.labels is None else self.labels[next(order)]
            pixels = self._next(stream)
            measures, stopping = self.trainer.step(pixels, stop.number != 0, labels)
            self._note(measures, time.perf_counter() - began_s)
            stopping = stopping or (alone and stop.number != 0)
            ends = state.step == config.steps
            ticks, beyond = divmod(state.step, config.steps_per_tick)
            info = self._tick(pixels, ends, stop) if beyond == 0 or ends else None
            if stopping or ends or (beyond == 0 and ticks % config.snapshot_ticks == 0):
                self._save()
            if info and self.on_tick:
                self._show(info, self.on_tick, stop)
            if stopping and not ends:
                raise self._interrupted(stop.number)
        return self.trainer.last_snapshot or self._save()

    def close(self) -> None:
        """Finish the trackers."""
        for tracker in self.accelerator.trackers if self.is_main else ():
            tracker.finish()

    def log(self, message: str) -> None:
        """Write a line to the run's log."""
        if self.is_main:
            self.folder.log(f"{self.images_seen} images: {message}")

    def _next(self, stream: Iterator[Tensor]) -> Tensor:
        """Give the next real images; where they fail in any process, all save the state and stop."""
        failure: Exception | None = None
        batch = torch.empty(0)
        try:
            batch = next(stream)
        except Exception as error:
            failure = error
        if in_any_process(self.accelerator, failure is not None):
            saved = self._save()
            if failure and not isinstance(failure, InputError):
                raise failure
            raise images_failed(failure, self.folder.path, saved) from failure
        return batch

    def _note(self, measures: Mapping[str, float], seconds_s: float) -> None:
        state = self.state
        for name, value in measures.items():
            if math.isfinite(value):
                total, count = state.sums[name]
                state.sums[name] = (total + value, count + 1)
        self._step_seconds_s += seconds_s
        self._steps_timed += 1
        if self.progress and self.is_main:
            speed = self._images_per_s()
            self.progress(StepInfo(state.step, self.config.steps, self.images_seen, speed, measures))

    def _tick(self, pixels: Tensor, is_last: bool, stop: StopRequest) -> TickInfo:
        means = {name: total / count if count else None for name, (total, count) in self.state.sums.items()}
        means["real_spread"] = spread(to_float(pixels))
        self.state.sums = dict.fromkeys(self.state.sums, (0.0, 0))
        speed = self._images_per_s()
        self._step_seconds_s, self._steps_timed = 0.0, 0
        generator = self.state.ema.refresh()
        stats = self._tell(means, speed, generator) if self.is_main else {}
        signs = self.symptoms.look(stats) if self.is_main else []
        for sign in signs:
            self.log(sign)
        accelerator = self.accelerator
        gather = cast("Gather", accelerator.gather)
        return TickInfo(
            generator=generator,
            images_seen=self.images_seen,
            stats=stats,
            signs=signs,
            run_dir=self.folder.path,
            is_last=is_last,
            processes=Processes(accelerator.process_index, accelerator.num_processes, gather),
            export=self._export,
            save=self._save_once,
            stopping=lambda: stop.number != 0,
        )

    def _show(self, info: TickInfo, on_tick: Callable[[TickInfo], None], stop: StopRequest) -> None:
        try:
            on_tick(info)
        except Stopped:
            self._save_once()
            raise self._interrupted(stop.number) from None

    def _tell(self, means: Mapping[str, float | None], speed: float, generator: Generator) -> dict[str, Any]:
        """Write what a tick leaves in the folder and in the trackers; give its line of ``stats.jsonl``."""
        samples = self._save_samples(generator)
        strengths = {
            name: float(layer.strength()) for name, layer in noise_layers(self.state.generator).items()
        }
        stats = {
            "kimg": self.images_seen / 1000,
            "images_seen": self.images_seen,
            **means,
            "sample_spread": spread(samples),
            "noise_strengths": strengths,
            "images_per_s": round(speed, 1),
            "elapsed_s": round(time.perf_counter() - self._started_s, 3),
            "peak_memory_mib": _peak_memory_mib(self.accelerator.device),
        }
        self.folder.append_stats(stats)
        numbers = {name: value for name, value in stats.items() if isinstance(value, (int, float))}
        named = {f"noise_strength/{name}": value for name, value in strengths.items()}
        self.accelerator.log(numbers | named, step=self.images_seen)
        return stats

    def _export(self, name: str) -> Path:
        tensors = {n: t for n, t in self.state.tensors().items() if n.startswith("ema/")}
        return self._write(tensors, self.folder.path / name)

    def _save_samples(self, generator: Generator) -> Tensor:
        samples = draw_samples(self.config, generator, self.accelerator.device)
        self.folder.save_samples(samples, self.images_seen)
        return samples

    def _save(self) -> Path:
        states = by_process(self.accelerator, random_states(self.accelerator.device))
        if self.is_main:
            tensors = {**self.state.tensors(), **{f"rng/{name}": state for name, state in states.items()}}
            written = self._write(tensors, snapshot_path(self.folder.path, self.images_seen))
            prune_snapshots(self.folder.path, self.config.keep_snapshots, written)
        self.accelerator.wait_for_everyone()  # whoever goes on to read the newest snapshot must find this one
        path = snapshot_path(self.folder.path, self.images_seen)
        self.trainer.last_snapshot = path
        return path

    def _save_once(self) -> Path:
        path = snapshot_path(self.folder.path, self.images_seen)
        return path if self.trainer.last_snapshot == path else self._save()

    def _write(self, tensors: Mapping[str, Tensor], path: Path) -> Path:
        return write_snapshot(
            path,
            tensors,
            config=self.config,
            images_seen=self.images_seen,
            step=self.state.step,
            data=self.data,
            device=self.accelerator.device.type,
        )

    def _images_per_s(self) -> float:
        return self._steps_timed * self.config.batch / max(self._step_seconds_s, 1e-9)

    def _interrupted(self, number: int) -> Interrupted:
        number = number or signal.SIGTERM
        folder = self.folder.path
        ways = f"go on with: riemann-noise train --resume {folder}"
        if self.state.step == self.config.steps:
            ways = f"the run is complete, to be measured with: riemann-noise evaluate {folder}"
        return Interrupted(
            f"{signal.Signals(number).name} came at {self.images_seen / 1000:g} kimg; the state is in "
            f"{self.trainer.last_snapshot}; {ways}",
            number,
        )


def _peak_memory_mib(device: torch.device) -> float | None:
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)

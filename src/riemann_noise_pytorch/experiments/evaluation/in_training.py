"""Evaluation while a run trains: at every so many ticks and at its end; the best average is kept.

It hangs on the loop's ``on_tick`` and puts torch's generators back, so a run with metrics equals the run
without, bit for bit on a CPU. The state is saved before each evaluation, so none can cost training.
"""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import torch

from riemann_noise_pytorch.data.imageset import ImageSet
from riemann_noise_pytorch.errors import InputError, RiemannNoiseError
from riemann_noise_pytorch.experiments.evaluation.evaluate import Report, evaluate
from riemann_noise_pytorch.experiments.evaluation.metric_files import Evaluation, read_evaluations
from riemann_noise_pytorch.experiments.evaluation.options import EvaluateConfig
from riemann_noise_pytorch.experiments.evaluation.plan import Plan
from riemann_noise_pytorch.experiments.targets import Target, weights_sha256
from riemann_noise_pytorch.files import atomic_write
from riemann_noise_pytorch.metrics.catalogue import parse_metrics
from riemann_noise_pytorch.models.interfaces import Generator
from riemann_noise_pytorch.models.networks import build_generator
from riemann_noise_pytorch.noise.failures import is_out_of_memory
from riemann_noise_pytorch.statistics.sampling import ALONE, Processes
from riemann_noise_pytorch.training.checkpoints import BEST, load_generator
from riemann_noise_pytorch.training.config import TrainConfig
from riemann_noise_pytorch.training.hooks import Stopped, TickInfo
from riemann_noise_pytorch.training.state import network_config

DEFAULT_TICKS = 10
FILE = "evaluation.json"
HIGHER_IS_BETTER = ("is", "cs", "pr", "ipr")


@dataclass(frozen=True)
class Schedule:
    """What is measured during a training, and how often.

    Args:
        metrics: Metrics and groups, separated by commas; by the first of them the best snapshot is chosen.
        every_ticks: Ticks from one evaluation to the next; the last tick is always evaluated.
    """

    metrics: str
    every_ticks: int = DEFAULT_TICKS

    def __post_init__(self) -> None:
        parse_metrics(self.metrics)
        if self.every_ticks < 1:
            raise InputError(f"metric ticks is {self.every_ticks}; give 1 or more")

    def write(self, run_dir: Path) -> None:
        """Keep it in a run folder, for whoever resumes the run."""
        with atomic_write(run_dir / FILE) as temporary:
            temporary.write_text(json.dumps(vars(self)) + "\n", encoding="utf-8")

    @staticmethod
    def of_run(run_dir: Path) -> "Schedule | None":
        """Read what a run folder says; None if it says nothing.

        Raises:
            InputError: The file is damaged.
        """
        path = run_dir / FILE
        if not path.is_file():
            return None
        try:
            return Schedule(**json.loads(path.read_text(encoding="utf-8")))
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        except (ValueError, TypeError, AttributeError, OSError) as error:
            raise InputError(f"{path} is damaged ({error}); delete it, and give --metrics") from error


@final
class TrainingEvaluation:
    """Called at every tick; measures the average where it is due.

    Args:
        schedule: What and when.
        config: Options of the training, complete.
        images: Its real images.
        tell: Called with what was measured, in the first process.
        say: Called with a line where something is to be known, in the first process; no line comes twice.
        report: Called as ``report(stage, done, total)`` as an evaluation goes on, in the first process.

    Raises:
        InputError: A metric cannot be measured on such a run; so told before it begins.
    """

    def __init__(
        self,
        schedule: Schedule,
        config: TrainConfig,
        images: ImageSet,
        tell: Callable[[list[Evaluation]], object],
        say: Callable[[str], object],
        report: Report | None = None,
    ) -> None:
        self._schedule, self._config, self._images = schedule, config, images
        self._tell, self._report, self._said = tell, report, set[str]()
        self._say_always = say
        self._options = EvaluateConfig(metrics=schedule.metrics, redraws=1)
        self._first = parse_metrics(schedule.metrics)[0]
        self._is_written = False
        with torch.random.fork_rng(devices=[]):
            untrained = build_generator(network_config(config)).eval()
            Plan(self._target("the run", untrained, 0), self._options, images, "cpu", ALONE, self._say)

    def __call__(self, info: TickInfo) -> None:
        """Measure, record, and keep the average if it is the best so far.

        What fails, such as a number that is not finite, as of a collapsed generator, or memory that runs
        out, is told; it ends the run only where several processes share the work.

        Raises:
            RiemannNoiseError: One of several processes cannot measure a metric.
            Stopped: The run was asked to stop.
        """
        tick, beyond = divmod(info.images_seen // self._config.batch, self._config.steps_per_tick)
        if not info.is_last and (beyond or tick % self._schedule.every_ticks):
            self._on_time(info, self._keep_schedule)
            return
        saved = info.save()
        self._on_time(info, lambda info: self._measure(info, saved.name))

    def _on_time(self, info: TickInfo, work: Callable[[TickInfo], object]) -> None:
        """Do what a tick asks for; alone, a failure is told and training goes on."""
        try:
            work(info)
        except Exception as error:
            is_told = isinstance(error, RiemannNoiseError) or is_out_of_memory(error)
            if info.processes.world_size > 1 or not is_told:  # the others cannot know if this one goes on
                raise
            failure = str(error).partition("\n")[0] or type(error).__name__
        else:
            return
        if torch.cuda.is_available():  # outside of the handler, for the error holds on to tensors
            torch.cuda.empty_cache()
        self._say_always(f"not measured at {info.images_seen / 1000:g} kimg: {failure}")

    def _keep_schedule(self, info: TickInfo) -> None:
        if info.processes.rank == 0 and not self._is_written:
            self._schedule.write(info.run_dir)
            self._is_written = True

    def _measure(self, info: TickInfo, snapshot: str) -> None:
        self._keep_schedule(info)
        found = self._measured(info, snapshot)
        if info.processes.rank == 0:
            if self._is_best(found[0], info.run_dir):
                info.export(BEST)
            self._tell(found)

    def _measured(self, info: TickInfo, snapshot: str) -> list[Evaluation]:
        def check() -> None:
            if info.stopping():
                raise Stopped

        device = next(info.generator.parameters()).device
        cuda = [device] if device.type == "cuda" else []
        share = max(1, self._config.batch // info.processes.world_size)
        with torch.random.fork_rng(devices=cuda):
            generator = _of_first(info.generator, info.processes)
            return evaluate(
                self._target(str(info.run_dir), generator, info.images_seen, snapshot),
                replace(self._options, batch=min(share, self._options.batch)),
                out=info.run_dir,
                resume=True,
                images=self._images,
                device=device,
                processes=info.processes,
                report=self._report,
                say=self._say,
                check=check,
            )

    def _say(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._say_always(line)

    def _target(self, name: str, generator: Generator, images_seen: int, snapshot: str = "") -> Target:
        return Target(
            name=name,
            kind="run",
            generator=generator,
            z_dim=generator.z_dim,
            sha256=weights_sha256(generator),
            snapshot=snapshot,
            images_seen=images_seen,
            config=self._config,
        )

    def _is_best(self, evaluation: Evaluation, run_dir: Path) -> bool:
        """Whether it is as good as the average kept so far, or better, or nothing comparable is kept."""
        try:
            kept = weights_sha256(load_generator(run_dir / BEST))
        except InputError:
            return True
        sign = -1 if self._first.family in HIGHER_IS_BETTER else 1
        records = [each for each in read_evaluations(run_dir, self._say) if each.target["sha256"] == kept]
        scores = [_score(each) for each in records if _is_alike(each, evaluation)]
        return not scores or sign * _score(evaluation) <= sign * scores[-1]


def _of_first(generator: Generator, processes: Processes) -> Generator:
    """Give all processes the generator of the first: statistics of batch norm are each process's own."""
    if processes.world_size == 1:
        return generator
    generator = copy.deepcopy(generator)
    with torch.no_grad():
        for buffer in generator.buffers():
            whole = processes.gathered(buffer.reshape(1, -1))
            buffer.copy_(whole[0].view_as(buffer))
    return generator


def _is_alike(first: Evaluation, second: Evaluation) -> bool:
    """Whether two numbers of one run may be compared: the same images, seed, extractor and so on."""
    idle = ("batch", "processes", "versions", "environment", "commit")
    one, other = ({k: v for k, v in e.protocol.items() if k not in idle} for e in (first, second))
    kinds = [(e.metric, e.target["kind"], e.target.get("weights")) for e in (first, second)]
    return one == other and kinds[0] == kinds[1]


def _score(evaluation: Evaluation) -> float:
    return next(iter(evaluation.results.values()))

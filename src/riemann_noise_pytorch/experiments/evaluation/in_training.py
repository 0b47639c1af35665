"""Evaluation while a run trains: at every so many ticks and at its end; the best average is kept.

It hangs on the loop's ``on_tick`` and draws nothing from torch's generators that it does not put back, so a
run with metrics equals the run without, bit for bit on a CPU.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final

from riemann_noise_pytorch.data.imageset import ImageSet
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.evaluation.evaluate import evaluate
from riemann_noise_pytorch.experiments.evaluation.metric_files import Evaluation, read_evaluations
from riemann_noise_pytorch.experiments.evaluation.options import EvaluateConfig
from riemann_noise_pytorch.experiments.evaluation.targets import Target, weights_sha256
from riemann_noise_pytorch.files import atomic_write
from riemann_noise_pytorch.metrics.catalogue import parse_metrics
from riemann_noise_pytorch.training.checkpoints import BEST
from riemann_noise_pytorch.training.config import TrainConfig
from riemann_noise_pytorch.training.hooks import TickInfo

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
    every_ticks: int = 10

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
        except (ValueError, TypeError) as error:
            raise InputError(f"{path} is damaged ({error}); delete it, and give --metrics") from error


@final
class TrainingEvaluation:
    """Called at every tick; measures the average where it is due.

    Args:
        schedule: What and when.
        config: Options of the training.
        images: Its real images.
        tell: Called with what was measured, in the first process.
    """

    def __init__(
        self,
        schedule: Schedule,
        config: TrainConfig,
        images: ImageSet,
        tell: Callable[[list[Evaluation]], object],
    ) -> None:
        self._schedule, self._config, self._images, self._tell = schedule, config, images, tell
        self._options = EvaluateConfig(metrics=schedule.metrics, redraws=1)
        self._first = parse_metrics(schedule.metrics)[0]

    def __call__(self, info: TickInfo) -> None:
        """Measure, record, and keep the average if it is the best so far.

        Raises:
            RiemannNoiseError: A metric cannot be measured.
        """
        tick, beyond = divmod(info.images_seen // self._config.batch, self._config.steps_per_tick)
        if not info.is_last and (beyond or tick % self._schedule.every_ticks):
            return
        target = Target(
            name=str(info.run_dir),
            kind="run",
            generator=info.generator,
            z_dim=info.generator.z_dim,
            sha256=weights_sha256(info.generator),
            images_seen=info.images_seen,
            config=self._config,
        )
        is_first = info.processes.rank == 0
        if is_first:
            self._schedule.write(info.run_dir)
        found = evaluate(
            target,
            self._options,
            out=info.run_dir,
            resume=True,
            images=self._images,
            device=next(info.generator.parameters()).device,
            processes=info.processes,
        )
        if is_first:
            if self._is_best(found[0], info.run_dir):
                info.export(BEST)
            self._tell(found)

    def _is_best(self, evaluation: Evaluation, run_dir: Path) -> bool:
        """Whether no other evaluation of this run is better; the record itself is in the folder already."""
        sign = -1 if self._first.family in HIGHER_IS_BETTER else 1
        same = [e for e in read_evaluations(run_dir) if e.metric == evaluation.metric]
        return sign * _score(evaluation) <= min(
            sign * _score(each) for each in same if each.target["kind"] == "run"
        )


def _score(evaluation: Evaluation) -> float:
    return next(iter(evaluation.results.values()))

"""Measure one target by many metrics: what they share is computed once, what is finished is on disk.

Metrics that share an extractor are measured together; each is recorded as soon as it is complete.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from riemann_noise_pytorch.data.imageset import ImageSet
from riemann_noise_pytorch.experiments.evaluation.direct_metrics import (
    conditions,
    path_length,
    sliced_wasserstein,
)
from riemann_noise_pytorch.experiments.evaluation.feature_metrics import Setting, measure_features
from riemann_noise_pytorch.experiments.evaluation.measured import Measured
from riemann_noise_pytorch.experiments.evaluation.metric_files import (
    Evaluation,
    append_evaluation,
    read_evaluations,
    require_writable,
)
from riemann_noise_pytorch.experiments.evaluation.options import EvaluateConfig
from riemann_noise_pytorch.experiments.evaluation.plan import Plan
from riemann_noise_pytorch.experiments.targets import Target
from riemann_noise_pytorch.metrics.catalogue import PATHS, Metric
from riemann_noise_pytorch.metrics.reference_cache import default_folder
from riemann_noise_pytorch.statistics.sampling import ALONE, Processes

IDLE = ("name", "kind", "snapshot", "environment")
"""Parts of records that change no number: the weights' hash tells what a file's name cannot."""
SHARING = ("batch", "processes")
"""Parts that change none beyond rounding, but for noise that a generator of the user's own draws."""
Report = Callable[[str, int, int], object]
Say = Callable[[str], object]


def evaluate(
    target: Target,
    config: EvaluateConfig,
    *,
    out: Path | None = None,
    resume: bool = False,
    images: ImageSet | None = None,
    device: torch.device | str = "cpu",
    processes: Processes = ALONE,
    report: Report | None = None,
    say: Say | None = None,
    tell: Callable[[Evaluation], object] | None = None,
    check: Callable[[], object] | None = None,
) -> list[Evaluation]:
    """Measure a target.

    Args:
        target: From :func:`~riemann_noise_pytorch.experiments.targets.open_target`.
        config: The options.
        out: Folder of the files ``metric-NAME.jsonl``; None writes none.
        resume: Leave out what the files there hold already, of the same target, protocol and versions.
        images: The real images; opened as the options and the target say if None.
        device: Where the target's generator is, and where features are computed.
        processes: Which of several processes this is; the first writes.
        report: Called as ``report(stage, done, total)`` as the work goes on.
        say: Called with a line where something is to be known.
        tell: Called with each number when it is complete, in every process.
        check: Called between batches; what it raises ends the evaluation.

    Returns:
        What was measured, in the order asked for; what ``resume`` left out is read from the files.

    Raises:
        InputError: A metric cannot be measured on this target, options do not fit, or ``out`` cannot be
            written.
        NonFiniteError: Images, features or distances are not finite.
    """
    say, tell, check = say or _silent, tell or _silent, check or _silent
    plan = Plan(target, config, images, device, processes, say, check)
    if out is not None and processes.rank == 0:
        require_writable(out)
    done = _finished(plan, out, say) if resume and out is not None else {}
    for evaluation in done.values():
        tell(evaluation)
    todo = [metric for metric in plan.metrics if metric.name not in done]
    for metric, measured, seconds in _measure(plan, todo, _checked(report or _silent, check), say):
        evaluation = Evaluation(
            metric=plan.keys[metric.name],
            name=plan.remarked(metric, measured.name),
            results=measured.results,
            intervals=measured.intervals,
            values=measured.values,
            target=plan.target_record,
            protocol=plan.protocol(metric),
            seconds=round(seconds, 1),
        )
        if out is not None and processes.rank == 0:
            append_evaluation(out, evaluation)
        done[metric.name] = evaluation
        tell(evaluation)
    return [done[metric.name] for metric in plan.metrics]


def _silent(*_: object) -> None:
    """Tell nobody."""


def _checked(report: Report, check: Callable[[], object]) -> Report:
    def both(stage: str, done: int, total: int) -> None:
        check()
        report(stage, done, total)

    return both


def _finished(plan: Plan, folder: Path, say: Say) -> dict[str, Evaluation]:
    """What the files hold already of the same target, protocol and versions, by the metric's name.

    Only what every process has found, for all must do the same work, whether or not they share a folder.
    """
    found = {_mark(e.metric, e.target, e.protocol): e for e in read_evaluations(folder, say)}
    marks = {
        metric.name: _mark(plan.keys[metric.name], plan.target_record, plan.protocol(metric))
        for metric in plan.metrics
    }
    own = torch.tensor([[mark in found for mark in marks.values()]], device=plan.device)
    everywhere = plan.processes.gathered(own).all(dim=0).tolist()
    pairs = zip(marks.items(), everywhere, strict=True)
    return {name: found[mark] for (name, mark), is_there in pairs if is_there}


def _mark(metric: str, target: Mapping[str, Any], protocol: Mapping[str, Any]) -> str:
    """What two equal numbers have in common: not the path and the machine, which only round."""
    idle = IDLE if target.get("kind") == "callable" else (*IDLE, *SHARING)
    records = [{k: v for k, v in record.items() if k not in idle} for record in (target, protocol)]
    return json.dumps([metric, *records], sort_keys=True)


def _measure(
    plan: Plan, metrics: Sequence[Metric], report: Report, say: Say
) -> Iterator[tuple[Metric, Measured, float]]:
    """Measure metrics, those that share an extractor together; with the seconds it took."""
    groups: dict[str, list[Metric]] = {}
    for metric in metrics:
        extractor = plan.extractor(metric)
        groups.setdefault(extractor.key if extractor else metric.name, []).append(metric)
    for group in groups.values():
        started_s = time.perf_counter()
        for metric, measured in _measure_group(plan, group, report, say):
            yield metric, measured, time.perf_counter() - started_s


def _measure_group(
    plan: Plan, group: Sequence[Metric], report: Report, say: Say
) -> Iterator[tuple[Metric, Measured]]:
    first, config, extractor = group[0], plan.config, plan.extractor(group[0])
    if extractor is not None:
        cache = config.cache or default_folder()
        setting = Setting(config.batch, plan.redraws, config.seed, cache, plan.processes, report, say)
        asked = [plan.sides[metric.name] for metric in group]
        yield from measure_features(asked, extractor, plan.subject, plan.images, setting)
    elif first.family == "swd":
        yield first, sliced_wasserstein(plan, first, report)
    elif first.family in PATHS:
        yield first, path_length(plan, first, report)
    else:
        yield first, conditions(plan, first, report)

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
)
from riemann_noise_pytorch.experiments.evaluation.options import EvaluateConfig
from riemann_noise_pytorch.experiments.evaluation.plan import Plan
from riemann_noise_pytorch.experiments.evaluation.targets import Target
from riemann_noise_pytorch.metrics.catalogue import Metric
from riemann_noise_pytorch.metrics.reference_cache import default_folder
from riemann_noise_pytorch.statistics.sampling import ALONE, Processes

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
) -> list[Evaluation]:
    """Measure a target.

    Args:
        target: From :func:`~riemann_noise_pytorch.experiments.evaluation.targets.open_target`.
        config: The options.
        out: Folder of the files ``metric-NAME.jsonl``; None writes none.
        resume: Leave out what the files there hold already, of the same target, protocol and versions.
        images: The real images; opened as the options and the target say if None.
        device: Where the target's generator is, and where features are computed.
        processes: Which of several processes this is; the first writes.
        report: Called as ``report(stage, done, total)`` as the work goes on.
        say: Called with a line where something is to be known.

    Returns:
        What was measured, in the order asked for; what ``resume`` left out is read from the files.

    Raises:
        InputError: A metric cannot be measured on this target, or options do not fit.
        NonFiniteError: Images, features or distances are not finite.
    """
    say = say or _silent
    plan = Plan(target, config, images, device, processes, say)
    done = _finished(plan, out) if resume and out is not None else {}
    todo = [metric for metric in plan.metrics if metric.name not in done]
    started_s = time.perf_counter()
    for metric, measured in _measure(plan, todo, report or _silent, say):
        evaluation = Evaluation(
            metric=plan.keys[metric.name],
            name=measured.name,
            results=measured.results,
            intervals=measured.intervals,
            values=measured.values,
            target=plan.target_record,
            protocol=plan.protocol(metric),
            seconds=round(time.perf_counter() - started_s, 1),
        )
        if out is not None and processes.rank == 0:
            append_evaluation(out, evaluation)
        done[metric.name] = evaluation
        started_s = time.perf_counter()
    return [done[metric.name] for metric in plan.metrics]


def _silent(*_: object) -> None:
    """Tell nobody."""


def _finished(plan: Plan, folder: Path) -> dict[str, Evaluation]:
    """What the files hold already of the same target, protocol and versions, by the metric's name."""
    found = {(e.metric, _text(e.target), _text(e.protocol)): e for e in read_evaluations(folder)}
    wanted = {
        metric.name: (plan.keys[metric.name], _text(plan.target_record), _text(plan.protocol(metric)))
        for metric in plan.metrics
    }
    return {name: found[key] for name, key in wanted.items() if key in found}


def _text(record: Mapping[str, Any]) -> str:
    return json.dumps(record, sort_keys=True)


def _measure(
    plan: Plan, metrics: Sequence[Metric], report: Report, say: Say
) -> Iterator[tuple[Metric, Measured]]:
    """Measure metrics, those that share an extractor together."""
    cache = plan.config.cache or default_folder()
    setting = Setting(plan.config.batch, plan.redraws, plan.config.seed, cache, plan.processes, report, say)
    groups: dict[str, list[Metric]] = {}
    for metric in metrics:
        extractor = plan.extractor(metric)
        groups.setdefault(extractor.key if extractor else metric.name, []).append(metric)
    for group in groups.values():
        (first, *_), extractor = group, plan.extractor(group[0])
        if extractor is not None:
            asked = [plan.sides[metric.name] for metric in group]
            yield from measure_features(asked, extractor, plan.subject, plan.images, setting)
        elif first.family == "swd":
            yield first, sliced_wasserstein(plan, first, report)
        elif first.family == "ppl":
            yield first, path_length(plan, first, report)
        else:
            yield first, conditions(plan, first, report)

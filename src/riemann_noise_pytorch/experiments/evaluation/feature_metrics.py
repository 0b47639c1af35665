"""All metrics of one extractor, from one pass over the real images and one over each redraw."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor

from riemann_noise_pytorch.data.imageset import ImageSet
from riemann_noise_pytorch.experiments.evaluation.measured import Measured, over_redraws
from riemann_noise_pytorch.experiments.evaluation.subject import Subject
from riemann_noise_pytorch.metrics.catalogue import Metric
from riemann_noise_pytorch.metrics.extractors.interfaces import Extractor
from riemann_noise_pytorch.metrics.feature_sets import FeatureSet, Wanted, collect, real_subset
from riemann_noise_pytorch.metrics.frechet import frechet_distance
from riemann_noise_pytorch.metrics.inception_score import inception_score
from riemann_noise_pytorch.metrics.kernel_distance import kernel_distance
from riemann_noise_pytorch.metrics.moments import Moments
from riemann_noise_pytorch.metrics.precision_recall import precision_recall
from riemann_noise_pytorch.metrics.reference_cache import reference_features
from riemann_noise_pytorch.metrics.requirements import (
    output_of,
    printed_key,
    printed_name,
    wanted,
)
from riemann_noise_pytorch.statistics.sampling import Processes

Report = Callable[[str, int, int], object]


@dataclass(frozen=True)
class Sides:
    """A metric with the images it takes.

    Args:
        metric: The metric.
        fakes: Number of measured images.
        reals: Number of real ones; 0 where none are needed.
    """

    metric: Metric
    fakes: int
    reals: int


@dataclass(frozen=True)
class Setting:
    """Where and how features are computed.

    Args:
        batch: Images at once, in each process.
        redraws: Independent sets of generated images.
        seed: Seed of the choice of real images and of subsets.
        cache: Folder for the statistics of real images; None keeps none.
        processes: Which of several processes this is.
        report: Called as ``report(stage, done, total)``.
        say: Called with a line where something is to be known.
    """

    batch: int
    redraws: int
    seed: int
    cache: Path | None
    processes: Processes
    report: Report
    say: Callable[[str], object]


def measure_features(
    asked: Sequence[Sides], extractor: Extractor, subject: Subject, images: ImageSet | None, setting: Setting
) -> Iterator[tuple[Metric, Measured]]:
    """Measure all metrics of one extractor.

    Args:
        asked: The metrics with their numbers of images.
        extractor: What turns images into features.
        subject: The measured side.
        images: The real images, without mirror images; None where no metric needs any.
        setting: Where and how.

    Yields:
        Metrics in their order, with what they gave.
    """
    reals = {count: _real(asked, count, extractor, images, setting) for count in {s.reals for s in asked}}
    values: dict[str, dict[str, list[float]]] = {s.metric.name: defaultdict(list) for s in asked}
    keys = {s.metric.name: _key(s, extractor, images) for s in asked}
    for redraw in range(setting.redraws):
        fakes = _Fakes(asked, extractor, subject, redraw, setting)
        for each in asked:
            key = keys[each.metric.name]
            for name, value in _statistic(each, key, extractor, fakes, reals[each.reals], setting).items():
                values[each.metric.name][name].append(value)
    available = 0 if images is None else len(images)
    for each in asked:
        name = printed_name(
            each.metric,
            extractor,
            fakes=each.fakes,
            reals=each.reals,
            available=available,
        )
        yield each.metric, over_redraws(name, dict(values[each.metric.name]))


class _Fakes:
    """Features of one redraw: every metric takes the first so many images."""

    def __init__(
        self,
        asked: Sequence[Sides],
        extractor: Extractor,
        subject: Subject,
        redraw: int,
        setting: Setting,
    ) -> None:
        self.count = max(each.fakes for each in asked)
        needs = Wanted()
        for each in asked:
            need = wanted([each.metric], extractor, real=False)
            if each.fakes < self.count:
                need = Wanted(rows=need.moments | need.rows)
            needs |= need
        stage = f"{extractor.name}, draw {redraw + 1} of {setting.redraws}"
        self._features = collect(
            extractor,
            subject.source(redraw, self.count),
            self.count,
            needs,
            batch=setting.batch,
            what="generated image",
            processes=setting.processes,
            progress=partial(setting.report, stage),
        )

    def moments(self, output: str, count: int) -> Moments:
        if count == self.count:
            return self._features.moments[output]
        return Moments.of(self.rows(output, count))

    def rows(self, output: str, count: int) -> Tensor:
        return self._features.rows[output][:count]


def _real(
    asked: Sequence[Sides], count: int, extractor: Extractor, images: ImageSet | None, setting: Setting
) -> FeatureSet | None:
    needs = wanted([each.metric for each in asked if each.reals == count], extractor, real=True)
    if images is None or not count or not needs:
        return None
    whole = count == len(images)
    return reference_features(
        images,
        extractor,
        needs,
        positions=None if whole else real_subset(len(images), count, setting.seed),
        folder=setting.cache,
        batch=setting.batch,
        processes=setting.processes,
        progress=partial(setting.report, f"{extractor.name}, real images"),
        say=setting.say,
    )


def _key(sides: Sides, extractor: Extractor, images: ImageSet | None) -> str:
    available = 0 if images is None else len(images)
    return printed_key(
        sides.metric, fakes=sides.fakes, reals=sides.reals, available=available, extractor=extractor
    )


def _statistic(
    sides: Sides, key: str, extractor: Extractor, fakes: _Fakes, real: FeatureSet | None, setting: Setting
) -> dict[str, float]:
    """Compute one metric of one redraw: its numbers by name."""
    metric, output = sides.metric, output_of(sides.metric, extractor)
    if metric.family in ("is", "cs"):
        score = inception_score(fakes.rows(output, sides.fakes))
        return {f"{key}_mean": score.value, f"{key}_std": score.std}
    assert real is not None, f"{metric.name} is measured against real images"
    if metric.family in ("fid", "fd"):
        return {key: frechet_distance(fakes.moments(output, sides.fakes), real.moments[output])}
    rows = fakes.rows(output, sides.fakes), real.rows[output]
    if metric.family in ("kid", "kd"):
        return {key: kernel_distance(*rows, seed=setting.seed).value}
    progress = partial(setting.report, "precision and recall")
    found = precision_recall(*rows, neighbours=metric.neighbours, progress=progress)
    return {f"{key}_precision": found.precision, f"{key}_recall": found.recall}

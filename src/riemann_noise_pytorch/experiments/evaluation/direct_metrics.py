"""Metrics that need no extractor: patches of images, and finite differences of a generator."""

from collections.abc import Callable
from functools import partial
from typing import Literal, cast

from riemann_noise_pytorch.experiments.evaluation.measured import Measured, over_redraws
from riemann_noise_pytorch.experiments.evaluation.plan import Plan
from riemann_noise_pytorch.geometry.condition import condition_numbers, tail_key
from riemann_noise_pytorch.metrics.catalogue import Metric
from riemann_noise_pytorch.metrics.feature_sets import real_subset
from riemann_noise_pytorch.metrics.perceptual_path import perceptual_path_length
from riemann_noise_pytorch.metrics.sliced_wasserstein import RealPatches
from riemann_noise_pytorch.models.latent_space import Space

Report = Callable[[str, int, int], object]


def sliced_wasserstein(plan: Plan, metric: Metric, report: Report) -> Measured:
    """Measure the sliced Wasserstein distance over the redraws.

    Args:
        plan: The evaluation.
        metric: The metric.
        report: Called as ``report(stage, done, total)``.
    """
    count, images, key = plan.sides[metric.name].reals, plan.images, plan.keys[metric.name]
    assert images is not None
    report(metric.name, 0, plan.redraws)
    patches = RealPatches(images.batch(real_subset(len(images), count, plan.config.seed)))
    values, name = [], ""
    for redraw in range(plan.redraws):
        fakes = plan.subject.all_images(redraw, count, plan.config.batch, plan.processes)
        found = patches.distance(fakes)
        values.append(found.value)
        name = found.name
        report(metric.name, redraw + 1, plan.redraws)
    return over_redraws(f"{key}: {name}", {key: values})


def path_length(plan: Plan, metric: Metric, report: Report) -> Measured:
    """Measure a perceptual path length; arguments as of :func:`sliced_wasserstein`."""
    key, generator = plan.keys[metric.name], plan.target.generator
    assert generator is not None
    found = perceptual_path_length(
        generator,
        distance=plan.distance,
        z_dim=plan.target.z_dim,
        module=plan.target.module,
        labels=plan.labels,
        dtype=plan.dtype,
        sampling=cast("Literal['full', 'end']", metric.sampling),
        interpolation=cast("Literal['slerp', 'lerp']", metric.interpolation),
        space=cast("Literal['z', 'w']", metric.space),
        crop=metric.crop,
        num_pairs=metric.count,
        batch=plan.config.batch,
        seed=plan.config.seed,
        processes=plan.processes,
        progress=partial(report, metric.name),
    )
    name = key + found.name.removeprefix(found.key)
    return Measured(name, {key: found.value}, {key: found.interval}, {})


def conditions(plan: Plan, metric: Metric, report: Report) -> Measured:
    """Measure the mean condition and the mean of its tail; arguments as of :func:`sliced_wasserstein`."""
    key, generator = plan.keys[metric.name], plan.target.generator
    assert generator is not None
    found = condition_numbers(
        generator,
        plan.target.z_dim,
        module=plan.target.module,
        labels=plan.labels,
        dtype=plan.dtype,
        num_pairs=metric.count,
        batch=plan.config.batch,
        seed=plan.config.seed,
        space=cast("Space", metric.space),
        crop=metric.crop,
        processes=plan.processes,
        progress=partial(report, metric.name),
    )
    intervals = {key: found.mc, tail_key(key, metric.count): found.ttmc}
    results = {name: interval.value for name, interval in intervals.items()}
    return Measured(f"{found.mc_name}; {found.ttmc_name}", results, intervals, {})

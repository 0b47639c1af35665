"""The parts of a diagnosis: what each computes, and the records and tensors that it leaves."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from riemann_noise_pytorch.data.imageset import ImageSet
from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.experiments.evaluation.drawing import Draws
from riemann_noise_pytorch.experiments.records import Record
from riemann_noise_pytorch.experiments.targets import Target
from riemann_noise_pytorch.geometry.attribution import Attribution
from riemann_noise_pytorch.geometry.condition import ConditionNumbers
from riemann_noise_pytorch.geometry.dimension import (
    SMALLEST,
    DimensionEstimate,
    mle_dimension,
    twonn_dimension,
)
from riemann_noise_pytorch.geometry.jacobian import jacobian
from riemann_noise_pytorch.geometry.local_condition import local_condition, log_condition, quotient_error
from riemann_noise_pytorch.geometry.rank_profile import RankProfile
from riemann_noise_pytorch.geometry.still import still
from riemann_noise_pytorch.models.latent_space import labels_for
from riemann_noise_pytorch.noise.pairs import counted_normal
from riemann_noise_pytorch.seeds import derive
from riemann_noise_pytorch.statistics.neighbours import nearest

MLE_NEIGHBOURS = 20
"""The usual k of Levina and Bickel's estimate."""
DIMENSION_IMAGES = 5000
"""Images of the data and samples of which dimensions are estimated: as many of both, for the bias depends on
it."""
SHOWN_SAMPLES = 16
QUOTIENT_STEP = 1e-6
"""Step of the difference quotient that a Jacobian-vector product is compared with, in float64."""

Tensors = dict[str, Tensor]
Report = Callable[[str, int, int], object]
Say = Callable[[str], object]


def profile_records(profile: RankProfile, joint: bool) -> tuple[list[Record], Tensors]:
    """Records of the rank by depth, and the spectra under ``spectrum/<z or joint>/<layer>``."""
    inputs = "joint" if joint else "z"
    about = {
        "record": "profile",
        "inputs": profile.inputs,
        "joint": joint,
        "mode": profile.mode,
        "reason": profile.reason,
        "remark": profile.remark,
        "tolerance": profile.tolerance,
        "sketched": profile.sketched,
        "num_latents": profile.num_latents,
    }
    layers = [
        {
            "record": "layer",
            "joint": joint,
            "name": layer.name,
            "shape": list(layer.shape),
            "size": math.prod(layer.shape),
            "order": order,
            "rank": [report.rank for report in layer.reports],
            "stable_rank": [report.stable_rank for report in layer.reports],
            "effective_rank": [report.effective_rank for report in layer.reports],
            "norm": [float(report.spectrum.values[0]) for report in layer.reports],
            "margin_kept": [_finite(report.margin_kept) for report in layer.reports],
            "margin_lost": [_finite(report.margin_lost) for report in layer.reports],
            "ambiguous": layer.ambiguous,
            "tolerance": [report.tolerance for report in layer.reports],
        }
        for order, layer in enumerate(profile.layers)
    ]
    spectra = {
        f"spectrum/{inputs}/{layer.name}": torch.stack([report.spectrum.values for report in layer.reports])
        for layer in profile.layers
    }
    return [about, *layers], spectra


def condition_records(
    conditions: Mapping[str, ConditionNumbers], local: Mapping[str, Any]
) -> tuple[list[Record], Tensors]:
    """Records of the condition numbers, and all values under ``condition/<space>``.

    Args:
        conditions: By space.
        local: What is known of single latents, in z.
    """
    records = [
        {
            "record": "condition",
            "space": space,
            "mc": found.mc.value,
            "mc_low": found.mc.low,
            "mc_high": found.mc.high,
            "mc_name": found.mc_name,
            "ttmc": found.ttmc.value,
            "ttmc_low": found.ttmc.low,
            "ttmc_high": found.ttmc.high,
            "ttmc_name": found.ttmc_name,
            "pairs": len(found.values),
            **(local if space == "z" else {"local": [], "log_condition": [], "quotient_error": None}),
        }
        for space, found in conditions.items()
    ]
    return records, {f"condition/{space}": found.values for space, found in conditions.items()}


def local_values(
    target: Target, profile: RankProfile, seed: int, say: Say
) -> tuple[dict[str, Any], float | None]:
    """The exact condition at single latents, log cond(J^T J), and a difference quotient as a check.

    Args:
        target: What is diagnosed.
        profile: Its ranks; as many latents are taken.
        seed: Seed of latents and noise.
        say: Called with a line where the exact condition has to be left out.

    Returns:
        Fields of the record, and the worst relative error of the quotient, which may be infinite.
    """
    exact, worst = list[float](), None
    try:
        exact, worst = _exact_conditions(target, profile.num_latents, seed)
    except (InputError, NonFiniteError) as error:
        say(f"the exact condition at single latents is left out: {error}")
    image = profile.layers[-1]
    record = {
        "local": exact,
        "log_condition": [_finite(log_condition(report.spectrum)) for report in image.reports],
        "quotient_error": None if worst is None else _finite(worst),
    }
    return record, worst


def _exact_conditions(target: Target, num_latents: int, seed: int) -> tuple[list[float], float]:
    """The exact condition at each latent, and the worst error of a difference quotient."""
    assert target.generator is not None
    exact, quotients = [], []
    with still(target.generator, target.z_dim, module=target.module, seed=seed) as net:
        for index in range(num_latents):
            z = counted_normal(derive(seed, "local latents"), index, (1, target.z_dim))[0]
            z = z.to(net.device, net.dtype)
            image = net.at(index)

            def function(point: Tensor, image: Callable[[Tensor], Tensor] = image) -> Tensor:
                return image(point).flatten()

            linear = jacobian(function, z)
            found = local_condition(linear.jvp, linear.vjp, z, function(z), seed=seed)
            exact.append(found.value)
            direction = counted_normal(derive(seed, "quotient"), index, (1, len(z)))[0].to(z)
            step = QUOTIENT_STEP if z.dtype == torch.float64 else math.sqrt(torch.finfo(z.dtype).eps)
            quotients.append(quotient_error(function, z, direction / direction.norm(), linear.jvp, step))
    return exact, max(quotients)


def moves(target: Target, seed: int) -> bool:
    """Whether the image of another latent, with the same noise, is another image."""
    assert target.generator is not None
    with still(target.generator, target.z_dim, module=target.module, seed=seed) as net, torch.no_grad():
        z = counted_normal(derive(seed, "moves"), 0, (2, target.z_dim)).to(net.device, net.dtype)
        return not torch.equal(net.at(0)(z[0]), net.at(0)(z[1]))


def share_records(attribution: Attribution) -> tuple[list[Record], Tensors]:
    """Records of the shares in the images' variance, and their maps under ``attribution/<group>``."""
    records = [
        {
            "record": "share",
            "group": group.name,
            "kind": group.kind,
            "first": group.first,
            "first_error": group.first_error,
            "total": group.total,
            "total_error": group.total_error,
            "ignored": group.ignored,
        }
        for group in attribution.groups
    ]
    return records, {f"attribution/{group.name}": group.maps for group in attribution.groups}


def dimensions(what: str, images: Tensor, report: Report) -> tuple[list[DimensionEstimate], list[Record]]:
    """Estimate the dimension of images.

    Args:
        what: ``data`` or ``samples``.
        images: uint8 (N, C, H, W).
        report: Called as ``report(stage, done, total)``.

    Raises:
        InputError: There are too few images, or too few that differ.
    """
    points = torch.unique(images.flatten(1), dim=0).float() / 255
    if len(points) < SMALLEST:
        told = f"there are only {len(images):,} of them"
        if len(points) < len(images):
            told = f"only {len(points):,} of {len(images):,} differ, and the others repeat them"
        raise InputError(f"{told}; a dimension needs at least {SMALLEST} images that differ")
    neighbours = nearest(points, MLE_NEIGHBOURS, progress=partial(report, f"dimension of {what}"))
    found = [mle_dimension(neighbours, MLE_NEIGHBOURS), twonn_dimension(neighbours)]
    names = (f"MLE, k = {MLE_NEIGHBOURS}", "TwoNN")
    records = [
        {
            "record": "dimension",
            "what": what,
            "method": name,
            "value": each.value,
            "low": each.interval.low,
            "high": each.interval.high,
            "count": each.count,
            "repeated": len(images) - len(points),
        }
        for name, each in zip(names, found, strict=True)
    ]
    return found, records


def some_of(images: ImageSet, count: int, seed: int) -> Tensor:
    """A random part of a set, uint8 (count, C, H, W)."""
    stream = torch.Generator().manual_seed(derive(seed, "dimension"))
    return images.batch(torch.randperm(len(images), generator=stream)[:count])


def samples_of(
    target: Target, count: int, batch: int, seed: int, *, report: Report | None = None, say: Say | None = None
) -> Tensor:
    """Draw images.

    Args:
        target: Whose.
        count: How many.
        batch: So many at once.
        seed: Seed of latents, noise and classes.
        report: Called as ``report(stage, done, total)``.
        say: Called with a line where the images are not in [-1, 1].

    Returns:
        uint8 (count, C, H, W) on the CPU.
    """
    assert target.generator is not None
    labels, _ = labels_for(target.generator, None, derive(seed, "classes"))
    draws, parts = Draws(target, derive(seed, "samples"), labels=labels), []
    for first in range(0, count, batch):
        parts.append(draws(first, min(batch, count - first)).cpu())
        if report is not None:
            report("samples", min(first + batch, count), count)
    if say is not None and draws.range_warning:
        say(draws.range_warning)
    return torch.cat(parts)


def spaces_of(target: Target) -> tuple[str, ...]:
    """Spaces in which pairs can be taken: z, and w where there are a mapping and a synthesis."""
    has_w = hasattr(target.generator, "mapping") and hasattr(target.generator, "synthesis")
    return ("z", "w") if has_w else ("z",)


def finding_records(findings: Sequence[Any]) -> list[Record]:
    """Records of the findings."""
    return [{"record": "finding", **cast("dict[str, Any]", vars(finding))} for finding in findings]


def _finite(value: float) -> float | None:
    """JSON has no infinity."""
    return value if math.isfinite(value) else None

"""Diagnose a generator: rank by depth, condition, attribution, dimension, and what they say.

Each part is on disk as soon as it is complete.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

import torch
from safetensors.torch import save_file

import riemann_noise_pytorch
from riemann_noise_pytorch.data.imageset import ImageSet
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.diagnosis import stages
from riemann_noise_pytorch.experiments.diagnosis.budget import Costs, Work, fitted
from riemann_noise_pytorch.experiments.diagnosis.findings import Facts, Finding, find
from riemann_noise_pytorch.experiments.diagnosis.options import DiagnoseConfig
from riemann_noise_pytorch.experiments.evaluation.reference import reference_images
from riemann_noise_pytorch.experiments.records import Record, commit, environment, write_records
from riemann_noise_pytorch.experiments.targets import Target
from riemann_noise_pytorch.files import atomic_write
from riemann_noise_pytorch.geometry.attribution import Attribution, attribution
from riemann_noise_pytorch.geometry.condition import ConditionNumbers, condition_numbers
from riemann_noise_pytorch.geometry.layer_tangents import MOST_INPUTS
from riemann_noise_pytorch.geometry.layers import IMAGE
from riemann_noise_pytorch.geometry.rank_profile import RankProfile, rank_profile
from riemann_noise_pytorch.geometry.still import still

RECORDS, TENSORS = "diagnosis.jsonl", "diagnosis.safetensors"
Say = Callable[[str], object]


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    Attributes:
        folder: Where records and tensors are.
        facts: The numbers.
        findings: What they say.
        seconds: How long it took.
    """

    folder: Path
    facts: Facts
    findings: tuple[Finding, ...]
    seconds: float


def diagnose(
    target: Target,
    config: DiagnoseConfig,
    *,
    out: Path,
    report: stages.Report | None = None,
    say: Say | None = None,
) -> Diagnosis:
    """Diagnose a generator.

    Args:
        target: From :func:`~riemann_noise_pytorch.experiments.targets.open_target`; not a set of images.
        config: The options.
        out: Folder of ``diagnosis.jsonl`` and ``diagnosis.safetensors``, which are replaced.
        report: Called as ``report(stage, done, total)`` as the work goes on.
        say: Called with a line where something is to be known.

    Raises:
        InputError: The target is no generator, cannot be differentiated, layers match nothing, or ``out``
            cannot be written.
        NonFiniteError: Images or derivatives are not finite.
    """
    config.validate()
    if target.generator is None:
        raise InputError(f"{target.name} is a set of images; give a generator to diagnose")
    started_s = time.perf_counter()
    work = _Sheet(out, target, config)
    facts = _measure(target, config, work, report or _silent, say or _silent)
    findings = find(facts)
    work.add(stages.finding_records(findings))
    return Diagnosis(out, facts, findings, time.perf_counter() - started_s)


def _silent(*_: object) -> None:
    """Tell nobody."""


@final
class _Sheet:
    """Records and tensors of a diagnosis, written anew with each part."""

    def __init__(self, out: Path, target: Target, config: DiagnoseConfig) -> None:
        self._out, self._tensors = out, dict[str, torch.Tensor]()
        self._records: list[Record] = [_setup(target, config)]

    def add(self, records: list[Record], tensors: Mapping[str, torch.Tensor] | None = None) -> None:
        """Put a part on disk: its tensors, then its records."""
        self._records += records
        self._tensors |= {n: t.detach().cpu().contiguous() for n, t in (tensors or {}).items()}
        with atomic_write(self._out / TENSORS) as temporary:
            save_file(self._tensors, temporary)
        write_records(self._out / RECORDS, self._records)

    def describe(self, **facts: Any) -> None:
        """Add to the first record what is only known later."""
        self._records[0] |= facts


def _setup(target: Target, config: DiagnoseConfig) -> Record:
    about = {n: getattr(target, n) for n in ("name", "kind", "snapshot", "sha256", "z_dim", "classes")}
    if target.config is not None:
        options = asdict(target.config)
        about |= {n: options[n] for n in ("preset", "architecture", "noise", "seed")}
    return {
        "record": "setup",
        "version": riemann_noise_pytorch.__version__,
        "commit": commit(),
        "environment": environment(torch.get_num_threads()),
        "target": about | {"images_seen": target.images_seen, "weights": config.which},
        "options": asdict(config),
        "seed": config.seed,
    }


def _measure(target: Target, config: DiagnoseConfig, sheet: _Sheet, report: stages.Report, say: Say) -> Facts:
    data = _data(target, config, say)
    work = _plan(target, config, sheet, say)
    profile = _profile(target, config, work, False, report)
    local = stages.local_values(target, profile, config.seed)
    sheet.add(*stages.profile_records(profile, joint=False))
    joint = _profile(target, config, work, True, report) if work.joint else None
    if joint is not None:
        sheet.add(*stages.profile_records(joint, joint=True))
    conditions = _conditions(target, config, work, report)
    sheet.add(*stages.condition_records(conditions, local))
    shares = _attribution(target, config, work, report)
    if shares is not None:
        sheet.add(*stages.share_records(shares))
    dimension, of_samples = _dimensions(target, config, data, sheet, report, say)
    return Facts(target, profile, joint, conditions, shares, dimension, of_samples)


def _data(target: Target, config: DiagnoseConfig, say: Say) -> ImageSet | None:
    if config.data is None and target.config is None:
        say("no real images are known, so the dimension of the data is left out; give --data")
        return None
    return reference_images(target, config)


def _plan(target: Target, config: DiagnoseConfig, sheet: _Sheet, say: Say) -> Work:
    """See how long an image takes, and what fits into the minutes."""
    first = stages.samples_of(target, stages.SHOWN_SAMPLES, stages.SHOWN_SAMPLES, config.seed, _silent)
    batch = min(config.batch, 64)
    started_s = time.perf_counter()
    stages.samples_of(target, batch, batch, config.seed, _silent)
    image_s = (time.perf_counter() - started_s) / batch
    layers, joint = _joint_inputs(target, config.seed)
    spaces = 2 if stages.has_w(target) else 1
    work = fitted(config, Costs(target.z_dim, joint, spaces, 1 + layers), image_s)
    if work.reductions:
        say(f"to end in about {config.budget:g} minutes: {', '.join(work.reductions)} (--budget)")
    sheet.describe(work=asdict(work), image_shape=list(first.shape[1:]))
    sheet.add([{"record": "sample", "count": len(first)}], {"samples": first})
    return work


def _joint_inputs(target: Target, seed: int) -> tuple[int, int]:
    """The number of noise layers, and of inputs when their noise counts among them; 0 without such layers."""
    assert target.generator is not None
    with still(target.generator, target.z_dim, module=target.module, seed=seed) as net:
        if not net.noise_names:
            return 0, 0
        z = torch.zeros(target.z_dim, device=net.device, dtype=net.dtype)
        return len(net.noise_names), target.z_dim + min(net.joint_at(0, z).noise_size, MOST_INPUTS)


def _profile(
    target: Target, config: DiagnoseConfig, work: Work, joint: bool, report: stages.Report
) -> RankProfile:
    assert target.generator is not None
    profile = rank_profile(
        target.generator,
        target.z_dim,
        module=target.module,
        num_latents=work.num_latents,
        layers=(*config.patterns, IMAGE),
        joint=joint,
        tolerance=config.tolerance,
        memory_mib=config.memory_mib,
        seed=config.seed,
        progress=partial(report, "rank of latent and noise" if joint else "rank by depth"),
    )
    if profile.layers[-1].highest == 0 and stages.moves(target, config.seed):
        raise InputError(
            f"the images of {target.name} change with the latent, but their derivative is 0: they are rounded "
            "or thresholded; give a generator whose images change smoothly"
        )
    return profile


def _conditions(
    target: Target, config: DiagnoseConfig, work: Work, report: stages.Report
) -> dict[str, ConditionNumbers]:
    assert target.generator is not None
    return {
        space: condition_numbers(
            target.generator,
            target.z_dim,
            module=target.module,
            dtype=None if target.module is None else torch.float64,
            num_pairs=work.pairs,
            batch=config.batch,
            seed=config.seed,
            space=space,
            crop=config.crop,
            progress=partial(report, f"condition in {space}"),
        )
        for space in (("z", "w") if stages.has_w(target) else ("z",))
    }


def _attribution(
    target: Target, config: DiagnoseConfig, work: Work, report: stages.Report
) -> Attribution | None:
    assert target.generator is not None
    return attribution(
        target.generator,
        target.z_dim,
        module=target.module,
        samples=work.samples,
        batch=config.batch,
        seed=config.seed,
        progress=partial(report, "attribution"),
    )


def _dimensions(
    target: Target,
    config: DiagnoseConfig,
    data: ImageSet | None,
    sheet: _Sheet,
    report: stages.Report,
    say: Say,
) -> tuple[float | None, float | None]:
    """Dimensions of the real images and of as many samples, by the MLE; None where there are too few."""
    count = stages.DIMENSION_IMAGES if data is None else min(stages.DIMENSION_IMAGES, len(data))
    sets = {} if data is None else {"data": stages.some_of(data, count, config.seed)}
    sets["samples"] = stages.samples_of(target, count, config.batch, config.seed, report)
    values: dict[str, float] = {}
    for what, images in sets.items():
        try:
            found, records = stages.dimensions(what, images, report)
        except InputError as error:
            say(f"the dimension of the {what} is left out: {error}")
            continue
        values[what] = found[0].value
        sheet.add(records)
    return values.get("data"), values.get("samples")

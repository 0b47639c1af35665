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

from riemann_noise_pytorch.data.imageset import ImageSet
from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.experiments.diagnosis import stages
from riemann_noise_pytorch.experiments.diagnosis.budget import Work
from riemann_noise_pytorch.experiments.diagnosis.findings import Facts, Finding, find
from riemann_noise_pytorch.experiments.diagnosis.options import DiagnoseConfig
from riemann_noise_pytorch.experiments.diagnosis.plan import known_dimension, planned, real_images
from riemann_noise_pytorch.experiments.records import Record, setup_record, write_records
from riemann_noise_pytorch.experiments.targets import Target
from riemann_noise_pytorch.files import atomic_write
from riemann_noise_pytorch.geometry.attribution import Attribution, attribution
from riemann_noise_pytorch.geometry.condition import ConditionNumbers, condition_numbers
from riemann_noise_pytorch.geometry.layers import IMAGE
from riemann_noise_pytorch.geometry.rank_profile import RankProfile, rank_profile

RECORDS, TENSORS, PAGE = "diagnosis.jsonl", "diagnosis.safetensors", "diagnosis.html"


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
    say: stages.Say | None = None,
) -> Diagnosis:
    """Diagnose a generator.

    Args:
        target: From :func:`~riemann_noise_pytorch.experiments.targets.open_target`; not a set of images.
        config: The options.
        out: Folder of ``diagnosis.jsonl`` and ``diagnosis.safetensors``, which are replaced; a page of older
            records goes.
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
    sheet = _Sheet(out, target, config)
    said: list[str] = []

    def tell(line: str) -> None:
        said.append(line)
        (say or _silent)(line)

    facts = _measure(target, config, sheet, report or _silent, tell)
    findings = find(facts)
    remarks: list[Record] = [{"record": "remark", "text": line} for line in said]
    sheet.add(remarks + stages.finding_records(findings))
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
        self._drop_page()
        write_records(self._out / RECORDS, self._records)

    def _drop_page(self) -> None:
        """Remove a page that shows other records than these."""
        page = self._out / PAGE
        try:
            page.unlink(missing_ok=True)
        except OSError as error:
            reason = error.strerror or str(error)
            raise InputError(
                f"cannot replace {page}: {reason}; remove it, or choose another place by --out"
            ) from error

    def describe(self, **facts: Any) -> None:
        """Add to the first record what is only known later."""
        self._records[0] |= facts


def _setup(target: Target, config: DiagnoseConfig) -> Record:
    about = {n: getattr(target, n) for n in ("name", "kind", "snapshot", "sha256", "z_dim", "classes")}
    if target.config is not None:
        options = asdict(target.config)
        about |= {n: options[n] for n in ("preset", "architecture", "noise", "seed")}
    return {
        **setup_record(torch.get_num_threads()),
        "target": about | {"images_seen": target.images_seen, "weights": config.which},
        "options": asdict(config),
        "seed": config.seed,
    }


def _measure(
    target: Target, config: DiagnoseConfig, sheet: _Sheet, report: stages.Report, say: stages.Say
) -> Facts:
    started_s = time.perf_counter()
    data = real_images(target, config, say)
    first = stages.samples_of(target, stages.SHOWN_SAMPLES, stages.SHOWN_SAMPLES, config.seed)
    work = planned(target, config, data, say, started_s)
    sheet.describe(work=asdict(work), image_shape=list(first.shape[1:]))
    sheet.add([{"record": "sample", "count": len(first)}], {"samples": first})
    profile = _profile(target, config, work, False, report)
    sheet.add(*stages.profile_records(profile, joint=False))
    local, worst = stages.local_values(target, profile, config.seed, say)
    joint = _joint_profile(target, config, work, report, say) if work.joint else None
    if joint is not None:
        sheet.add(*stages.profile_records(joint, joint=True))
    conditions = _conditions(target, config, work, profile, report, say)
    sheet.add(*stages.condition_records(conditions, local))
    shares = _attribution(target, config, work, report)
    if shares is not None:
        sheet.add(*stages.share_records(shares))
    found = _dimensions(target, config, work, data, sheet, report, say)
    known = known_dimension(target, config) if data is not None else None
    return Facts(
        target,
        profile,
        joint,
        conditions,
        shares,
        data_dimension=max(found["data"]) if known is None and "data" in found else known,
        sample_dimension=found["samples"][0] if "samples" in found else None,
        data_estimate=found["data"][0] if "data" in found else None,
        data_dimension_known=known is not None,
        quotient_error=worst,
    )


def _joint_profile(
    target: Target, config: DiagnoseConfig, work: Work, report: stages.Report, say: stages.Say
) -> RankProfile | None:
    """The rank in latent and noise; None where the noise cannot be differentiated."""
    try:
        return _profile(target, config, work, True, report)
    except (InputError, NonFiniteError) as error:
        say(f"the joint rank of latent and noise is left out: {error}")
        return None


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
            f"the images of {target.name} change with the latent, but their derivative is 0: they are "
            "rounded or thresholded; give a generator whose images change smoothly"
        )
    return profile


def _conditions(
    target: Target,
    config: DiagnoseConfig,
    work: Work,
    profile: RankProfile,
    report: stages.Report,
    say: stages.Say,
) -> dict[str, ConditionNumbers]:
    """Condition numbers in the precision that the ranks were found in; none where an image is zero."""
    assert target.generator is not None
    runs_in_float64 = profile.layers[-1].reports[0].spectrum.dtype == torch.float64
    found: dict[str, ConditionNumbers] = {}
    for space in stages.spaces_of(target):
        try:
            found[space] = condition_numbers(
                target.generator,
                target.z_dim,
                module=target.module,
                dtype=torch.float64 if target.module is not None and runs_in_float64 else None,
                num_pairs=work.pairs,
                batch=config.batch,
                seed=config.seed,
                space=space,
                crop=config.crop,
                progress=partial(report, f"condition in {space}"),
            )
        except NonFiniteError as error:
            say(f"the condition in {space} is left out: {error}")
    return found


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
    work: Work,
    data: ImageSet | None,
    sheet: _Sheet,
    report: stages.Report,
    say: stages.Say,
) -> dict[str, tuple[float, ...]]:
    """Dimensions of the real images and of as many samples, the MLE first; none where there are too few."""
    samples = stages.samples_of(target, work.images, config.batch, config.seed, report=report, say=say)
    sets: dict[str, Callable[[], torch.Tensor]] = {"samples": lambda: samples}
    if data is not None:
        sets = {"data": partial(stages.some_of, data, work.images, config.seed), **sets}
    values: dict[str, tuple[float, ...]] = {}
    for what, images in sets.items():
        try:
            found, records = stages.dimensions(what, images(), report)
        except InputError as error:
            say(f"the dimension of the {what} is left out: {error}")
            continue
        values[what] = tuple(each.value for each in found)
        sheet.add(records)
    return values

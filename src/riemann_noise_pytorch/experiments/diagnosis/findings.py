"""From numbers to plain words: what is wrong with a generator, and what to try.

Every rule is one function of the facts; its threshold is a constant with its reason.
"""

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Literal, cast

from riemann_noise_pytorch.experiments.targets import Target
from riemann_noise_pytorch.geometry.attribution import Attribution
from riemann_noise_pytorch.geometry.condition import ConditionNumbers
from riemann_noise_pytorch.geometry.layers import IMAGE
from riemann_noise_pytorch.geometry.rank_profile import LayerRank, RankProfile
from riemann_noise_pytorch.models.choices import NoiseKind
from riemann_noise_pytorch.training.config import TrainConfig
from riemann_noise_pytorch.training.presets import PRESETS

Severity = Literal["problem", "note", "good"]

NOTABLE_FALL = 0.05
"""Share of the rank whose loss between two layers is named, and more than one dimension: a norm takes one."""
CONCENTRATED = 0.25
"""An effective rank below this share of the rank: most of the change lies in few directions."""
HEAVY_TAIL = 3.0
"""Mean of the largest 2 % over the mean: in the paper's Table 2 it is 1.9 to 3.1 for StyleGAN2."""
LEAST_CONDITION = 1e-6
"""Mean conditions below this are roundings of images that do not move."""
LARGEST_QUOTIENT_ERROR = 1e-2
"""A derivative that differs more from a difference quotient is not that of the function."""
FALLS_SHORT = 10.0
"""Dimensions from which on the estimators fall short by more than a tenth or so."""
FADED = 1e-6
"""Share of the largest singular value below which a direction moves nothing that can be seen."""
NEGLIGIBLE = 1e-3
"""A share of the variance that nobody sees."""
FLATTER = 0.7
"""Samples whose estimated dimension is below this share of the data's."""


@dataclass(frozen=True)
class Finding:
    """One thing to know about a generator.

    Attributes:
        severity: ``problem``, ``note`` or ``good``.
        title: What it is, in a few words.
        text: The numbers behind it.
        remedy: What to try; empty where there is nothing to mend.
        command: A command or a line of Python that does it; empty for none.
    """

    severity: Severity
    title: str
    text: str
    remedy: str = ""
    command: str = ""


@dataclass(frozen=True)
class Facts:
    """What a diagnosis measured; None or empty for what it could not.

    Attributes:
        target: What was diagnosed.
        profile: Rank by depth in the latent.
        joint: Rank by depth in latent and noise together.
        conditions: Condition numbers by space.
        attribution: Shares of latent and noise in the images' variance.
        data_dimension: Dimension of the real images, the larger of the two estimates, or the known one.
        sample_dimension: Estimated dimension of the samples.
        data_estimate: Estimated dimension of the real images, by the same method from as many.
        data_dimension_known: Whether ``data_dimension`` is known, as that of drawn images.
        quotient_error: Relative difference between a difference quotient and the derivative.
    """

    target: Target
    profile: RankProfile
    joint: RankProfile | None
    conditions: Mapping[str, ConditionNumbers]
    attribution: Attribution | None
    data_dimension: float | None
    sample_dimension: float | None
    data_estimate: float | None = None
    data_dimension_known: bool = False
    quotient_error: float | None = None


def find(facts: Facts) -> tuple[Finding, ...]:
    """Apply every rule: problems first, then notes, then what is good."""
    order: tuple[Severity, ...] = ("problem", "note", "good")
    found = [finding for rule in RULES for finding in rule(facts)]
    return tuple(sorted(found, key=lambda finding: order.index(finding.severity)))


def lasting_ranks(layers: Sequence[LayerRank]) -> list[float]:
    """Tell how many dimensions are still there at each layer: the highest rank there or later.

    A branch of few values (StyleGAN2's 4x4 image) has a low rank of its own, though all dimensions go on
    beside it; what comes back later was never lost.

    Example:
        >>> from types import SimpleNamespace as Layer
        >>> lasting_ranks([Layer(rank=8), Layer(rank=3), Layer(rank=6), Layer(rank=5)])
        [8, 6, 6, 5]
    """
    lasting: list[float] = []
    for layer in reversed(layers):
        lasting.append(max(layer.rank, lasting[-1] if lasting else 0))
    return lasting[::-1]


def _falls(facts: Facts) -> list[Finding]:
    layers, inputs = facts.profile.layers, facts.profile.inputs
    if not layers[-1].rank:
        return []  # an ignored latent, which the shares of the variance tell
    ranks = [float(inputs), *lasting_ranks(layers)]
    found = []
    for (before, after), layer in zip(pairwise(ranks), layers, strict=True):
        name = layer.name
        if before - after < max(2.0, NOTABLE_FALL * before):
            continue
        found.append(
            Finding(
                "problem",
                f"rank falls from {before:g} to {after:g} at {_told(name)}",
                f"Of {before:g} directions in which the latent can move what comes before, {after:g} still "
                f"move the output of {_told(name)}; none of the later layers can bring them back (Lemma 2).",
                f"widen {_told(name)}, or inject noise after it, which adds directions of its own",
                _injection(facts.target, layer),
            )
        )
    return found


def _trap(facts: Facts) -> list[Finding]:
    d_x, rank = facts.data_dimension, facts.profile.layers[-1].rank
    if d_x is None:
        return []
    known = facts.data_dimension_known
    about = f"{d_x:g} dimensions" if known else f"about {d_x:.1f} dimensions"
    numbers = f"The images move in {rank:g} directions; the data have {about}."
    if rank >= d_x:
        if known or d_x < FALLS_SHORT:
            return [Finding("good", "the rank reaches the dimension of the data", numbers)]
        text = f"{numbers} Estimates of many dimensions fall short, so the data may have more than that."
        return [Finding("note", "the rank reaches the estimated dimension of the data", text)]
    text = (
        f"{numbers} Then either the Jacobian grows without bound or the divergence from the data stays above "
        "log(2)/2 (Theorem 1)."
    )
    if facts.joint is not None and facts.joint.layers[-1].rank >= d_x:
        text += f" With the noise it is {facts.joint.layers[-1].rank:g}, so the noise fills what is missing."
        return [Finding("note", "the latent alone has fewer dimensions than the data", text)]
    remedy = "give the latent more dimensions (z_dim), or inject noise"
    more = {"z_dim": max(2 * facts.target.z_dim, round(2 * d_x))}
    command = "" if facts.target.config is None else _training(facts.target.config, more)
    return [Finding("problem", "fewer dimensions than the data", text, remedy, command)]


def _added(facts: Facts) -> list[Finding]:
    if facts.joint is None:
        return []
    image = facts.joint.layers[-1]
    alone, both = facts.profile.layers[-1].rank, image.rank
    at_least = "at least " if "at least" in facts.joint.remark else ""
    if both > alone:
        text = f"The image's rank is {alone:g} in the latent, and {at_least}{both:g} with the noise."
        return [Finding("good", f"noise adds {at_least}{both - alone:g} dimensions", text)]
    if alone == math.prod(image.shape):
        return []
    text = f"The image's rank is {alone:g} in the latent, and the same in latent and noise together."
    return [Finding("note", "noise adds no dimension", text, "raise the strength of the noise, or remove it")]


def _unsure(facts: Facts) -> list[Finding]:
    unsure = [layer for layer in facts.profile.layers if layer.ambiguous]
    if not unsure:
        return []
    names = ", ".join(layer.name for layer in unsure[:4]) + (" and others" if len(unsure) > 4 else "")
    return [
        Finding(
            "note",
            f"the rank is not clear-cut at {len(unsure)} of {len(facts.profile.layers)} layers",
            f"At {names} singular values lie close to the tolerance ({facts.profile.tolerance}), so the rank "
            "there is a matter of the tolerance; the spectra show how smoothly they fall.",
            "read the effective rank beside it, or set --tolerance to what counts for you",
        )
    ]


def _concentrated(facts: Facts) -> list[Finding]:
    image = facts.profile.layers[-1]
    if image.effective_rank >= CONCENTRATED * image.rank:
        return []
    return [
        Finding(
            "note",
            "most of the change lies in few directions",
            f"The image's rank is {image.rank:g}, but its effective rank {image.effective_rank:.1f} and its "
            f"stable rank {image.stable_rank:.1f}: most directions of the latent hardly change the image.",
            "path length regularisation evens out the singular values, and so may Riemannian noise",
        )
    ]


def _tails(facts: Facts) -> list[Finding]:
    found = []
    for space, numbers in facts.conditions.items():
        mean, tail = numbers.mc.value, numbers.ttmc.value
        if tail > HEAVY_TAIL * mean and mean > LEAST_CONDITION:
            found.append(
                Finding(
                    "note",
                    f"a heavy tail of condition numbers in {space}",
                    f"{numbers.mc_name} is {mean:.3g}, and {numbers.ttmc_name} {tail:.3g}: there are latents "
                    "at which a small step changes the image out of proportion.",
                    "path length regularisation, Riemannian noise, or truncation when sampling",
                )
            )
    return found


def _shares(facts: Facts) -> list[Finding]:
    shares = facts.attribution
    if shares is None:
        return []
    found = []
    latent = next(group for group in shares.groups if group.kind == "latent")
    noise = [group for group in shares.groups if group.kind in ("layer", "foreign")]
    if shares.ignores_latent:
        text = (
            f"Of the images' variance the latent has {latent.total:.3f} +- {latent.total_error:.3f} in all."
        )
        remedy = "look for a layer that multiplies it by zero, or train longer"
        if noise:
            remedy = "lower the strength of the noise, or train longer: noise now decides what is seen"
        found.append(Finding("problem", "the generator ignores its latent", text, remedy))
    elif noise and latent.total < 0.5:
        text = f"The latent has {latent.total:.0%} of the images' variance in all, noise more than half."
        remedy = "if the noise should only fill in detail, start it weaker"
        found.append(Finding("note", "noise outweighs the latent", text, remedy))
    idle = [group for group in noise if group.ignored or group.total + 2 * group.total_error < NEGLIGIBLE]
    if idle:
        listed = ", ".join(f"{group.name} ({group.total:.1e} +- {group.total_error:.1e})" for group in idle)
        title = (
            "noise is ignored"
            if len(idle) == len(noise)
            else f"{len(idle)} of {len(noise)} noise layers are ignored"
        )
        remedy = (
            "remove them, or start them stronger; a Riemannian layer of preset paper cannot be turned down"
        )
        found.append(Finding("note", title, f"Share of the images' variance: {listed}.", remedy))
    return found


def _flatter(facts: Facts) -> list[Finding]:
    samples, data = facts.sample_dimension, facts.data_estimate
    if samples is None or data is None or samples >= FLATTER * data:
        return []
    text = f"By the same estimator, from as many images: samples {samples:.1f}, data {data:.1f} dimensions."
    remedy = (
        "look for repeated samples (riemann-noise sample, recall by riemann-noise evaluate --metrics ipr2k)"
    )
    return [Finding("problem", "samples have fewer dimensions than the data", text, remedy)]


def _unfaithful(facts: Facts) -> list[Finding]:
    error = facts.quotient_error
    if error is None or error < LARGEST_QUOTIENT_ERROR:
        return []
    return [
        Finding(
            "problem",
            "the derivative is not that of the function",
            "A small step changes the image otherwise than the derivative says (relative difference "
            f"{error:.2g}): the network rounds, or replaces its derivative (a straight-through estimator), "
            "so ranks and conditions describe the replacement.",
            "diagnose the network without the rounding",
        )
    ]


def _faded(facts: Facts) -> list[Finding]:
    """Directions that count by the tolerance, yet cannot be seen, as the length of a normalised latent."""
    image = facts.profile.layers[-1]
    values = [report.spectrum.values for report in image.reports]
    faded = min(
        (int((v[: r.rank] < FADED * v[0]).sum()) for v, r in zip(values, image.reports, strict=True)),
        default=0,
    )
    if not faded:
        return []
    text = (
        f"{faded} of the {image.rank:g} directions that count move the image by less than a millionth of "
        "what the strongest does: full rank to the letter. So a latent that is normalised loses its length."
    )
    return [Finding("note", f"{faded} directions hardly move the image", text)]


def _precision(facts: Facts) -> list[Finding]:
    remark = facts.profile.remark
    if not remark:
        return []
    text = f"The Jacobian was computed {remark}; its small singular values are uncertain."
    return [Finding("note", "not in float64", text, "give a module that can be copied and runs in float64")]


RULES: tuple[Callable[[Facts], list[Finding]], ...] = (
    _unfaithful, _falls, _trap, _flatter, _shares, _added, _concentrated, _faded, _tails, _unsure, _precision,
)  # fmt: skip


def _told(name: str) -> str:
    """A layer's name in a sentence; those of ``nn.Sequential`` are numbers."""
    return name if name[0].isalpha() else f"layer {name}"


def _injection(target: Target, layer: LayerRank) -> str:
    """How noise comes behind a layer: by options for a run of this package, by one line for others."""
    if target.config is not None:
        kind = "riemannian" if target.config.noise != "riemannian" else "euclidean"
        return _training(target.config.with_noise(cast("NoiseKind", kind)), {})
    if target.module is None or "#" in layer.name or layer.name == IMAGE:
        return ""
    kind = "riemannian" if len(layer.shape) > 1 else "euclidean"  # the geometry of a map: vectors have none
    return f'inject(generator, "{layer.name}", "{kind}", strength=0.1, example_input=z)'


def _training(config: TrainConfig, more: Mapping[str, object]) -> str:
    """The command that trains with the options of a run, and with others."""
    row = {**asdict(TrainConfig()), **PRESETS[config.preset]}
    options = {n: v for n, v in asdict(config).items() if v != row.get(n) and n not in ("preset", "noise")}
    options = {"data": config.data, **options, **more}
    words = [
        f"--{name.replace('_', '-')} {shlex.quote(str(value))}"
        for name, value in options.items()
        if value is not None and not isinstance(value, bool)
    ]
    words += [f"--{name.replace('_', '-')}" for name, value in options.items() if value is True]
    return " ".join([f"riemann-noise train --preset {config.preset}", *words])

"""What an inversion says, over all images and in words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, final

import numpy as np

from riemann_noise_pytorch.experiments.inversion.subject import Subject
from riemann_noise_pytorch.experiments.records import Record
from riemann_noise_pytorch.inversion.quality import FOUND_DB, NO_SPREAD
from riemann_noise_pytorch.seeds import derive

NO_STRENGTH = 1e-3
"""A learned strength below this is told as near 0. It can still matter, where features are as small."""
RESAMPLES = 2000


@final
@dataclass(frozen=True)
class Gain:
    """What the noise gains in PSNR, over the images.

    Args:
        median: Its median, in dB.
        low: Lower end of the 95 % bootstrap interval of the median; None for a single image.
        high: Upper end.
    """

    median: float
    low: float | None
    high: float | None

    @property
    def told(self) -> str:
        """In words."""
        interval = "" if self.low is None else f" (95 % interval {self.low:.2f} to {self.high:.2f})"
        return f"{self.median:.2f} dB{interval}"


def gain_of(differences: Sequence[float], seed: int) -> Gain | None:
    """The median of differences in PSNR with its bootstrap interval over the images; None for no images.

    Example:
        >>> gain_of([1.0, 1.0, 1.0], seed=0)
        Gain(median=1.0, low=1.0, high=1.0)
    """
    if not differences:
        return None
    values = np.asarray(differences, dtype=np.float64)
    middle = float(np.median(values))
    if len(values) == 1:
        return Gain(middle, None, None)
    draws = np.random.default_rng(derive(seed, "gain")).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.quantile(np.median(values[draws], axis=1), (0.025, 0.975))
    return Gain(middle, float(low), float(high))


def rate_counts(restarts: int) -> list[int]:
    """Numbers of starts for which the success rate is told: powers of 4, and all.

    Example:
        >>> rate_counts(16), rate_counts(6)
        ([1, 4, 16], [1, 4, 6])
    """
    powers = [4**k for k in range(int(math.log(restarts, 4) + 1e-9) + 1)]
    return sorted({*powers, restarts})


@final
@dataclass(frozen=True)
class Facts:
    """What is known beside the records of the images.

    Args:
        subject: The generator.
        rates: Share of images found again by the latents, under frozen noise, by the number of starts.
        latent_values: Values in the latents of an image.
        masked: Whether parts of the images are hidden.
        seed: Of the interval.
    """

    subject: Subject
    rates: dict[str, float]
    latent_values: int
    masked: bool
    seed: int


def summarised(images: Sequence[Record], facts: Facts) -> Record:
    """Sum up the records of images."""
    pairs = [(r["without"]["psnr"], r["with"]["psnr"]) for r in images if r["with"] is not None]
    gain = gain_of([b - a for a, b in pairs if a is not None and b is not None], facts.seed)
    fresh = [r["fresh"] for r in images]
    record = {
        "record": "summary",
        "rates": facts.rates,
        "least_db": FOUND_DB,
        "gain": None if gain is None else vars(gain),
        "strengths": facts.subject.strengths,
        "change": _median(_numbers(fresh, "change")),
        "spread": _median(_numbers(fresh, "spread")),
        "noise_rms": _median(_numbers(images, "noise_rms")),
    }
    return record | {"sentences": _sentences(images, record, gain, facts)}


def _sentences(images: Sequence[Record], summary: Record, gain: Gain | None, facts: Facts) -> list[str]:
    subject, rates = facts.subject, facts.rates
    told = [_headline(images, gain, subject), *_of_no_noise(summary)]
    if len(rates) > 1:
        each = ", ".join(f"{100 * share:.0f} % with {count}" for count, share in rates.items())
        noise = " under frozen noise" if subject.draws else ""
        told.append(f"Share of images above {FOUND_DB:g} dB{noise} by the number of starts: {each}.")
    told += _of_draws(images, summary) + _of_strengths(summary)
    if gain is not None:
        told += _of_maps(summary["noise_rms"], facts)
    if facts.masked:
        told.append("What the masks hide counts nowhere: PSNR, error and distance are of the rest.")
    ended = [record["ending"] for record in images]
    if "diverged" in ended:
        told.append(
            f"Of {_count(ended.count('diverged'))} the optimisation diverged; the best state before is kept."
        )
    return told


def _headline(images: Sequence[Record], gain: Gain | None, subject: Subject) -> str:
    without = _numbers([record["without"] for record in images], "psnr")
    optimised = _numbers([record["with"] for record in images], "psnr")
    if not without:
        return f"None of {_count(len(images))} has a finite reconstruction."
    typical = "PSNR" if len(images) == 1 else "median PSNR"
    start = f"{_count(len(images))}, {typical} {median(without):.1f} dB"
    if gain is None or not optimised:
        noise = "under frozen noise" if subject.draws else "by a generator without noise"
        return f"{start} {noise}."
    return (
        f"{start} under frozen noise and {median(optimised):.1f} dB with the noise optimised for each image: "
        f"a {'gain' if len(images) == 1 else 'median gain'} of {gain.told}."
    )


def _of_no_noise(summary: Record) -> list[str]:
    spread = summary["spread"]
    if spread is None or spread >= NO_SPREAD:
        return []
    return [
        f"The noise of this generator does next to nothing: fresh draws differ by {spread:.2g} grey levels "
        "of 255, which is lost in rounding."
    ]


def _of_draws(images: Sequence[Record], summary: Record) -> list[str]:
    change, spread = summary["change"], summary["spread"]
    if change is None:
        return []
    drawn = _median(_numbers([record["fresh"] for record in images], "psnr"))
    typical = "" if len(images) == 1 else " (median)"
    told = f"Fresh draws in place of the noise change an image by {change:.2g} grey levels of 255{typical}"
    told += "" if drawn is None else f", to a PSNR of {drawn:.1f} dB"
    if spread is None:
        return [f"{told}."]
    return [f"{told}; among themselves they differ by a standard deviation of {spread:.2g}."]


def _of_strengths(summary: Record) -> list[str]:
    strengths = {name: abs(strength) for name, strength in summary["strengths"].items()}
    weak = [name for name, strength in strengths.items() if strength < NO_STRENGTH]
    if not weak:
        return []
    return [
        f"The learned strength is near 0, below {NO_STRENGTH:g}, in {len(weak)} of {len(strengths)} noise "
        f"layers ({', '.join(weak)}); the largest is {max(strengths.values()):.2g}."
    ]


def _of_maps(rms: float | None, facts: Facts) -> list[str]:
    values = sum(math.prod(shape) for shape in facts.subject.maps.values())
    told = (
        f"The noise maps have {values:,} values for each image, its latents {facts.latent_values:,}: how "
        "near an image comes with optimised noise says little about its latents"
    )
    if rms is None:
        return [f"{told}."]
    return [
        f"{told}. The optimised noise has a root mean square of {rms:.2g}, that of drawn noise is about 1."
    ]


def _median(numbers: Sequence[float]) -> float | None:
    return median(numbers) if numbers else None


def _numbers(records: Sequence[dict[str, Any] | None], name: str) -> list[float]:
    return [record[name] for record in records if record is not None and record[name] is not None]


def _count(images: int) -> str:
    return "1 image" if images == 1 else f"{images:,} images"

"""What the scores of the study of inversion come to: means, paired differences, gains by the noise.

The unit is the training. Images are averaged within a seed, where all arms have the same targets; arms are
then paired by seed. Sixty-four images of one generator are not sixty-four generators.
"""

from collections.abc import Sequence
from itertools import combinations
from statistics import fmean, stdev
from typing import Final

from riemann_noise_pytorch.experiments.inversion_study.targets import HARD, KINDS, OCCLUDED, PLAIN
from riemann_noise_pytorch.experiments.records import Record
from riemann_noise_pytorch.inversion.quality import FOUND_DB
from riemann_noise_pytorch.statistics.intervals import redraw_interval
from riemann_noise_pytorch.statistics.paired import paired_difference, verdict

COMPARED: Final = {"mse": "squared error", "pyramid": "pyramid distance"}
"""The scores that arms are compared by, under frozen noise: the paper's two, its perceptual loss by a
distance that needs no weights."""
COMPARED_KINDS: Final = (PLAIN, *HARD)
"""Samples of the generator itself are other targets for each of them, hence no comparison."""
FROZEN: Final = "frozen"
OPTIMISED: Final = "optimised"

_Scores = dict[tuple[str, int, str], Record]


def summaries(scores: Sequence[Record], arms: Sequence[str], seeds: Sequence[int]) -> list[Record]:
    """Average over images and seeds: a record of type ``summary`` for each arm and kind of target.

    Args:
        scores: The records of all parts.
        arms: In order.
        seeds: In order.
    """
    table = _table(scores)
    return [_summary([table[arm, seed, kind] for seed in seeds]) for kind in KINDS for arm in arms]


def comparisons(scores: Sequence[Record], arms: Sequence[str], seeds: Sequence[int]) -> list[Record]:
    """Compare every arm with every arm before it, paired by seed; nothing with one seed alone.

    Args:
        scores: The records of all parts.
        arms: In order.
        seeds: In order.

    Returns:
        Records of type ``comparison``, for the kinds of :data:`COMPARED_KINDS` by the scores of
        :data:`COMPARED`: under frozen noise, then with noise optimised, where an arm without noise stays as
        it is.
    """
    if len(seeds) < 2:
        return []
    table = _table(scores)
    return [
        _comparison(noise, score, [[table[a, s, kind] for s in seeds] for a in (arm, against)])
        for noise in (FROZEN, OPTIMISED)
        for kind in COMPARED_KINDS
        for score in COMPARED
        for against, arm in combinations(arms, 2)
    ]


def _table(scores: Sequence[Record]) -> _Scores:
    return {(record["arm"], record["seed"], record["kind"]): record for record in scores}


def _summary(parts: Sequence[Record]) -> Record:
    """Parts of one arm and kind, one for each seed."""
    names = list(parts[0]["frozen"])
    has_noise = all(part["optimised"] is not None for part in parts)
    return {
        "record": "summary",
        "arm": parts[0]["arm"],
        "kind": parts[0]["kind"],
        "seeds": len(parts),
        "images": len(parts[0]["frozen"]["psnr"]),
        "frozen": {name: _spread([fmean(part["frozen"][name]) for part in parts]) for name in names},
        "optimised": {name: _spread([fmean(part["optimised"][name]) for part in parts]) for name in names}
        if has_noise
        else None,
        "found": fmean(float(value >= FOUND_DB) for part in parts for value in part["frozen"]["psnr"]),
        "gain": _gain(parts) if has_noise else None,
        "change": fmean(value for part in parts for value in part["change"]) if has_noise else None,
        "diverged": sum(part["diverged"] for part in parts),
    }


def _spread(values: Sequence[float]) -> Record:
    return {"mean": fmean(values), "between": stdev(values) if len(values) > 1 else None}


def _gain(parts: Sequence[Record]) -> Record:
    """What optimising the noise adds, in dB: mean over the images of a seed, then over seeds; and the least.

    The noise sees what the latents saw, so of an occluded target ``lowest`` is that of the part that is seen.
    """
    gains = [
        [after - before for before, after in zip(p["frozen"]["psnr"], p["optimised"]["psnr"], strict=True)]
        for p in parts
    ]
    seen = "seen" if parts[0]["kind"] == OCCLUDED else "mse"
    worse = sum(
        after > before * (1 + 1e-4)
        for part in parts
        for before, after in zip(part["frozen"][seen], part["optimised"][seen], strict=True)
    )
    means = [fmean(values) for values in gains]
    interval = redraw_interval(means) if len(means) > 1 else None
    return {
        "mean": fmean(means),
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "worse": worse,
    }


def _comparison(noise: str, score: str, parts: Sequence[Sequence[Record]]) -> Record:
    """One arm against another: the parts of each, one for each seed."""
    images = [[(part[noise] or part[FROZEN])[score] for part in each] for each in parts]
    values = [[fmean(of_seed) for of_seed in each] for each in images]
    result = paired_difference(*values)
    pairs = [(a, b) for own, other in zip(*images, strict=True) for a, b in zip(own, other, strict=True)]
    (arm, against), kind = (each[0]["arm"] for each in parts), parts[0][0]["kind"]
    label = f"{kind}, noise {noise}, {COMPARED[score]}"
    return {
        "record": "comparison",
        "noise": noise,
        "kind": kind,
        "metric": score,
        "label": COMPARED[score],
        "arm": arm,
        "against": against,
        "difference": result.difference,
        "low": result.low,
        "high": result.high,
        "p_value": result.p_value,
        "smallest_detectable": result.smallest_detectable,
        "pairs": result.pairs,
        "shown": result.shown,
        "lower_share": fmean(float(a < b) for a, b in pairs),
        "verdict": verdict(result, metric=label, arm=arm, against=against) + ".",
    }

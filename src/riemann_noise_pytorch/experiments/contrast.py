"""What measurements show: means, spreads of two kinds, paired differences, and a verdict in words."""

from collections.abc import Sequence
from itertools import combinations
from statistics import fmean, stdev

from riemann_noise_pytorch.experiments.metric_names import metric_label
from riemann_noise_pytorch.experiments.records import Record
from riemann_noise_pytorch.statistics.paired import PairedDifference, paired_difference, verdict

UNUSED = 0.1
"""Noise whose strength ends below this share of its start, in every layer, was turned off."""


def contrast(measurements: Sequence[Record], arms: Sequence[str], seeds: Sequence[int]) -> list[Record]:
    """Compare arms by their measurements.

    The spread within a run is the half width of its interval; the spread between seeds is a standard
    deviation. Arms are paired by seed, each against every arm before it.

    Args:
        measurements: Records of every metric for every arm and seed.
        arms: Arms in order.
        seeds: Seeds in order.

    Returns:
        Records of type ``summary``, ``comparison`` (from two seeds on) and one ``verdict``.
    """
    metrics = list(dict.fromkeys(m["metric"] for m in measurements))
    table = {(m["arm"], m["seed"], m["metric"]): m for m in measurements}
    records = [_summary([table[arm, seed, metric] for seed in seeds]) for metric in metrics for arm in arms]
    if len(seeds) < 2:
        sentence = "One seed shows no difference between arms, whatever the numbers; run more seeds."
        return [*records, {"record": "verdict", "sentences": [sentence]}]
    comparisons = []
    for metric in metrics:
        for against, arm in combinations(arms, 2):
            values = [[table[a, seed, metric]["value"] for seed in seeds] for a in (arm, against)]
            label = metric_label(metric, table[arm, seeds[0], metric]["name"])
            comparisons.append(_comparison(metric, label, arm, against, paired_difference(*values)))
    return [*records, *comparisons, {"record": "verdict", "sentences": _sentences(comparisons, len(seeds))}]


def _summary(measurements: Sequence[Record]) -> Record:
    values = [m["value"] for m in measurements]
    return {
        "record": "summary",
        "arm": measurements[0]["arm"],
        "metric": measurements[0]["metric"],
        "name": measurements[0]["name"],
        "mean": fmean(values),
        "within": fmean((m["high"] - m["low"]) / 2 for m in measurements),
        "between": stdev(values) if len(values) > 1 else None,
        "seeds": len(values),
    }


def _comparison(metric: str, label: str, arm: str, against: str, result: PairedDifference) -> Record:
    return {
        "record": "comparison",
        "metric": metric,
        "label": label,
        "arm": arm,
        "against": against,
        "difference": result.difference,
        "low": result.low,
        "high": result.high,
        "p_value": result.p_value,
        "smallest_detectable": result.smallest_detectable,
        "pairs": result.pairs,
        "shown": result.shown,
        "verdict": verdict(result, metric=label, arm=arm, against=against) + ".",
    }


def _sentences(comparisons: Sequence[Record], seeds: int) -> list[str]:
    if not comparisons:
        return ["One kind of noise alone has nothing to be compared with."]
    shown = [c for c in comparisons if c["shown"]]
    chance = 0.05 * len(comparisons)
    head = (
        f"Of {len(comparisons)} comparisons over {seeds} seeds, {len(shown)} show a difference at the 95 % "
        f"level; chance alone would show {chance:.2g} where there is none."
    )
    metrics = dict.fromkeys(c["metric"] for c in comparisons)
    hidden = [_undecided([c for c in comparisons if c["metric"] == m and not c["shown"]]) for m in metrics]
    return [head, *(c["verdict"] for c in shown), *filter(None, hidden)]


def _undecided(comparisons: Sequence[Record]) -> str:
    """One sentence for the pairs of one metric that show no difference."""
    if not comparisons:
        return ""
    pairs = ", ".join(f"{c['arm']} and {c['against']}" for c in comparisons)
    smallest = [f"{value:.2g}" for value in sorted(c["smallest_detectable"] for c in comparisons)]
    span = smallest[0] if smallest[0] == smallest[-1] else f"{smallest[0]} to {smallest[-1]}, by pair"
    return (
        f"{comparisons[0]['label']}: no difference shown between {pairs}; the smallest that this run would "
        f"have detected with 80 % probability is {span}."
    )


def noise_use(runs: Sequence[Record]) -> list[str]:
    """Say what became of the noise: one sentence an arm that has some.

    Args:
        runs: Records of the trainings, with ``strengths`` at the end and ``initial_strengths``.
    """
    sentences = []
    for arm in dict.fromkeys(run["arm"] for run in runs):
        own = [run for run in runs if run["arm"] == arm and run["strengths"]]
        if not own:
            continue
        start = fmean(value for run in own for value in run["initial_strengths"].values())
        ends = [value for run in own for value in run["strengths"].values()]
        judged = ": the generators turned it off" if max(ends) < UNUSED * start else ""
        sentences.append(
            f"{arm} noise: its strength went from {start:.2g} to between {min(ends):.2g} and {max(ends):.2g} "
            f"over layers and seeds{judged}."
        )
    return sentences

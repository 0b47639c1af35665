"""What the paper claims of inversion, when it holds and when it does not: written before any record existed.

The claim (its last experiment): on hard images, of large pose or occluded, Riemannian noise gives the lowest
squared error and perceptual loss; on easy ones all are alike. Here hard images are the kinds of
:data:`~riemann_noise_pytorch.experiments.inversion_study.targets.HARD`, easy ones the plain kind, and the
latents are found under frozen noise, as in the paper. Noise that is optimised besides is told and not judged.

Hard, for each kind and for all of them:
    *holds* if Riemannian noise is lower than none and than Euclidean by both scores, each at the 95 % level.
    As all must be shown at once, their number makes no chance finding easier.
    *does not hold* if by any of them it is higher, at 5 % divided by the number of all comparisons on hard
    kinds (Bonferroni).
    *not shown* otherwise.

Plain:
    *holds* if the 95 % intervals of all differences lie within a tenth of what the arm without noise has.
    *does not hold* if any difference is more than that and shown at 5 % divided by their number.
    *not shown* otherwise: that no difference is seen is no evidence of none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final, Literal

from riemann_noise_pytorch.experiments.inversion_study.numbers import COMPARED, FROZEN
from riemann_noise_pytorch.experiments.inversion_study.targets import HARD, PLAIN, SELF
from riemann_noise_pytorch.experiments.records import Record
from riemann_noise_pytorch.inversion.quality import FOUND_DB, NO_SPREAD
from riemann_noise_pytorch.statistics.intervals import critical_t

Outcome = Literal["holds", "does not hold", "not shown"]

ARMS: Final = ("none", "euclidean", "riemannian")
"""The claim is about these, in the order of tables."""
LEVEL: Final = 0.05
ALIKE: Final = 0.1
"""Scores that differ by less than this share are alike: 0.4 dB in a squared error."""
FEW: Final = 0.5
"""Below this share of their own samples found again, a search tells of itself, too."""
OF_A_KIND: Final = (len(ARMS) - 1) * len(COMPARED)
"""Comparisons that the claim asks for on each hard kind: with the other arms, by each score."""
ON_HARD: Final = OF_A_KIND * len(HARD)
ON_PLAIN: Final = len(ARMS) * len(COMPARED)
"""Comparisons on the plain kind: of all pairs of arms, for there are three of both."""
WORDS: Final = {"off": "off-distribution"}
"""Kinds of targets whose names say too little in a sentence."""
FEW_SEEDS: Final = 3
"""With as few, the level of *does not hold* is hardly ever reached."""
RULE: Final = (
    "Fixed before any run: the claim on hard images holds if Riemannian noise is lower than none and than "
    "Euclidean in squared error and in pyramid distance, all at the 95 % level, on every hard kind; it does "
    "not hold if any is higher at 5 % over the number of these comparisons. The claim on plain images holds "
    "if all 95 % intervals lie within a tenth of the score without noise; it does not hold if any difference "
    "is larger and shown at 5 % over their number."
)


@dataclass(frozen=True)
class Claim:
    """One part of the claim and what became of it.

    Args:
        kind: The kind of targets; ``hard`` for all hard ones.
        outcome: What is shown.
        asked: Comparisons that it asks for.
        in_favour: How many of them are as claimed.
        opposed: How many show the opposite.
    """

    kind: str
    outcome: Outcome
    asked: int
    in_favour: int
    opposed: int


def in_order(arms: Sequence[str]) -> list[str]:
    """Arms in the order of :data:`ARMS`, and others behind, so that each is compared with those before it.

    Example:
        >>> in_order(["riemannian", "paper", "none", "euclidean"])
        ['none', 'euclidean', 'riemannian', 'paper']
    """
    return sorted(arms, key=lambda arm: ARMS.index(arm) if arm in ARMS else len(ARMS))


def claims(comparisons: Sequence[Record], summaries: Sequence[Record]) -> list[Claim]:
    """Judge every hard kind, all hard kinds together, and the plain one; nothing where an arm is missing.

    No part of the claim holds where a comparison is missing that it asks for.

    Args:
        comparisons: Records of type ``comparison``.
        summaries: Records of type ``summary``.
    """
    if not comparisons or not set(ARMS) <= {record["arm"] for record in summaries}:
        return []
    frozen = [c for c in comparisons if c["noise"] == FROZEN]
    mine = [c for c in frozen if {c["arm"], c["against"]} <= set(ARMS)]
    tested = [c for c in mine if c["arm"] == "riemannian" and c["kind"] in HARD]
    each = [_hard(kind, [c for c in tested if c["kind"] == kind], OF_A_KIND) for kind in HARD]
    whole = _hard("hard", tested, ON_HARD)
    return [whole, *each, _plain([c for c in mine if c["kind"] == PLAIN], summaries)]


def _hard(kind: str, tested: Sequence[Record], asked: int) -> Claim:
    lower = sum(c["shown"] and c["difference"] < 0 for c in tested)
    higher = sum(c["p_value"] * ON_HARD <= LEVEL and c["difference"] > 0 for c in tested)
    outcome: Outcome = "holds" if lower == asked else "does not hold" if higher else "not shown"
    return Claim(kind, outcome, asked, lower, higher)


def _plain(tested: Sequence[Record], summaries: Sequence[Record]) -> Claim:
    (own,) = (s["frozen"] for s in summaries if (s["arm"], s["kind"]) == ("none", PLAIN))
    within = apart = 0
    for c in tested:
        margin = ALIKE * own[c["metric"]]["mean"]
        within += -margin < c["low"] and c["high"] < margin
        apart += c["p_value"] * ON_PLAIN <= LEVEL and abs(c["difference"]) > margin
    outcome: Outcome = "holds" if within == ON_PLAIN else "does not hold" if apart else "not shown"
    return Claim(PLAIN, outcome, ON_PLAIN, within, apart)


def sentences(
    found: Sequence[Claim],
    comparisons: Sequence[Record],
    summaries: Sequence[Record],
    *,
    held_out: bool,
) -> list[str]:
    """Tell the outcome, what it rests on, and what else is seen; the first sentence is the headline.

    Args:
        found: Of :func:`claims`.
        comparisons: Records of type ``comparison``.
        summaries: Records of type ``summary``.
        held_out: Whether the targets were kept out of the trainings.
    """
    arms = list(dict.fromkeys(record["arm"] for record in summaries))
    head = [_headline(found, summaries[0]), *_seen_in_training(held_out)]
    return [
        *head,
        *(_of_kind(claim) for claim in found if claim.kind not in ("hard", PLAIN)),
        *(told for claim in found[1:] if (told := _not_shown(claim, comparisons))),
        *_of_few_seeds(found, summaries[0]["seeds"]),
        *_of_comparisons(comparisons),
        _check(summaries, arms),
        *(told for arm in arms if (told := _of_noise(arm, summaries))),
        *([RULE] if found else []),
    ]


def _headline(found: Sequence[Claim], summary: Record) -> str:
    scale = f"{summary['seeds']} seeds, {summary['images']} targets of each kind, noise frozen"
    if summary["seeds"] < 2:
        return "One seed shows no difference between arms, whatever the numbers; compare more seeds."
    if not found:
        return (
            f"The paper's claim is not tested, for it is about the arms {', '.join(ARMS)}, which this "
            "comparison does not all have."
        )
    hard, plain = found[0], found[-1]
    return (
        f"The paper's claim at this scale ({scale}). On hard images Riemannian noise has the lowest squared "
        f"error and perceptual distance: {hard.outcome}. On plain images all arms are alike: {plain.outcome}."
    )


def _seen_in_training(held_out: bool) -> list[str]:
    if held_out:
        return []
    return [
        "The comparison kept no images out, so the plain, rotated and occluded targets are images that the "
        "generators saw in training."
    ]


def _of_kind(claim: Claim) -> str:
    kind = WORDS.get(claim.kind, claim.kind)
    return (
        f"On {kind} targets: {claim.outcome}; of {claim.asked} comparisons, {claim.in_favour} show "
        f"Riemannian noise lower and {claim.opposed} show it higher."
    )


def _not_shown(claim: Claim, comparisons: Sequence[Record]) -> str:
    """What would have been seen, where the claim stays open; empty where it does not."""
    if claim.outcome != "not shown":
        return ""
    mine = [
        c
        for c in comparisons
        if (c["noise"], c["kind"]) == (FROZEN, claim.kind)
        and {c["arm"], c["against"]} <= set(ARMS)
        and (claim.kind == PLAIN or "riemannian" in (c["arm"], c["against"]))
    ]
    if not mine:
        return ""
    told = []
    for metric in dict.fromkeys(c["metric"] for c in mine):
        smallest = sorted(c["smallest_detectable"] for c in mine if c["metric"] == metric)
        ends = [f"{value:.2g}" for value in (smallest[0], smallest[-1])]
        span = ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}, by pair"
        told.append(f"{COMPARED[metric]} {span}")
    return (
        f"Not shown on {WORDS.get(claim.kind, claim.kind)} targets: the smallest difference that "
        f"{mine[0]['pairs']} seeds would have detected with 80 % probability is, in {'; in '.join(told)}."
    )


def _of_few_seeds(found: Sequence[Claim], seeds: int) -> list[str]:
    """Why a claim that is not shown cannot well be refuted either, with so few seeds."""
    if seeds > FEW_SEEDS or all(claim.outcome != "not shown" for claim in found):
        return []
    hard, plain = (critical_t(seeds - 1, 1 - LEVEL / family) for family in (ON_HARD, ON_PLAIN))
    return [
        f"{seeds} seeds can hardly show that the claim does not hold: that needs a difference of "
        f"{hard:.0f} standard errors on hard images and {plain:.0f} on plain ones."
    ]


def _of_comparisons(comparisons: Sequence[Record]) -> list[str]:
    """How many differences are shown, and how many chance would show."""
    told = []
    for noise in dict.fromkeys(c["noise"] for c in comparisons):
        mine = [c for c in comparisons if c["noise"] == noise]
        shown = sum(c["shown"] for c in mine)
        told.append(
            f"Noise {noise}: of {len(mine)} comparisons, each at the 95 % level by itself, {shown} show a "
            f"difference; chance alone would show {LEVEL * len(mine):.2g} where there is none."
        )
    return told


def _check(summaries: Sequence[Record], arms: Sequence[str]) -> str:
    shares = {s["arm"]: s["found"] for s in summaries if s["kind"] == SELF}
    told = ", ".join(f"{100 * shares[arm]:.0f} % ({arm})" for arm in arms)
    doubt = (
        "; below half, differences between arms may be of the search and not of the generators"
        if min(shares.values()) < FEW
        else ""
    )
    return (
        f"Check of the search: of samples of the generators themselves, {told} are found again above "
        f"{FOUND_DB:g} dB{doubt}."
    )


def _of_noise(arm: str, summaries: Sequence[Record]) -> str:
    """What optimising the noise of an arm adds, and how far its noise moves images at all."""
    mine = [s for s in summaries if s["arm"] == arm and s["gain"] is not None]
    if not mine:
        return ""
    gains = ", ".join(f"{s['gain']['mean']:+.2f} ({s['kind']})" for s in mine)
    changes = [s["change"] for s in mine]  # between two draws, which differ by sqrt(2) of their deviation
    worse = sum(s["gain"]["worse"] for s in mine)
    return (
        f"{arm}: optimising the noise with the latents as they are changes the PSNR by {gains} dB"
        f"{f'; {worse} targets got worse' if worse else ''}. Other noise moves its images by "
        f"{min(changes):.1f} to {max(changes):.1f} grey levels of 255, root mean square, by kind of target"
        f"{': this noise does next to nothing' if max(changes) / sqrt(2) < NO_SPREAD else ''}."
    )

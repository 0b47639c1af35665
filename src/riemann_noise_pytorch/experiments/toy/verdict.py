"""What is seen in the toy, in words: one line first, then how soon and how lastingly all modes were found."""

from collections.abc import Sequence
from statistics import median

from riemann_noise_pytorch.experiments.records import Record
from riemann_noise_pytorch.experiments.toy.options import Arm

NAMES = {"none": "no regularisation"}

Pair = tuple[Arm, Record]


def sentences(arms: Sequence[Arm], summaries: Sequence[Record], modes: int) -> list[str]:
    """Say what is seen: the two longest at all modes and no regularisation, then each arm.

    Args:
        arms: In the order of ``summaries``.
        summaries: Of :func:`~riemann_noise_pytorch.experiments.toy.toy.summarise`.
        modes: Of the mixture.
    """
    pairs = list(zip(arms, summaries, strict=True))
    return [
        _headline(pairs, modes),
        *(_of_form(form, pairs) for form in dict.fromkeys(a.generator_loss for a in arms)),
    ]


def _headline(pairs: Sequence[Pair], modes: int) -> str:
    """The best arm beside the next; that none stands out, if their intervals of one deviation meet."""
    ordered = sorted(pairs, key=lambda pair: pair[1]["full"]["mean"], reverse=True)
    best, others = ordered[0], [pair for pair in ordered[1:] if pair[1]["full"]["mean"]]
    if not best[1]["full"]["mean"]:
        return f"No arm found all {modes} modes at any checkpoint."
    share = _share(best[1]["full"])
    found = f"ll {modes} modes were found at {share} of the checkpoints with {_kind(best[0])}"
    if not others:
        return f"A{found}{', and with no other arm' if ordered[1:] else ''}."
    second = others[0]
    beside = f"{_share(second[1]['full'])} with {_kind(second[0])}"
    if _lowest(best) > _highest(second):
        head = f"A{found}, next at {beside}"
    else:
        head = f"No arm stands out: a{found}, and at {beside}"
    plain = [pair for pair in pairs if pair[0].method == "none" and pair not in (best, second)]
    told = [f"{_share(one['full'])} ({arm.generator_loss})" for arm, one in plain]
    return f"{head}; without regularisation at {' and '.join(told)}." if told else f"{head}."


def _lowest(pair: Pair) -> float:
    full = pair[1]["full"]
    return float(full["mean"] - (full["sd"] or 0.0))


def _highest(pair: Pair) -> float:
    full = pair[1]["full"]
    return float(full["mean"] + (full["sd"] or 0.0))


def _of_form(form: str, pairs: Sequence[Pair]) -> str:
    parts = [f"with {_name(arm)} {_history(one)}" for arm, one in pairs if arm.generator_loss == form]
    return f"{form}, all modes found: {'; '.join(parts)}."


def _history(one: Record) -> str:
    """In how many seeds all modes were found, when, and how much of the time after that they were held."""
    seeds = f"in {one['covered']} of {one['seeds']} seed{'s' * (one['seeds'] != 1)}"
    if not one["covered"]:
        return seeds
    when = f"{seeds}, first after {median(one['first_full']):,.0f} steps"
    if not one["held"]:
        return when
    return f"{when}, then held at {_share(one['held'])} of checkpoints ({one['held']['n']} of {one['seeds']})"


def _kind(arm: Arm) -> str:
    return f"{_name(arm)} ({arm.generator_loss})"


def _name(arm: Arm) -> str:
    return NAMES.get(arm.method, arm.method.replace("js", "JS"))


def _share(spread: Record) -> str:
    deviation = "" if spread["sd"] is None else f" ± {100 * spread['sd']:.0f}"
    return f"{100 * spread['mean']:.0f}{deviation} %"

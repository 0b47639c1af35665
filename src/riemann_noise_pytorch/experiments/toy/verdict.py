"""What is seen in the toy, in words: one line first, then how soon and how lastingly all modes were found."""

from collections.abc import Sequence
from statistics import median

from riemann_noise_pytorch.experiments.records import Record
from riemann_noise_pytorch.experiments.toy.options import Arm

NAMES = {"none": "no regularisation"}


def sentences(arms: Sequence[Arm], summaries: Sequence[Record], modes: int) -> list[str]:
    """Say what is seen: the longest at all modes against no regularisation, then each arm.

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


def _headline(pairs: Sequence[tuple[Arm, Record]], modes: int) -> str:
    best_arm, best = max(pairs, key=lambda pair: pair[1]["full"]["mean"])
    plain = [(arm, one) for arm, one in pairs if arm.method == "none"]
    if not best["full"]["mean"]:
        return f"No arm found all {modes} modes at any checkpoint."
    head = (
        f"All {modes} modes were found at {_share(best['full'])} of the checkpoints with {_name(best_arm)} "
        f"({best_arm.generator_loss}), the most of all arms"
    )
    others = [f"{_share(one['full'])} ({arm.generator_loss})" for arm, one in plain if arm != best_arm]
    return f"{head}; without regularisation at {' and '.join(others)}." if others else f"{head}."


def _of_form(form: str, pairs: Sequence[tuple[Arm, Record]]) -> str:
    parts = [f"{_name(arm)} {_history(one)}" for arm, one in pairs if arm.generator_loss == form]
    return f"{form}: {'; '.join(parts)}."


def _history(one: Record) -> str:
    """How many seeds found all modes, when, and how much of the time after that they had them."""
    seeds = f"{one['covered']} of {one['seeds']} seed{'s' * (one['seeds'] != 1)}"
    if not one["covered"]:
        return seeds
    held = f", then at {_share(one['held'])} of checkpoints" if one["held"] else ""
    when = f"first after {median(one['first_full']):,.0f} steps"
    return f"{seeds} ({when}{held})"


def _name(arm: Arm) -> str:
    return NAMES.get(arm.method, arm.method.replace("js", "JS"))


def _share(spread: Record) -> str:
    deviation = "" if spread["sd"] is None else f" ± {100 * spread['sd']:.0f}"
    return f"{100 * spread['mean']:.0f}{deviation} %"

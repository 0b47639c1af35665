"""The tables of the study of inversion: how near each arm comes, what noise adds, and the differences."""

from collections.abc import Mapping, Sequence

from riemann_noise_pytorch.report.inversion_study import FROZEN, OPTIMISED, InversionStudy, StudyDifference
from riemann_noise_pytorch.report.tables import MISSING, Column, Table, arm_label, decimals, number

SCALE = 1000.0
"""Squared errors and distances are printed times this."""

SCORE_COLUMNS = (
    Column("targets", "name"),
    Column("noise", "arm"),
    Column("PSNR", "number", "in dB, mean over images and seeds"),
    Column("error x1e3", "number", "mean squared error of images in [-1, 1], mean over images and seeds"),
    Column("SD between", "number", "standard deviation of it between seeds"),
    Column("pyramid x1e3", "number", "pyramid distance, mean over images and seeds"),
    Column("SD between", "number", "standard deviation of it between seeds"),
    Column("above 30 dB", "number", "share of images, in percent"),
    Column("seeds", "reference", "number of generators"),
)
NOISE_COLUMNS = (
    Column("targets", "name"),
    Column("noise", "arm"),
    Column("PSNR frozen", "number", "in dB, with frozen noise"),
    Column("optimised", "number", "in dB, with noise optimised after the latents"),
    Column("gain", "number", "in dB, mean over images and seeds"),
    Column("interval", "number", "95 % over the seeds"),
    Column("other noise", "number", "how far it moves the image: root mean square in grey levels of 255"),
)
HIDDEN_COLUMNS = (
    Column("targets", "name"),
    Column("noise", "arm"),
    Column("seen x1e3", "number", "squared error of the part that the inversion saw, frozen noise"),
    Column("hidden x1e3", "number", "squared error of the part that it did not see, frozen noise"),
    Column("seen, optimised", "number", "the same with noise optimised"),
    Column("hidden, optimised", "number", "the same with noise optimised"),
)
DIFFERENCE_COLUMNS = (
    Column("targets", "name"),
    Column("score", "name"),
    Column("noise", "arm"),
    Column("against", "name"),
    Column("difference x1e3", "number", "mean over the pairs of equal seed"),
    Column("interval", "number", "95 % over the seeds"),
    Column("detectable", "number", "the true difference that so many seeds would show with 80 % probability"),
    Column("images lower", "number", "share of single images on which the first is lower, in percent"),
    Column("outcome", "name", "whether the interval leaves out zero"),
)


def score_table(study: InversionStudy) -> Table:
    """How near each arm comes to each kind of target, under frozen noise.

    Args:
        study: The records.
    """
    rows, arms = [], []
    for kind in study.kinds:
        mine = [one for arm in study.setup.arms if (one := study.summary(arm, kind))]
        places = {
            name: decimals((_scaled(one.frozen, name) for one in mine), digits=3)
            for name in ("mse", "pyramid")
        }
        for one in mine:
            spreads = [
                number(value, places[name])
                for name in ("mse", "pyramid")
                for value in (_scaled(one.frozen, name), _scaled(one.frozen, name, "between"))
            ]
            decibels = number(one.frozen["psnr"]["mean"], 2)
            share = f"{100 * one.found:.0f}"
            rows.append([kind, arm_label(one.arm), decibels, *spreads, share, str(one.seeds)])
            arms.append(one.arm)
    return Table("How near, noise frozen", SCORE_COLUMNS, rows, arms, _notes(study))


def noise_table(study: InversionStudy) -> Table:
    """What optimising the noise adds, for the arms that have some.

    Args:
        study: The records.
    """
    rows, arms = [], []
    for kind in study.kinds:
        for arm in study.setup.arms:
            one = study.summary(arm, kind)
            if one is None or one.gain is None or one.optimised is None:
                continue
            interval = MISSING
            if one.gain["low"] is not None:
                ends = (number(one.gain[end], 2, signed=True) for end in ("low", "high"))
                interval = " to ".join(ends)
            before, after = (number(found["psnr"]["mean"], 2) for found in (one.frozen, one.optimised))
            gain, change = number(one.gain["mean"], 2, signed=True), number(one.change, 2)
            rows.append([kind, arm_label(arm), before, after, gain, interval, change])
            arms.append(arm)
    return Table("Noise frozen, and noise optimised after the latents", NOISE_COLUMNS, rows, arms)


def hidden_table(study: InversionStudy) -> Table:
    """Occluded targets: the error where the inversion saw them, and where it did not.

    Args:
        study: The records.
    """
    found = [one for one in study.summaries if "hidden" in one.frozen]
    columns = [(which, part) for which in (FROZEN, OPTIMISED) for part in ("seen", "hidden")]
    numbers = {
        one.arm: [_scaled(one.frozen if which == FROZEN else one.optimised, part) for which, part in columns]
        for one in found
    }
    places = decimals(value for row in numbers.values() for value in row)
    rows = [
        ["occluded", arm_label(arm), *(number(value, places) for value in row)]
        for arm, row in numbers.items()
    ]
    return Table("Occluded targets, seen and hidden", HIDDEN_COLUMNS, rows, list(numbers))


def difference_table(study: InversionStudy, noise: str = FROZEN) -> Table:
    """The paired differences.

    Args:
        study: The records.
        noise: ``frozen``; or ``optimised``, where an arm without noise stays as it is.

    Returns:
        Cells of :data:`DIFFERENCE_COLUMNS`; no rows where there is one seed alone.
    """
    differences = [one for one in study.differences if one.noise == noise]
    rows = []
    for one in differences:
        alike = [each for each in differences if (each.kind, each.metric) == (one.kind, one.metric)]
        places = decimals((SCALE * each.smallest_detectable for each in alike), digits=2)
        change, low, high = (
            number(SCALE * value, places, signed=True) for value in (one.difference, one.low, one.high)
        )
        detectable = number(SCALE * one.smallest_detectable, places)
        names = [one.kind, one.label, arm_label(one.arm), arm_label(one.against)]
        share = f"{100 * one.lower_share:.0f}"
        rows.append([*names, change, f"{low} to {high}", detectable, share, outcome(one)])
    arms = [one.arm for one in differences]
    return Table(f"Differences, paired by seed, noise {noise}", DIFFERENCE_COLUMNS, rows, arms)


def outcome(one: StudyDifference) -> str:
    """What the interval of a difference says, in as few words as a table has room for."""
    if not one.shown:
        return "no difference shown"
    return "lower" if one.difference < 0 else "higher"


def how(study: InversionStudy) -> list[str]:
    """How the images were inverted and compared, in lines."""
    setup, given = study.setup, study.setup.options
    starts = "the first at the mean w, the others" if setup.space != "z" else "all"
    return [
        f"latents in {setup.space}, noise frozen: {given.get('restarts')} starts of each target, {starts} "
        f"random, {given.get('steps')} steps of Adam at {setup.lr[0]:g}, ramped, for {setup.objectives[0]}; "
        "the start of the least loss counts",
        f"then the noise alone, latents as they are: {given.get('noise_steps')} steps of Adam at "
        f"{setup.lr[1]:g}, ramped, for {setup.objectives[1]}; maps are normalised after each step, so that "
        "they stay as large as noise that is drawn",
        "means of decibels and of errors may order arms differently: the former count near misses most, the "
        "latter far ones; the claim is about errors",
        "with noise optimised, an arm that has noise has more to vary than one that has none, which stays as "
        "it is; the claim is about frozen noise",
        "targets, starts and steps are the same for all generators, so intervals tell of other trainings at "
        "these targets",
        "the unit is the training: images are averaged within a seed, and arms are paired by seed",
    ]


def _notes(study: InversionStudy) -> list[str]:
    return [*(f"{kind}: {told}" for kind, told in study.setup.kinds.items()), *how(study)]


def _scaled(
    found: Mapping[str, Mapping[str, float | None]] | None, name: str, which: str = "mean"
) -> float | None:
    value = None if found is None or name not in found else found[name][which]
    return None if value is None else SCALE * value


def tables(study: InversionStudy) -> Sequence[Table]:
    """All tables that have rows, in the order of the page."""
    every = (
        score_table(study),
        difference_table(study),
        noise_table(study),
        difference_table(study, OPTIMISED),
        hidden_table(study),
    )
    return [table for table in every if table.rows]

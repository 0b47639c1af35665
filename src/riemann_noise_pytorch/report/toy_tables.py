"""The table of the toy: each arm over its seeds, for the terminal, the page and the documentation."""

from collections.abc import Mapping
from statistics import median

from riemann_noise_pytorch.report.tables import MISSING, Column, Table
from riemann_noise_pytorch.report.toy_records import Summary, ToyRecords

COLUMNS = (
    Column("generator's loss", "name"),
    Column("regularisation", "name"),
    Column("modes", "number", "modes found at the end"),
    Column("good points", "number", "share of points within three deviations of a centre, at the end"),
    Column("off the plane", "number", "mean distance from the plane, at the end"),
    Column("with all modes", "number", "share of all checkpoints that had all modes, over all seeds"),
    Column(
        "all modes first",
        "number",
        "steps to the first checkpoint with all modes: median over the seeds that had one, of all",
    ),
    Column(
        "held",
        "number",
        "share of the later checkpoints with all modes, over the seeds that had later ones, of all",
    ),
    Column("gradient variance", "number", "of instance noise, as a multiple of that of the penalty"),
)

Spread = Mapping[str, float | None] | None


def toy_table(records: ToyRecords) -> Table:
    """Lay out the arms in their order: mean and standard deviation over seeds.

    Args:
        records: Of one toy.
    """
    total = len(records.centres)
    rows = []
    for arm in records.arms:
        one = records.summaries[arm.key]
        rows.append(
            [
                arm.generator_loss,
                arm.name,
                f"{_spread(one.modes, 1)} of {total}",
                f"{_spread(one.good, 0, 100)} %",
                _spread(one.height, 3) if records.setup.mixture.get("ambient") == 3 else MISSING,
                f"{_spread(one.full, 0, 100)} %",
                _first(one),
                _held(one),
                _spread(one.variance_ratio, 1),
            ]
        )
    seeds = len(records.setup.seeds)
    title = f"After {records.setup.steps[-1]:,} steps, over {seeds} seed{'s' * (seeds > 1)}"
    return Table(title, COLUMNS, rows, [arm.kind for arm in records.arms])


def _first(one: Summary) -> str:
    """The median over the seeds that found all modes, and how many did."""
    if not one.first_full:
        return f"{MISSING} (0 of {one.seeds})"
    return f"{median(one.first_full):,.0f} ({one.covered} of {one.seeds})"


def _held(one: Summary) -> str:
    """The mean over the seeds that had all modes before the last checkpoint, and how many did."""
    if one.held is None:
        return MISSING
    counted = f" ({one.held['n']} of {one.seeds})" if "n" in one.held else ""
    return f"{_spread(one.held, 0, 100)} %{counted}"


def _spread(spread: Spread, places: int, factor: float = 1.0) -> str:
    if spread is None or spread["mean"] is None:
        return MISSING
    deviation = "" if spread["sd"] is None else f" ± {factor * spread['sd']:.{places}f}"
    return f"{factor * spread['mean']:.{places}f}{deviation}"

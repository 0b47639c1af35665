"""The tables of an inversion, for the terminal and the page: how near it came, and how it ended."""

from collections.abc import Sequence
from statistics import median

from riemann_noise_pytorch.report.diagnosis_tables import interval_text, three_digits
from riemann_noise_pytorch.report.inversion_records import ImageRecord, InversionRecords, Score
from riemann_noise_pytorch.report.tables import MISSING, Column, Table, number

FROZEN, OPTIMISED = "frozen", "optimised"

ENDING_COLUMNS = (
    Column("image", "name"),
    Column("start", "number", "the one with the least loss, of how many"),
    Column("steps", "number", "of each stage"),
    Column("ended", "name"),
    Column("loss", "number", "least of each stage, from the best start"),
    Column("of the other starts", "name", "their least loss of the last stage"),
)
LAYER_COLUMNS = (
    Column("noise layer", "name"),
    Column("learned strength", "number", "standard deviation of the noise that the layer adds"),
)


def score_table(records: InversionRecords) -> Table:
    """How near each reconstruction is, the median over the images first.

    Args:
        records: Of one inversion.

    Returns:
        For each image a row for each noise: frozen, optimised, and drawn afresh. A column that holds nothing
        is left out.
    """
    columns = (
        Column("image", "name"),
        Column("noise", "name"),
        Column("PSNR", "number", "in dB, of a range of 2"),
        Column("SSIM", "number", "structural similarity, a window of 11 pixels"),
        Column("MSE", "number", "of images in [-1, 1]"),
        Column("distance", "number", records.setup.distance),
        Column("change", "number", "by fresh draws of the noise, root mean square, in grey levels of 255"),
    )
    rows = _median_rows(records) if len(records.images) > 1 else []
    for image in records.images:
        rows += [[image.name, *row] for row in _rows(records, image)]
    kept = [i for i in range(len(columns)) if i < 2 or any(row[i] != MISSING for row in rows)]
    return Table(
        "How near the reconstructions are",
        [columns[i] for i in kept],
        [[row[i] for i in kept] for row in rows],
        [""] * len(rows),
        notes(records),
    )


def median_table(records: InversionRecords) -> Table:
    """The first rows of :func:`score_table`: the medians, or the one image that there is."""
    table = score_table(records)
    first = [row for row in table.rows if row[0] == table.rows[0][0]]
    return Table(table.title, table.columns, first, [""] * len(first), table.notes)


def ending_table(records: InversionRecords) -> Table:
    """How the optimisation of each image ended, with the losses of all restarts.

    Args:
        records: Of one inversion.
    """
    rows = []
    for image in records.images:
        others = [_loss(stages[-1]) for i, stages in enumerate(image.losses) if i != image.restart]
        rows.append(
            [
                image.name,
                f"{image.restart + 1} of {len(image.losses)}",
                " + ".join(f"{steps:,}" for steps in image.steps),
                image.ending,
                ", ".join(_loss(loss) for loss in image.losses[image.restart]),
                ", ".join(others) or MISSING,
            ]
        )
    kept = [i for i in range(len(ENDING_COLUMNS)) if records.restarts > 1 or i not in (1, 5)]
    columns = [ENDING_COLUMNS[i] for i in kept]
    return Table("How each ended", columns, [[row[i] for i in kept] for row in rows], [""] * len(rows))


def layer_table(records: InversionRecords) -> Table:
    """The learned strength of the noise by layer; no rows where there is none.

    Args:
        records: Of one inversion.
    """
    rows = [[name, three_digits(strength)] for name, strength in records.summary.strengths.items()]
    return Table("Noise by layer", LAYER_COLUMNS, rows, [""] * len(rows))


def notes(records: InversionRecords) -> list[str]:
    """What stands below the scores: how many were found, the noise in numbers, and the distance."""
    summary = records.summary
    rates, least = list(summary.rates.values()), summary.least_db
    noise = ", noise frozen" if records.setup.noisy else ""
    found = [f"above {least:g} dB{noise}: {100 * rates[0]:.0f} % of the images"] if len(rates) == 1 else []
    if summary.spread is not None:
        told = "fresh draws among themselves: standard deviation of a pixel"
        found.append(f"{told} {three_digits(summary.spread)} of 255")
    if summary.noise_rms is not None:
        found.append(
            f"optimised noise: root mean square {three_digits(summary.noise_rms)}, drawn noise about 1"
        )
    return [*found, f"distance: {records.setup.distance}"]


def gain_text(records: InversionRecords) -> str:
    """What the noise gains over the images, in a few words; empty where it was not optimised."""
    gain = records.summary.gain
    if gain is None or gain.get("median") is None:
        return ""
    low, high = gain.get("low"), gain.get("high")
    interval = "" if low is None or high is None else f", 95 % interval {interval_text(low, high)}"
    return f"median {number(gain.get('median'), 2, signed=True)} dB{interval}"


def about(records: InversionRecords) -> str:
    """What was inverted by what, in one line."""
    images, setup = records.setup.images, records.setup
    count = len(records.images)
    shape = images.get("shape")
    size = f" of {'x'.join(map(str, shape))}" if isinstance(shape, Sequence) else ""
    parts = [
        setup.name,
        str(setup.target.get("snapshot") or ""),
        f"{count:,} image{'s' * (count != 1)}{size}",
        f"{setup.recipe} in {setup.space}",
        f"{records.restarts} starts each" if records.restarts > 1 else "",
    ]
    return " · ".join(part for part in parts if part)


def psnr_text(score: Score | None) -> str:
    """A PSNR in print.

    Example:
        >>> psnr_text({"psnr": 31.416}), psnr_text({"psnr": None}), psnr_text(None)
        ('31.42', '–', '–')
    """
    return MISSING if score is None else number(score.get("psnr"), 2)


def _rows(records: InversionRecords, image: ImageRecord) -> list[list[str]]:
    rows = [_scores(_frozen(records), image.without)]
    if image.with_noise is not None:
        rows.append(_scores(OPTIMISED, image.with_noise))
    if image.fresh is not None:
        rows.append(_fresh(image.fresh))
    return rows


def _median_rows(records: InversionRecords) -> list[list[str]]:
    """Medians over the images, each over those that have the number."""
    images = records.images
    names = ("psnr", "ssim", "mse", "perceptual")

    def over(scores: Sequence[Score], name: str) -> float | None:
        found = [value for score in scores if (value := score.get(name)) is not None]
        return median(found) if found else None

    found = [image.with_noise for image in images if image.with_noise is not None]
    fresh = [image.fresh for image in images if image.fresh is not None]
    without = [image.without for image in images]
    rows = [_scores(_frozen(records), {name: over(without, name) for name in names})]
    if found:
        rows.append(_scores(OPTIMISED, {name: over(found, name) for name in names}))
    if fresh:
        medians: dict[str, float | None] = {name: over(fresh, name) for name in ("psnr", "change", "draws")}
        rows.append(_fresh(medians))
    return [[f"median of {len(images):,}", *row] for row in rows]


def _frozen(records: InversionRecords) -> str:
    return FROZEN if records.setup.noisy else "none"


def _scores(noise: str, score: Score) -> list[str]:
    mse, distance = (three_digits(score.get(name)) for name in ("mse", "perceptual"))
    return [noise, psnr_text(score), number(score.get("ssim"), 3), mse, distance, MISSING]


def _fresh(fresh: Score) -> list[str]:
    draws = fresh.get("draws")
    name = "fresh" if draws is None else f"fresh, {draws:.0f} draw{'s' * (draws != 1)}"
    deviation = fresh.get("psnr_sd")
    spread = "" if deviation is None else f" ± {deviation:.2f}"
    psnr = number(fresh.get("psnr"), 2) + spread
    return [name, psnr, MISSING, MISSING, MISSING, number(fresh.get("change"), 2)]


def _loss(value: float | None) -> str:
    return "none" if value is None else three_digits(value)

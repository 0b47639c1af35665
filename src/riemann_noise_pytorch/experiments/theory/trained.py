"""What the experiment on the dimension trap found on trained generators, for the figure of Theorem 1."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.records import Record, read_records
from riemann_noise_pytorch.experiments.theory.statement import Curve, curve

PREMISE_FAILS = "no premise"


@dataclass(frozen=True)
class TrainedGenerators:
    """Trained generators whose rank is below the dimension of their data.

    Attributes:
        curves: Divergence against norm, a curve for each size of the latent and kind of noise.
        remark: Which cases of the theorem were seen; empty where nothing was given.
    """

    curves: tuple[Curve, ...] = ()
    remark: str = ""


def trained_generators(folder: Path | None) -> TrainedGenerators:
    """Read the records of ``riemann-noise trap``.

    Args:
        folder: Where they are; None for nothing.

    Raises:
        InputError: There are none, or they are damaged.
    """
    if folder is None:
        return TrainedGenerators()
    records = read_records(folder / "records.jsonl")
    try:
        return _read([record for record in records if record["record"] == "arm"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{folder} holds records that are not those of a dimension trap ({error}); give a folder written "
            "by `riemann-noise trap`"
        ) from error


def _read(arms: list[Record]) -> TrainedGenerators:
    if not arms:
        raise ValueError("no trained generator")
    trapped = [arm for arm in arms if arm["case"] != PREMISE_FAILS]
    groups: dict[str, list[tuple[float, float]]] = {}
    for arm in trapped:
        label = f"z_dim {int(arm['z_dim'])}, noise {arm['noise']}"
        groups.setdefault(label, []).append((float(arm["norm"]), float(arm["js"]["value"])))
    cases = Counter(str(arm["case"]) for arm in trapped)
    seen = ", ".join(f"{case} {count}" for case, count in cases.items()) or "none"
    remark = (
        f"Of {len(arms)} trained generators {len(trapped)} have a rank below the dimension of their data; "
        f"cases seen: {seen}."
    )
    return TrainedGenerators(tuple(_scatter(label, points) for label, points in groups.items()), remark)


def _scatter(label: str, points: list[tuple[float, float]]) -> Curve:
    norms, bounds = zip(*sorted(points), strict=True)
    return curve(label, norms, bounds)

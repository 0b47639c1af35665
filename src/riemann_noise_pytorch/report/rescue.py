"""What the rescue study left on disk, as typed records, and its tables: settings by methods."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.report.tables import MISSING, Column, Table, number
from riemann_noise_pytorch.report.typed_records import Kind, Source, read_typed

RECORDS = "records.jsonl"


@dataclass(frozen=True)
class RescueSetup:
    """With what options, and where."""

    version: str
    options: Mapping[str, object]
    methods: Mapping[str, Mapping[str, object]]
    training: Mapping[str, object]
    collapsed_below: float
    among_real: float
    environment: Mapping[str, object]
    commit: str | None = None


@dataclass(frozen=True)
class RescueData:
    """The real images, and what real images reach of them."""

    name: str
    count: int
    std: float
    recall_of_half: float
    recall_of_digits: Mapping[str, float]


@dataclass(frozen=True)
class RescueRun:
    """One generator after its training, or where that broke: then ``stopped`` tells it.

    ``reached`` is the recall as it counts: 0 where the precision is next to none, or where training broke.
    Records also hold the recall as it is, and that of the generator that is not averaged.
    """

    setting: str
    generator_loss: str
    lr: float
    strength: float
    method: str
    seed: int
    collapsed: bool
    reached: float
    precision: float | None = None
    sample_std: float | None = None
    stopped: str | None = None


@dataclass(frozen=True)
class RescueVerdict:
    """What is seen, in sentences."""

    sentences: Sequence[str]


@dataclass(frozen=True)
class Rescue:
    """All records of one study."""

    setup: RescueSetup
    data: RescueData
    runs: Sequence[RescueRun]
    sentences: Sequence[str]

    @property
    def methods(self) -> list[str]:
        """The columns, in the order of the options."""
        return list(self.setup.methods)

    @property
    def settings(self) -> list[str]:
        """The rows, in the order of the options."""
        return list(dict.fromkeys(run.setting for run in self.runs))

    def label(self, method: str) -> str:
        """What a method is called in print."""
        return str(self.setup.methods[method].get("label", method))

    def cell(self, setting: str, method: str) -> list[RescueRun]:
        """The runs of a setting and a method: one for each seed, or none."""
        return [run for run in self.runs if (run.setting, run.method) == (setting, method)]

    def row(self, setting: str) -> RescueRun:
        """Any run of a setting, for what all of them share."""
        return next(run for run in self.runs if run.setting == setting)


_KINDS = {
    "setup": Kind(RescueSetup),
    "data": Kind(RescueData),
    "run": Kind(RescueRun, ("setting", "method", "seed")),
    "verdict": Kind(RescueVerdict),
}
_SOURCE = Source("a rescue study", "run the study again")


def read_rescue(folder: str | os.PathLike[str]) -> Rescue:
    """Read the records of a study.

    Args:
        folder: That of ``riemann-noise rescue``.

    Raises:
        InputError: There are none, or a line cannot be used.
    """
    path = Path(folder) / RECORDS
    found = read_typed(path, _KINDS, _SOURCE)
    for kind in ("setup", "data", "run"):
        if not found[kind]:
            raise InputError(f"{path} has no record of type {kind}; run the study again")
    setup = found["setup"][0]
    for run in found["run"]:
        if run.method not in setup.methods:
            raise InputError(f"{path} has a run of {run.method}, which its setup lacks; run the study again")
    sentences = [sentence for verdict in found["verdict"] for sentence in verdict.sentences]
    return Rescue(setup, found["data"][0], found["run"], sentences)


def rescue_tables(rescue: Rescue) -> list[Table]:
    """The tables of a study: runs that collapsed, recall, precision, and standard deviation of the samples.

    Args:
        rescue: The records.

    Returns:
        Four tables with a row for each setting and a column for each method.
    """
    below = rescue.setup.collapsed_below
    seeds = len({run.seed for run in rescue.runs})
    return [
        _table(rescue, f"Collapsed runs, of {seeds} each", _count, _notes(rescue)),
        _table(rescue, f"Recall: mean, lowest to highest (collapsed below {below:g})", _recall),
        _table(rescue, "Precision: mean, lowest to highest", _precision),
        _table(
            rescue, f"Standard deviation of samples, mean (real images: {rescue.data.std:.2f})", _deviation
        ),
    ]


def _table(
    rescue: Rescue, title: str, write: Callable[[Sequence[RescueRun]], str], notes: Sequence[str] = ()
) -> Table:
    columns = [
        Column("generator's loss", "name"),
        Column("lr", "number", "learning rate of the generator"),
        Column("lr of D", "number", "learning rate of the discriminator"),
        *(Column(rescue.label(method), "number") for method in rescue.methods),
    ]
    rows = []
    for setting in rescue.settings:
        about = rescue.row(setting)
        cells = [rescue.cell(setting, method) for method in rescue.methods]
        rows.append(
            [
                about.generator_loss,
                f"{about.lr:g}",
                f"{about.lr * about.strength:g}",
                *(write(cell) if cell else MISSING for cell in cells),
            ]
        )
    return Table(title, columns, rows, [], notes)


def _count(cell: Sequence[RescueRun]) -> str:
    return str(sum(run.collapsed for run in cell))


def _recall(cell: Sequence[RescueRun]) -> str:
    return _range([run.reached for run in cell])


def _precision(cell: Sequence[RescueRun]) -> str:
    return _range([run.precision for run in cell if run.precision is not None])


def _range(values: Sequence[float]) -> str:
    return f"{fmean(values):.2f} ({min(values):.2f}-{max(values):.2f})" if values else MISSING


def _deviation(cell: Sequence[RescueRun]) -> str:
    values = [run.sample_std for run in cell if run.sample_std is not None]
    return number(fmean(values), 2) if values else MISSING


def _notes(rescue: Rescue) -> list[str]:
    data = rescue.data
    few = ", ".join(f"{count}: {value:.2f}" for count, value in data.recall_of_digits.items())
    stopped = [run for run in rescue.runs if run.stopped]
    own_loss = [method for method in rescue.methods if "loss" in rescue.setup.methods[method]]
    told = [f"{run.setting}, {run.method}, seed {run.seed}: {run.stopped}" for run in stopped]
    return [
        f"collapsed: recall below {rescue.setup.collapsed_below:g}; it counts as 0 where the precision is "
        f"below {rescue.setup.among_real:g} (noise has the recall of everything), or the run stopped as not "
        "finite",
        "so a run that has not come far yet counts as well; samples nearly as varied as the data, and a "
        "precision that is low and not 0, hint at that",
        f"recall of real images, measured alike: half of {data.name} {data.recall_of_half:.2f}; those of so "
        f"many digits alone, {few}",
        *(_about_own_loss(rescue.label(method)) for method in own_loss),
        *told,
    ]


def _about_own_loss(label: str) -> str:
    return (
        f"{label} also changes the loss, and no method has that loss alone: what the loss does and what the "
        f"penalty does cannot be told apart here; {MISSING}: that loss has one form for the generator, in "
        "the rows of non-saturating"
    )

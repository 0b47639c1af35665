"""``riemann-noise toy``: small GANs on a mixture one can look at, with and without regularisation."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from riemann_noise_pytorch.cli.allocator import keep_big_buffers
from riemann_noise_pytorch.cli.options import parse
from riemann_noise_pytorch.experiments.toy.options import ToyConfig

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

    from riemann_noise_pytorch.report.tables import Table
    from riemann_noise_pytorch.report.toy_records import ToyRecords

STAGES = {"training": (0.0, 1.0)}
"""Where in a task's time its one stage begins and ends."""


@dataclass(frozen=True)
class ToyOptions:
    """Train small GANs on a mixture in a plane, embedded in space, with and without regularisation."""

    config: tyro.conf.OmitArgPrefixes[ToyConfig]
    out: Path = Path("runs/toy")
    """Folder to make: records.jsonl, artifacts, figure.png, animation.png and report.html."""
    resume: Annotated[tyro.conf.FlagCreatePairsOff[bool], tyro.conf.arg()] = False
    """Go on with what was stopped; what was done is kept."""


def main(arguments: Sequence[str]) -> None:
    """Run the toy as the command line says, print its table, and write figure, animation and page.

    Raises:
        RiemannNoiseError: Options or folder cannot be used, a network diverged, or the work was stopped.
    """
    options = parse(ToyOptions, "toy", arguments, ToyOptions(ToyConfig()))
    options.config.validate()
    keep_big_buffers()

    from riemann_noise_pytorch.cli.compare import make_console
    from riemann_noise_pytorch.cli.compare_progress import CompareDisplay
    from riemann_noise_pytorch.experiments.toy.toy import toy

    with CompareDisplay(make_console(stderr=True), stages=STAGES) as display:
        toy(options.config, options.out, resume=options.resume, on_progress=display.update)

    from riemann_noise_pytorch.report.toy import write_toy_report
    from riemann_noise_pytorch.report.toy_records import read_toy

    print_toy(make_console(), read_toy(options.out), write_toy_report(options.out))


def print_toy(console: "Console", records: "ToyRecords", page: Path) -> None:
    """Print the table, what is seen, and where the page is.

    Args:
        console: Elsewhere than on a terminal, lines are not broken.
        records: Of one toy.
        page: The report's path.
    """
    from riemann_noise_pytorch.report.tables import plain
    from riemann_noise_pytorch.report.toy_tables import toy_table

    table, wide = toy_table(records), not console.is_terminal
    console.print(plain(table) if wide else _styled(table), soft_wrap=wide)
    head, *findings = records.sentences or ["No verdict was recorded."]
    console.print(f"\n{head}", soft_wrap=wide, style="bold")
    for finding in findings:
        console.print(f"- {finding}", soft_wrap=wide)
    console.print(f"\nReport: {page}", soft_wrap=True)


def _styled(table: "Table") -> "RichTable":
    """A table for a terminal; cells are broken where it is narrow."""
    from rich.table import Table as RichTable
    from rich.text import Text

    grid = RichTable(title=table.title, title_justify="left", box=None, pad_edge=False, header_style="dim")
    for column in table.columns:
        grid.add_column(column.heading, justify="right" if column.numeric else "left")
    for row in table.rows:
        grid.add_row(*(Text(cell) for cell in row))
    return grid

"""``riemann-noise compare``: one GAN with each kind of noise, measured alike; a table and a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from riemann_noise_pytorch.cli.allocator import keep_big_buffers
from riemann_noise_pytorch.cli.options import parse
from riemann_noise_pytorch.experiments.options import CompareConfig

if TYPE_CHECKING:
    from rich.console import Console

    from riemann_noise_pytorch.report import Table


@dataclass(frozen=True)
class CompareOptions:
    """Train the same DCGAN with each kind of noise over several seeds, measure all alike, write a report."""

    config: tyro.conf.OmitArgPrefixes[CompareConfig]
    out: Path = Path("runs/compare")
    """Folder to make: runs, records.jsonl, artifacts and report.html."""
    resume: Annotated[tyro.conf.FlagCreatePairsOff[bool], tyro.conf.arg()] = False
    """Go on with a comparison that was stopped; what it finished is kept."""


def main(arguments: Sequence[str]) -> None:
    """Compare as the command line says, print the table, and write the page.

    Raises:
        RiemannNoiseError: Options, images or folder cannot be used, or the work was stopped.
    """
    options = parse(CompareOptions, "compare", arguments, CompareOptions(CompareConfig()))
    options.config.validate()
    keep_big_buffers()

    from rich.console import Console

    from riemann_noise_pytorch.cli.compare_progress import CompareDisplay
    from riemann_noise_pytorch.experiments.compare import compare

    with CompareDisplay() as display:
        compare(options.config, options.out, resume=options.resume, on_progress=display.update)

    from riemann_noise_pytorch.report import plain, read_comparison, summary_table, write_report

    comparison = read_comparison(options.out)
    console = Console()
    table = summary_table(comparison)
    if console.is_terminal:
        _print(console, table)
    else:
        print(plain(table))
    for sentence in comparison.sentences:
        console.print(f"\n{sentence}", highlight=False, markup=False, soft_wrap=not console.is_terminal)
    console.print(f"\nReport: {write_report(options.out)}", highlight=False, markup=False, soft_wrap=True)


def _print(console: "Console", table: "Table") -> None:
    from rich.table import Table as RichTable

    shown = RichTable(title=table.title, title_justify="left", header_style="bold")
    for column in table.columns:
        dim = "dim" if column.kind == "reference" else None
        shown.add_column(column.heading, justify="right" if column.numeric else "left", style=dim)
    before = None
    for row in table.rows:
        if before not in (None, row[0]):
            shown.add_section()
        shown.add_row(row[0] if row[0] != before else "", *row[1:])
        before = row[0]
    console.print(shown)

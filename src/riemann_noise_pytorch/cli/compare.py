"""``riemann-noise compare``: one GAN with each kind of noise, measured alike; a table and a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from riemann_noise_pytorch.cli.allocator import keep_big_buffers
from riemann_noise_pytorch.cli.options import parse
from riemann_noise_pytorch.experiments.options import CompareConfig

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from riemann_noise_pytorch.report import Comparison, Table


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

    from riemann_noise_pytorch.cli.compare_progress import CompareDisplay
    from riemann_noise_pytorch.experiments.compare import compare

    with CompareDisplay(make_console(stderr=True)) as display:
        compare(options.config, options.out, resume=options.resume, on_progress=display.update)

    from riemann_noise_pytorch.report import read_comparison, write_report

    print_comparison(make_console(), read_comparison(options.out), write_report(options.out))


def make_console(**options: Any) -> "Console":
    """A console that prints text as it is: paths and names may hold brackets and colons.

    Args:
        options: Further options of rich's console.
    """
    from rich.console import Console

    return Console(**options, markup=False, emoji=False, highlight=False)


def print_comparison(console: "Console", comparison: "Comparison", page: Path) -> None:
    """Print the summary, how each metric was measured, the verdict and where the page is.

    Args:
        console: From :func:`make_console`; elsewhere than on a terminal, lines are not broken.
        comparison: The records.
        page: The report's path.
    """
    from riemann_noise_pytorch.report import plain, summary_table

    table, wide = summary_table(comparison), not console.is_terminal
    if wide:
        console.print(plain(table), soft_wrap=True)
    else:
        console.print(by_name(table), end="\n\n")
        for note in table.notes:
            console.print(f"- {note}", style="dim")
    head, *findings = comparison.sentences or ["No verdict was recorded."]
    console.print(f"\n{head}", soft_wrap=wide, style="bold")
    for finding in findings:
        console.print(f"- {finding}", soft_wrap=wide)
    console.print(f"\nReport: {page}", soft_wrap=True)


def by_name(table: "Table") -> "Text":
    """Lay a table out for a terminal of 80 columns: names of the first column stand on lines of their own.

    Args:
        table: Rows of one name stand together.
    """
    from rich.text import Text

    _, *columns = table.columns
    rows = [[column.heading for column in columns], *(row[1:] for row in table.rows)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(columns))]

    def line(cells: Sequence[str]) -> Text:
        text = Text()
        for cell, width, column in zip(cells, widths, columns, strict=True):
            padded = cell.rjust(width) if column.numeric else cell.ljust(width)
            text.append(f"  {padded}", "dim" if column.kind == "reference" else None)
        return text

    lines, before = [Text(table.title, "italic"), line(rows[0])], None
    for name, *cells in table.rows:
        if name != before:
            lines.append(Text(f"\n{name}", "bold"))
        lines.append(line(cells))
        before = name
    return Text("\n").join(lines)

"""``riemann-noise diagnose``: where a generator loses dimensions, how well conditioned it is, what to try."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import tyro

from riemann_noise_pytorch.cli.allocator import keep_big_buffers
from riemann_noise_pytorch.cli.options import parse
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.diagnosis.options import DiagnoseConfig

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

    from riemann_noise_pytorch.report.diagnosis_records import DiagnosisRecords, Finding
    from riemann_noise_pytorch.report.tables import Table

STYLES = {"problem": "bold red", "note": "bold yellow", "good": "bold green"}
FOLDER = "diagnosis"
WIDE = 100
"""Columns of a terminal from which on shapes and bars have room."""
BAR = 12
"""Letters of a bar for the full rank."""


@dataclass(frozen=True)
class DiagnoseOptions:
    """Show where a generator loses dimensions, how well conditioned it is, and what to try.

    For every layer the rank and the spectrum of its Jacobian; condition numbers; the shares of latent and
    noise in the images' variance; the dimension of the data. A table, records, and a page with the figures.
    """

    target: tyro.conf.Positional[str]
    """A run folder, a snapshot, or a callable from latents to images, given as package.module:name or
    file.py:name."""
    config: tyro.conf.OmitArgPrefixes[DiagnoseConfig]
    out: Path | None = None
    """Folder of diagnosis.jsonl, diagnosis.safetensors and diagnosis.html. None: diagnosis in the folder of
    the run, or for anything else in the current one."""


def main(arguments: Sequence[str]) -> None:
    """Diagnose as the command line says, print tables and findings, and write the page.

    Raises:
        RiemannNoiseError: The target or an option cannot be used.
    """
    options = parse(DiagnoseOptions, "diagnose", arguments)
    options.config.validate()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("a diagnosis runs in one process; call riemann-noise diagnose without a launcher")
    keep_big_buffers()

    from riemann_noise_pytorch.cli.compare import make_console
    from riemann_noise_pytorch.cli.evaluate_progress import EvaluateDisplay
    from riemann_noise_pytorch.experiments.diagnosis.diagnose import diagnose
    from riemann_noise_pytorch.experiments.evaluation.metric_files import require_writable
    from riemann_noise_pytorch.experiments.evaluation.processes import on_device
    from riemann_noise_pytorch.experiments.targets import open_target

    config = options.config
    device, _ = on_device(config.device)
    target = open_target(
        options.target,
        snapshot=config.snapshot,
        which=config.which,
        z_dim=config.z_dim,
        device=device,
    )
    if target.generator is None:
        raise InputError(f"{target.name} is a set of images; give a run, a snapshot or a callable")
    out = options.out or (Path(options.target) if target.kind == "run" else Path()) / FOLDER
    require_writable(out)
    with EvaluateDisplay(make_console(stderr=True)) as display:
        diagnose(target, config, out=out, report=display.update, say=display.say)

    from riemann_noise_pytorch.report import read_diagnosis, write_diagnosis_page

    print_diagnosis(make_console(), read_diagnosis(out), write_diagnosis_page(out))


def print_diagnosis(console: "Console", records: "DiagnosisRecords", page: Path) -> None:
    """Print the table by layer, the other numbers, the findings, and where the page is.

    Args:
        console: Elsewhere than on a terminal there are no bars, and lines are not broken.
        records: Of one diagnosis.
        page: The page's path.
    """
    from riemann_noise_pytorch.report.diagnosis_page import about
    from riemann_noise_pytorch.report.diagnosis_tables import layer_table, number_table
    from riemann_noise_pytorch.report.tables import plain

    wide = not console.is_terminal
    layers, numbers = layer_table(records), number_table(records)
    console.print(f"{about(records)}\n", soft_wrap=wide, style="italic")
    if wide:
        console.print(plain(layers), soft_wrap=True)
    else:
        console.print(_layers(console, records, layers))
        for note in layers.notes:
            console.print(f"- {note}", style="dim")
    if numbers.rows:
        console.print()
        console.print(plain(numbers) if wide else _styled(numbers), soft_wrap=wide)
    for finding in records.graded:
        _finding(console, finding)
    console.print(f"\nReport: {page}", soft_wrap=True)


def bar(share: float, width: int = BAR) -> str:
    """A bar of block letters, in steps of an eighth of a letter.

    Args:
        share: From 0 to 1.
        width: Letters of the full bar.

    Example:
        >>> bar(0.5, 4), bar(0.28, 4), bar(0, 4)
        ('██  ', '█▏  ', '    ')
    """
    eighths = round(8 * width * min(1.0, max(0.0, share)))
    whole, part = divmod(eighths, 8)
    return ("█" * whole + " ▏▎▍▌▋▊▉"[part]).ljust(width)[:width]


def _layers(console: "Console", records: "DiagnosisRecords", table: "Table") -> "RichTable":
    """The table by layer with bars, or without them and the shapes in a narrow terminal."""
    from rich.text import Text

    from riemann_noise_pytorch.report.diagnosis_tables import layer_rows

    wide = console.width >= WIDE
    kept = [i for i, column in enumerate(table.columns) if wide or column.heading != "shape"]
    rank = next(i for i in kept if table.columns[i].heading == "rank")
    grid = _grid()
    for i in kept:
        _add_column(grid, table, i)
        if i == rank and wide:
            grid.add_column("", no_wrap=True)
    for row, cells in zip(layer_rows(records), table.rows, strict=True):
        line: list[Text] = []
        for i in kept:
            line.append(Text(cells[i], "bold" if i == rank else ""))
            if i == rank and wide:
                line.append(Text(bar(row.share), "yellow" if row.ambiguous else "blue"))
        grid.add_row(*line)
    return grid


def _styled(table: "Table") -> "RichTable":
    """A table for a terminal."""
    from rich.text import Text

    grid = _grid()
    for i in range(len(table.columns)):
        _add_column(grid, table, i)
    for cells in table.rows:
        grid.add_row(*(Text(cell) for cell in cells))
    return grid


def _grid() -> "RichTable":
    from rich.table import Table as RichTable

    return RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")


def _add_column(grid: "RichTable", table: "Table", index: int) -> None:
    column = table.columns[index]
    style = "dim" if column.kind == "reference" else ""
    grid.add_column(
        column.heading,
        justify="right" if column.numeric else "left",
        style=style,
        no_wrap=column.numeric,
        overflow="fold",
    )


def _finding(console: "Console", finding: "Finding") -> None:
    """Print a finding; its command stands alone on a line that is never broken, to be copied."""
    from rich.text import Text

    wide = not console.is_terminal
    title = Text(f"\n{finding.severity}: ", STYLES[finding.severity]).append(finding.title, "bold")
    console.print(title, soft_wrap=wide)
    remedy = f"Try: {finding.remedy}." if finding.remedy else ""
    for text in filter(None, (finding.text, remedy)):
        lines = [text] if wide else wrap(text, max(20, console.width - 2))
        console.print("\n".join(f"  {line}" for line in lines), soft_wrap=wide)
    if finding.command:
        console.print(f"  {finding.command}", style="cyan", soft_wrap=True)

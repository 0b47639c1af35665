"""``riemann-noise verify-theory``: every lemma and theorem of the paper, held against an experiment."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import tyro

from riemann_noise_pytorch.cli.allocator import keep_big_buffers
from riemann_noise_pytorch.cli.options import parse
from riemann_noise_pytorch.experiments.theory.options import TheoryConfig

if TYPE_CHECKING:
    from rich.console import Console

    from riemann_noise_pytorch.experiments.theory.statement import Statement

STYLES = {True: "bold green", False: "bold red", None: "bold yellow"}


@dataclass(frozen=True)
class TheoryOptions:
    """Hold each lemma and theorem of the paper against an experiment, and draw a page.

    A statement that does not hold is printed as such; the command succeeds all the same.
    """

    config: tyro.conf.OmitArgPrefixes[TheoryConfig]
    out: Path = Path("runs/theory")
    """Folder of records.jsonl and theory.html."""


def main(arguments: Sequence[str]) -> None:
    """Try all statements, print each as it is done, and write the page.

    Raises:
        RiemannNoiseError: An option cannot be used, or the folder cannot be written.
    """
    options = parse(TheoryOptions, "verify-theory", arguments)
    options.config.validate()
    keep_big_buffers()

    from riemann_noise_pytorch.cli.compare import make_console
    from riemann_noise_pytorch.cli.evaluate_progress import EvaluateDisplay
    from riemann_noise_pytorch.experiments.evaluation.metric_files import require_writable
    from riemann_noise_pytorch.experiments.theory.verify import verify_theory

    require_writable(options.out)
    console = make_console()
    with EvaluateDisplay(make_console(stderr=True)) as display:
        verify_theory(
            options.config,
            options.out,
            report=lambda _, done, total: display.update("statements", done, total),
            tell=lambda statement: print_statement(console, statement),
        )

    from riemann_noise_pytorch.report.theory_page import headline, write_theory_page
    from riemann_noise_pytorch.report.theory_records import read_theory

    page = write_theory_page(options.out)
    console.print(headline(read_theory(options.out)), style="bold", soft_wrap=not console.is_terminal)
    console.print(f"\nReport: {page}", soft_wrap=True)


def print_statement(console: "Console", statement: "Statement") -> None:
    """Print a statement, the experiment, the number, and whether it holds.

    Args:
        console: Elsewhere than on a terminal, lines are not broken.
        statement: With what was found.
    """
    from rich.text import Text

    from riemann_noise_pytorch.experiments.theory.statement import verdict

    wide = not console.is_terminal
    title = (
        Text(statement.name, "bold").append("  ").append(verdict(statement.holds), STYLES[statement.holds])
    )
    console.print(title, soft_wrap=wide)
    parts = {
        "": statement.statement,
        "tried     ": statement.experiment,
        "measured  ": statement.measured,
        "expected  ": statement.expected,
        "note      ": statement.remark,
    }
    for lead, text in parts.items():
        if text:
            width = max(30, console.width - 2)
            lines = [lead + text] if wide else wrap(lead + text, width, subsequent_indent=" " * len(lead))
            console.print("\n".join(f"  {line}" for line in lines), soft_wrap=wide)
    console.print()

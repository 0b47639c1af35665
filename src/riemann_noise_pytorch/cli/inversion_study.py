"""``riemann-noise inversion-study``: the same images inverted with every generator of a comparison."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from riemann_noise_pytorch.cli.allocator import keep_big_buffers
from riemann_noise_pytorch.cli.options import parse
from riemann_noise_pytorch.experiments.inversion_study.options import InversionStudyConfig

if TYPE_CHECKING:
    from rich.console import Console

    from riemann_noise_pytorch.report.inversion_study import InversionStudy

STAGES = {"latents": (0.0, 0.8), "noise": (0.8, 1.0)}
"""Where in a task's time a stage begins and ends, with four starts of each target."""


@dataclass(frozen=True)
class InversionStudyOptions:
    """Invert the same images with every generator of a comparison, and see which kind of noise helps.

    Images that no training saw (where the comparison held some out), the same turned, the same with a part
    hidden, images of another kind, and samples of each generator as a check; the same targets, starts and
    steps for all. Differences between kinds of noise are paired by seed, and the paper's claim is judged by
    a rule that was fixed before any run.
    """

    comparison: tyro.conf.Positional[Path]
    """Folder of riemann-noise compare, with its runs."""
    config: tyro.conf.OmitArgPrefixes[InversionStudyConfig]
    out: Path = Path("runs/inversion-study")
    """Folder to make: parts, artifacts, records.jsonl, inversion_study.svg and report.html."""
    resume: Annotated[tyro.conf.FlagCreatePairsOff[bool], tyro.conf.arg()] = False
    """Go on with a study that was stopped; what it finished is kept."""


def main(arguments: Sequence[str]) -> None:
    """Run the study as the command line says, print its tables, and write figure and page.

    Raises:
        RiemannNoiseError: The comparison, options or folder cannot be used, or the work was stopped.
    """
    options = parse(InversionStudyOptions, "inversion-study", arguments)
    options.config.validate()
    keep_big_buffers()

    from riemann_noise_pytorch.cli.compare import make_console
    from riemann_noise_pytorch.cli.compare_progress import CompareDisplay
    from riemann_noise_pytorch.experiments.inversion_study.study import inversion_study

    with CompareDisplay(make_console(stderr=True), stages=STAGES) as display:
        inversion_study(
            options.comparison,
            options.config,
            options.out,
            resume=options.resume,
            on_progress=display.update,
        )

    from riemann_noise_pytorch.report.inversion_study import read_inversion_study
    from riemann_noise_pytorch.report.inversion_study_figures import write_study_figure
    from riemann_noise_pytorch.report.inversion_study_page import write_inversion_study_page

    study, console = read_inversion_study(options.out), make_console()
    print_study(console, study)
    console.print(f"\nFigure: {write_study_figure(study, options.out)}", soft_wrap=True)
    console.print(f"Report: {write_inversion_study_page(options.out)}", soft_wrap=True)


def print_study(console: "Console", study: "InversionStudy") -> None:
    """Print the tables and what they show.

    Args:
        console: Elsewhere than on a terminal, lines are not broken.
        study: The records.
    """
    from riemann_noise_pytorch.report.inversion_study_tables import tables
    from riemann_noise_pytorch.report.tables import plain

    for table in tables(study):
        console.print(f"{table.title}\n", soft_wrap=True, style="bold")
        console.print(f"{plain(table)}\n", soft_wrap=True)
    head, *findings = study.sentences or ["No verdict was recorded."]
    console.print(head, soft_wrap=not console.is_terminal, style="bold")
    for sentence in findings:
        console.print(f"- {sentence}", soft_wrap=not console.is_terminal)

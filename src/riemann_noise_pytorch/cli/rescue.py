"""``riemann-noise rescue``: a GAN where it works and where it collapses, with each regulariser."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from riemann_noise_pytorch.cli.allocator import keep_big_buffers
from riemann_noise_pytorch.cli.options import parse
from riemann_noise_pytorch.experiments.rescue.options import RescueConfig

STAGES = {"training": (0.0, 0.95), "recall": (0.95, 1.0)}
"""Where in a task's time a stage begins and ends, roughly."""


@dataclass(frozen=True)
class RescueOptions:
    """Train a DCGAN on digits where it works and where it collapses, with each regulariser, over seeds."""

    config: tyro.conf.OmitArgPrefixes[RescueConfig]
    out: Path = Path("runs/rescue")
    """Folder to make: runs, records.jsonl and rescue.svg."""
    resume: Annotated[tyro.conf.FlagCreatePairsOff[bool], tyro.conf.arg()] = False
    """Go on with a study that was stopped; what it finished is kept."""


def main(arguments: Sequence[str]) -> None:
    """Run the study as the command line says, print its tables, and write the figure.

    Raises:
        RiemannNoiseError: Options or folder cannot be used, or the work was stopped.
    """
    options = parse(RescueOptions, "rescue", arguments, RescueOptions(RescueConfig()))
    options.config.validate()
    keep_big_buffers()

    from riemann_noise_pytorch.cli.compare import make_console
    from riemann_noise_pytorch.cli.compare_progress import CompareDisplay
    from riemann_noise_pytorch.experiments.rescue.study import DATA, rescue_study

    with CompareDisplay(make_console(stderr=True), stages=STAGES, reference=DATA) as display:
        rescue_study(options.config, options.out, resume=options.resume, on_progress=display.update)

    from riemann_noise_pytorch.report.rescue import read_rescue, rescue_tables
    from riemann_noise_pytorch.report.rescue_figures import write_rescue_figure
    from riemann_noise_pytorch.report.tables import plain

    rescue, console = read_rescue(options.out), make_console()
    for table in rescue_tables(rescue):
        console.print(f"{table.title}\n", soft_wrap=True, style="bold")
        console.print(f"{plain(table)}\n", soft_wrap=True)
    for sentence in rescue.sentences:
        console.print(f"- {sentence}", soft_wrap=not console.is_terminal)
    console.print(f"\nFigure: {write_rescue_figure(rescue, options.out)}", soft_wrap=True)

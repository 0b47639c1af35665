"""``riemann-noise trap``: generators of too few and of enough dimensions, on data of known dimension."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from riemann_noise_pytorch.cli.allocator import keep_big_buffers
from riemann_noise_pytorch.cli.options import parse
from riemann_noise_pytorch.experiments.trap.options import TrapConfig

STAGES = {
    "training": (0.0, 0.75),
    "norm": (0.75, 0.85),
    "rank": (0.85, 0.87),
    "rank with noise": (0.87, 0.9),
    "divergence": (0.9, 0.97),
    "dimension of samples": (0.97, 1.0),
}
"""Where in a task's time a stage begins and ends, roughly."""


@dataclass(frozen=True)
class TrapOptions:
    """Train generators with too few and with enough latent dimensions on images of known dimension."""

    config: tyro.conf.OmitArgPrefixes[TrapConfig]
    out: Path = Path("runs/trap")
    """Folder to make: runs, records.jsonl and trap.svg."""
    resume: Annotated[tyro.conf.FlagCreatePairsOff[bool], tyro.conf.arg()] = False
    """Go on with an experiment that was stopped; what it finished is kept."""


def main(arguments: Sequence[str]) -> None:
    """Run the experiment as the command line says, print the table, and write the figure.

    Raises:
        RiemannNoiseError: Options or folder cannot be used, or the work was stopped.
    """
    options = parse(TrapOptions, "trap", arguments, TrapOptions(TrapConfig()))
    options.config.validate()
    keep_big_buffers()

    from riemann_noise_pytorch.cli.compare import make_console
    from riemann_noise_pytorch.cli.compare_progress import CompareDisplay
    from riemann_noise_pytorch.experiments.trap.study import DATA, dimension_trap

    with CompareDisplay(make_console(stderr=True), stages=STAGES, reference=DATA) as display:
        dimension_trap(options.config, options.out, resume=options.resume, on_progress=display.update)

    from riemann_noise_pytorch.report.tables import plain
    from riemann_noise_pytorch.report.trap import read_trap, trap_table
    from riemann_noise_pytorch.report.trap_figures import write_trap_figure

    trap, console = read_trap(options.out), make_console()
    console.print(plain(trap_table(trap)), soft_wrap=True)
    console.print()
    for sentence in trap.sentences:
        console.print(f"- {sentence}", soft_wrap=not console.is_terminal)
    console.print(f"\nFigure: {write_trap_figure(trap, options.out)}", soft_wrap=True)

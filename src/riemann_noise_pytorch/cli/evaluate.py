"""``riemann-noise evaluate``: a run, a snapshot, a callable or a folder of images, measured by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from riemann_noise_pytorch.cli.allocator import keep_big_buffers
from riemann_noise_pytorch.cli.options import parse
from riemann_noise_pytorch.experiments.evaluation.options import EvaluateConfig

if TYPE_CHECKING:
    from rich.console import Console

    from riemann_noise_pytorch.experiments.evaluation.metric_files import Evaluation


@dataclass(frozen=True)
class EvaluateOptions:
    """Measure a generator, or a set of images, against real ones.

    The list of metrics stands below the options. Several processes: accelerate launch -m
    riemann_noise_pytorch.cli.main evaluate ... on GPUs, torchrun --nproc-per-node 2 -m ... on CPUs.
    """

    target: tyro.conf.Positional[str]
    """A run folder, a snapshot, a folder or ZIP of images, or a callable from latents to images, given as
    package.module:name or file.py:name."""
    config: tyro.conf.OmitArgPrefixes[EvaluateConfig]
    out: Path | None = None
    """Folder of the files metric-NAME.jsonl, a line for each number. None: the run's, or the current one."""
    resume: Annotated[tyro.conf.FlagCreatePairsOff[bool], tyro.conf.arg()] = False
    """Leave out what those files hold already, of the same weights, options and versions."""


def main(arguments: Sequence[str]) -> None:
    """Evaluate as the command line says, and print the numbers with their protocols.

    Raises:
        RiemannNoiseError: The target, an option or a metric cannot be used.
    """
    options = parse(EvaluateOptions, "evaluate", arguments, epilogue=metric_list)
    options.config.validate()
    keep_big_buffers()

    from riemann_noise_pytorch.cli.compare import make_console
    from riemann_noise_pytorch.cli.evaluate_progress import EvaluateDisplay
    from riemann_noise_pytorch.experiments.evaluation.evaluate import evaluate
    from riemann_noise_pytorch.experiments.evaluation.processes import on_device
    from riemann_noise_pytorch.experiments.targets import open_target

    config = options.config
    device, processes = on_device(config.device)
    target = open_target(
        options.target,
        snapshot=config.snapshot,
        which=config.which,
        z_dim=config.z_dim,
        device=device,
    )
    out = options.out or (Path(options.target) if target.kind == "run" else Path())
    found: list[Evaluation] = []
    try:
        with EvaluateDisplay(make_console(stderr=True), quiet=processes.rank > 0) as display:
            evaluate(
                target,
                config,
                out=out,
                resume=options.resume,
                device=device,
                processes=processes,
                report=display.update,
                say=display.say,
                tell=found.append,
            )
    finally:  # what was measured before a failure is known, and shown
        if processes.rank == 0 and found:
            print_evaluations(make_console(), found, out)


def metric_list() -> str:
    """Explain every metric and group, a line each."""
    from riemann_noise_pytorch.metrics.catalogue import explain

    lines = explain()
    width = max(len(names) for names, _ in lines)
    listed = "\n".join(f"  {names.ljust(width)}  {line}" for names, line in lines)
    return f"metrics (50k and 5k stand for any number):\n{listed}"


def print_evaluations(console: "Console", found: Sequence["Evaluation"], out: Path) -> None:
    """Print numbers with intervals, each with the protocol it was measured by.

    Args:
        console: Elsewhere than on a terminal, lines are not broken.
        found: What was measured.
        out: Folder of the files.
    """
    wide = not console.is_terminal
    names = [name for each in found for name in each.results]
    width = max(map(len, names))
    for each in found:
        for name, value in each.results.items():
            interval = each.intervals.get(name)
            spread = f"   {interval.low:.4g} to {interval.high:.4g} ({interval.label})" if interval else ""
            console.print(f"{name.ljust(width)}  {value:10.4g}{spread}", style="bold", soft_wrap=wide)
        console.print(f"  {each.name}", style="dim", soft_wrap=wide)
    console.print(f"\nRecords: {out / 'metric-NAME.jsonl'}", soft_wrap=True)

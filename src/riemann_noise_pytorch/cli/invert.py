"""``riemann-noise invert``: from images back to latents and noise, for any generator; a table and a page."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from riemann_noise_pytorch.cli.allocator import keep_big_buffers
from riemann_noise_pytorch.cli.options import parse
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.inversion.options import InvertConfig

if TYPE_CHECKING:
    from rich.console import Console

    from riemann_noise_pytorch.experiments.targets import Target
    from riemann_noise_pytorch.report.inversion_records import InversionRecords
    from riemann_noise_pytorch.report.tables import Table

FOLDER = "inversion"
MOST_IMAGES = 16
"""Images whose numbers are printed on a terminal; elsewhere all are."""


@dataclass(frozen=True)
class InvertOptions:
    """Find the latents, and the noise, from which a generator makes given images.

    Reconstructions with their PSNR, SSIM, MSE and perceptual distance, without and with the noise optimised;
    latents and noise maps as safetensors; and a page with the images, their errors, and an animation.
    """

    target: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="TARGET")]
    """A run folder, a snapshot, or a callable from latents to images, given as package.module:name or
    file.py:name."""
    images: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="IMAGES...")]
    """Image files, a folder or a ZIP of them, or a built-in set: digits, photos, manifold-64."""
    config: tyro.conf.OmitArgPrefixes[InvertConfig]
    out: Path | None = None
    """Folder to make: inversion.jsonl, inversion.safetensors, pictures.safetensors, reconstructions,
    animation.png and inversion.html. None: inversion in the folder of the run, or for anything else in the
    current one."""
    resume: Annotated[tyro.conf.FlagCreatePairsOff[bool], tyro.conf.arg()] = False
    """Go on with an inversion that was stopped, given the same images and options."""


def main(arguments: Sequence[str]) -> None:
    """Invert as the command line says, print the numbers, and write the page.

    Raises:
        RiemannNoiseError: The target, the images or an option cannot be used, or the work was stopped.
    """
    options = parse(InvertOptions, "invert", arguments)
    options.config.validate()
    if not options.images:
        raise InputError("there are no images to invert; give files, a folder, a ZIP or a built-in set")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("an inversion runs in one process; call riemann-noise invert without a launcher")
    keep_big_buffers()

    from riemann_noise_pytorch.cli.compare import make_console
    from riemann_noise_pytorch.cli.evaluate_progress import EvaluateDisplay
    from riemann_noise_pytorch.experiments.inversion.invert import invert_images

    target = _opened(options)
    out = options.out or (Path(options.target) if target.kind == "run" else Path()) / FOLDER
    with EvaluateDisplay(make_console(stderr=True)) as display:
        invert_images(
            target,
            options.images,
            options.config,
            out=out,
            resume=options.resume,
            report=display.update,
            say=display.say,
            on_loss=lambda median, best: display.note(loss_text(median, best)),
        )

    from riemann_noise_pytorch.report import read_inversion, write_inversion_page

    print_inversion(make_console(), read_inversion(out), write_inversion_page(out))


def _opened(options: InvertOptions) -> "Target":
    from riemann_noise_pytorch.experiments.evaluation.processes import on_device
    from riemann_noise_pytorch.experiments.targets import open_target

    config = options.config
    device, _ = on_device(config.device)
    return open_target(
        options.target,
        snapshot=config.snapshot,
        which=config.which,
        z_dim=config.z_dim,
        device=device,
    )


def loss_text(median: float, best: float) -> str:
    """The loss for the bar.

    Example:
        >>> loss_text(0.01234, 0.002)
        'loss 0.0123, best 0.002'
    """
    return f"loss {median:.3g}, best {best:.3g}"


def print_inversion(console: "Console", records: "InversionRecords", page: Path) -> None:
    """Print the numbers of the images, what is seen, and where the page is.

    Args:
        console: On a terminal the first images alone are printed; elsewhere all, and lines are not broken.
        records: Of one inversion.
        page: The page's path.
    """
    from riemann_noise_pytorch.cli.compare import by_name
    from riemann_noise_pytorch.report.inversion_tables import about, score_table
    from riemann_noise_pytorch.report.tables import plain

    table, wide = score_table(records), not console.is_terminal
    console.print(f"{about(records)}\n", soft_wrap=wide, style="italic")
    if wide:
        console.print(plain(table), soft_wrap=True)
    else:
        console.print(by_name(_first(table, records)))
        more = len(records.images) - MOST_IMAGES
        console.print(f"\n  and {more:,} more, in the report" if more > 0 else "")
        for note in table.notes:
            console.print(f"- {note}", style="dim")
    head, *findings = records.summary.sentences or [records.headline]
    console.print(f"\n{head}", soft_wrap=wide, style="bold")
    for finding in findings:
        console.print(f"- {finding}", soft_wrap=wide)
    console.print(f"\nReport: {page}", soft_wrap=True)


def _first(table: "Table", records: "InversionRecords") -> "Table":
    """The medians and the first images."""
    names = list(dict.fromkeys(row[0] for row in table.rows))
    kept = set(names[: MOST_IMAGES + (len(records.images) > 1)])
    rows = [row for row in table.rows if row[0] in kept]
    return replace(table, rows=rows, arms=[""] * len(rows))

"""Diagram of the experiment on the dimension trap: the rank by depth, and the norm as training goes on."""

import os
from functools import partial
from pathlib import Path
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from riemann_noise_pytorch.report.panels import box, empty, note, scale, title
from riemann_noise_pytorch.report.tables import arm_label
from riemann_noise_pytorch.report.themes import Theme, arm_colour, arm_marker, write_svg
from riemann_noise_pytorch.report.trap import Trap

WIDTH, HEIGHT = 700, 320
DASHES: tuple[Literal["-", "--", ":", "-."], ...] = ("-", "--", ":", "-.")
"""By the size of the latent."""


def write_trap_figure(trap: Trap, folder: str | os.PathLike[str]) -> Path:
    """Write the diagram of an experiment.

    Args:
        trap: Its records.
        folder: Where to put ``trap.svg``.

    Returns:
        The file.

    Raises:
        InputError: It cannot be written.
    """
    return write_svg(partial(trap_figure, trap), Path(folder) / "trap.svg")


def trap_figure(trap: Trap, theme: Theme) -> Figure:
    """The rank of every layer on the left, the norm of the Jacobian over the training on the right.

    Args:
        trap: The records.
        theme: The page's colours.

    Returns:
        A figure of two axes; colours are kinds of noise, dashes sizes of the latent, one line a seed.
    """
    figure = empty(HEIGHT, WIDTH)
    left, right = 46, WIDTH // 2 + 46
    ranks = figure.add_axes(box(figure, top=58, bottom=80, left=left, right=WIDTH // 2 + 10))
    norms = figure.add_axes(box(figure, top=58, bottom=80, left=right, right=12))
    z_dims = list(dict.fromkeys(z_dim for z_dim, _ in trap.kinds))
    for arm in trap.arms:
        line: dict[str, Any] = {
            "color": arm_colour(arm.noise),
            "linestyle": DASHES[z_dims.index(arm.z_dim) % len(DASHES)],
            "linewidth": 1.1,
            "alpha": 0.85,
        }
        about = (arm.z_dim, arm.noise, arm.seed)
        layers = [x for x in trap.layers if (x.z_dim, x.noise, x.seed) == about]
        depths = [layer.order / max(1, len(layers) - 1) for layer in layers]
        ranks.plot(depths, [layer.rank for layer in layers], **line)
        if arm.joint_rank is not None:
            place = 1 + 0.03 * z_dims.index(arm.z_dim)
            ranks.plot(
                place, arm.joint_rank, arm_marker(arm.noise), color=arm_colour(arm.noise), markersize=5
            )
        steps = [x for x in trap.norms if (x.z_dim, x.noise, x.seed) == about]
        norms.plot([step.kimg for step in steps], [step.norm for step in steps], **line)
    _lay_out(ranks, norms, trap, theme)
    _legend(figure, trap, z_dims)
    return figure


def _lay_out(ranks: Axes, norms: Axes, trap: Trap, theme: Theme) -> None:
    """Scales, titles and the line of the data's dimension."""
    ranks.axhline(trap.dimension, color=theme.ink, linewidth=5, alpha=0.2)
    lifted = ranks.get_yaxis_transform() + ScaledTranslation(0, 5 / 72, ranks.figure.dpi_scale_trans)
    ranks.text(0.02, trap.dimension, "data", transform=lifted, fontsize=11.5, color=theme.ink)
    joint = [arm.joint_rank for arm in trap.arms if arm.joint_rank is not None]
    ranks.set_ylim(0, 1.12 * max([trap.dimension, *joint, *(layer.rank for layer in trap.layers)]))
    ranks.set_xticks([0, 1], ["first layer", "image"])
    ranks.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    scale(norms, [step.norm for step in trap.norms])
    norms.set_xlabel("thousand images")
    for axes, head, unit in (
        (ranks, "Rank by depth", "lines: in the latent; marks: with the noise"),
        (norms, "Norm of the Jacobian", "largest singular value, at the image"),
    ):
        axes.grid(axis="y")
        title(axes, head, lift=16)
        note(axes, unit, theme)


def _legend(figure: Figure, trap: Trap, z_dims: list[int]) -> None:
    colours = [
        Line2D(
            [], [], color=arm_colour(noise), marker=arm_marker(noise), markersize=5, label=arm_label(noise)
        )
        for noise in dict.fromkeys(noise for _, noise in trap.kinds)
    ]
    sizes = [
        Line2D([], [], color="#808080", linestyle=DASHES[i % len(DASHES)], label=f"z_dim {z_dim}")
        for i, z_dim in enumerate(z_dims)
    ]
    figure.legend(
        handles=[*colours, *sizes], loc="lower center", ncols=len(colours) + len(sizes), frameon=False
    )

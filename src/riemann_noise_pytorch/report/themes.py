"""How every picture looks: the colours of the page, one colour and marker for each kind of noise, SVG out.

The three colours of the noises differ under the common colour blindnesses and stand out from a white and from
a near-black page alike, so that a reader who changes the mode meets the same colours.
"""

import io
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from riemann_noise_pytorch.files import atomic_write


@dataclass(frozen=True)
class Theme:
    """The colours of a page that a diagram must fit."""

    paper: str
    ink: str
    muted: str
    rule: str


LIGHT = Theme(paper="#ffffff", ink="#1c1f23", muted="#5d636b", rule="#e1e3e6")
DARK = Theme(paper="#15171a", ink="#e6e8eb", muted="#a2a8b0", rule="#31353b")

ARM_COLOURS = {"none": "#7d848e", "euclidean": "#1f88d1", "riemannian": "#d4631f"}
OTHER_COLOUR = "#8d6bc4"
PART_COLOURS = {"latent": "#14938c", "data": "#d4631f"}
"""What a diagnosis tells apart besides noise, which has the colour of all other things."""
SEVERITY_COLOURS = {"problem": "#c8403f", "note": "#a8770f", "good": "#2c8f4e"}

_MARKERS = {"none": "o", "euclidean": "s", "riemannian": "D"}
FONT = "-apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', Arial, sans-serif"


def arm_colour(arm: str) -> str:
    """The colour of one kind of noise, the same in every picture."""
    return ARM_COLOURS.get(arm, OTHER_COLOUR)


def arm_marker(arm: str) -> str:
    """The marker of one kind of noise, for readers without colours."""
    return _MARKERS.get(arm, "^")


def blend(colour: str, other: str, share: float) -> str:
    """Mix two colours.

    Args:
        colour: What it is at ``share`` 0.
        other: What it is at ``share`` 1.
        share: From 0 to 1.

    Example:
        >>> blend("#000000", "#ffffff", 0.2)
        '#333333'
    """
    pairs = zip(to_rgb(colour), to_rgb(other), strict=True)
    red, green, blue = ((1 - share) * one + share * two for one, two in pairs)
    return to_hex((red, green, blue))


def to_svg(draw: Callable[[Theme], Figure], theme: Theme) -> str:
    """Draw a figure in a theme and write it as SVG: the same bytes for the same content.

    Args:
        draw: Makes the figure; called under the style of the theme.
        theme: The page's colours.

    Returns:
        One ``<svg>`` element with a transparent ground, its letters as text in the page's own typeface.
    """
    with styled(theme):
        figure = draw(theme)
        stream = io.BytesIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(stream, format="svg", transparent=True, metadata=nothing)
    svg = stream.getvalue().decode()
    svg = re.sub(
        r'width="([\d.]+)pt" height="([\d.]+)pt"', r'width="\1" height="\2"', svg[svg.index("<svg") :]
    )
    return re.sub(r"font-family: [^;\"]*", f"font-family: {FONT}", svg)


def write_svg(draw: Callable[[Theme], Figure], path: Path) -> Path:
    """Write a figure as a file of its own, light, on an opaque ground.

    Args:
        draw: Makes the figure, as for :func:`to_svg`.
        path: The file.

    Returns:
        The file.

    Raises:
        InputError: It cannot be written.
    """
    svg = to_svg(draw, LIGHT).replace("<svg", f'<svg style="background:{LIGHT.paper}"', 1)
    with atomic_write(path) as temporary:
        temporary.write_text(svg, encoding="utf-8")
    return path


def styled(theme: Theme) -> AbstractContextManager[None]:
    """Give the style of a theme, for a `with` block that draws."""
    return mpl.rc_context(_style(theme))


def _style(theme: Theme) -> dict[Any, Any]:
    """Settings for matplotlib; text is never read as mathematics, since layer names may hold any sign."""
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": "riemann-noise",
        "text.parse_math": False,
        "font.family": "DejaVu Sans",
        "font.size": 12,
        "text.color": theme.ink,
        "axes.edgecolor": theme.muted,
        "axes.labelcolor": theme.muted,
        "axes.linewidth": 0.7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.unicode_minus": True,
        "axes.formatter.use_mathtext": False,
        "grid.color": theme.rule,
        "grid.linewidth": 0.7,
        "xtick.color": theme.muted,
        "ytick.color": theme.muted,
        "xtick.labelcolor": theme.muted,
        "ytick.labelcolor": theme.muted,
        "xtick.major.width": 0.7,
        "ytick.major.size": 0,
        "lines.solid_capstyle": "round",
        "lines.solid_joinstyle": "round",
    }

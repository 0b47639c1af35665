"""What every page has in common: its template's environment, pictures as data, options as lines.

A page is one file. It holds its pictures and its style within itself, asks nothing of the network and runs no
script; a content security policy in its head makes the browser enforce both. All text is escaped.
"""

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from riemann_noise_pytorch.files import atomic_write
from riemann_noise_pytorch.report.pixels import Picture
from riemann_noise_pytorch.report.tables import arm_label, layer_label
from riemann_noise_pytorch.report.themes import ARM_COLOURS, DARK, FONT, LIGHT, OTHER_COLOUR, Theme, to_svg

View = dict[str, Any]


def write_page(template: str, view: View, target: Path) -> Path:
    """Fill a template and write the page: the same bytes for the same content.

    Args:
        template: Name of a template of this package.
        view: Everything that it prints; the theme is added.
        target: The page's path. A page from before stays as it was until the new one is whole.

    Returns:
        ``target``.

    Raises:
        InputError: The page cannot be written.
    """
    theme = {"light": LIGHT, "dark": DARK, "arms": ARM_COLOURS, "other": OTHER_COLOUR, "font": FONT}
    page = _environment().get_template(template).render({"theme": theme} | view)
    with atomic_write(target) as path:
        path.write_bytes(page.encode("utf-8", errors="replace"))
    return target


def diagram(draw: Callable[[Theme], Figure], alt: str) -> View:
    """Draw a figure for light and for dark, with the text for those who do not see it."""
    light, dark = (to_svg(draw, theme) for theme in (LIGHT, DARK))
    return {"light": _uri(light.encode(), "svg+xml"), "dark": _uri(dark.encode(), "svg+xml"), "alt": alt}


def flat(options: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    """Nested options as dotted names and plain values.

    Example:
        >>> flat({"batch": 8, "network": {"width": 16, "norm": None}})
        [('batch', '8'), ('network.width', '16'), ('network.norm', 'null')]
    """
    lines: list[tuple[str, str]] = []
    for key, value in options.items():
        if isinstance(value, Mapping) and value:
            lines += flat(value, f"{prefix}{key}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            lines.append((f"{prefix}{key}", text))
    return lines


def _environment() -> Environment:
    """Templates with escaping on and no tolerance for unknown names."""
    environment = Environment(
        loader=PackageLoader("riemann_noise_pytorch.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["png"] = _png_uri
    environment.filters["minus"] = lambda text: text.replace("-", "−")
    environment.filters["arm"] = arm_label
    environment.filters["layer"] = layer_label
    return environment


def _png_uri(picture: Picture) -> str:
    return _uri(picture.png, "png")


def _uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"

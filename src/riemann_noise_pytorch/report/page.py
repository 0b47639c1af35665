"""What every page has in common: its template's environment, pictures as data, options as lines.

A page is one file. It holds its pictures and its style within itself, asks nothing of the network and runs no
script; a content security policy in its head makes the browser enforce both. All text is escaped.
"""

import base64
import json
from collections.abc import Callable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from riemann_noise_pytorch.files import atomic_write
from riemann_noise_pytorch.report.pixels import Picture
from riemann_noise_pytorch.report.tables import Table, arm_label, layer_label
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
    return {
        "light": data_uri(light.encode(), "svg+xml"),
        "dark": data_uri(dark.encode(), "svg+xml"),
        "alt": alt,
    }


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


def data_uri(content: bytes, kind: str) -> str:
    """A picture as an address that holds it whole; ``kind`` is png or svg+xml."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def grouped(table: Table) -> View:
    """A table for the macro of the same name: rows that share their first cell, together."""
    pairs = zip(table.rows, table.arms, strict=True)
    groups = [
        {"name": name, "rows": [{"cells": row[1:], "arm": arm} for row, arm in same]}
        for name, same in groupby(pairs, key=lambda pair: pair[0][0])
    ]
    return {"title": table.title, "columns": table.columns, "groups": groups}


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
    return data_uri(picture.png, "png")

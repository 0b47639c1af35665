from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from riemann_noise_pytorch.report.themes import (
    ARM_COLOURS,
    DARK,
    LIGHT,
    OTHER_COLOUR,
    PART_COLOURS,
    SEVERITY_COLOURS,
    blend,
    to_svg,
)

# Viénot, Brettel and Mollon (1999), linear RGB, for protanopia and deuteranopia.
VIENOT = {
    "protanopia": [[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]],
    "deuteranopia": [[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]],
}
SRGB_TO_XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
WHITE = np.array([0.9505, 1.0, 1.089])


def _linear(colour):
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def _lab(linear):
    ratio = np.asarray(SRGB_TO_XYZ) @ np.clip(linear, 0, 1) / WHITE
    f = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def _contrast(one, two):
    """The contrast ratio of WCAG 2."""
    high, low = sorted((float(np.asarray(SRGB_TO_XYZ)[1] @ _linear(c)) for c in (one, two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_every_colour_stands_out_from_its_page(theme):
    for colour in (*ARM_COLOURS.values(), OTHER_COLOUR, *PART_COLOURS.values(), *SEVERITY_COLOURS.values()):
        assert _contrast(colour, theme.paper) >= 3
    for colour in (theme.ink, theme.muted):
        assert _contrast(colour, theme.paper) >= 4.5


@pytest.mark.parametrize("sight", ["full", *VIENOT])
def test_the_kinds_of_noise_differ_for_every_eye(sight):
    matrix = np.asarray(VIENOT.get(sight, np.eye(3)))
    seen = {arm: _lab(matrix @ _linear(colour)) for arm, colour in ARM_COLOURS.items()}
    for one, two in combinations(seen, 2):
        assert np.linalg.norm(seen[one] - seen[two]) > 25, (one, two)


def test_blend_ends_at_its_colours():
    assert blend("#123456", "#ffffff", 0) == "#123456"
    assert blend("#123456", "#ffffff", 1) == "#ffffff"


def _draw(theme):
    figure = Figure(figsize=(2, 1))
    figure.text(0.5, 0.5, "a $x^ < & \" 'b", color=theme.ink)
    return figure


def test_equal_figures_give_equal_bytes_without_a_date():
    assert to_svg(_draw, LIGHT) == to_svg(_draw, LIGHT)
    assert "date" not in to_svg(_draw, LIGHT)


def test_each_theme_draws_in_its_own_ink():
    assert LIGHT.ink in to_svg(_draw, LIGHT)
    assert DARK.ink in to_svg(_draw, DARK)
    assert LIGHT.ink not in to_svg(_draw, DARK)


def test_text_is_escaped_and_never_read_as_mathematics():
    assert "a $x^ &lt; &amp; " in to_svg(_draw, LIGHT)

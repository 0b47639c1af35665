"""The animation of the toy: all arms side by side while they train, as an animated PNG."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw

from riemann_noise_pytorch.report.animation import save_animation, typeface
from riemann_noise_pytorch.report.themes import LIGHT, blend
from riemann_noise_pytorch.report.toy_figure import FAR_SHARE, KEY, NEAR, REACH
from riemann_noise_pytorch.report.toy_records import Arm, ToyRecords

SIDE, GAP, HEAD, NAMES = 168, 12, 38, 40
ROOM, LINE = 480, 16
"""In a narrower frame the key has a line of its own."""
FINE = 3
"""Frames are drawn so many times larger, and then reduced: that smooths their points."""
MOST_FRAMES = 50
SHADES = 12
"""Of each ink, from the ground to the ink itself: all colours that smoothing can make, but for overlaps."""


def write_animation(records: ToyRecords, path: Path) -> Path:
    """Write the points of the first seed over training, a row for each loss of the generator.

    Raises:
        InputError: The file cannot be written.
    """
    palette = _palette()
    first, *others = [_indexed(_frame(records, i), palette) for i in frames(len(records.setup.steps))]
    return save_animation([first, *others], path)


def frames(checkpoints: int) -> list[int]:
    """Choose the checkpoints that are shown: the last, and evenly among the others.

    Example:
        >>> frames(3), len(frames(100)), frames(100)[-3:]
        ([0, 1, 2], 50, [95, 97, 99])
    """
    count = min(checkpoints, MOST_FRAMES)
    return [round(checkpoints * (i + 1) / count) - 1 for i in range(count)]


def _palette() -> NDArray[np.uint8]:
    inks = (LIGHT.ink, LIGHT.muted, LIGHT.rule, NEAR)
    shades = [blend(LIGHT.paper, ink, i / (SHADES - 1)) for ink in inks for i in range(SHADES)]
    return np.array([ImageColor.getrgb(shade) for shade in shades], np.uint8)


def _indexed(frame: Image.Image, palette: NDArray[np.uint8]) -> Image.Image:
    """Write a frame in the colours of the palette, each the nearest."""
    pixels = np.asarray(frame).reshape(-1, 3)
    colours, where = np.unique(pixels, axis=0, return_inverse=True)
    distances = np.square(colours[:, None].astype(np.int32) - palette).sum(axis=2)
    indexed = Image.fromarray(distances.argmin(axis=1).astype(np.uint8)[where.reshape(frame.size[::-1])])
    indexed.putpalette(palette.tobytes())
    return indexed


def _frame(records: ToyRecords, checkpoint: int) -> Image.Image:
    losses = list(dict.fromkeys(arm.generator_loss for arm in records.arms))
    rows = {loss: [arm for arm in records.arms if arm.generator_loss == loss] for loss in losses}
    width = max(map(len, rows.values())) * (SIDE + GAP) + GAP
    beside = width >= ROOM
    head = HEAD if beside else HEAD + LINE
    sheet = Image.new("RGB", (FINE * width, FINE * (head + len(rows) * (SIDE + NAMES))), LIGHT.paper)
    pen = ImageDraw.Draw(sheet)
    step = f"{records.setup.steps[checkpoint]:,} of {records.setup.steps[-1]:,} steps"
    _write(pen, GAP, 8, step, 15, LIGHT.ink)
    place = (width - GAP, 12, "ra") if beside else (GAP, 12 + LINE, "la")
    _write(pen, *place[:2], KEY, 11, LIGHT.muted, anchor=place[2])
    for row, (loss, arms) in enumerate(rows.items()):
        top = head + row * (SIDE + NAMES)
        for column, arm in enumerate(arms):
            left = GAP + column * (SIDE + GAP)
            _write(pen, left, top - 2, _label(arm), 11, LIGHT.ink)
            _write(pen, left, top + 12, loss, 10, LIGHT.muted)
            _draw_tile(pen, records, arm, checkpoint, left, top + 28)
    return sheet.reduce(FINE)


def _label(arm: Arm) -> str:
    if arm.kind == "none":
        return "no regularisation"
    return arm.name.replace("JS regulariser", "JS").replace("instance noise", "noise")


def _draw_tile(
    pen: ImageDraw.ImageDraw, records: ToyRecords, arm: Arm, checkpoint: int, left: int, top: int
) -> None:
    frame = [FINE * left, FINE * top, FINE * (left + SIDE), FINE * (top + SIDE)]
    pen.rectangle(frame, outline=LIGHT.rule, width=FINE)
    found = records.points[arm.key]
    points, near = found.points[0, checkpoint], found.near[0, checkpoint]
    for x, y in _pixels(records.centres, left, top):
        pen.ellipse([x - 10, y - 10, x + 10, y + 10], outline=LIGHT.muted, width=2)
    for chosen, colour in ((~near, blend(LIGHT.muted, LIGHT.paper, FAR_SHARE)), (near, NEAR)):
        for x, y in _pixels(points[chosen], left, top):
            pen.ellipse([x - 4, y - 4, x + 4, y + 4], fill=colour)


def _write(
    pen: ImageDraw.ImageDraw, x: int, top: int, text: str, size: float, colour: str, anchor: str = "la"
) -> None:
    pen.text((FINE * x, FINE * top), text, colour, typeface(FINE * size), anchor)


def _pixels(points: NDArray[np.floating], left: int, top: int) -> NDArray[np.floating]:
    """Where points of the plane lie on the sheet; those outside of the tile are left out."""
    inside = points[(np.abs(points) < REACH).all(axis=1)]
    unit = np.stack([inside[:, 0] + REACH, REACH - inside[:, 1]], axis=1) / (2 * REACH)
    return np.asarray(FINE * (np.array([left, top]) + SIDE * unit))

"""The animation of an inversion: targets above, what the generator makes of the latents below, step by step.

The ground is dark on light pages too: colours of images show best on it, and one file serves both.
"""

import io
import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor, ImageDraw

from riemann_noise_pytorch.report.animation import save_animation, typeface
from riemann_noise_pytorch.report.inversion_records import FRAMES, STEPS, TARGETS, InversionRecords
from riemann_noise_pytorch.report.pixels import Maps, Picture, shrunk, tile_size
from riemann_noise_pytorch.report.themes import DARK

COLUMNS = 8
_TILE, _LONGEST, _GAP, _EDGE, _HEAD = 64, 96, 10, 14, 44
_MOST_PIXELS = 4_000_000
"""Of the generator's images over all frames, so that a page stays small enough to be sent."""


def write_inversion_animation(records: InversionRecords, path: Path) -> Path:
    """Write the frames that were kept, each with its step.

    Raises:
        InputError: The file cannot be written.
    """
    return save_animation(_frames(records), path)


def last_frame(records: InversionRecords) -> Picture:
    """The end of the animation, for those who want nothing to move."""
    frame = _frames(records, last_only=True)[0]
    stream = io.BytesIO()
    frame.save(stream, format="PNG", optimize=True)
    return Picture(stream.getvalue(), *frame.size)


def animated(records: InversionRecords) -> int:
    """How many images the animation shows: as many as were kept and as its size allows, at least one."""
    frames, count, _, height, width = shrunk(records.tensors[FRAMES], _LONGEST).shape
    return max(1, min(int(count), _MOST_PIXELS // int(frames * height * width)))


def animation_alt(records: InversionRecords) -> str:
    """What the animation shows, in words."""
    steps = records.tensors[STEPS]
    names = ", ".join(image.name for image in records.images[: animated(records)])
    return (
        f"Animation over {int(steps[-1]):,} steps: above the targets {names}; below each what the generator "
        "makes, from its start to its reconstruction."
    )


def _frames(records: InversionRecords, *, last_only: bool = False) -> list[Image.Image]:
    count, steps = animated(records), records.tensors[STEPS]
    targets = shrunk(records.tensors[TARGETS][:count], _LONGEST)
    frames = shrunk(records.tensors[FRAMES][:, :count], _LONGEST)
    chosen = range(len(frames))[-1:] if last_only else range(len(frames))
    tile = tile_size(targets.shape[2], targets.shape[3], _TILE)
    above = [_picture(target, tile) for target in targets]
    return [
        _sheet(above, [_picture(one, tile) for one in frames[i]], int(steps[i]), int(steps[-1]))
        for i in chosen
    ]


def _picture(image: Maps, tile: tuple[int, int]) -> Image.Image:
    """One image (C, H, W) at the size of a tile, each pixel a square; of RGBA the colours."""
    last = np.moveaxis(np.asarray(image, dtype=np.uint8), 0, -1)
    found = Image.fromarray(np.ascontiguousarray(last[..., :3] if last.shape[-1] in (3, 4) else last[..., 0]))
    return found.resize((tile[1], tile[0]), Image.Resampling.NEAREST)


def _sheet(above: list[Image.Image], below: list[Image.Image], step: int, steps: int) -> Image.Image:
    """Pairs row by row, below a line that tells the step, and its share of all steps."""
    (width, height), mode = above[0].size, above[0].mode
    columns = min(COLUMNS, len(above))
    rows = math.ceil(len(above) / columns)
    size = (
        max(2 * _EDGE + columns * (width + _GAP) - _GAP, 220),
        _HEAD + rows * (2 * height + 2 + _GAP) - _GAP + _EDGE,
    )
    sheet = Image.new(mode, size, _ink(DARK.paper, mode))
    pen = ImageDraw.Draw(sheet)
    ink, rule = (_ink(colour, mode) for colour in (DARK.ink, DARK.muted))
    pen.text((_EDGE, 9), f"step {step:,} of {steps:,}", ink, typeface(15))
    done = _EDGE + round((size[0] - 2 * _EDGE) * step / max(1, steps))
    pen.line([_EDGE, _HEAD - 10, size[0] - _EDGE, _HEAD - 10], _ink(DARK.rule, mode), 2)
    if step:
        pen.line([_EDGE, _HEAD - 10, done, _HEAD - 10], rule, 2)
    for i, (one, other) in enumerate(zip(above, below, strict=True)):
        left = _EDGE + i % columns * (width + _GAP)
        top = _HEAD + i // columns * (2 * height + 2 + _GAP)
        sheet.paste(one, (left, top))
        sheet.paste(other, (left, top + height + 2))
    return sheet


def _ink(colour: str, mode: str) -> int | tuple[int, ...]:
    """A colour as Pillow wants it for a grey sheet or one in colours."""
    return ImageColor.getcolor(colour, mode)

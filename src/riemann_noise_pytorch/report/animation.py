"""Animated PNGs: they play in every browser, hold all colours, and need no video writer."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from PIL import Image, ImageFont

from riemann_noise_pytorch.files import atomic_write

FRAME_MS, LAST_MS = 160, 2500


def save_animation(frames: Sequence[Image.Image], path: Path) -> Path:
    """Write frames that follow one another for ever, with a rest at the last one.

    Args:
        frames: Of one size and mode.
        path: The file.

    Raises:
        InputError: The file cannot be written.
    """
    first, *others = frames
    times = [FRAME_MS] * len(others) + [LAST_MS]
    with atomic_write(path) as temporary:
        first.save(temporary, "PNG", save_all=True, append_images=others, duration=times, loop=0)
    return path


def typeface(size: float) -> ImageFont.FreeTypeFont:
    """The typeface that comes with matplotlib, so that equal records give equal pictures."""
    return ImageFont.truetype(Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", size)

"""Small real files for the tests: seeded pixels, saved as images, archived as ZIP."""

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image


def noise_pixels(seed, height=12, width=12, channels=3):
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def picture(seed, height=12, width=12, channels=3):
    return Image.fromarray(noise_pixels(seed, height, width, channels))


def encoded(image, kind="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def write_folder(folder, names, **shape):
    for seed, name in enumerate(names):
        place = Path(folder, name)
        place.parent.mkdir(parents=True, exist_ok=True)
        picture(seed, **shape).save(place)
    return Path(folder)


def write_zip(path, contents, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return Path(path)


def cut_short(path):
    content = Path(path).read_bytes()
    Path(path).write_bytes(content[: len(content) // 2])

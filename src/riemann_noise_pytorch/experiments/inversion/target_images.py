"""The images to invert: from files, folders, archives and built-in sets to pixels of the generator's size."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import final

import numpy as np
import torch
from torch import Tensor

from riemann_noise_pytorch.data.builtin import BUILTIN_NAMES, builtin_set
from riemann_noise_pytorch.data.decoding import SUFFIXES, BadImageError, Header, blaming, decode, read_header
from riemann_noise_pytorch.data.folder import image_names
from riemann_noise_pytorch.data.labels import LABELS_FILE, match_labels, read_labels
from riemann_noise_pytorch.data.resizing import fit
from riemann_noise_pytorch.data.sources import FileSource, FolderFiles, locate, open_source
from riemann_noise_pytorch.errors import InputError, unknown_name
from riemann_noise_pytorch.experiments.inversion.options import InvertConfig

CHANNELS = {1: "grey", 3: "RGB", 4: "RGBA"}
ImageShape = tuple[int, int, int]


@final
@dataclass(frozen=True, eq=False)
class TargetImages:
    """Images to invert.

    Args:
        names: One for each, no two alike; parts of a path are separated by slashes.
        pixels: uint8 (N, C, H, W).
        sources: What was given.
        labels: Their own classes, int64 (N,), where each has one.
        resized: How many had another size.
        enlarged: How many of these were smaller.
        converted: How many were grey for a generator of colours, or the other way round.
    """

    names: tuple[str, ...]
    pixels: Tensor
    sources: tuple[str, ...]
    labels: Tensor | None = None
    resized: int = 0
    enlarged: int = 0
    converted: int = 0


@final
@dataclass(frozen=True, eq=False)
class _Image:
    name: str
    pixels: Tensor
    label: int | None = None
    resized: bool = False
    enlarged: bool = False
    converted: bool = False


def read_targets(images: Sequence[Path | str], shape: ImageShape, config: InvertConfig) -> TargetImages:
    """Read images as a generator makes them.

    Args:
        images: Files, folders, ZIP archives, and names of built-in sets.
        shape: (C, H, W) of the generator's images.
        config: The options that say how images of another size are treated, and how many are read.

    Raises:
        InputError: There is no such thing or no image in it, or an image cannot be used; it is named.
    """
    if shape[0] not in CHANNELS:
        raise InputError(
            f"the generator makes images of {shape[0]} channels, but files are read as grey, RGB or RGBA; "
            "give a generator of 1, 3 or 4"
        )
    if not images:
        raise InputError(
            "no images are given; give files, folders, ZIP archives or the name of a built-in set"
        )
    every = (image for given in images for image in _images_of(given, shape, config))
    found = list(_with_own_names(islice(every, config.limit)))
    labels = [image.label for image in found if image.label is not None]
    return TargetImages(
        names=tuple(image.name for image in found),
        pixels=torch.stack([image.pixels for image in found]),
        sources=tuple(str(given) for given in images),
        labels=torch.tensor(labels) if len(labels) == len(found) else None,
        **{
            what: sum(getattr(image, what) for image in found)
            for what in ("resized", "enlarged", "converted")
        },
    )


def read_fitted(source: FileSource, name: str, shape: ImageShape, resize_filter: str | None) -> Tensor:
    """Read one image file in a given shape.

    Args:
        source: Where it lies.
        name: Its name there.
        shape: (C, H, W).
        resize_filter: Filter by which it is resized; None: another size or mode is refused.

    Returns:
        uint8 (C, H, W).

    Raises:
        InputError: It cannot be used; it is named.
    """
    return _read(source, name, shape, resize_filter).pixels


def _images_of(given: Path | str, shape: ImageShape, config: InvertConfig) -> Iterator[_Image]:
    if isinstance(given, str) and builtin_set(given) is not None:
        if not config.resize:
            raise InputError(
                f"--no-resize has no meaning for {given}, which is made in the generator's size; leave it out"
            )
        yield from _built_in(given, shape, config.resize_filter)
        return
    source, names = files_of(given)
    labels = _labels(source, names)
    for position, name in enumerate(names):
        image = _read(source, name, shape, config.resize_filter if config.resize else None)
        yield image if labels is None else replace(image, label=int(labels[position]))


def files_of(given: Path | str) -> tuple[FileSource, list[str]]:
    """Open an image file, a folder or a ZIP, and list the images.

    Raises:
        InputError: There is no such thing, it cannot be read, or it holds no image.
    """
    place = locate(given)
    if place is None:
        hint = unknown_name("set of images", str(given), BUILTIN_NAMES)
        raise InputError(f"{hint}, or image files, a folder or a ZIP archive; no such file or folder exists")
    if place.is_file() and place.suffix.lower() in SUFFIXES:
        return OneFile(place), [place.name]
    source = open_source(place)
    return source, image_names(source)


@final
class OneFile(FolderFiles):
    """A single file of a folder, for reading alone."""

    def __init__(self, place: Path) -> None:
        self.path, self.names = place.parent, (place.name,)


def _built_in(name: str, shape: ImageShape, resize_filter: str) -> Iterator[_Image]:
    make = builtin_set(name)
    assert make is not None
    channels, height, width = shape
    images = make((height, width), channels=channels, resize_filter=resize_filter)
    for i in range(len(images)):
        label = None if images.labels is None else int(images.labels[i])
        yield _Image(f"{name}/{i:05d}", images.image(i), label)


def _read(source: FileSource, name: str, shape: ImageShape, resize_filter: str | None) -> _Image:
    channels, height, width = shape
    shown = source.describe(name)
    try:
        with blaming(shown):
            content = source.read(name)
        header = read_header(io.BytesIO(content), shown)
        if resize_filter is None:
            _require_alike(header, shown, shape)
        image = decode(io.BytesIO(content), shown, channels)
    except BadImageError as error:
        remedy = error.remedy.partition(", or ask for")[0]  # channels are the generator's
        raise InputError(f"cannot use image {shown!r}: {error.reason}; {remedy}, or leave it out") from error
    if resize_filter is not None:
        image = fit(image, (height, width), resize_filter)
    pixels = torch.from_numpy(np.array(image)).view(height, width, channels).permute(2, 0, 1).contiguous()
    return _Image(
        name.rpartition(".")[0],
        pixels,
        resized=(header.height, header.width) != (height, width),
        enlarged=header.height < height or header.width < width,
        converted=header.colour != (channels > 1),
    )


def _require_alike(header: Header, shown: str, shape: ImageShape) -> None:
    channels, height, width = shape
    remedy = "convert it yourself, or leave --no-resize out"
    if (header.height, header.width) != (height, width):
        raise InputError(
            f"image {shown!r} is {header.width}x{header.height} pixels, but the generator makes "
            f"{width}x{height}; {remedy}"
        )
    if header.colour != (channels > 1):
        raise InputError(
            f"image {shown!r} is {'in colour' if header.colour else 'grey'}, but the generator makes "
            f"{CHANNELS[channels]} images; {remedy}"
        )


def _labels(source: FileSource, names: Sequence[str]) -> Tensor | None:
    if LABELS_FILE not in source.names:
        return None
    shown = source.describe(LABELS_FILE)
    try:
        with blaming(shown):
            text = source.read(LABELS_FILE)
    except BadImageError as error:
        raise InputError(f"cannot use {shown}: {error.reason}; replace it") from error
    labels = read_labels(text, shown)
    return None if labels is None else match_labels(labels, names, set(names), shown)


def _with_own_names(images: Iterator[_Image]) -> Iterator[_Image]:
    """Images of which no two have one name."""
    taken = set[str]()
    for image in images:
        name, number = image.name, 2
        while name in taken:
            name, number = f"{image.name}-{number}", number + 1
        taken.add(name)
        yield replace(image, name=name)

"""What the page of an inversion shows of each image: it, its reconstructions, their errors, its noise.

All differences of a page share one scale, and so do all noise maps, so that images can be compared.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from riemann_noise_pytorch.report.inversion_records import (
    FRESH,
    INTERPOLATION,
    MASKS,
    TARGETS,
    WITH,
    WITHOUT,
    ImageRecord,
    InversionRecords,
)
from riemann_noise_pytorch.report.inversion_tables import psnr_text
from riemann_noise_pytorch.report.pixels import (
    DEVIATION_COLOURS,
    SIGNED_COLOURS,
    Maps,
    Picture,
    colour_bar,
    deviation_strip,
    shrunk,
    signed_grid,
    strip,
    tile_size,
)
from riemann_noise_pytorch.report.tables import number

MOST_IMAGES = 32
"""Images shown in full; the table has them all."""
_FEW = 8
_TILE, _GAP, _LARGE, _SMALL = 96, 4, 192, 128
_WAY = 64
_QUANTILE = 0.995
_NORMAL = 3.0
"""Deviations of the noise that a generator draws, which nearly all of it stays within."""


@dataclass(frozen=True)
class Tile:
    """One picture with its label, a number beside it, and what it shows for those who do not see it."""

    label: str
    number: str
    picture: Picture
    alt: str


@dataclass(frozen=True)
class Found:
    """One image: its name, and its tiles in a row."""

    name: str
    tiles: Sequence[Tile]


@dataclass(frozen=True)
class Gallery:
    """The images in full, and what their colours stand for."""

    images: Sequence[Found]
    difference: int
    difference_bar: Picture
    noise: float | None
    noise_bar: Picture
    layers: Sequence[str]


@dataclass(frozen=True)
class Way:
    """Points between the first two images."""

    label: str
    picture: Picture
    alt: str


def gallery(records: InversionRecords) -> Gallery:
    """Arrange the first images of an inversion.

    Args:
        records: Of one inversion.
    """
    count = min(MOST_IMAGES, len(records.images))
    longest = _LARGE if count <= _FEW else _SMALL
    shown = {
        key: tensor[:count] for key, tensor in records.tensors.items() if key in (TARGETS, WITHOUT, WITH)
    }
    errors = {key: _difference(shown[key], shown[TARGETS]) for key in shown if key != TARGETS}
    difference = max(
        1, math.ceil(max(float(np.quantile(each.astype(np.float64), _QUANTILE)) for each in errors.values()))
    )
    noise = {layer: maps[:count].astype(np.float64) for layer, maps in records.noise.items()}
    limit = _noise_limit(list(noise.values()))
    found = []
    for i, image in enumerate(records.images[:count]):
        pictures = {key: shrunk(tensor[i : i + 1], longest) for key, tensor in shown.items()}
        maps = {key: shrunk(error[i : i + 1], longest) for key, error in errors.items()}
        tiles = _tiles(records, image, pictures, maps, difference)
        if MASKS in records.tensors:
            tiles.insert(1, _mask_tile(image, shrunk(records.tensors[MASKS][i : i + 1], longest)))
        if limit is not None:
            tiles.append(_noise_tile(image, {layer: maps[i] for layer, maps in noise.items()}, limit))
        if FRESH in records.tensors:
            tiles.append(_fresh_tile(image, shrunk(records.tensors[FRESH][i], longest)))
        found.append(Found(image.name, tiles))
    return Gallery(
        found, difference, colour_bar(DEVIATION_COLOURS), limit, colour_bar(SIGNED_COLOURS), list(noise)
    )


def ways(records: InversionRecords) -> list[Way]:
    """The ways from the first image to the second, with noise frozen and interpolated.

    Args:
        records: Of one inversion; of one image there is no way.
    """
    views = []
    kinds = (
        ("frozen", "the noise of the first image" if records.setup.noisy else "the latents"),
        ("interpolated", "the noise on the way as well"),
    )
    for kind, label in kinds:
        images = records.tensors.get(INTERPOLATION + kind)
        if images is None or len(records.images) < 2:
            continue
        small = shrunk(images, _SMALL)
        ends = f"from {records.images[0].name} to {records.images[1].name}"
        picture = strip(small, _tile(small, _WAY), _GAP)
        views.append(Way(label, picture, f"{len(images)} images on the way {ends}: {label}"))
    return views


def _tiles(
    records: InversionRecords,
    image: ImageRecord,
    pictures: dict[str, Maps],
    errors: dict[str, Maps],
    difference: int,
) -> list[Tile]:
    """The image, its reconstructions, and their differences from it."""
    noisy = records.setup.noisy
    names = {WITHOUT: "noise frozen" if noisy else "reconstruction", WITH: "noise optimised"}
    psnrs = {WITHOUT: psnr_text(image.without), WITH: psnr_text(image.with_noise)}
    tile = _tile(pictures[TARGETS])
    tiles = [Tile("original", "", strip(pictures[TARGETS], tile, 0), f"{image.name}, original")]
    kinds = [key for key in (WITHOUT, WITH) if key in pictures]
    for key in kinds:
        alt = f"{image.name}, {names[key]}, {psnrs[key]} dB"
        tiles.append(Tile(names[key], f"{psnrs[key]} dB", strip(pictures[key], tile, 0), alt))
    for key in kinds:
        label = f"difference, {names[key].removeprefix('noise ')}" if noisy else "difference"
        picture = deviation_strip(errors[key], difference, tile, 0)
        alt = f"{image.name}, difference of {names[key]} from the original"
        tiles.append(Tile(label, "", picture, alt))
    return tiles


def _mask_tile(image: ImageRecord, mask: Maps) -> Tile:
    """Which part of the image counted."""
    picture = strip(mask[:, None], _tile(mask), 0)
    return Tile("mask, white counts", "", picture, f"{image.name}, mask: white where it counts")


def _fresh_tile(image: ImageRecord, draws: Maps) -> Tile:
    """Reconstructions under fresh noise."""
    picture = strip(draws, _tile(draws), _GAP)
    fresh = image.fresh or {}
    psnr, change = number(fresh.get("psnr"), 2), number(fresh.get("change"), 1)
    alt = f"{image.name}, {len(draws)} fresh draws of the noise: {psnr} dB, pixels change by {change} of 255"
    return Tile("fresh draws", f"{psnr} dB", picture, alt)


def _noise_tile(image: ImageRecord, maps: dict[str, Maps], limit: float) -> Tile:
    """The noise maps of all layers, in two rows."""
    columns = math.ceil(len(maps) / 2) if len(maps) > 1 else 1
    height, width = max((each.shape for each in maps.values()), key=lambda shape: shape[0] * shape[1])
    side = _TILE // 2 - _GAP // 2
    tile = (side, max(1, round(side * width / height)))
    picture = signed_grid(list(maps.values()), limit, tile, columns, _GAP)
    return Tile("noise maps", "", picture, f"{image.name}, noise maps of {', '.join(maps)}")


def _tile(images: Maps, least: int = _TILE) -> tuple[int, int]:
    """Height and width of images (..., H, W) in print."""
    height, width = images.shape[-2:]
    return tile_size(height, width, least)


def _difference(images: Maps, targets: Maps) -> Maps:
    """By how many grey levels pixels differ, mean over the channels, (N, H, W)."""
    means: Maps = np.abs(images.astype(np.float64) - targets.astype(np.float64)).mean(axis=1)
    return means


def _noise_limit(maps: Sequence[Maps]) -> float | None:
    """The magnitude at full colour: three deviations, or what nearly all values stay within."""
    if not maps:
        return None
    values = np.concatenate([np.abs(each).ravel() for each in maps])
    finite = values[np.isfinite(values)]
    return max(_NORMAL, float(f"{np.quantile(finite, _QUANTILE):.2g}")) if finite.size else _NORMAL

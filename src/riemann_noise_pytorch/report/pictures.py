"""What the page shows of images and maps: sample sheets, sigma maps, deviation maps, with their labels."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from riemann_noise_pytorch.report.artifacts import Pictures, sigma_maps
from riemann_noise_pytorch.report.pixels import (
    DEVIATION_COLOURS,
    SIGNED_COLOURS,
    Maps,
    Picture,
    SignedMaps,
    colour_bar,
    deviation_strip,
    grid,
    signed_strip,
    strip,
    tile_size,
)
from riemann_noise_pytorch.report.records import Comparison
from riemann_noise_pytorch.report.tables import arm_label

_SHEET_POINTS = 262
_MOST_MAPS = 8
_TILE = 64
_GAP = 4


@dataclass(frozen=True)
class Sheet:
    """One panel of sample images, enlarged ``zoom`` times by the page."""

    arm: str | None
    label: str
    note: str
    picture: Picture
    zoom: int


@dataclass(frozen=True)
class SheetRow:
    """Real images and one generator of each arm, trained from one seed."""

    seed: int
    sheets: tuple[Sheet, ...]


@dataclass(frozen=True)
class SigmaLayer:
    """The sigma maps of one layer."""

    layer: str
    size: str
    maps: SignedMaps


@dataclass(frozen=True)
class SigmaView:
    """The sigma maps of one arm, below the images that they belong to.

    ``unit`` tells whether the root mean square of every map is 1, so that the learned strength is that of the
    noise.
    """

    arm: str
    images: Picture
    layers: tuple[SigmaLayer, ...]
    unit: bool
    bar: Picture


@dataclass(frozen=True)
class DeviationRow:
    """One arm's images and, below them, the standard deviation of each pixel over noise seeds."""

    arm: str
    images: Picture | None
    maps: Picture
    highest: float


@dataclass(frozen=True)
class DeviationView:
    """Deviation maps of all arms in one colour scale from 0 to ``limit``."""

    rows: tuple[DeviationRow, ...]
    limit: float
    bar: Picture


def sheet_views(
    comparison: Comparison, real: Maps, samples: Mapping[tuple[str, int], Maps]
) -> tuple[SheetRow, ...]:
    """Lay out samples beside real images, one row of sheets for each seed.

    Args:
        comparison: The records of one comparison.
        real: uint8 (K, C, H, W).
        samples: The samples of each trained arm and seed, uint8 (K, C, H, W).
    """
    runs = {(run.arm, run.seed): run for run in comparison.runs}
    real_std = next((run.real_std for run in comparison.runs if run.real_std is not None), None)
    rows = []
    for seed in sorted({seed for _, seed in samples}):
        sheets = [_sheet(None, "real images", _std_note(real_std), real)]
        for arm in comparison.arms:
            if (arm, seed) in samples:
                note = _std_note(runs[arm, seed].sample_std)
                sheets.append(_sheet(arm, arm_label(arm), note, samples[arm, seed]))
        rows.append(SheetRow(seed, tuple(sheets)))
    return tuple(rows)


def sigma_view(arm: str, pictures: Pictures) -> SigmaView | None:
    """Arrange the sigma maps of one generator, shallow layers first.

    Args:
        arm: The kind of noise.
        pictures: The artifacts of one run; sigma map i belongs to sample i.

    Returns:
        None if the generator has no sigma.
    """
    layers = sigma_maps(pictures)
    if not layers:
        return None
    count = min(_MOST_MAPS, *(len(maps) for maps in layers.values()))
    images = pictures["samples"][:count]
    tile = tile_size(images.shape[2], images.shape[3], _TILE)
    views = [
        SigmaLayer(layer, f"{maps.shape[1]}×{maps.shape[2]}", signed_strip(maps[:count], tile, _GAP))
        for layer, maps in layers.items()
    ]
    unit = all(_is_unit(maps) for maps in layers.values())
    return SigmaView(arm, strip(images, tile, _GAP), tuple(views), unit, colour_bar(SIGNED_COLOURS))


def deviation_view(first: Mapping[str, Pictures]) -> DeviationView | None:
    """Arrange the maps of standard deviation over noise seeds, all arms in one colour scale.

    Args:
        first: The artifacts of one run of each arm.

    Returns:
        None if no run holds such maps, or noise moves no pixel of any.
    """
    maps = {arm: one["noise_std"] for arm, one in first.items() if "noise_std" in one}
    highest = {arm: float(np.nan_to_num(found).max()) for arm, found in maps.items()}
    limit = max(highest.values(), default=0.0)
    if limit <= 0:
        return None
    rows = []
    for arm, found in maps.items():
        shown = found[:_MOST_MAPS]
        tile = tile_size(shown.shape[1], shown.shape[2], _TILE)
        images = first[arm].get("noise_std_images")
        above = None if images is None else strip(images[: len(shown)], tile, _GAP)
        rows.append(DeviationRow(arm, above, deviation_strip(shown, limit, tile, _GAP), highest[arm]))
    return DeviationView(tuple(rows), limit, colour_bar(DEVIATION_COLOURS))


def _is_unit(maps: Maps) -> bool:
    """Whether every map has a root mean square of 1, but for rounding."""
    return np.allclose((maps.astype(np.float64) ** 2).mean(axis=(1, 2)), 1, atol=0.02)


def _sheet(arm: str | None, label: str, note: str, images: Maps) -> Sheet:
    """Choose the zoom, a whole number, and as many columns as the panel is wide."""
    width = images.shape[3]
    zoom = max(1, round(48 / width))
    columns = max(1, (_SHEET_POINTS // zoom + 1) // (width + 1))
    rows = max(1, (_SHEET_POINTS // zoom + 1) // (images.shape[2] + 1)) + 1
    return Sheet(arm, label, note, grid(images, columns, rows), zoom)


def _std_note(value: float | None) -> str:
    return "" if value is None else f"std {value:.3f}"

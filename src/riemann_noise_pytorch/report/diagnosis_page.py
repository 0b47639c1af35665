"""The page of a diagnosis: what is wrong and what to try, then the layers, then everything else.

One self-contained file; see :mod:`riemann_noise_pytorch.report.page`.
"""

from functools import partial
from pathlib import Path

import numpy as np

from riemann_noise_pytorch.report.diagnosis_figures import depth_panel, spectra_panel
from riemann_noise_pytorch.report.diagnosis_numbers import (
    condition_alt,
    condition_panel,
    share_alt,
    share_panel,
)
from riemann_noise_pytorch.report.diagnosis_records import (
    SEVERITIES,
    DiagnosisRecords,
    Finding,
    read_diagnosis,
)
from riemann_noise_pytorch.report.diagnosis_tables import (
    NUMBER_COLUMNS,
    layer_rows,
    layer_table,
    notes,
    number_table,
    rank_text,
    shape_text,
)
from riemann_noise_pytorch.report.page import View, diagram, flat, write_page
from riemann_noise_pytorch.report.pixels import (
    DEVIATION_COLOURS,
    colour_bar,
    deviation_strip,
    grid,
    shrunk,
    tile_size,
)
from riemann_noise_pytorch.report.themes import SEVERITY_COLOURS

PAGE = "diagnosis.html"

_SAMPLES_WIDE, _MOST_COLUMNS, _MOST_ROWS = 600, 8, 4
_LONGEST = 192
"""Sides of samples and maps in pixels; larger ones are shrunk."""
_TILE = 96


def write_diagnosis_page(folder: Path) -> Path:
    """Write ``diagnosis.html`` beside the records of a diagnosis.

    Args:
        folder: Written by ``riemann-noise diagnose``: ``diagnosis.jsonl``, ``diagnosis.safetensors``.

    Returns:
        The page's path. Equal folders give equal pages, byte for byte.

    Raises:
        InputError: Records or tensors are missing or damaged, or the page cannot be written. A page from
            before stays as it was.
    """
    return write_page("diagnosis.html", _view(read_diagnosis(Path(folder))), Path(folder) / PAGE)


def headline(records: DiagnosisRecords) -> str:
    """The diagnosis in one sentence: the gravest finding, or that there is none.

    Args:
        records: Of one diagnosis.
    """
    if not records.findings:
        return "Nothing was found that is wrong."
    first = records.graded[0]
    if first.severity != "problem":
        return f"No problem was found{', but' if first.severity == 'note' else ':'} {first.title}."
    more = sum(one.severity == "problem" for one in records.findings) - 1
    others = f", and {more} more problem{'s' if more > 1 else ''}" if more else ""
    return f"{first.title[:1].upper()}{first.title[1:]}{others}."


def about(records: DiagnosisRecords) -> str:
    """What was diagnosed, in one line."""
    target, profile = records.setup.target, records.profile()
    shape = records.setup.image_shape
    image = f" to {shape_text(shape)}" if shape else ""
    parts = [
        records.setup.name,
        str(target.get("snapshot") or ""),
        f"{target['z_dim']} latent dimensions{image}" if target.get("z_dim") else "",
        f"{target['classes']} classes" if target.get("classes") else "",
        f"{profile.num_latents} latent{'s' if profile.num_latents != 1 else ''}" if profile else "",
    ]
    return " · ".join(part for part in parts if part)


def _view(records: DiagnosisRecords) -> View:
    """Everything that the template prints."""
    setup = records.setup
    return {
        "name": setup.name,
        "about": about(records),
        "headline": headline(records),
        "findings": [_finding(one) for one in records.graded],
        "severities": SEVERITY_COLOURS,
        "samples": _samples(records),
        **_layers(records),
        **_diagrams(records),
        "maps": _maps(records),
        "bar": colour_bar(DEVIATION_COLOURS),
        "numbers": number_table(records).rows,
        "number_columns": NUMBER_COLUMNS,
        "protocols": notes(records),
        "environment": flat({"package": setup.version, "commit": setup.commit} | dict(setup.environment)),
        "target": flat(setup.target),
        "given": flat({"seed": setup.seed} | dict(setup.options)),
    }


def _finding(one: Finding) -> View:
    words = dict(zip(SEVERITIES, ("Problem", "Note", "Good"), strict=True))
    return {
        "severity": one.severity,
        "word": words[one.severity],
        "title": one.title,
        "text": one.text,
        "remedy": one.remedy,
        "command": one.command,
    }


def _layers(records: DiagnosisRecords) -> View:
    """The table by layer, each row with its bar."""
    table, rows, profile = layer_table(records), layer_rows(records), records.profile()
    shape = [column.heading for column in table.columns].index("shape")
    return {
        "columns": table.columns,
        "rows": [
            {
                "cells": [cell.replace("x", "×") if i == shape else cell for i, cell in enumerate(cells)],
                "percent": round(100 * row.share, 2),
            }
            for row, cells in zip(rows, table.rows, strict=True)
        ],
        "unsure": any(row.ambiguous for row in rows),
        "inputs": profile.inputs if profile else None,
        "data": records.data_dimension,
    }


def _diagrams(records: DiagnosisRecords) -> View:
    """The panels, each for light and for dark; what was not measured has none."""
    kinds = [joint for joint in (False, True) if records.depth(joint=joint)]
    drawn = [joint for joint in kinds if any(_has_spectrum(records, joint))]
    return {
        "depths": [
            diagram(partial(depth_panel, records, joint), _depth_alt(records, joint)) for joint in kinds
        ],
        "spectra": [
            diagram(partial(spectra_panel, records, joint), _spectra_alt(records, joint)) for joint in drawn
        ],
        "conditions": [
            diagram(partial(condition_panel, records, one), condition_alt(one))
            for one in records.conditions
            if records.pairs(one) is not None
        ],
        "shares": [
            diagram(partial(share_panel, records), share_alt(shares))
            for shares in [records.shares]
            if len(shares) > 1
        ],
    }


def _has_spectrum(records: DiagnosisRecords, joint: bool) -> list[bool]:
    return [records.spectrum(layer) is not None for layer in records.depth(joint=joint)]


def _depth_alt(records: DiagnosisRecords, joint: bool) -> str:
    ranks = "; ".join(f"{layer.name} {rank_text(layer)}" for layer in records.depth(joint=joint))
    return f"Rank in {'latent and noise' if joint else 'the latent'} by layer: {ranks}."


def _spectra_alt(records: DiagnosisRecords, joint: bool) -> str:
    layers = len(records.depth(joint=joint))
    where = "latent and noise" if joint else "the latent"
    return f"Singular values of the Jacobian of {layers} layers in {where}, largest first, and the tolerance."


def _samples(records: DiagnosisRecords) -> View | None:
    """Samples enlarged a whole number of times, as many as a row and a few rows hold."""
    if records.samples is None:
        return None
    images = shrunk(records.samples, _LONGEST)
    zoom = max(1, round(64 / images.shape[3]))
    columns = min(_MOST_COLUMNS, max(1, _SAMPLES_WIDE // (zoom * (images.shape[3] + 1))))
    return {"picture": grid(images, columns, _MOST_ROWS), "zoom": zoom}


def _maps(records: DiagnosisRecords) -> list[View]:
    """Where in the image each group moves the pixels, all in one scale from 0 to 1."""
    views = []
    for share in records.shares:
        found = records.share_map(share)
        if found is not None:
            maps = shrunk(np.clip(found, 0, 1), _LONGEST)
            picture = deviation_strip(maps[None], 1.0, tile_size(maps.shape[0], maps.shape[1], _TILE), 0)
            views.append({"name": share.group, "share": f"{share.first:.3f}", "picture": picture})
    return views

"""The page of a comparison: one self-contained HTML file, the answer first.

See :mod:`riemann_noise_pytorch.report.page` for what it shares with other pages.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from riemann_noise_pytorch.experiments.metric_names import METRIC_LABELS
from riemann_noise_pytorch.report.artifacts import Pictures, read_pictures
from riemann_noise_pytorch.report.figures import loss_panel, metric_panel, noisy_arms, strength_panel
from riemann_noise_pytorch.report.page import View, diagram, flat, grouped, write_page
from riemann_noise_pytorch.report.pictures import deviation_view, sheet_views, sigma_view
from riemann_noise_pytorch.report.protocols import label, protocol_names
from riemann_noise_pytorch.report.records import Comparison, read_comparison
from riemann_noise_pytorch.report.tables import (
    arm_label,
    decimals,
    difference_table,
    number,
    summary_table,
)


def write_report(folder: Path) -> Path:
    """Write ``report.html`` into a comparison folder.

    Args:
        folder: A folder written by ``riemann-noise compare``: ``records.jsonl`` and ``artifacts/``.

    Returns:
        The page's path. Equal folders give equal pages, byte for byte.

    Raises:
        InputError: Records or pictures are missing, damaged or of another kind, or the page cannot be
            written. A page from before stays as it was.
    """
    view = _view(read_comparison(Path(folder)))
    return write_page("compare.html", view, Path(folder) / "report.html")


def _view(comparison: Comparison) -> View:
    """Everything that the template prints."""
    real = read_pictures(comparison.folder, "real", needs="real")
    pictures = {
        (run.arm, run.seed): read_pictures(comparison.folder, f"{run.arm}-seed{run.seed}", needs="samples")
        for run in comparison.runs
    }
    return {
        "comparison": comparison,
        "about": _about(comparison),
        "summary": grouped(summary_table(comparison)),
        "differences": grouped(difference_table(comparison)),
        **_diagrams(comparison),
        **_pixel_pictures(comparison, real, pictures),
        "protocols": _protocols(comparison),
        "measurements": _measurements(comparison),
        "configuration": flat(comparison.setup.config),
        "environment": flat(
            {"package": comparison.setup.version, "commit": comparison.setup.commit}
            | dict(comparison.setup.environment)
        ),
        "data": flat(comparison.setup.data),
    }


def _about(comparison: Comparison) -> View:
    """The facts of the page's first lines."""
    data, runs = comparison.setup.data, comparison.runs
    return {
        "data": str(data.get("name", "the data")),
        "count": data.get("count"),
        "kimg": max((run.kimg for run in runs), default=None),
        "seeds": len({run.seed for run in runs}),
        "generators": len(runs),
        "arms": [arm_label(arm) for arm in comparison.arms],
        "all_known": all(metric in METRIC_LABELS for metric in comparison.metrics),
        "idle": [arm for arm in comparison.arms if not comparison.seeds_of(arm)],
    }


def _diagrams(comparison: Comparison) -> View:
    """The panels, each for light and for dark."""
    metrics = [
        diagram(partial(metric_panel, comparison, metric), _metric_alt(comparison, metric))
        for metric in comparison.metrics
    ]
    trained = [arm for arm in comparison.arms if comparison.seeds_of(arm)]
    losses = [
        diagram(
            partial(loss_panel, comparison, arm), f"Losses of generator and discriminator, {arm_label(arm)}."
        )
        for arm in trained
    ]
    strengths = [
        diagram(
            partial(strength_panel, comparison, arm), f"Learned noise strengths by layer, {arm_label(arm)}."
        )
        for arm in noisy_arms(comparison)
    ]
    return {"metric_panels": metrics, "loss_panels": losses, "strength_panels": strengths}


def _metric_alt(comparison: Comparison, metric: str) -> str:
    rows = [row for row in comparison.summaries if row.metric == metric]
    places = decimals(row.mean for row in rows)
    means = "; ".join(f"{arm_label(row.arm)} {number(row.mean, places)}" for row in rows)
    return f"{label(comparison, metric)}, mean over seeds: {means or 'not summarised'}."


def _pixel_pictures(
    comparison: Comparison, real: Pictures, pictures: Mapping[tuple[str, int], Pictures]
) -> View:
    """Sample sheets for every seed; maps for the first seed of each arm."""
    first = {arm: pictures[arm, seeds[0]] for arm in comparison.arms if (seeds := comparison.seeds_of(arm))}
    return {
        "sheets": sheet_views(
            comparison, real["real"], {key: one["samples"] for key, one in pictures.items()}
        ),
        "sigmas": [view for arm, one in first.items() if (view := sigma_view(arm, one))],
        "deviation": deviation_view(first),
        "first_seeds": {arm: comparison.seeds_of(arm)[0] for arm in first},
    }


def _protocols(comparison: Comparison) -> list[View]:
    """For each metric its full printed name, sample size and kind of interval."""
    views = []
    for metric in comparison.metrics:
        rows = [row for row in comparison.measurements if row.metric == metric]
        counts = sorted({row.count for row in rows if row.count is not None})
        intervals = dict.fromkeys(row.interval for row in rows if row.interval)
        views.append(
            {
                "metric": metric,
                "label": label(comparison, metric),
                "names": protocol_names(comparison, metric),
                "counts": counts,
                "intervals": list(intervals),
            }
        )
    return views


def _measurements(comparison: Comparison) -> list[View]:
    """Every measurement as cells, one row for each run, metric by metric."""
    views = []
    for metric in comparison.metrics:
        rows = [row for row in comparison.measurements if row.metric == metric]
        places = decimals(row.value for row in rows)
        lines = [
            {
                "arm": row.arm,
                "seed": row.seed,
                "cells": [number(value, places) for value in (row.value, row.low, row.high)],
            }
            for row in sorted(rows, key=lambda row: (comparison.arms.index(row.arm), row.seed))
        ]
        views.append({"name": label(comparison, metric), "rows": lines})
    return views

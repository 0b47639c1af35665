"""What each metric is called in sentences, tables and pictures, short of its whole protocol."""

PATHS = ("pl2", "ppl2", "ppl")
"""Path lengths of whole images, by any distance and by LPIPS; older records call both ``ppl``."""
METRIC_LABELS = {
    "swd": "sliced Wasserstein distance x1e3",
    **{f"{family}_z{at}": f"path length in z, {at}" for family in PATHS for at in ("full", "end")},
    "mc_z": "mean condition, z",
    **dict.fromkeys(("mc_z_top2", "ttmc_z"), "mean of the top 2 % of conditions, z"),
}
PAPER_TTMC = "TTMC, z"
"""What the tail is called where it was measured as in the paper, over 50,000 pairs."""


def metric_label(metric: str, name: str = "") -> str:
    """Name a metric for a reader.

    Args:
        metric: Its key, as in the records, older ones included.
        name: The whole protocol, where it is known: it tells the distance of a path length, and whether the
            tail of the conditions is the paper's TTMC.

    Returns:
        The label; for a metric that has none, its key.

    Example:
        >>> metric_label("pl2_zfull", "pl2_zfull (pyramid distance, 10,000 pairs, slerp, eps 1e-4)")
        'path length in z, full (pyramid distance)'
        >>> metric_label("ttmc_z", "TTMC (z, 50,000 pairs, std 0.0001)")
        'TTMC, z'
    """
    label = METRIC_LABELS.get(metric, metric)
    if metric == "ttmc_z" and name.startswith("TTMC "):
        return PAPER_TTMC
    opening = f"{metric} ("
    if metric.split("_")[0] in PATHS and name.startswith(opening):
        distance = name.removeprefix(opening).split(",")[0].removesuffix(")")
        return f"{label} ({distance})"
    return label

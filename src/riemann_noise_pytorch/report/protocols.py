"""How each metric of a comparison was measured: its label for tables, its whole protocol below them."""

from riemann_noise_pytorch.experiments.metric_names import metric_label
from riemann_noise_pytorch.report.records import Comparison


def protocol_names(comparison: Comparison, metric: str) -> list[str]:
    """The printed names of a metric, each once: one, unless its measurements had several protocols."""
    names = [row.name for row in comparison.measurements if row.metric == metric]
    names += [row.name for row in comparison.summaries if row.metric == metric]
    return list(dict.fromkeys(names))


def label(comparison: Comparison, metric: str) -> str:
    """What a metric is called in a table or a picture; with several protocols, no more than all share."""
    labels = {metric_label(metric, name) for name in protocol_names(comparison, metric)}
    return labels.pop() if len(labels) == 1 else metric_label(metric)


def protocols(comparison: Comparison) -> list[str]:
    """One line a metric, in the order of the tables: its label there and how it was measured.

    Args:
        comparison: The records of one comparison.

    Returns:
        Lines such as ``mean condition, z: MC (z, 10,000 pairs, std 0.0001)``; a label that the name begins
        with is not written twice.
    """
    lines = []
    for metric in comparison.metrics:
        short, names = label(comparison, metric), "; ".join(protocol_names(comparison, metric))
        lines.append(names if names.startswith(short) else f"{short}: {names}")
    return lines

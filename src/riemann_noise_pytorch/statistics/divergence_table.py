"""The table of f-divergences in the documents, from what the classes say of themselves."""

import math

from riemann_noise_pytorch.statistics.divergences import DIVERGENCES, LOG_2, FDivergence


def markdown_table() -> str:
    """Write one row for every divergence: its formulas, the domain of its conjugate, and f'(1)."""
    rows = [_cells(divergence) for divergence in DIVERGENCES.values()]
    lines = [rows[0].keys(), ["---"] * len(rows[0]), *(row.values() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(divergence: FDivergence) -> dict[str, str]:
    cells = {"key": divergence.key, **divergence.formulas()}
    cells |= {"domain": _interval(*divergence.domain), "f'(1)": _number(divergence.at_one)}
    order = ("key", "f(u)", "f*(t)", "domain", "g(v)", "f'(1)", "f*(g(v))", "weight")
    code = {heading: f"`{cells[heading]}`" for heading in order}
    return {"divergence": divergence.name, **code}


def _interval(low: float, high: float) -> str:
    if math.isfinite(low):
        return f"{_number(low)} <= t <= {_number(high)}"
    return f"t < {_number(high)}" if math.isfinite(high) else "all t"


def _number(value: float) -> str:
    return {LOG_2: "log(2)", -LOG_2: "-log(2)"}.get(value, f"{value:g}")

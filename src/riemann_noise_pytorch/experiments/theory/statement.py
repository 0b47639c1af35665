"""What an experiment on a statement of the paper found: a number, what was expected, and curves."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from torch import Tensor

from riemann_noise_pytorch.experiments.records import Record

CurveKind = Literal["points", "line", "guide"]


@dataclass(frozen=True)
class Curve:
    """One row of points of a figure.

    Attributes:
        label: What it is; empty for a guide that needs no name.
        x: Places, finite.
        y: Values, as many, finite.
        kind: ``points`` (measured, joined by a line), ``line`` (measured, without marks) or ``guide`` (what
            they are held against).
    """

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    kind: CurveKind = "points"


@dataclass(frozen=True)
class Statement:
    """A statement of the paper, and what became of it.

    Attributes:
        name: Such as ``Theorem 3``.
        statement: What it says, in a sentence.
        experiment: What was done.
        measured: The number, in words.
        expected: What the statement asks of it.
        holds: Whether it does; None where the paper gives nothing that a number could break.
        x_label: What the figure's horizontal axis counts.
        y_label: What the vertical one counts.
        curves: What it shows.
        log_x: Whether the horizontal axis is logarithmic.
        log_y: Whether the vertical one is.
        remark: What else should be known; empty for nothing.
    """

    name: str
    statement: str
    experiment: str
    measured: str
    expected: str
    holds: bool | None
    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    log_x: bool = True
    log_y: bool = True
    remark: str = ""

    def records(self) -> list[Record]:
        """One record for the statement, one for each curve."""
        own = {key: value for key, value in asdict(self).items() if key != "curves"}
        curves = [{"record": "curve", "statement": self.name, **asdict(curve)} for curve in self.curves]
        return [{"record": "statement", **own}, *curves]


def curve(
    label: str, x: Iterable[float] | Tensor, y: Iterable[float] | Tensor, kind: CurveKind = "points"
) -> Curve:
    """Make a curve of numbers or tensors (P,)."""
    xs, ys = (tuple(map(float, values)) for values in (x, y))
    return Curve(label, xs, ys, kind)


def slope_guide(x: Tensor, order: int, height: float) -> Curve:
    """A straight line of a whole slope between logarithmic axes, so high at the largest place."""
    ends = (float(x.min()), float(x.max()))
    return curve(f"slope {order}", ends, (height * (ends[0] / ends[1]) ** order, height), "guide")


def verdict(holds: bool | None) -> str:
    """Say whether a statement holds, in a word or two.

    Example:
        >>> verdict(True), verdict(False), verdict(None)
        ('holds', 'does not hold', 'measured')
    """
    return "measured" if holds is None else "holds" if holds else "does not hold"

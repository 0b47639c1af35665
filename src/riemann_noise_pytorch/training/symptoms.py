"""Signs that a GAN is going wrong, read from what every tick measures anyway, each with what would help.

A sign is told once when it appears, and again only after it was gone for a while. What came before is read
from the lines of ``stats.jsonl``, so a resumed run says what an uninterrupted one would have said.

The thresholds are ours: no published rule is known to us. ``docs/stabilisation.md`` tells on which runs they
were looked at.
"""

import math
import statistics
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, final

from riemann_noise_pytorch.training.config import TrainConfig

SURE = 0.98
"""A discriminator right so often, on real and on generated images, gives the generator little to go by."""
SURE_TICKS = 3
SHRUNK = 0.5
"""Spread of the samples, against the widest before, or against that of the real images if that is less."""
SWINGS = 8
"""Ticks over which swings of the generator's loss are counted."""
SWING = 0.5
"""Mean change of that loss from one tick to the next, against the mean size of both players' losses."""
EXPLODED = 10.0
"""Gradient norm, against its median before."""
UNSEEN = 3.0
"""The same against what nine of ten ticks before stayed below, for gradients that were small and recover."""
YOUNG = 5
YOUNG_STEPS = 100
"""Ticks, and steps, at the beginning of a run of which nothing is said: everything changes then."""
QUIET = 10
"""Ticks without a sign after which it has gone."""
MEMORY = 200
"""Ticks that are looked at: what is usual, or the widest, is that of so many."""

Line = Mapping[str, Any]
"""A line of ``stats.jsonl``."""


@dataclass(frozen=True)
class Sign:
    """One way of going wrong.

    Attributes:
        name: In a word.
        seen: From the last lines to what is seen, in words; empty if it is not.
        remedy: From the options to what would help.
        explained_by: Names of signs that bring this one along; while one of them is there, this is not told.
        needs_boundary: Whether it asks where the discriminator draws the line between real and generated
            images, which that of the Wasserstein loss does not.
        of_average: Whether it looks at samples of the averaged generator, which remembers its start for long.
    """

    name: str
    seen: Callable[[Sequence[Line]], str]
    remedy: Callable[[TrainConfig], str]
    explained_by: tuple[str, ...] = ()
    needs_boundary: bool = False
    of_average: bool = False


@final
class Symptoms:
    """Looks at every tick; made anew, with the lines before, when a run is resumed.

    Args:
        config: The options of the run.
        lines: The lines of ``stats.jsonl`` so far.
    """

    def __init__(self, config: TrainConfig, lines: Sequence[Line] = ()) -> None:
        self._config = config
        self._signs = [s for s in SIGNS if not (s.needs_boundary and config.loss == "wasserstein")]
        self._lines: deque[Line] = deque(maxlen=MEMORY)
        self._ticks = 0
        self._seen_at: dict[str, int] = {}
        self._settled = 2000 * config.ema_kimg if config.ema_rampup is None else 0.0
        for line in lines:
            self.look(line)

    def look(self, line: Line) -> list[str]:
        """Read one more line, and tell in words which signs have appeared.

        Args:
            line: Of ``stats.jsonl``; measures that are missing or None are not judged.

        Returns:
            A sentence for each: when, which sign, what is seen, and the options that would help.
        """
        self._lines.append(line)
        self._ticks += 1
        lines = list(self._lines)
        step = line["images_seen"] // self._config.batch
        if len(lines) <= YOUNG or step < YOUNG_STEPS:
            return []
        told = []
        for sign in self._signs:
            what = sign.seen(self._of_settled_average(lines) if sign.of_average else lines)
            if not what or any(map(self._is_present, sign.explained_by)):
                continue
            if not self._is_present(sign.name):
                when = f"at step {step} ({line['kimg']:g} kimg)"
                told.append(f"{when}: {sign.name}: {what}; {sign.remedy(self._config)}")
            self._seen_at[sign.name] = self._ticks
        return told

    def _is_present(self, name: str) -> bool:
        return name in self._seen_at and self._ticks - self._seen_at[name] <= QUIET

    def _of_settled_average(self, lines: Sequence[Line]) -> Sequence[Line]:
        """The lines from two half-lives of the average on."""
        return [line for line in lines if line["images_seen"] >= self._settled]


def _saturated(lines: Sequence[Line]) -> str:
    last = lines[-SURE_TICKS:]
    real, fake = _values(last, "d_real_accuracy"), _values(last, "d_fake_accuracy")
    if len(real) < SURE_TICKS or len(fake) < SURE_TICKS or min(real + fake) < SURE:
        return ""
    return (
        f"for {SURE_TICKS} ticks the discriminator has told real from generated images with an accuracy of "
        f"{min(real + fake):.1%} or more"
    )


def _collapsed(lines: Sequence[Line]) -> str:
    spread, real = _values(lines, "sample_spread"), _values(lines, "real_spread")
    if len(spread) <= YOUNG:
        return ""
    of_data = statistics.fmean(real) if real else math.inf
    if spread[-1] >= SHRUNK * min(max(spread), of_data):
        return ""
    beside = f", where that of real images is {of_data:.3g}" if real else ""
    return f"the samples' standard deviation fell from {max(spread):.3g} to {spread[-1]:.3g}{beside}"


def _swinging(lines: Sequence[Line]) -> str:
    losses = _values(lines[-SWINGS:], "loss_g")
    if len(losses) < SWINGS:
        return ""
    size_d = statistics.fmean(map(abs, _values(lines[-SWINGS:], "loss_d") or [0.0]))
    size = size_d + statistics.fmean(map(abs, losses))
    changes = [after - before for before, after in pairwise(losses)]
    turns = sum(first * second < 0 for first, second in pairwise(changes))
    change = statistics.fmean(map(abs, changes))
    if turns < len(changes) - 2 or change < SWING * size:
        return ""
    return f"the generator's loss goes up and down by {change:.3g} from tick to tick"


def _exploding(lines: Sequence[Line]) -> str:
    of_g = _jumped(lines, "grad_norm_g", "the generator's gradient")
    return of_g or _jumped(lines, "grad_norm_d", "the discriminator's gradient")


def _exploding_with_penalty(lines: Sequence[Line]) -> str:
    return _jumped(lines, "grad_norm_penalty", "the discriminator's gradient at steps with a penalty")


def _jumped(lines: Sequence[Line], name: str, what: str) -> str:
    *before, norm = _values(lines, name) or [0.0]
    if len(before) < YOUNG or lines[-1].get(name) is None:
        return ""
    usual, high = statistics.median(before), statistics.quantiles(before, n=10, method="inclusive")[-1]
    if norm <= max(EXPLODED * usual, UNSEEN * high):
        return ""
    return f"{what} is {norm:.3g}, where {usual:.3g} was usual"


def _values(lines: Sequence[Line], name: str) -> list[float]:
    return [float(line[name]) for line in lines if line.get(name) is not None]


def _smoother(config: TrainConfig) -> str:
    kind = {"logistic": "js or r1", "f-js": "js or r1", "f-gan": "js or r1", "wasserstein": "wgan-gp"}
    lazy = ", regularizer_interval 1" if config.regularizer_interval > 1 else ""
    penalty = f"set gamma above 0 (regularizer {kind.get(config.loss, 'r1')}{lazy})"
    if config.gamma > 0:
        penalty = f"raise gamma, which is {config.gamma:g}"
    noise = "add instance_noise 0.1"
    if config.instance_noise > 0:
        noise = f"raise instance_noise, which is {config.instance_noise:g}"
    return f"{penalty}, or {noise}, or lower lr_d, which is {config.lr_d:g}"


def _slower(config: TrainConfig) -> str:
    return f"lower lr_g, which is {config.lr_g:g}, or {_smoother(config)}"


def _weaker(config: TrainConfig) -> str:
    return f"lower gamma, which is {config.gamma:g}, or lr_d, which is {config.lr_d:g}"


SATURATION = "a saturated discriminator"
EXPLOSION = "exploding gradients"
SIGNS = (
    Sign(SATURATION, _saturated, _smoother, needs_boundary=True),
    Sign("collapse", _collapsed, _smoother, of_average=True),
    Sign("oscillation", _swinging, _slower, needs_boundary=True),
    Sign(EXPLOSION, _exploding, _slower, explained_by=(SATURATION,)),
    Sign("an exploding penalty", _exploding_with_penalty, _weaker, explained_by=(SATURATION, EXPLOSION)),
)

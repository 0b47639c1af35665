"""Options of the toy, and the arms that they name."""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.training.choices import GeneratorLoss

Data = Literal["ring", "grid25", "moons", "spiral"]
Ambient = Literal[2, 3]

MOST = 1e4
"""Weights and variances above this have no meaning for points of size 1: they are mistyped."""


class Size(NamedTuple):
    """How long and how large: steps of each player, points in a batch, units of a hidden layer."""

    steps: int
    batch: int
    width: int


QUICK, PUBLISHED = Size(8_000, 256, 64), Size(100_000, 512, 128)


@dataclass(frozen=True)
class Arm:
    """One way to train: a loss of the generator and a smoothing.

    Args:
        generator_loss: The generator's form of the logistic loss.
        gamma: Weight of the JS regulariser.
        variance: Of the instance noise.
    """

    generator_loss: GeneratorLoss
    gamma: float = 0.0
    variance: float = 0.0

    @property
    def key(self) -> str:
        """Its name among files and records, such as ``minimax-js-0.1``."""
        return f"{self.generator_loss}-{self.method.replace(' ', '-')}"

    @property
    def method(self) -> str:
        """Its smoothing, such as ``js 0.1``, ``noise 0.1`` or ``none``."""
        if self.variance:
            return f"noise {self.variance:g}"
        return f"js {self.gamma:g}" if self.gamma else "none"


@dataclass(frozen=True)
class ToyConfig:
    """Train small GANs on a mixture in a plane, embedded in space, with and without regularisation.

    Seven Gaussians on a ring, in a plane that is turned and shifted in three dimensions: real and generated
    points hardly overlap, and the unregularised game has no reason to settle. What is no option here is as in
    the published example: two hidden layers with tanh, Adam with beta1 0.5.
    """

    data: Data = "ring"
    """Mixture: ring (7 Gaussians), grid25 (25), moons (24 along two half circles) or spiral (40)."""
    ambient: Ambient = 3
    """Dimensions of the space that the plane lies in: 3 (the published example), or 2 for the plane itself,
    which misses no dimension."""
    gammas: tuple[float, ...] = (0.0, 0.01, 0.1)
    """Weights of the JS regulariser gamma/2 mean[(1-D(x))^2 |grad|^2 + D(G)^2 |grad|^2]; 0: none."""
    noise_variances: tuple[float, ...] = (0.1,)
    """Variances of instance noise on all points that the discriminator sees; what gamma is to the JS
    regulariser."""
    generator_loss: tuple[GeneratorLoss, ...] = ("non-saturating", "minimax")
    """The generator's loss: non-saturating, -log D(G), or minimax, log(1 - D(G))."""
    seeds: int = 3
    """Trainings of every kind, together as one batched network."""
    steps: int | None = None
    """Steps of each player. None: 8,000, or 100,000 with --full."""
    batch: int | None = None
    """Real points in a step, and generated ones. None: 256, or 512 with --full."""
    width: int | None = None
    """Units of each hidden layer. None: 64, or 128 with --full."""
    full: bool = False
    """The published size: 100,000 steps of larger networks and batches, hours on two cores."""
    checkpoints: int = 100
    """How often, equally spaced, points are measured and kept for the animation; at most every step."""
    lr: float = 1e-3
    """Adam's learning rate."""
    workers: int = 0
    """Processes at once; 0: one for every core."""

    @property
    def size(self) -> Size:
        """How long and how large, with what is not given filled in."""
        given = {name: getattr(self, name) for name in Size._fields if getattr(self, name) is not None}
        return (PUBLISHED if self.full else QUICK)._replace(**given)

    @property
    def arms(self) -> list[Arm]:
        """All ways to train, in the order of tables and figures."""
        by_form = [
            [Arm(form, gamma=gamma) for gamma in self.gammas]
            + [Arm(form, variance=each) for each in self.noise_variances]
            for form in self.generator_loss
        ]
        return [arm for arms in by_form for arm in arms]

    @property
    def measured_steps(self) -> list[int]:
        """Numbers of steps after which points are measured; the last is the end.

        Example:
            >>> ToyConfig(steps=1000, checkpoints=4).measured_steps
            [250, 500, 750, 1000]
        """
        steps = self.size.steps
        count = min(self.checkpoints, steps)
        return [round(steps * (i + 1) / count) for i in range(count)]

    def validate(self) -> None:
        """Refuse options that cannot be used.

        Raises:
            InputError: The first fault that is found, with the remedy.
        """
        if not self.gammas and not self.noise_variances:
            raise InputError(
                "neither --gammas nor --noise-variances is given, so nothing is trained; give --gammas 0 0.1"
            )
        if not self.generator_loss:
            raise InputError("--generator-loss names no loss; give non-saturating, minimax or both")
        _check_weights("--gammas", self.gammas, "0")
        _check_weights("--noise-variances", self.noise_variances, "above 0")
        keys = [arm.key for arm in self.arms]
        if len(set(keys)) < len(keys):
            raise InputError(
                "--gammas, --noise-variances or --generator-loss has something twice; give each once"
            )
        least = {"seeds": 1, "steps": 1, "batch": 2, "width": 1, "checkpoints": 1, "workers": 0}
        for name, smallest in least.items():
            value = getattr(self, name)
            if value is not None and value < smallest:
                raise InputError(f"--{name} is {value}; give {smallest} or more")
        if not 0 < self.lr < 1:
            raise InputError(f"--lr is {self.lr:g}; give a rate between 0 and 1, such as 0.001")


def _check_weights(option: str, values: tuple[float, ...], least: str) -> None:
    for value in values:
        if not 0 <= value <= MOST or (value == 0 and least != "0") or not math.isfinite(value):
            raise InputError(f"{option} has {value:g}; give numbers from {least} to {MOST:,.0f}")

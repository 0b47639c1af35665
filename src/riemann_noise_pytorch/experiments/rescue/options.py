"""Options of the rescue study: its grid, and what counts as a collapse, written down before any run of it.

The grid goes from settings that work to settings that do not. Single trials of 800 steps, which are not on
record, chose it, with a seed that the study does not have (100): without a regulariser, the usual learning
rate of 0.0002 was too slow, so that the length of a run would be measured and not its stability. The whole
grid was tried once so. Of the methods, R1 (gamma 2) and JS (as below) were tried at a learning rate of 0.001,
which works without them, and R1 at 0.0002; no weight was chosen by a trial.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

from riemann_noise_pytorch.errors import InputError, unknown_name
from riemann_noise_pytorch.training.choices import GeneratorLoss
from riemann_noise_pytorch.training.config import Device, TrainConfig, resolve_config

Method = Literal["none", "r1", "js", "zero-gp", "wgan-gp", "noise"]

COLLAPSED_BELOW: Final = 0.2
"""A run has collapsed if the recall of its generator is below this, which lies between the recall of real
images of one digit alone (0.10 to 0.17, whichever it is) and of any two (0.20 to 0.28); those of three have
0.30 to 0.39, half of the data 0.90. Recall by 3 nearest neighbours among the pixels: images so small and so
well aligned need no features. So a run that has not come far yet counts as well as one that fell; precision
and the standard deviation of samples are told beside. Neither can define a collapse: one digit, well drawn,
is precise, and noise is as varied as one likes."""
AMONG_REAL: Final = 0.01
"""Where the precision is below this, recall counts as 0. Recall alone is blind to noise, whose neighbours are
so far that their balls hold everything: that of black and white pixels is 1, at a precision of 0."""

LEARNING_RATES: Final = (1e-3, 5e-3, 2e-2)
"""Of the generator: five times the usual one, with which 800 steps are enough; then 5 and 20 times that."""
STRENGTHS: Final = (1.0, 4.0)
"""Learning rates of the discriminator, as multiples of the generator's: an even game, and one that the
discriminator wins."""
GENERATOR_LOSSES: Final[tuple[GeneratorLoss, ...]] = ("non-saturating", "minimax")
"""The usual form, and the one whose gradient vanishes where the discriminator wins."""

_EVERY_STEP = {"regularizer_interval": 1}
METHODS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "none": {},
        "r1": {"regularizer": "r1", "gamma": 20.0, **_EVERY_STEP},
        "js": {"regularizer": "js", "gamma": 2.0, "anneal": True, **_EVERY_STEP},
        "zero-gp": {"regularizer": "zero-gp", "gamma": 10.0, **_EVERY_STEP},
        "wgan-gp": {"loss": "wasserstein", "regularizer": "wgan-gp", "gamma": 10.0, **_EVERY_STEP},
        "noise": {"instance_noise": 2.0**0.5},
    }
)
"""One weight each, none of them tuned, at every step. r1: the 10 without 1/2 of Mescheder et al. (2018); js:
Roth et al. (2017); wgan-gp: Gulrajani et al. (2017); zero-gp: what stands before the mean of r1. noise:
instance noise that begins with the variance that gamma of js stands for, and falls to zero along a line."""
LABELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "none": "none",
        "r1": "R1 20",
        "js": "JS 2, annealed",
        "zero-gp": "zero-GP 10",
        "wgan-gp": "WGAN-GP 10",
        "noise": "noise 1.41 to 0",
    }
)
"""What a method is called in tables."""

TRAINING: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "data": "digits",
        "resolution": 16,
        "z_dim": 64,
        "width": 16,
        "d_norm": "none",
        "batch": 32,
        "ema_rampup": 0.05,
    }
)
"""What all runs have besides the defaults of a DCGAN. There is no batch norm in the discriminator, with which
gradient penalties would not be those of single images."""
TICKS: Final = 10


@dataclass(frozen=True)
class Setting:
    """A row of the study: a game that may collapse.

    Args:
        generator_loss: The generator's form of the logistic loss.
        lr: The generator's learning rate.
        strength: That of the discriminator, as a multiple.
    """

    generator_loss: GeneratorLoss
    lr: float
    strength: float

    @property
    def name(self) -> str:
        """Its name among files, such as ``minimax-lr0.005-d4``."""
        return f"{self.generator_loss}-lr{self.lr:g}-d{self.strength:g}"

    def fits(self, method: str) -> bool:
        """Whether a method has this setting: the Wasserstein loss has no minimax form of its own."""
        return self.generator_loss == "non-saturating" or "loss" not in METHODS[method]


@dataclass(frozen=True)
class RescueConfig:
    """Train a DCGAN on digits where it works and where it collapses, with each regulariser, over seeds.

    The defaults are the study of the documentation, 20 to 40 minutes on two cores: 12 settings of learning
    rate, strength of the discriminator and form of the generator's loss, and 6 methods. A run has collapsed
    if the recall of its generator is below 0.2, or its precision below 0.01, or if it stops as not finite.
    """

    methods: tuple[Method, ...] = get_args(Method)
    """Columns of the study: none, r1 (gamma 20), js (gamma 2, annealed), zero-gp (gamma 10), wgan-gp (gamma
    10, loss wasserstein), noise (instance noise, from 1.41 to 0)."""
    lrs: tuple[float, ...] = LEARNING_RATES
    """Learning rates of the generator."""
    strengths: tuple[float, ...] = STRENGTHS
    """Learning rates of the discriminator, as multiples of the generator's."""
    generator_loss: tuple[GeneratorLoss, ...] = GENERATOR_LOSSES
    """The generator's forms of the loss: non-saturating, minimax; wgan-gp has the former alone."""
    seeds: int = 3
    """Runs of every method at every setting."""
    kimg: float = 25.6
    """Length of each run in thousands of real images seen: 800 steps."""
    workers: int = 0
    """Runs at once; 0: one for every core, or one on a GPU."""
    threads: int = 1
    """Threads of each run."""
    device: Device = "cpu"
    """Where runs are computed."""

    @property
    def settings(self) -> list[Setting]:
        """The rows, in the order of tables."""
        return [
            Setting(form, lr, strength)
            for form in self.generator_loss
            for strength in self.strengths
            for lr in self.lrs
        ]

    def training(self, setting: Setting, method: str, seed: int) -> TrainConfig:
        """Options of one run.

        Args:
            setting: A row.
            method: A column that fits it.
            seed: The seed.

        Raises:
            InputError: Options that cannot be used.
        """
        if not 0 < setting.strength < float("inf"):
            raise InputError(f"--strengths has {setting.strength:g}; give positive numbers, such as 1 4")
        options = {
            **TRAINING,
            "generator_loss": setting.generator_loss,
            "lr_g": setting.lr,
            "lr_d": setting.lr * setting.strength,
            **METHODS[method],
            "seed": seed,
            "kimg": self.kimg,
            "tick_kimg": self.kimg / TICKS,
            "snapshot_ticks": TICKS,
            "keep_snapshots": 1,
            "device": self.device,
        }
        return resolve_config("dcgan", options)

    def validate(self) -> None:
        """Refuse options that cannot be used, before anything is trained.

        Raises:
            InputError: The first fault that is found, with the remedy.
        """
        _check_once(
            methods=self.methods, lrs=self.lrs, strengths=self.strengths, generator_loss=self.generator_loss
        )
        for method in self.methods:
            if method not in METHODS:
                raise unknown_name("method", method, METHODS)
            if not any(setting.fits(method) for setting in self.settings):
                raise InputError(
                    f"--methods has {method}, whose loss has no minimax form; leave it out, or add "
                    "non-saturating to --generator-loss"
                )
        for name, smallest in {"seeds": 1, "workers": 0, "threads": 1}.items():
            if getattr(self, name) < smallest:
                raise InputError(f"--{name} is {getattr(self, name)}; give {smallest} or more")
        for setting in self.settings:
            for method in filter(setting.fits, self.methods):
                self.training(setting, method, 0)


def _check_once(**columns: Sequence[object]) -> None:
    for name, given in columns.items():
        if not given or len(set(given)) < len(given):
            shown = ", ".join(map(str, given)) or "none given"
            raise InputError(f"--{name.replace('_', '-')} is {shown}; give one or more, each once")

"""Every option of a training run, its default, what it means, and which options contradict one another."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from riemann_noise_pytorch.errors import InputError, unknown_name
from riemann_noise_pytorch.models.choices import NoiseKind, NoisePlace, Norm

Precision = Literal["no", "bf16", "fp16"]
Device = Literal["auto", "cpu", "cuda"]
Tracker = Literal["none", "tensorboard", "wandb"]
NormStatistics = Literal["copy", "recalibrate"]


@dataclass(frozen=True)
class TrainConfig:
    """Options of a training run. The defaults are those of the preset ``dcgan``.

    Widths, learning rates and batch are those of the PyTorch DCGAN example; the half-life of the average is
    the one used for the paper's DCGAN.
    """

    preset: str = "dcgan"
    """Preset from which the other options take their defaults: dcgan, dcgan-eni or dcgan-rni. The record of
    a run names the one that has its noise."""
    data: str = "digits"
    """Real images: digits, photos, or the path of a folder or a ZIP of images."""
    resolution: int | None = None
    """Height and width of the images in pixels: 16, 32, 64 or 128. None: that of the data."""
    channels: int | None = None
    """Channels of the images: 1 grey, 3 RGB. None: those of the data."""
    mirror: bool = False
    """Add the mirror image of every image to the data."""
    resize_filter: str = "lanczos"
    """Filter by which images of another size are resized: box, bilinear, bicubic, lanczos or nearest."""
    skip_bad_images: bool = False
    """Leave out images that cannot be read, and report them, instead of stopping. All are decoded to see."""
    workers: int = 0
    """Threads that decode images ahead of time; 0 decodes when asked."""

    z_dim: int = 100
    """Dimension of the latent."""
    width: int = 64
    """Channels of the layers next to the image; each halving of the resolution doubles them."""
    norm: Norm = "batch"
    """Normalisation in the generator. With batch, statistics are those of one process's share of the batch,
    except on several GPUs, where they are those of the whole."""
    d_norm: Norm = "batch"
    """The same in the discriminator. With batch and several GPUs, statistics stay per process where r1_gamma
    is above 0, for synchronised ones have no second derivative."""
    noise: NoiseKind = "none"
    """Noise injected at every hidden stage of the generator."""
    riemann_preset: str | None = None
    """Preset of Riemannian noise: paper, neutral, author-ffhq, author-cat, author-church or seed.
    None: paper, whose noise is as strong as the features and has no strength of its own."""
    noise_strength: float | None = None
    """Initial standard deviation of the noise. None: the kind's or the preset's own, which is mostly 0."""
    noise_place: NoisePlace = "before"
    """Noise before or after the activation."""
    noise_lr_multiplier: float = 1.0
    """The noise's own learning rate, as a multiple of lr_g. A strength moves at most one learning rate a
    step: raise this for short runs that start at 0."""

    batch: int = 64
    """Images in a step, all processes together."""
    kimg: float = 200.0
    """Length of the run in thousands of real images seen."""
    lr_g: float = 2e-4
    """Adam's learning rate for the generator."""
    lr_d: float = 2e-4
    """Adam's learning rate for the discriminator."""
    beta1: float = 0.5
    """Adam's decay of the mean gradient."""
    beta2: float = 0.999
    """Adam's decay of the mean squared gradient."""
    r1_gamma: float = 0.0
    """Weight of the R1 penalty gamma/2 mean |grad D(x)|^2 on real images; 0 turns it off. The 1/2 is
    included: a published weight without it is half of gamma."""
    r1_interval: int = 16
    """Steps from one R1 penalty to the next; it is multiplied by the interval, and above 1 it has an
    optimiser step of its own. Only with r1_gamma above 0."""
    adam_lazy_correction: bool = True
    """Where R1 has steps of its own, scale the discriminator's learning rate by c = k/(k+1) and raise its
    betas to the power c, k being r1_interval."""
    ema_kimg: float = 10.0
    """Half-life of the generator's moving average in thousands of images; 0 keeps no memory."""
    ema_rampup: float | None = None
    """Keep the half-life below this share of the images seen so far, so that short runs forget their start;
    0.05 is usual. None: constant."""
    ema_norm_statistics: NormStatistics = "copy"
    """Batch statistics of the averaged generator: copy those of the raw one, or recalibrate them on samples
    of its own before every use."""
    ema_recalibration_images: int = 2048
    """Samples from which ema_norm_statistics=recalibrate computes; only with it."""
    seed: int = 0
    """Seed of initial weights, latents, noise and the order of the images."""

    tick_kimg: float = 1.0
    """A line of stats.jsonl and a sample grid every so many thousand images."""
    snapshot_ticks: int = 50
    """A snapshot every so many ticks, besides the first and the last."""
    keep_snapshots: int = 0
    """Snapshots to keep, the newest; 0 keeps all."""
    sample_grid: int = 64
    """Samples in a grid."""
    tracker: Tracker = "none"
    """Also log to TensorBoard or Weights & Biases."""
    precision: Precision = "no"
    """Half precision of the networks; weights, penalties and averages stay in float32."""
    device: Device = "auto"
    """auto takes a GPU where there is one. A run resumed on another device goes on with other roundings."""

    def validate(self, processes: int = 1) -> None:
        """Refuse unknown names, numbers out of range and options that contradict one another.

        Args:
            processes: Number of processes that will train together.

        Raises:
            InputError: The first of these that is found, with the remedy.
        """
        _check_names(self)
        _check_numbers(self)
        _check_preset(self)
        _check_noise(self)
        _check_unused(self)
        _check_names_of_other_rooms(self)
        _check_schedule(self)
        if self.precision == "fp16" and self.device == "cpu":
            raise InputError("precision fp16 needs a GPU; give precision bf16, or device cuda")
        if self.batch % processes:
            raise InputError(
                f"a batch of {self.batch} cannot be shared by {processes} processes; give a multiple of them"
            )

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return math.ceil(round(1000 * self.kimg / self.batch, 6))

    @property
    def steps_per_tick(self) -> int:
        """Steps from one tick to the next."""
        return max(1, round(1000 * self.tick_kimg / self.batch))

    def with_noise(self, noise: NoiseKind) -> "TrainConfig":
        """Give the same run with another kind of noise, without the options that only the old kind has.

        Args:
            noise: ``none``, ``euclidean`` or ``riemannian``.

        Example:
            >>> arm = TrainConfig(noise="riemannian", riemann_preset="paper").with_noise("euclidean")
            >>> arm.preset, arm.noise, arm.riemann_preset
            ('dcgan-eni', 'euclidean', None)
        """
        changes: dict[str, Any] = {"preset": preset_of(noise), "noise": noise}
        for names, kinds in _NOISE_OPTIONS.items():
            if noise not in kinds:
                changes |= {name: _DEFAULTS[name] for name in names}
        return dataclasses.replace(self, **changes)


PRESETS: dict[str, dict[str, Any]] = {
    "dcgan": {},
    "dcgan-eni": {"noise": "euclidean"},
    "dcgan-rni": {"noise": "riemannian"},
}
"""Named rows of the paper's tables, as differences from the defaults of :class:`TrainConfig`."""

ROW_PRESET = "paper"
"""What Riemannian noise means in the rows of the paper's tables: its equations as they are written."""

_DEFAULTS = {field.name: field.default for field in dataclasses.fields(TrainConfig)}
_NOISE_OPTIONS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("riemann_preset",): ("riemannian",),
    ("noise_strength", "noise_place", "noise_lr_multiplier"): ("euclidean", "riemannian"),
}
_POSITIVE = (
    *("resolution", "channels", "z_dim", "width", "batch", "kimg", "lr_g", "lr_d", "noise_lr_multiplier"),
    *("r1_interval", "ema_rampup", "ema_recalibration_images", "tick_kimg", "snapshot_ticks", "sample_grid"),
)
_NOT_NEGATIVE = ("noise_strength", "r1_gamma", "ema_kimg", "seed", "workers", "keep_snapshots")


def preset_of(noise: NoiseKind) -> str:
    """Name the preset that has a kind of noise.

    Args:
        noise: ``none``, ``euclidean`` or ``riemannian``.

    Example:
        >>> preset_of("euclidean")
        'dcgan-eni'
    """
    return next(name for name, changes in PRESETS.items() if changes.get("noise", "none") == noise)


def resolve_config(preset: str = "dcgan", overrides: Mapping[str, Any] | None = None) -> TrainConfig:
    """Build the options of a run from a preset and what differs from it.

    Args:
        preset: A name in ``PRESETS``.
        overrides: Options by name, which win over the preset's.

    Returns:
        The valid options.

    Raises:
        InputError: An unknown preset or option, or options that cannot be used.

    Example:
        >>> resolve_config("dcgan-rni", {"batch": 32}).noise
        'riemannian'
    """
    if preset not in PRESETS:
        raise unknown_name("preset", preset, PRESETS)
    options = {**PRESETS[preset], **(overrides or {}), "preset": preset}
    for name in options:
        if name not in _DEFAULTS:
            raise unknown_name("option", name, _DEFAULTS)
    config = TrainConfig(**options)
    config.validate()
    return config


def _check_names(config: TrainConfig) -> None:
    for name, hint in get_type_hints(TrainConfig).items():
        value = getattr(config, name)
        if get_origin(hint) is Literal and value not in get_args(hint):
            raise unknown_name(name.replace("_", " "), str(value), get_args(hint))
        accepted = tuple(t for t in (get_args(hint) or (hint,)) if isinstance(t, type))
        if float in accepted:
            accepted = (*accepted, int)
        if accepted and (
            not isinstance(value, accepted) or (isinstance(value, bool) and bool not in accepted)
        ):
            raise InputError(f"{name} is {value!r}, but it must be of type {accepted[0].__name__}; change it")
    if config.preset not in PRESETS:
        raise unknown_name("preset", config.preset, PRESETS)


def _check_numbers(config: TrainConfig) -> None:
    for name in (*_POSITIVE, *_NOT_NEGATIVE):
        value = getattr(config, name)
        lowest = "positive" if name in _POSITIVE else "zero or more"
        if value is not None and not (
            math.isfinite(value) and (value > 0 or (name in _NOT_NEGATIVE and value == 0))
        ):
            raise InputError(f"{name} is {value}, but it must be a finite number, {lowest}; change it")
    for name in ("beta1", "beta2"):
        value = getattr(config, name)
        if not 0 <= value < 1:
            raise InputError(f"{name} is {value}, but a decay lies in [0, 1); change it")


def _check_preset(config: TrainConfig) -> None:
    for name, value in PRESETS[config.preset].items():
        given = getattr(config, name)
        if given != value:
            raise InputError(
                f"{name} {given} contradicts preset {config.preset}, which has {name} {value}; leave "
                f"{name} out, or set preset to {preset_of(config.noise)}"
            )


def _check_unused(config: TrainConfig) -> None:
    unused: dict[str, str] = {}
    if config.r1_gamma == 0:
        unused |= dict.fromkeys(("r1_interval", "adam_lazy_correction"), "r1_gamma 0; set that above 0")
    if config.ema_norm_statistics == "copy":
        unused["ema_recalibration_images"] = "ema_norm_statistics copy; set that to recalibrate"
    for name, told in unused.items():
        if getattr(config, name) != _DEFAULTS[name]:
            raise InputError(f"{name} has no meaning with {told}, or leave {name} out")


def _check_noise(config: TrainConfig) -> None:
    for names, kinds in _NOISE_OPTIONS.items():
        for name in names:
            if config.noise not in kinds and getattr(config, name) != _DEFAULTS[name]:
                raise InputError(
                    f"{name} has no meaning with noise {config.noise}; leave it out, or set noise to "
                    f"{' or '.join(kinds)}"
                )


def _check_names_of_other_rooms(config: TrainConfig) -> None:
    from riemann_noise_pytorch.data.resizing import RESIZE_FILTERS  # these import torch, which help must not
    from riemann_noise_pytorch.noise.presets import RIEMANN_PRESETS

    if config.resize_filter not in RESIZE_FILTERS:
        raise unknown_name("resize filter", config.resize_filter, RESIZE_FILTERS)
    if config.noise != "riemannian":
        return
    preset = config.riemann_preset or ROW_PRESET
    if preset not in RIEMANN_PRESETS:
        raise unknown_name("preset of Riemannian noise", preset, RIEMANN_PRESETS)
    if config.noise_strength is not None and RIEMANN_PRESETS[preset].strength == "tied":
        raise InputError(
            f"preset '{preset}' ties the noise to the features; leave noise_strength out, or set "
            "riemann_preset to one with a strength of its own, such as neutral"
        )


def _check_schedule(config: TrainConfig) -> None:
    if config.tick_kimg > config.kimg:
        raise InputError(
            f"tick_kimg {config.tick_kimg:g} is longer than the whole run of kimg {config.kimg:g}; "
            "give a shorter tick, or a longer run"
        )
    if config.batch > 1000 * config.kimg:
        raise InputError(f"kimg {config.kimg:g} is less than one batch of {config.batch}; give a longer run")
    if config.ema_norm_statistics == "recalibrate" and config.norm != "batch":
        raise InputError(
            f"ema_norm_statistics=recalibrate has no meaning with norm {config.norm}; set it to copy"
        )

"""Every option of a training run, its default and what it means."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from riemann_noise_pytorch.errors import unknown_name
from riemann_noise_pytorch.models.choices import Architecture, NoiseKind, NoisePlace, Norm
from riemann_noise_pytorch.training.choices import (
    GammaRule,
    GeneratorLoss,
    InstanceNoiseSchedule,
    LossName,
    Regularizer,
)
from riemann_noise_pytorch.training.presets import PRESETS, preset_of
from riemann_noise_pytorch.training.validation import NOISE_OPTIONS, check_options, defaults

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
    """Row of the paper's tables from which the other options take their defaults: dcgan, dcgan-eni,
    dcgan-rni, stylegan2-plain, stylegan2-eni, stylegan2-nopathreg-rni, stylegan2-rni; the latter four with
    -small for minutes on two cores. The record of a run names the row that has its noise."""
    architecture: Architecture = "dcgan"
    """dcgan or stylegan2; the preset decides."""
    data: str = "digits"
    """Real images: digits, photos, manifold-D (drawn, of dimension D, such as manifold-64), or the path of a
    folder or a ZIP of images."""
    resolution: int | None = None
    """Height and width of the images in pixels: for dcgan 16, 32, 64 or 128, for stylegan2 up to 1024. None:
    that of the data, which for stylegan2 need not be square."""
    image_width: int | None = None
    """Width of the images, where it is not their height; the data decide."""
    channels: int | None = None
    """Channels of the images: 1 grey, 3 RGB, 4 RGBA. None: those of the data, transparency aside."""
    mirror: bool = False
    """Add the mirror image of every image to the data."""
    holdout: int = 0
    """Images of the data that are kept out of training, spread evenly over them."""
    resize_filter: str = "lanczos"
    """Filter by which images of another size are resized: box, bilinear, bicubic, lanczos or nearest."""
    skip_bad_images: bool = False
    """Leave out images that cannot be read, and report them, instead of stopping. All are decoded to see."""
    conditional: bool = False
    """Let stylegan2 see the classes of the images, which the data must have: digits, or a dataset.json in the
    folder or ZIP. Generated images have classes as often as real ones."""
    classes: int = 0
    """Number of classes of a conditional run; the data decide."""
    workers: int = 0
    """Threads that decode images ahead of time; 0 decodes when asked."""

    z_dim: int = 100
    """Dimension of the latent."""
    width: int = 64
    """Channels of dcgan's layers next to the image; each halving of the resolution doubles them."""
    norm: Norm = "batch"
    """Normalisation in dcgan's generator. With batch, statistics are those of one process's share of the
    batch, except on several GPUs, where they are those of the whole."""
    d_norm: Norm = "batch"
    """The same in the discriminator. With batch and several GPUs, statistics stay per process where gamma
    is above 0, for synchronised ones have no second derivative."""
    w_dim: int = 512
    """Dimension of stylegan2's intermediate latent."""
    mapping_layers: int = 8
    """Layers of stylegan2's mapping."""
    channel_base: int = 16384
    """Channels times height in stylegan2's wide blocks: 16384 in config e, 32768 in config f."""
    channel_max: int = 512
    """Most channels of a stylegan2 block."""
    stddev_group: int = 4
    """Images whose spread stylegan2's discriminator compares."""
    noise: NoiseKind = "none"
    """Noise injected at every hidden stage of the generator."""
    noise_layers: str = ""
    """Layers of stylegan2 with another kind of noise, as block32.*=riemannian,block4.*=none; the last match
    counts."""
    riemann_preset: str | None = None
    """Preset of Riemannian noise: paper, neutral, author-ffhq, author-cat, author-church or seed.
    None: paper, whose noise is as strong as the features and has no strength of its own."""
    noise_strength: float | None = None
    """Initial standard deviation of the noise. None: the kind's or the preset's own, which is mostly 0."""
    noise_place: NoisePlace = "before"
    """Noise before or after dcgan's activation."""
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
    loss: LossName = "logistic"
    """Loss of both players: logistic, hinge, least-squares, wasserstein (made for a penalty that bounds
    slopes, such as wgan-gp), or that of an f-divergence: f-total-variation, f-kl, f-reverse-kl, f-pearson,
    f-neyman, f-squared-hellinger, f-js, f-gan (logistic by another name)."""
    generator_loss: GeneratorLoss = "non-saturating"
    """The generator's form, where the loss has two, as logistic and f-... have: non-saturating, or minimax,
    against what the discriminator minimises on generated images."""
    regularizer: Regularizer = "r1"
    """Penalty on the gradient of the discriminator's logit v with respect to images; gamma above 0 turns it
    on. r1: gamma/2 mean |grad v|^2 on real images; r2: on generated ones; r1-r2: the sum of both. js: gamma/2
    mean (1 - D)^2 |grad v|^2 on real ones and D^2 |grad v|^2 on generated ones, D = sigmoid(v), which is
    instance noise in analytic form; f-gan: the same for any f-divergence, gamma/2 mean f*''(g) g'^2
    |grad v|^2 on generated ones. wgan-gp: gamma mean (|grad v| - 1)^2 and zero-gp: gamma mean |grad v|^2,
    without 1/2, on random mixtures of a real and a generated image, taken for the real one's class. With
    batch norm in the discriminator, the gradient is that of the sum of the logits."""
    gamma: float = 0.0
    """Weight of the regularizer; 0 turns it off. The factor 1/2 is included in r1, r2, r1-r2, js and f-gan: a
    published weight without it is half of gamma; wgan-gp and zero-gp have none. Published: js 2, with anneal;
    wgan-gp 10, both with a regularizer_interval of 1."""
    gamma_rule: GammaRule = "given"
    """Where the gamma of r1 comes from: given; config-e, the published 100 of 1024 pixels; resolution,
    NVIDIA's later heuristic of 0.0002 pixels / batch."""
    anneal: bool = False
    """Let gamma fall over the run, to gamma 0.01^(t/T) at step t of T. A longer kimg changes T, also of a run
    that is resumed."""
    regularizer_interval: int = 1
    """Steps from one penalty of the regularizer to the next; it is multiplied by the interval, and above 1 it
    has an optimiser step of its own. Only with gamma above 0. 1, in every step, is that of the papers of js
    and wgan-gp; the presets of stylegan2 have 16, as published for r1."""
    instance_noise: float = 0.0
    """Standard deviation of Gaussian noise on every image that the discriminator sees, real or generated, at
    the first step, in units of images in [-1, 1]; 0 turns it off. 0.1 is a beginning."""
    instance_noise_schedule: InstanceNoiseSchedule = "linear"
    """How that deviation goes on: constant, or to zero along a line (linear), half a cosine (cosine) or an
    exponential to a hundredth, less that hundredth (exponential); adaptive: up where the discriminator is
    right more often than instance_noise_target, down where less often, with no end."""
    instance_noise_kimg: float | None = None
    """Thousands of images after which there is no instance noise. None: all of the run, so that a longer
    kimg changes the schedule, also of a run that is resumed. Not with adaptive."""
    instance_noise_target: float = 0.8
    """Share of the images, real and generated, about which the discriminator is right, that the adaptive
    schedule holds: between 0.5 and 1."""
    pl_weight: float = 0.0
    """Weight of stylegan2's path-length penalty; 0 turns it off."""
    pl_interval: int = 4
    """Steps from one path-length penalty to the next, as regularizer_interval has it; see
    adam_lazy_correction too."""
    pl_batch_shrink: int = 2
    """The path-length penalty takes a batch so many times smaller."""
    pl_decay: float = 0.01
    """Share of a batch in the moving average of path lengths."""
    style_mixing: float = 0.9
    """Share of stylegan2's samples whose later layers have the w of another latent."""
    adam_lazy_correction: bool = True
    """Where a penalty has steps of its own, scale that player's learning rate by c = k/(k+1) and raise its
    betas to the power c, k being the interval, which for the regularizer must be above 1. stylegan2's
    generator has that of pl_interval even where pl_weight is 0, as in the published configurations, so that
    rows differ in the penalty alone."""
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
    half_resolutions: int = 4
    """Highest resolutions of stylegan2 that are in half precision where precision asks for it."""
    compile: bool = False
    """Compile the networks by torch.compile where a step has first derivatives alone; gamma and pl_weight
    keep calling them uncompiled, for it cannot differentiate twice. It needs a C++ compiler, or Triton on a
    GPU. The first step takes a minute or more, activations more memory, and numbers are rounded differently.
    On CPUs it was slower where it was measured: compare the seconds that --dry-run tells with and without."""
    device: Device = "auto"
    """auto takes a GPU where there is one. A run resumed on another device goes on with other roundings, and
    with other draws of the noise of layers and of instance noise, which are made on the device."""

    def validate(self, processes: int = 1) -> None:
        """Refuse unknown names, numbers out of range and options that contradict one another.

        Args:
            processes: Number of processes that will train together.

        Raises:
            InputError: The first of these that is found, with the remedy.
        """
        check_options(self, processes)

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return math.ceil(round(1000 * self.kimg / self.batch, 6))

    @property
    def image_size(self) -> int | tuple[int, int] | None:
        """Side of square images, or (H, W); None for that of the data."""
        if self.resolution is None or self.image_width in (None, self.resolution):
            return self.resolution
        return self.resolution, self.image_width

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
        row = preset_of(noise, self.architecture, self.pl_weight)
        changes: dict[str, Any] = {"preset": row, "noise": noise}
        for names, kinds in NOISE_OPTIONS.items():
            if noise not in kinds:
                changes |= {name: defaults(self)[name] for name in names}
        return dataclasses.replace(self, **changes)


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
    names = [field.name for field in dataclasses.fields(TrainConfig)]
    for name in options:
        if name not in names:
            raise unknown_name("option", name, names)
    config = TrainConfig(**options)
    config.validate()
    return config

"""Options of a comparison. The defaults fit a run of minutes on two cores."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from riemann_noise_pytorch.errors import InputError, unknown_name
from riemann_noise_pytorch.models.choices import NoisePlace, Norm
from riemann_noise_pytorch.training.config import ROW_PRESET, Device, TrainConfig, resolve_config

if TYPE_CHECKING:
    from riemann_noise_pytorch.metrics.distances import Distance

TICKS = 20
_ROWS = {"none": "dcgan", "euclidean": "dcgan-eni", "riemannian": "dcgan-rni"}


@dataclass(frozen=True)
class Budget:
    """How much is measured.

    Args:
        pairs: Pairs of path length and of condition numbers.
        images: Largest number of images a side of the sliced Wasserstein distance; at most half the data.
        redraws: Independent sets of generated images of that distance.
        lpips_vgg: File of VGG16's weights, for LPIPS in the path length; None for the pyramid distance.
        lpips_heads: File of the LPIPS linear layers.
    """

    pairs: int = 10_000
    images: int = 2_000
    redraws: int = 3
    lpips_vgg: str | None = None
    lpips_heads: str | None = None

    def distance(self) -> "Distance":
        """The distance of images for the path length: LPIPS where its weights are given."""
        from riemann_noise_pytorch.metrics.distances import LPIPSDistance, PyramidDistance

        if self.lpips_vgg is None or self.lpips_heads is None:
            return PyramidDistance()
        return LPIPSDistance(self.lpips_vgg, self.lpips_heads)

    def images_a_side(self, available: int) -> int:
        """Images a side of the distance, so that two disjoint sets of real ones exist."""
        return min(self.images, available // 2)


@dataclass(frozen=True)
class CompareConfig:
    """Train the same DCGAN with each kind of noise over several seeds, measure all alike, write a report.

    The defaults fit a run of minutes on two cores: five times the usual learning rate, no momentum, an R1
    penalty instead of batch norm in the discriminator, an average that forgets its start, and noise that
    starts at a visible strength.
    """

    data: str = "digits"
    """Real images: digits, photos, or the path of a folder or a ZIP of images."""
    noise: tuple[str, ...] = ("none", "euclidean", "riemannian")
    """Arms of the comparison: none, euclidean, riemannian, or presets of Riemannian noise by name (paper,
    which riemannian means, neutral, author-ffhq, author-cat, author-church, seed)."""
    seeds: int = 3
    """Trainings of every arm; differences between arms are tested over the seeds, from 2 on."""
    kimg: float = 40.0
    """Length of each training in thousands of real images seen."""
    resolution: int | None = None
    """Height and width of the images in pixels: 16, 32, 64 or 128. None: that of the data."""
    channels: int | None = None
    """Channels of the images: 1 grey, 3 RGB. None: those of the data."""
    mirror: bool = False
    """Add the mirror image of every image to the data."""
    resize_filter: str = "lanczos"
    """Filter by which images of another size are resized: box, bilinear, bicubic, lanczos or nearest."""
    skip_bad_images: bool = False
    """Leave out images that cannot be read, and report them, instead of stopping."""
    z_dim: int = 64
    """Dimension of the latent."""
    width: int = 32
    """Channels of the layers next to the image; each halving of the resolution doubles them."""
    norm: Norm = "batch"
    """Normalisation in the generator; the discriminator has none."""
    batch: int = 32
    """Images in a step."""
    lr: float = 1e-3
    """Adam's learning rate, for both networks."""
    r1_gamma: float = 2.0
    """Weight of the R1 penalty gamma/2 mean |grad D(x)|^2 on real images; 0 turns it off."""
    ema_kimg: float = 10.0
    """Half-life of the generator's moving average in thousands of images; never above a twentieth of those
    seen."""
    noise_strength: float = 0.1
    """Initial standard deviation of the noise, where it has a strength of its own. (The paper's Riemannian
    noise has none: it begins as strong as the features.)"""
    noise_place: NoisePlace = "before"
    """Noise before or after the activation."""
    noise_lr_multiplier: float = 1.0
    """The noise's own learning rate, as a multiple of lr."""
    pairs: int = 10_000
    """Pairs of latents for path length and condition numbers; the paper has 50,000."""
    images: int = 2_000
    """Images a side of the sliced Wasserstein distance, at most half of the data."""
    redraws: int = 3
    """Independent sets of generated images for that distance, at least 2."""
    lpips_vgg: str | None = None
    """File of torchvision's VGG16 weights: the path length then takes LPIPS instead of the weight-free
    pyramid distance."""
    lpips_heads: str | None = None
    """File of the LPIPS linear layers for VGG, version 0.1."""
    workers: int = 0
    """Trainings at once; 0: one for every core, or one on a GPU."""
    threads: int = 1
    """Threads of each training; more of them change the last digits, so a comparison keeps to one number."""
    device: Device = "cpu"
    """Where trainings run; small networks gain more from several cores than from a GPU."""

    @property
    def budget(self) -> Budget:
        """How much is measured."""
        return Budget(self.pairs, self.images, self.redraws, self.lpips_vgg, self.lpips_heads)

    def training(self, arm: str, seed: int) -> TrainConfig:
        """Options of one training.

        Args:
            arm: A kind of noise, or a preset of Riemannian noise.
            seed: The seed.

        Raises:
            InputError: Options that cannot be used.
        """
        options: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("data", "resolution", "channels", "mirror", "resize_filter", "skip_bad_images")
        }
        options |= {name: getattr(self, name) for name in ("kimg", "z_dim", "width", "norm", "batch")}
        options |= {"lr_g": self.lr, "lr_d": self.lr, "r1_gamma": self.r1_gamma, "ema_kimg": self.ema_kimg}
        options |= {"d_norm": "none", "beta1": 0.0, "beta2": 0.99, "ema_rampup": 0.05}
        if self.r1_gamma:
            options["r1_interval"] = 8
        options |= {"seed": seed, "tick_kimg": self.kimg / TICKS}
        options |= {"snapshot_ticks": TICKS // 4, "keep_snapshots": 1, "device": self.device}
        return resolve_config(_ROWS.get(arm, "dcgan-rni"), options | self._noise_options(arm))

    def _noise_options(self, arm: str) -> dict[str, Any]:
        from riemann_noise_pytorch.noise.presets import RIEMANN_PRESETS  # imports torch

        if arm not in {*_ROWS, *RIEMANN_PRESETS}:
            raise unknown_name("kind or preset of noise", arm, {*_ROWS, *RIEMANN_PRESETS})
        if arm == "none":
            return {}
        options = {"noise_place": self.noise_place, "noise_lr_multiplier": self.noise_lr_multiplier}
        if arm == "euclidean":
            return options | {"noise_strength": self.noise_strength}
        preset = ROW_PRESET if arm == "riemannian" else arm
        own = RIEMANN_PRESETS[preset].strength == "own"
        return options | {"riemann_preset": preset, "noise_strength": self.noise_strength if own else None}

    def validate(self) -> None:
        """Refuse options that cannot be used, before anything is trained.

        Raises:
            InputError: The first fault that is found, with the remedy.
        """
        if not self.noise or len(set(self.noise)) < len(self.noise):
            raise InputError(f"the arms are {', '.join(self.noise) or 'none given'}; give each of them once")
        if self.seeds < 1:
            raise InputError(f"{self.seeds} seeds train nothing; give 1 or more, and 3 or more for a verdict")
        if self.pairs < 100:
            raise InputError(f"{self.pairs} pairs are too few for the percentiles; give 100 or more")
        if self.redraws < 2:
            raise InputError("one set of generated images gives no interval; give 2 redraws or more")
        if self.images < 50 or self.workers < 0 or self.threads < 1:
            raise InputError(
                f"images {self.images}, workers {self.workers} or threads {self.threads} are too few; "
                "give at least 50, 0 and 1"
            )
        if (self.lpips_vgg is None) != (self.lpips_heads is None):
            raise InputError("LPIPS needs both of its files; give --lpips-vgg and --lpips-heads, or neither")
        for arm in self.noise:
            self.training(arm, 0)

"""Options of a comparison. The defaults fit a run of minutes on two cores."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from riemann_noise_pytorch.errors import InputError, unknown_name
from riemann_noise_pytorch.models.choices import Architecture, NoisePlace, Norm
from riemann_noise_pytorch.training.config import Device, TrainConfig, resolve_config
from riemann_noise_pytorch.training.presets import ROW_PRESET

if TYPE_CHECKING:
    from riemann_noise_pytorch.metrics.distances import Distance

TICKS = 20
NO_PATH_LENGTH = "nopathreg"
_ROWS: dict[Architecture, dict[str, str]] = {
    "dcgan": {"none": "dcgan", "euclidean": "dcgan-eni", "riemannian": "dcgan-rni"},
    "stylegan2": {
        "none": "stylegan2-plain-small",
        "euclidean": "stylegan2-eni-small",
        NO_PATH_LENGTH: "stylegan2-nopathreg-rni-small",
        "riemannian": "stylegan2-rni-small",
    },
}
_OWN: dict[Architecture, dict[str, Any]] = {
    "dcgan": {
        "z_dim": 64,
        "width": 32,
        "batch": 32,
        "lr_g": 1e-3,
        "lr_d": 1e-3,
        "gamma": 2.0,
        "d_norm": "none",
        "beta1": 0.0,
        "beta2": 0.99,
        "ema_kimg": 10.0,
        "ema_rampup": 0.05,
    },
    "stylegan2": {},
}
"""What an architecture's trainings have that neither their row nor the user says."""


_DATA = ("data", "resolution", "channels", "mirror", "holdout", "resize_filter", "skip_bad_images")
_GIVEN = ("z_dim", "width", "norm", "batch", "gamma", "ema_kimg")


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
    """Train the same GAN with each kind of noise over several seeds, measure all alike, write a report.

    The defaults fit a run of minutes on two cores. For dcgan: five times the usual learning rate, no
    momentum, an R1 penalty instead of batch norm in the discriminator, an average that forgets its start,
    and noise that starts at a visible strength. For stylegan2: the rows of Table 1 at their small size.
    """

    data: str = "digits"
    """Real images: digits, photos, manifold-D (drawn, of dimension D, such as manifold-64), or the path of a
    folder or a ZIP of images."""
    architecture: Architecture = "dcgan"
    """dcgan or stylegan2."""
    noise: tuple[str, ...] = ("none", "euclidean", "riemannian")
    """Arms of the comparison: none, euclidean, riemannian, for stylegan2 nopathreg (riemannian without the
    path-length penalty), or presets of Riemannian noise by name (paper, which riemannian means, neutral,
    author-ffhq, author-cat, author-church, seed)."""
    seeds: int = 3
    """Trainings of every arm; differences between arms are tested over the seeds, from 2 on."""
    kimg: float = 40.0
    """Length of each training in thousands of real images seen."""
    resolution: int | None = None
    """Height and width of the images in pixels. None: that of the data, or of the architecture's rows."""
    channels: int | None = None
    """Channels of the images: 1 grey, 3 RGB. None: those of the data."""
    mirror: bool = False
    """Add the mirror image of every image to the data."""
    holdout: int = 0
    """Images of the data that no training sees, such as for riemann-noise inversion-study."""
    resize_filter: str = "lanczos"
    """Filter by which images of another size are resized: box, bilinear, bicubic, lanczos or nearest."""
    skip_bad_images: bool = False
    """Leave out images that cannot be read, and report them, instead of stopping."""
    z_dim: int | None = None
    """Dimension of the latent; None: 64."""
    width: int | None = None
    """Channels of dcgan's layers next to the image; each halving of the resolution doubles them; None: 32."""
    norm: Norm | None = None
    """Normalisation in dcgan's generator, None: batch; the discriminator has none."""
    batch: int | None = None
    """Images in a step; None: 32 for dcgan, 16 for stylegan2."""
    lr: float | None = None
    """Adam's learning rate, for both networks; None: 0.001 for dcgan, 0.002 for stylegan2."""
    gamma: float | None = None
    """Weight of the R1 penalty gamma/2 mean |grad D(x)|^2 on real images; 0 turns it off. None: 2 for dcgan,
    1 for stylegan2."""
    ema_kimg: float | None = None
    """Half-life of the generator's moving average in thousands of images; never above a twentieth of those
    seen. None: 10 for dcgan, 5 for stylegan2."""
    noise_strength: float = 0.1
    """Initial standard deviation of the noise, where it has a strength of its own. (The paper's Riemannian
    noise has none: it begins as strong as the features.)"""
    noise_place: NoisePlace = "before"
    """Noise before or after dcgan's activation."""
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
        row, noise = self._noise_options(arm)
        options = dict(_OWN[self.architecture])
        options |= {name: getattr(self, name) for name in _DATA if getattr(self, name) is not None}
        options |= {name: getattr(self, name) for name in _GIVEN if getattr(self, name) is not None}
        if self.lr is not None:
            options |= {"lr_g": self.lr, "lr_d": self.lr}
        if self.gamma is not None:
            options["gamma_rule"] = "given"
        if self.architecture == "dcgan" and options["gamma"]:
            options["regularizer_interval"] = 8
        options |= {"seed": seed, "kimg": self.kimg, "tick_kimg": self.kimg / TICKS}
        options |= {"snapshot_ticks": TICKS // 4, "keep_snapshots": 1, "device": self.device}
        return resolve_config(row, options | noise)

    def _noise_options(self, arm: str) -> tuple[str, dict[str, Any]]:
        """The row of an arm, and what it has of noise."""
        from riemann_noise_pytorch.noise.presets import RIEMANN_PRESETS  # imports torch

        rows = _ROWS[self.architecture]
        if arm not in {*rows, *RIEMANN_PRESETS}:
            raise unknown_name("kind or preset of noise", arm, {*rows, *RIEMANN_PRESETS})
        row = rows.get(arm, rows["riemannian"])
        if arm == "none":
            return row, {}
        options: dict[str, Any] = {"noise_lr_multiplier": self.noise_lr_multiplier}
        if self.noise_place != "before":
            options["noise_place"] = self.noise_place
        if arm == "euclidean":
            return row, options | {"noise_strength": self.noise_strength}
        preset = arm if arm in RIEMANN_PRESETS else ROW_PRESET
        own = RIEMANN_PRESETS[preset].strength == "own"
        return row, options | {
            "riemann_preset": preset,
            "noise_strength": self.noise_strength if own else None,
        }

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

"""Options of an evaluation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from riemann_noise_pytorch.data.resizing import pillow_filter
from riemann_noise_pytorch.errors import InputError

Device = Literal["auto", "cpu", "cuda"]
Which = Literal["ema", "raw"]
Precision = Literal["float64", "float32"]


@dataclass(frozen=True)
class EvaluateConfig:
    """Measure a generator, or a set of images, against real ones.

    Numbers of generated images or pairs are part of a metric's name: fid50k, fid5k, ppl1k_zfull.
    """

    metrics: str = "quick"
    """Metrics and groups, separated by commas; the list below explains each."""
    data: str | None = None
    """Real images: digits, photos, manifold-D (drawn, of dimension D), or the path of a folder or a ZIP.
    None: those of the run's training."""
    resolution: int | None = None
    """Height and width to which the real images are resized, and measured images too. None: those of the run,
    or the images' own."""
    channels: int | None = None
    """Channels of the real and of measured images: 1 grey, 3 RGB. None: those of the run, or their own."""
    resize_filter: str = "lanczos"
    """Filter by which images of another size are resized: box, bilinear, bicubic, lanczos or nearest."""
    snapshot: str = "last"
    """Of a run: last, best (by the first metric measured during training), or the name of a file."""
    which: Which = "ema"
    """Weights: their moving average, or as last trained."""
    z_dim: int | None = None
    """Size of the latents of a callable of your own, where it has no attribute z_dim."""
    truncation_psi: float = 1.0
    """Truncation of stylegan2's w for generated images; 1 for none, as in published tables."""
    seed: int = 0
    """Seed of latents, noise, classes, of the choice of real images and of the intervals."""
    redraws: int = 3
    """Independent sets of generated images for distances between distributions; from 2 on their spread gives
    an interval, 1 gives none."""
    batch: int = 64
    """Images at once, in each process; it changes memory and speed, and no number beyond rounding. But noise
    that a generator of your own draws is other noise at another batch or in other processes, so there
    --resume counts both."""
    precision: Precision = "float64"
    """Precision of path lengths and condition numbers, whose differences magnify roundings. float32 is as in
    the reference, faster on a GPU, and moves with the batch size by up to one part in a thousand."""
    extractor: str = "random-conv"
    """Features of fd, kd and ipr: random-conv (no weights), inception, vgg16, dinov2-vits14 or
    dinov2-vitl14."""
    inception_weights: Path | None = None
    """File of Inception's weights; or set RIEMANN_NOISE_INCEPTION."""
    vgg16_weights: Path | None = None
    """File of torchvision's VGG16 weights, for precision, recall and LPIPS; or set RIEMANN_NOISE_VGG16."""
    lpips_heads: Path | None = None
    """File of the LPIPS linear layers for VGG; or set RIEMANN_NOISE_LPIPS. Path lengths then take LPIPS, not
    the weight-free distance."""
    dinov2_weights: Path | None = None
    """File of DINOv2's weights; or set RIEMANN_NOISE_DINOV2."""
    dinov2_repository: Path | None = None
    """Clone of DINOv2's repository; or set RIEMANN_NOISE_DINOV2_REPOSITORY."""
    cache: Path | None = None
    """Folder for the statistics of real images. None: the user's own cache folder."""
    device: Device = "auto"
    """Where to compute."""

    def validate(self) -> None:
        """Refuse options that cannot be used.

        Raises:
            InputError: The first fault that is found, with the remedy.
        """
        if self.redraws < 1 or self.batch < 1:
            raise InputError(
                f"redraws {self.redraws} and batch {self.batch} measure nothing; give 1 or more of each"
            )
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}; give 0 or more")
        for name, size in (("resolution", self.resolution), ("channels", self.channels)):
            if size is not None and size < 1:
                raise InputError(f"{name} is {size}; give 1 or more, or leave it out")
        pillow_filter(self.resize_filter)

    def weights_of(self, extractor: str) -> Path | None:
        """The file of an extractor's weights, where one was given."""
        if extractor.startswith("dinov2"):
            return self.dinov2_weights
        return {"inception": self.inception_weights, "vgg16": self.vgg16_weights}.get(extractor)

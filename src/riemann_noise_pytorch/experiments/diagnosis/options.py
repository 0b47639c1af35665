"""Options of a diagnosis."""

import math
from dataclasses import dataclass
from typing import Literal

from riemann_noise_pytorch.data.resizing import pillow_filter
from riemann_noise_pytorch.errors import InputError

Device = Literal["auto", "cpu", "cuda"]
Which = Literal["ema", "raw"]


@dataclass(frozen=True)
class DiagnoseConfig:
    """Rank by depth, condition, and the shares of latent and noise in a generator's images."""

    layers: str = "*"
    """Patterns of the layers that are looked at, separated by commas, such as stage*.conv; the image always
    is."""
    num_latents: int = 4
    """Latents at which the Jacobian is computed."""
    tolerance: float | None = None
    """Singular values below this share of the largest count as zero. None: what rounding allows, the longer
    side of the Jacobian times the precision."""
    joint: bool = True
    """Also the rank in the latent and the noise together, which shows the dimensions that injection adds."""
    pairs: int = 50_000
    """Pairs of points for MC and TTMC."""
    crop: bool = False
    """Condition of the face's region alone, as in the paper's code."""
    samples: int = 1024
    """Samples of the attribution to latent and noise."""
    data: str | None = None
    """Real images, whose dimension the rank is compared with: digits, photos, manifold-64, or the path of a
    folder or a ZIP. None: those of the run's training."""
    resolution: int | None = None
    """Height and width to which the real images are resized. None: those of the run, or the images' own."""
    channels: int | None = None
    """Channels of the real images: 1 grey, 3 RGB. None: those of the run, or their own."""
    resize_filter: str = "lanczos"
    """Filter by which real images of another size are resized."""
    budget: float = 10.0
    """Minutes that the whole may take, about: where it would take longer, fewer latents, pairs and samples
    are taken, and the report says so."""
    memory_mib: float = 1024.0
    """Memory for tangents; beyond it the singular values come from a sketch, with its error."""
    snapshot: str = "last"
    """Of a run: last, best (by the first metric measured during training), or the name of a file."""
    which: Which = "ema"
    """Weights: their moving average, or as last trained."""
    z_dim: int | None = None
    """Size of the latents of a callable of your own, where it has no attribute z_dim."""
    batch: int = 64
    """Images at once; it changes memory and speed, and no number beyond rounding."""
    seed: int = 0
    """Seed of latents, noise, classes and intervals."""
    device: Device = "auto"
    """Where to compute."""

    def validate(self) -> None:
        """Refuse options that cannot be used.

        Raises:
            InputError: The first fault that is found, with the remedy.
        """
        least = {"num_latents": 1, "pairs": 100, "samples": 32, "batch": 1}
        for name, smallest in least.items():
            if getattr(self, name) < smallest:
                raise InputError(
                    f"{_option(name)} is {getattr(self, name)}, too few for an estimate; "
                    f"give {smallest} or more"
                )
        for name, size in (("resolution", self.resolution), ("channels", self.channels)):
            if size is not None and size < 1:
                raise InputError(f"{_option(name)} is {size}; give 1 or more, or leave it out")
        for name in ("budget", "memory_mib"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise InputError(f"{_option(name)} is {getattr(self, name):g}; give a number above 0")
        if self.tolerance is not None and not 0 < self.tolerance < 1:
            raise InputError(
                f"--tolerance is {self.tolerance:g}; give a share of the largest singular value, "
                "between 0 and 1"
            )
        if self.seed < 0:
            raise InputError(f"--seed is {self.seed}; give 0 or more")
        if not self.patterns:
            raise InputError("--layers names no layer; give patterns separated by commas, or leave it out")
        pillow_filter(self.resize_filter)

    @property
    def patterns(self) -> tuple[str, ...]:
        """The patterns of layers."""
        return tuple(pattern for each in self.layers.split(",") if (pattern := each.strip()))


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")

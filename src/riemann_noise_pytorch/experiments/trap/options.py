"""Options of the experiment on the dimension trap. The defaults fit about half an hour on two cores."""

import dataclasses
from dataclasses import dataclass

from riemann_noise_pytorch.errors import InputError, unknown_name
from riemann_noise_pytorch.experiments.options import TICKS, CompareConfig
from riemann_noise_pytorch.models.choices import NoiseKind
from riemann_noise_pytorch.training.config import Device, TrainConfig

KINDS: tuple[NoiseKind, ...] = ("none", "euclidean", "riemannian")
FEWEST_IMAGES = 400
SNAPSHOT_TICKS = 2
"""Ticks from one snapshot to the next: ten of a training tell how the norm of the Jacobian grows."""


@dataclass(frozen=True)
class TrapConfig:
    """Train generators with too few and with enough latent dimensions on images of known dimension.

    Every training is a DCGAN as in `riemann-noise compare`. Afterwards the rank of the Jacobian by depth, how
    its norm grew, a lower bound of the divergence from the data and the dimension of the samples tell whether
    the generator is in the trap of Theorem 1.
    """

    dimension: int = 64
    """Intrinsic dimension of the data: drawn images, manifold-64."""
    z_dims: tuple[int, ...] = (8, 64)
    """Dimensions of the latent, each with all kinds of noise."""
    noise: tuple[NoiseKind, ...] = KINDS
    """Kinds of noise: none, euclidean, riemannian."""
    seeds: int = 3
    """Trainings of every generator."""
    kimg: float = 40.0
    """Length of each training in thousands of real images seen."""
    resolution: int | None = None
    """Height and width of the images in pixels: 16, 32, 64 or 128. None: the smallest that the dimension
    fits."""
    width: int = 32
    """Channels of the layers next to the image; each halving of the resolution doubles them."""
    noise_strength: float = 0.1
    """Initial standard deviation of Euclidean noise; the paper's Riemannian noise begins as strong as the
    features."""
    images: int = 10_000
    """New real images, and samples, that the divergence and the dimension are estimated from."""
    epochs: int = 40
    """Most epochs of the classifiers that bound the divergence."""
    latents: int = 4
    """Latents at which the Jacobian is computed."""
    workers: int = 0
    """Trainings at once; 0: one for every core, or one on a GPU."""
    threads: int = 1
    """Threads of each training."""
    device: Device = "cpu"
    """Where trainings run."""

    @property
    def data(self) -> str:
        """Name of the data."""
        return f"manifold-{self.dimension}"

    def training(self, z_dim: int, noise: str, seed: int) -> TrainConfig:
        """Options of one training.

        Raises:
            InputError: Options that cannot be used.
        """
        alike = CompareConfig(
            data=self.data,
            resolution=self.resolution,
            z_dim=z_dim,
            width=self.width,
            kimg=self.kimg,
            noise_strength=self.noise_strength,
            device=self.device,
        )
        config = alike.training(noise, seed)
        return dataclasses.replace(
            config, tick_kimg=self.kimg / TICKS, snapshot_ticks=SNAPSHOT_TICKS, keep_snapshots=0
        )

    def validate(self) -> None:
        """Refuse options that cannot be used, before anything is trained.

        Raises:
            InputError: The first fault that is found, with the remedy.
        """
        for name, given in (("z-dims", self.z_dims), ("noise", self.noise)):
            if not given or len(set(given)) < len(given):
                shown = ", ".join(map(str, given)) or "none given"
                raise InputError(f"--{name} is {shown}; give one or more, each once")
        for kind in self.noise:
            if kind not in KINDS:
                raise unknown_name("kind of noise", kind, KINDS)
        least = {
            "dimension": 1,
            "seeds": 1,
            "images": FEWEST_IMAGES,
            "epochs": 1,
            "latents": 1,
            "workers": 0,
            "threads": 1,
        }
        for name, smallest in least.items():
            if getattr(self, name) < smallest:
                raise InputError(f"--{name} is {getattr(self, name)}; give {smallest} or more")
        for z_dim in self.z_dims:
            for kind in self.noise:
                self.training(z_dim, kind, 0)

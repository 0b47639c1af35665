"""Options of an inversion."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from riemann_noise_pytorch.data.resizing import pillow_filter
from riemann_noise_pytorch.errors import InputError

Device = Literal["auto", "cpu", "cuda"]
Which = Literal["ema", "raw"]
RecipeName = Literal["image2stylegan", "stylegan2-projector", "image2stylegan++", "z-restarts"]
SpaceName = Literal["z", "w", "w+"]
NoiseChoice = Literal["frozen", "optimised", "averaged"]
PerceptualChoice = Literal["pyramid", "vgg", "lpips"]


@dataclass(frozen=True)
class InvertConfig:
    """Find the latents, and the noise, from which a generator makes given images."""

    recipe: RecipeName | None = None
    """image2stylegan (w+), stylegan2-projector (w and the noise together), image2stylegan++ (w+, then the
    noise alone), or z-restarts (z from several random starts). None: image2stylegan++ where the generator has
    a mapping and noise maps, image2stylegan where it has a mapping alone, z-restarts otherwise."""
    space: SpaceName | None = None
    """Where the latents are sought: z, w, or w+ (a w for each layer). None: where the recipe does."""
    noise: NoiseChoice | None = None
    """frozen: it stays as it is; optimised: together with the latents; averaged: the latents fit by the mean
    over several draws, and then the noise alone. None: as in the recipe; where that leaves it frozen, it is
    optimised alone in one more stage, which tells what it contributes."""
    steps: tuple[int, ...] | None = None
    """Steps of every stage, or one number for each. None: the recipe's."""
    lr: tuple[float, ...] | None = None
    """Adam's learning rate of every stage, or one for each. None: the recipe's."""
    patience: int | None = None
    """An image whose loss has not fallen by 0.1 percent for so many steps is finished. None: never."""
    enough: float | None = None
    """An image whose loss is at most this is finished. None: never."""
    restarts: int | None = None
    """Starts of every image, of which the best by loss is kept. None: 4 for z-restarts, otherwise 1."""
    seed: int = 0
    """Seed of noise, starts and intervals."""
    batch: int = 64
    """Starts at once; it changes memory and speed, and no number beyond rounding."""
    perceptual: PerceptualChoice = "pyramid"
    """Perceptual distance: pyramid (no weights), vgg (features of VGG16, as in Image2StyleGAN) or lpips."""
    vgg_weights: Path | None = None
    """vgg, lpips: file of torchvision's VGG16 weights; or set RIEMANN_NOISE_VGG16."""
    lpips_heads: Path | None = None
    """lpips: file of its linear layers for VGG; or set RIEMANN_NOISE_LPIPS."""
    mask: Path | None = None
    """A grey image, white where the images count and black where they are hidden; or a folder or ZIP with one
    for each image, of the same name."""
    labels: tuple[int, ...] | None = None
    """Class of every image, or one for each, for a generator that has classes. None: those of the images."""
    resize: bool = True
    """Crop and resize images of another size, and convert grey to colours and back; otherwise refuse them."""
    resize_filter: str = "lanczos"
    """Filter by which images of another size are resized: box, bilinear, bicubic, lanczos or nearest."""
    limit: int | None = None
    """The first so many images alone. None: all."""
    draws: int = 16
    """Fresh draws that take the place of the noise, to tell how much of an image hangs on it."""
    frames: int = 60
    """Frames of the animation, more of them at the beginning."""
    points: int = 8
    """Points of the way between the first two images."""
    snapshot: str = "last"
    """Of a run: last, best (by the first metric measured during training), or the name of a file."""
    which: Which = "ema"
    """Weights: their moving average, or as last trained."""
    z_dim: int | None = None
    """Size of the latents of a callable of your own, where it has no attribute z_dim."""
    device: Device = "auto"
    """Where to compute."""

    def validate(self) -> None:
        """Refuse options that cannot be used.

        Raises:
            InputError: The first fault that is found, with the remedy.
        """
        least = {"batch": 1, "restarts": 1, "patience": 1, "limit": 1, "draws": 1, "frames": 2, "points": 2}
        for name, smallest in least.items():
            value = getattr(self, name)
            if value is not None and value < smallest:
                raise InputError(f"{_option(name)} is {value}; give {smallest} or more")
        if self.seed < 0:
            raise InputError(f"--seed is {self.seed}; give 0 or more")
        if self.enough is not None and not (math.isfinite(self.enough) and self.enough >= 0):
            raise InputError(f"--enough is {self.enough:g}; give a loss, 0 or more, or leave it out")
        _check_each("--steps", self.steps, "a whole number, 1 or more")
        _check_each("--lr", self.lr, "a number above 0")
        pillow_filter(self.resize_filter)
        self._check_perceptual()
        self._check_labels()

    def _check_perceptual(self) -> None:
        for name, served in (("vgg_weights", ("vgg", "lpips")), ("lpips_heads", ("lpips",))):
            if getattr(self, name) is not None and self.perceptual not in served:
                raise InputError(
                    f"{_option(name)} has no meaning for --perceptual {self.perceptual}; leave it out, or "
                    f"give --perceptual {' or '.join(served)}"
                )

    def _check_labels(self) -> None:
        if self.labels is None:
            return
        wrong = [label for label in self.labels if label < 0]
        if wrong or not self.labels:
            found = f"has {wrong[0]}" if wrong else "names no class"
            raise InputError(
                f"--labels {found}; give classes, 0 or more: one for all images, or one for each"
            )


def _check_each(option: str, values: Sequence[float] | None, wanted: str) -> None:
    if values is None:
        return
    bad = [value for value in values if not (math.isfinite(value) and value > 0)]
    if bad or not values:
        raise InputError(
            f"{option} {f'has {bad[0]:g}' if bad else 'is empty'}; give {wanted}, for each stage"
        )


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")

"""How near reconstructions are to their images, by four measures, and the perceptual one among them.

Images are compared as the generator makes them, before they are cut to [-1, 1]. Where masks hide parts,
nothing of what is under them counts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.inversion.options import InvertConfig
from riemann_noise_pytorch.inversion.objectives import Guess, Objective, Perceptual, PixelError
from riemann_noise_pytorch.inversion.quality import HIGHEST_DB, WINDOW, decibels, ssim
from riemann_noise_pytorch.inversion.vgg_features import VGGFeatures
from riemann_noise_pytorch.metrics.distances import LPIPSDistance
from riemann_noise_pytorch.metrics.weights import LPIPS_HEADS, VGG16, PublishedFile


def perceptual_of(config: InvertConfig) -> Objective:
    """Make the perceptual objective, which is also reported.

    Raises:
        InputError: Its weights, or torchvision, are missing or not what they should be.
    """
    if config.perceptual == "pyramid":
        return Perceptual()
    vgg = _weights(VGG16, config.vgg_weights, "--vgg-weights", config.perceptual)
    if config.perceptual == "vgg":
        return VGGFeatures(vgg)
    heads = _weights(LPIPS_HEADS, config.lpips_heads, "--lpips-heads", config.perceptual)
    return Perceptual(LPIPSDistance(vgg, heads))


def _weights(file: PublishedFile, given: Path | None, option: str, perceptual: str) -> Path:
    path = file.given(given)
    if path is None:
        raise InputError(
            f"--perceptual {perceptual} needs weights: download {file.file} ({file.origin}; sha256 "
            f"{file.sha256}) and give its path by {option} or {file.variable} (nothing is downloaded for "
            "you), or take --perceptual pyramid"
        )
    return path


@final
@dataclass(frozen=True, eq=False)
class Quality:
    """The measures of N reconstructions, each (N,) in float64.

    Args:
        psnr: In dB, at most 200.
        mse: Mean squared error.
        perceptual: The perceptual distance.
        ssim: Structural similarity; None for images under 11 pixels, or with masks, whose edges it would see.
    """

    psnr: Tensor
    mse: Tensor
    perceptual: Tensor
    ssim: Tensor | None

    def record(self, index: int) -> dict[str, float | None]:
        """The measures of one image; None for what is not finite or not there."""
        return {
            "psnr": finite(self.psnr[index]),
            "ssim": None if self.ssim is None else finite(self.ssim[index]),
            "mse": finite(self.mse[index]),
            "perceptual": finite(self.perceptual[index]),
        }


@final
class Judge:
    """Compares images with their targets.

    Args:
        targets: (N, C, H, W), in [-1, 1].
        masks: (N, 1, H, W), or None.
        perceptual: The perceptual objective.
        device: Where it is computed.
        batch: Images at once.

    Raises:
        InputError: The perceptual objective does not take such images.
    """

    def __init__(
        self, targets: Tensor, masks: Tensor | None, perceptual: Objective, device: torch.device, batch: int
    ) -> None:
        self._targets, self._masks, self._batch = targets, masks, batch
        self._device = device
        self._perceptual = perceptual.placed(torch.empty((), device=device))
        self._distances(targets[:1], slice(0, 1))

    @property
    def distance(self) -> str:
        """The name of the perceptual objective."""
        return self._perceptual.name

    def quality(self, images: Tensor) -> Quality:
        """Measure images (N, C, H, W), one for each target."""
        errors = self._errors(images)
        distances = [self._distances(images[rows], rows) for rows in self._slices()]
        similar = None
        if self._masks is None and min(images.shape[2:]) >= WINDOW:
            similar = torch.cat([self._similarity(images[rows], rows) for rows in self._slices()])
        return Quality(_written(errors), errors, torch.cat(distances), similar)

    def psnr(self, images: Tensor) -> Tensor:
        """PSNR of images (N, C, H, W), one for each target, in dB, (N,)."""
        return _written(self._errors(images))

    def _slices(self) -> Sequence[slice]:
        return [slice(low, low + self._batch) for low in range(0, len(self._targets), self._batch)]

    def _errors(self, images: Tensor) -> Tensor:
        masks = None if self._masks is None else self._masks.double()
        return PixelError()(Guess(images.double(), self._targets.double(), masks))

    @torch.no_grad()
    def _distances(self, images: Tensor, rows: slice) -> Tensor:
        masks = None if self._masks is None else self._masks[rows].to(self._device)
        targets = self._targets[rows].to(self._device)
        return self._perceptual(Guess(images.to(targets), targets, masks)).double().cpu()

    def _similarity(self, images: Tensor, rows: slice) -> Tensor:
        return ssim(images.double(), self._targets[rows].double())


def _written(errors: Tensor) -> Tensor:
    """PSNR of mean squared errors, as records have it."""
    return decibels(errors).clamp(max=HIGHEST_DB)


def finite(value: Any) -> float | None:
    """A number for JSON, which has neither NaN nor infinity."""
    number = float(value)
    return number if math.isfinite(number) else None

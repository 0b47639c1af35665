r"""The generator that is kept: an exponential moving average of the trained one's weights.

.. math:: \beta = 2^{-B / (1000 h)}, \quad
          \theta_{\text{ema}} \to \beta\,\theta_{\text{ema}} + (1 - \beta)\,\theta

for a batch of B images and a half-life of h thousand images.

References:
    Karras et al. (2018), Progressive growing of GANs, arXiv:1710.10196, Section 4; the half-life in images
    and its ramp-up are those of Karras et al. (2020), arXiv:1912.04958 and arXiv:2006.06676.
"""

import copy
from collections.abc import Callable
from typing import final

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from riemann_noise_pytorch.models.interfaces import Generator
from riemann_noise_pytorch.noise.control import frozen
from riemann_noise_pytorch.seeds import derive
from riemann_noise_pytorch.training.config import NormStatistics

_CHUNK = 256


def ema_decay(batch: int, half_life_kimg: float, images_seen: int = 0, rampup: float | None = None) -> float:
    """Compute the decay of one step.

    Args:
        batch: Images in the step.
        half_life_kimg: Half-life h in thousands of images, 0 or more; 0 gives a decay of 0.
        images_seen: Images seen before the step.
        rampup: Share of ``images_seen`` that the half-life must not exceed; None for no such bound.

    Returns:
        The decay beta, in [0, 1).

    Example:
        >>> ema_decay(batch=64, half_life_kimg=0.064)
        0.5
    """
    half_life = 1000 * half_life_kimg
    if rampup is not None:
        half_life = min(half_life, rampup * images_seen)
    return 0.5 ** (batch / half_life) if half_life > 0 else 0.0


@final
class MovingAverage:
    """A copy of a generator whose weights are the moving average of the original's.

    Its buffers, such as the running statistics of batch norm, are not averaged; :meth:`refresh` sets them,
    before every use of the copy.

    Args:
        generator: The original, as it is at the start.
        half_life_kimg: Half-life in thousands of images.
        rampup: Share of the images seen that the half-life must not exceed, or None.
        norm_statistics: ``copy``: the original's running statistics; ``recalibrate``: those of samples of
            the averaged generator itself.
        recalibration_images: Number of those samples.
        seed: Seed of their latents and noise.

    Attributes:
        module: The averaged generator, in evaluation mode, without gradients.
    """

    def __init__(
        self,
        generator: Generator,
        half_life_kimg: float,
        rampup: float | None = None,
        norm_statistics: NormStatistics = "copy",
        recalibration_images: int = 2048,
        seed: int = 0,
    ) -> None:
        self.module = copy.deepcopy(generator).eval().requires_grad_(False)
        self.half_life_kimg = half_life_kimg
        self.rampup = rampup
        self.norm_statistics = norm_statistics
        self.recalibration_images = recalibration_images
        self.seed = seed
        self._original = generator
        self._weights: list[Tensor] = list(generator.parameters())
        self._averages: list[Tensor] = list(self.module.parameters())
        self._decay = -1.0
        self._average: Callable[[list[Tensor], list[Tensor], int], None]

    def update(self, batch: int, images_seen: int) -> None:
        """Take one step towards the original's weights.

        Args:
            batch: Images in the step.
            images_seen: Images seen before it.
        """
        decay = ema_decay(batch, self.half_life_kimg, images_seen, self.rampup)
        if decay != self._decay:
            self._decay = decay
            self._average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        self._average(self._averages, self._weights, 0)

    def refresh(self) -> Generator:
        """Set the buffers for use, and give the averaged generator."""
        pairs = zip(self.module.buffers(), self._original.buffers(), strict=True)
        for own, original in pairs:
            own.copy_(original)
        if self.norm_statistics == "recalibrate":
            recalibrate(self.module, self.recalibration_images, self.seed)
        return self.module


@torch.no_grad()
def recalibrate(generator: Generator, images: int, seed: int) -> None:
    """Compute the running statistics of batch norm anew, as plain means over samples of the generator.

    Every chunk of at most 256 samples is normalised by its own statistics, as in training.

    Args:
        generator: A generator in evaluation mode; other layers stay in it.
        images: Number of samples, 2 or more.
        seed: Seed of their latents and noise.
    """
    norms = [module for module in generator.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    stream = torch.Generator().manual_seed(derive(seed, "recalibration latents"))
    like = next(generator.parameters())
    chunks = -(-images // _CHUNK)
    for chunk in range(chunks):
        first, last = chunk * images // chunks, (chunk + 1) * images // chunks
        z = torch.randn(last - first, generator.z_dim, generator=stream).to(like)
        with frozen(generator, derive(seed, "recalibration noise"), first_sample=first):
            generator(z)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()

r"""Instance noise: Gaussian noise on every image that the discriminator sees, real or generated.

.. math:: D(x + \sigma_t \epsilon), \qquad \epsilon \sim N(0, I)

Real and generated images that lie on thin sets overlap once they are blurred, so that no discriminator can
be right about all of them, and it goes on to teach the generator. Each image of a step is blurred once: the
discriminator's loss, its penalty and the generator's loss see the same blurred images. Nothing else is
blurred: not the sample grids, and not the path length.

The papers leave the schedule open; those below are ours, but for the adaptive one's target.

References:
    Sonderby, Caballero, Theis, Shi and Huszar (2017), Amortised MAP inference for image super-resolution,
    arXiv:1610.04490.
    Arjovsky and Bottou (2017), Towards principled methods for training generative adversarial networks,
    arXiv:1701.04862, Section 3.
    Karras et al. (2020), Training generative adversarial networks with limited data, arXiv:2006.06676 (an
    augmentation that follows how sure the discriminator is).
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, final

import torch
from torch import Tensor

from riemann_noise_pytorch.seeds import derive
from riemann_noise_pytorch.training.batch import Batch
from riemann_noise_pytorch.training.config import TrainConfig
from riemann_noise_pytorch.training.validation import MOST_INSTANCE_NOISE

FALLEN_TO = 0.01
"""Where the exponential is at its end, before that is subtracted."""
PACE = 0.1
"""Change of the adaptive deviation over 1000 images, for each unit by which accuracy and target differ."""


def _constant(t: float) -> float:  # noqa: ARG001 - the others look at the time
    return 1.0


def _linear(t: float) -> float:
    return 1.0 - t


def _cosine(t: float) -> float:
    return (1.0 + math.cos(math.pi * t)) / 2.0


def _exponential(t: float) -> float:
    return (math.pow(FALLEN_TO, t) - FALLEN_TO) / (1.0 - FALLEN_TO)


SCHEDULES: Final[Mapping[str, Callable[[float], float]]] = MappingProxyType(
    {"constant": _constant, "linear": _linear, "cosine": _cosine, "exponential": _exponential}
)
"""From the time t in [0, 1) of a schedule to the share of the first deviation that is left."""


def scheduled(config: TrainConfig, step: int) -> float:
    r"""Give the deviation at a step of a schedule that is no adaptive one.

    .. math:: \sigma_t = \sigma_0 s(t / T), \qquad \sigma_t = 0 \text{ for } t \ge T

    with s(x) = 1 (constant), 1 - x (linear), (1 + cos pi x) / 2 (cosine) or (0.01^x - 0.01) / 0.99
    (exponential), and T the images of ``instance_noise_kimg``, or of the whole run.

    Args:
        config: The options.
        step: The step, from 0.

    Returns:
        In units of images in [-1, 1].

    Example:
        >>> config = TrainConfig(instance_noise=0.2, instance_noise_kimg=64.0)
        >>> [round(scheduled(config, step), 3) for step in (0, 250, 500, 1000, 2000)]
        [0.2, 0.15, 0.1, 0.0, 0.0]
    """
    end = config.instance_noise_kimg
    t = step / config.steps if end is None else step * config.batch / (1000 * end)
    return config.instance_noise * SCHEDULES[config.instance_noise_schedule](t) if t < 1 else 0.0


def adapted(sigma: float, accuracy: float, target: float, images: int) -> float:
    r"""Let the deviation follow how often the discriminator is right.

    .. math:: \sigma \leftarrow \mathrm{clip}(\sigma + 0.1 (a - a_0) n / 1000,\; 0,\; 10)

    Args:
        sigma: The deviation of the step.
        accuracy: Share a of its images about which the discriminator was right: the mean of those of real and
            of generated ones.
        target: The share a_0 to hold.
        images: Real images n in a step.

    Returns:
        The deviation of the next step.

    Example:
        >>> adapted(0.1, accuracy=1.0, target=0.8, images=1000)
        0.12
    """
    moved = sigma + PACE * (accuracy - target) * images / 1000
    return min(max(moved, 0.0), MOST_INSTANCE_NOISE)


@final
class InstanceNoise:
    """Blurs what the discriminator sees in a step.

    Args:
        config: Complete options.
        device: Where the images are.
        process: Number of this process, which draws noise of its own.

    Attributes:
        is_on: Whether the run has instance noise.
        is_adaptive: Whether its deviation follows the discriminator, and so belongs to what a step changes.
    """

    def __init__(self, config: TrainConfig, device: torch.device | str = "cpu", process: int = 0) -> None:
        self.is_on = config.instance_noise > 0
        self.is_adaptive = self.is_on and config.instance_noise_schedule == "adaptive"
        self._config = config
        self._process = process
        self._stream = torch.Generator(device)

    def sigma(self, step: int, adapted_sigma: float) -> float:
        """Give the deviation of a step.

        Args:
            step: The step, from 0.
            adapted_sigma: Where the adaptive schedule is.
        """
        if not self.is_on:
            return 0.0
        return adapted_sigma if self.is_adaptive else scheduled(self._config, step)

    def blur(self, batch: Batch, sigma: float, step: int) -> Batch:
        """Add noise to the real and to the generated images, drawn from the seed, the step and the process.

        Args:
            batch: The images; the generated ones keep their graph to the generator. Those in half precision
                become float32 ones, in which small noise is not rounded away.
            sigma: The deviation; at 0 nothing is drawn, and the batch is given as it is.
            step: The step, from 0.
        """
        if sigma == 0:
            return batch
        self._stream.manual_seed(derive(self._config.seed, "instance noise", step, self._process))
        return batch._replace(real=self._noisy(batch.real, sigma), fake=self._noisy(batch.fake, sigma))

    def follow(self, sigma: float, real_accuracy: float, fake_accuracy: float) -> float:
        """Give the adaptive deviation of the next step from that of this one, and from what it came to."""
        config = self._config
        accuracy = (real_accuracy + fake_accuracy) / 2
        return adapted(sigma, accuracy, config.instance_noise_target, config.batch)

    def _noisy(self, images: Tensor, sigma: float) -> Tensor:
        noise = torch.randn(
            images.shape, generator=self._stream, device=images.device, dtype=torch.float32
        )  # in this order, whatever the images' layout
        return images + sigma * noise

"""Generated images by index: the image of an index depends on the seed and that index alone."""

from functools import partial
from typing import Any, final

import torch
from torch import Tensor

from riemann_noise_pytorch.data.images import to_uint8
from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.experiments.targets import Target
from riemann_noise_pytorch.models.latent_space import Labels
from riemann_noise_pytorch.noise.control import frozen
from riemann_noise_pytorch.noise.failures import is_out_of_memory, place_of_failure
from riemann_noise_pytorch.noise.foreign import generators_of, seeded
from riemann_noise_pytorch.noise.pairs import counted_normal, full_precision
from riemann_noise_pytorch.seeds import derive

RANGE = 1.5
"""Values beyond this are far outside [-1, 1]: an image in [0, 255], or a generator without its last layer."""
DARKEST, BRIGHT = -0.05, 0.5
"""A generator that never goes below the first, and beyond the second, gives images in [0, 1]."""
ENOUGH = 100
"""Fewer images than this may all be light."""


def labels_like(data_labels: Tensor, seed: int) -> Labels:
    """Draw classes as often as the data have them; that of an index depends on seed and index alone.

    Args:
        data_labels: The classes of the real images, (M,).
        seed: The seed.

    Returns:
        A function of first index and count.

    Example:
        >>> labels_like(torch.tensor([3, 3, 3]), seed=0)(0, 2)
        tensor([3, 3])
    """
    stream = derive(seed, "labels")

    def labels(first: int, count: int) -> Tensor:
        share = torch.special.ndtr(counted_normal(stream, first, (count,)))
        return data_labels[(share * len(data_labels)).long().clamp(max=len(data_labels) - 1)]

    return labels


@final
class Draws:
    """Draws images from a target's generator, as uint8.

    Noise of this package's layers is a function of the seed and the index. Other noise starts from the seed
    and the first index of each batch, so there another size of batch draws other noise. A module gets its
    latents where it is and in its own precision, any other callable on the CPU in float32; TF32 is off.

    Args:
        target: What has a generator.
        seed: Seed of latents and noise.
        labels: Classes by index, for a generator that must be told; see :func:`labels_like`.
        options: Further arguments of the generator, such as ``truncation_psi``.

    Attributes:
        lowest: Lowest value so far, before rounding.
        highest: Highest value so far.
        count: Number of images so far.
    """

    def __init__(
        self,
        target: Target,
        seed: int,
        *,
        labels: Labels | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        assert target.generator is not None
        self._target, self._seed, self._labels = target, seed, labels
        self._device, self._dtype = home_of(target)
        self._draw = partial(target.generator, **(options or {}))
        self._generators = generators_of(target.module)
        self.lowest, self.highest, self.count = float("inf"), float("-inf"), 0

    def __call__(self, first: int, count: int) -> Tensor:
        """Draw images ``first`` to ``first + count - 1``: uint8 (count, C, H, W), on the generator's device.

        Raises:
            InputError: The generator does not take such latents, or gives no images.
            NonFiniteError: An image has a NaN or an infinite value; the message names the first.
        """
        images = self._images(first, count)
        finite = images.isfinite().flatten(1).all(dim=1)
        if not finite.all():
            bad = first + int((~finite).nonzero()[0])
            raise NonFiniteError(
                f"generated image {bad} of {self._target.name} is not finite; check the generator's weights"
            )
        self.lowest = min(self.lowest, float(images.min()))
        self.highest = max(self.highest, float(images.max()))
        self.count += count
        return to_uint8(images.float())

    @property
    def range_warning(self) -> str:
        """What to say of values outside [-1, 1], or in [0, 1]; empty if there is nothing to say."""
        is_wide = max(-self.lowest, self.highest) > RANGE
        is_light = self.count >= ENOUGH and self.lowest >= DARKEST and self.highest > BRIGHT
        if not is_wide and not is_light:
            return ""
        consequence = "and what lies outside is cut off" if is_wide else "with black at -1"
        return (
            f"{self._target.name} returns values from {self.lowest:.3g} to {self.highest:.3g}; images are "
            f"taken to be in [-1, 1], {consequence}"
        )

    @torch.no_grad()
    def _images(self, first: int, count: int) -> Tensor:
        z = counted_normal(derive(self._seed, "latents"), first, (count, self._target.z_dim))
        z = z.to(self._device, self._dtype)
        labels = () if self._labels is None else (self._labels(first, count).to(self._device),)
        try:
            with full_precision(), self._noise(first):
                images: object = self._draw(z, *labels)
        except InputError:
            raise
        except Exception as error:
            if self._target.kind != "callable" or is_out_of_memory(error):
                raise
            raise InputError(
                f"{self._target.name} fails on {z.dtype} latents of shape {tuple(z.shape)} on {z.device} "
                f"({place_of_failure(error)}); mend it, or give the --z-dim it was built for"
            ) from error
        if not isinstance(images, Tensor):
            shown = type(images).__name__
        elif images.ndim == 4 and len(images) == count and images.is_floating_point():
            return images
        else:
            shown = f"{images.dtype} {tuple(images.shape)}"
        raise InputError(
            f"{self._target.name} returns {shown} for {count} latents; "
            f"return float images ({count}, C, H, W) in [-1, 1]"
        )

    def _noise(self, first: int) -> Any:
        if self._target.module is not None:
            return frozen(self._target.module, derive(self._seed, "noise"), first_sample=first)
        return seeded(derive(self._seed, "foreign noise", first), self._generators)


def home_of(target: Target) -> tuple[torch.device, torch.dtype]:
    """Tell where a target's generator is, and in which precision: the CPU and float32 for a function."""
    module = target.module
    parameters = [] if module is None else [p for p in module.parameters() if p.is_floating_point()]
    return (parameters[0].device, parameters[0].dtype) if parameters else (torch.device("cpu"), torch.float32)

"""What an extractor of features promises, and the care that all take alike.

The features of an image must not depend on whoever calls: float32 is computed as float32 (no TF32, no
bfloat16, no autocast), without gradients, in eval mode.
"""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Self

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise.pairs import full_precision

RGB = 3


class Extractor(nn.Module, ABC):
    """Turns images into rows of features.

    Attributes:
        key: By which it is chosen, such as ``inception``.
        name: As it is printed; a network's bare name only with its published weights.
        official: Whether the weights are the published ones, or there are none.
        weights_sha256: Hash of the file of weights; None if there is none.
        resize: The filter that brings images to the network's size, for the protocol.
        dimensions: Features by name of output.
        smallest: Least height and width of an image, in pixels.
        formula: Version of what is computed; it changes whenever features change.
    """

    key: str
    name: str
    official: bool
    weights_sha256: str | None
    resize: str
    dimensions: Mapping[str, int]
    smallest: int
    formula: int = 1

    @property
    def identity(self) -> str:
        """What the features of a given image depend on, for caches."""
        return f"{self.key}, weights {self.weights_sha256 or 'none'}, {self.resize}, formula {self.formula}"

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002
        """Stay in eval mode, whatever is asked."""
        return super().train(False)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Compute the features of a batch.

        Args:
            images: uint8 (N, 1 or 3, H, W) on the extractor's device; grey images are repeated to RGB.

        Returns:
            float32 (N, d) for every name in :attr:`dimensions`.

        Raises:
            InputError: The images have another type or shape, or are too small.
        """
        self._check(images)
        with (
            torch.no_grad(),
            full_precision(),
            torch.autocast(images.device.type, enabled=False),
            flushed_denormals(),
        ):
            return self.features_of(images.expand(-1, RGB, -1, -1))

    @abstractmethod
    def features_of(self, images: Tensor) -> dict[str, Tensor]:
        """Compute the features of checked RGB images, uint8 (N, 3, H, W); :meth:`forward` calls it."""

    def _check(self, images: Tensor) -> None:
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, RGB):
            raise InputError(
                f"{self.name} takes grey or RGB images as uint8 (N, 1 or 3, H, W), not {images.dtype} "
                f"{tuple(images.shape)}; convert them with to_uint8"
            )
        if min(images.shape[2:]) < self.smallest:
            raise InputError(
                f"{self.name} takes images of {self.smallest} pixels or more, not "
                f"{images.shape[2]}x{images.shape[3]}; enlarge them"
            )


@contextlib.contextmanager
def flushed_denormals() -> Iterator[None]:
    """Within the block, numbers below 1e-38 count as 0 in this thread of the CPU, where it can do that.

    Arithmetic with such numbers is slow, and no feature depends on them. Worker threads of torch that run
    already keep their own setting.
    """
    before = float(torch.tensor(1e-30) * torch.tensor(1e-9)) == 0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)

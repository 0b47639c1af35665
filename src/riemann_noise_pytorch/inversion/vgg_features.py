r"""The perceptual loss of Image2StyleGAN: squared differences of four layers of VGG16.

.. math:: L = \sum_{j=1}^{4} \frac{1}{N_j} \lVert F_j(x) - F_j(y) \rVert_2^2

with :math:`F_j` the responses of conv1_1, conv1_2, conv3_2 and conv4_2 after their ReLU, of :math:`N_j`
values each.

References:
    Abdal, Qin and Wonka (2019), Image2StyleGAN: how to embed images into the StyleGAN latent space?,
    arXiv:1904.03189, Section 5.1.
"""

import copy
from pathlib import Path
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.inversion.objectives import LARGEST, Guess, Objective, at_most
from riemann_noise_pytorch.metrics.extractors.resizing import IMAGENET_MEAN, IMAGENET_STD
from riemann_noise_pytorch.metrics.extractors.vgg16 import empty_vgg16
from riemann_noise_pytorch.metrics.weights import VGG16, check_weights

STAGES = ((0, 2), (2, 4), (4, 14), (14, 21))
"""Slices of torchvision's features that end at relu1_1, relu1_2, relu3_2 and relu4_2."""
SMALLEST = 8
"""Three times halved, one pixel is left."""


@final
class VGGFeatures(Objective):
    """Image2StyleGAN's perceptual loss, with weights from the user's file.

    Args:
        weights: File of torchvision's VGG16 weights, or a safetensors file of the same tensors; by default
            the one named by ``RIEMANN_NOISE_VGG16``.
        sha256: Hash the file must have; by default that of the published file where it bears its name.
        largest: Images with a longer side are averaged down to it; None for never.

    Attributes:
        name: ``VGG16 features`` with the published file; otherwise its hash follows.

    Raises:
        InputError: torchvision or the file is missing, or the content is not what it should be.
    """

    is_perceptual: ClassVar[bool] = True

    def __init__(
        self,
        weights: Path | str | None = None,
        *,
        sha256: str | None = None,
        largest: int | None = LARGEST,
    ) -> None:
        found = VGG16.read(VGG16.locate(weights), sha256)
        self.name = found.name("VGG16 features")
        self.largest = largest
        network = empty_vgg16("the loss of Image2StyleGAN", "perceptual", ", or use the pyramid distance")
        layers = list(network.get_submodule("features").children())[: STAGES[-1][1]]
        features = nn.Sequential(*layers)
        wanted = {f"features.{name}": value.shape for name, value in features.state_dict().items()}
        check_weights(found.state, wanted, found.path, "torchvision's VGG16")
        state = {name.removeprefix("features."): found.state[name].float() for name in wanted}
        features.load_state_dict(state, assign=True)
        for layer in features:
            if isinstance(layer, nn.ReLU):
                layer.inplace = False
        self.features = features.requires_grad_(False).eval()

    def __call__(self, guess: Guess) -> Tensor:
        """The losses, (N,), divided by the share of each image that is seen.

        Raises:
            InputError: The images are neither grey nor RGB, or too small.
        """
        images, targets = (self._prepared(part) for part in guess.seen)
        total = images.new_zeros(len(images))
        for start, stop in STAGES:
            stage = self.features[start:stop]
            images, targets = stage(images), stage(targets)
            total = total + (images - targets).square().mean(dim=(1, 2, 3))
        return total / guess.share

    def placed(self, like: Tensor) -> "VGGFeatures":
        """A copy with the weights where ``like`` is, in its precision."""
        placed = copy.copy(self)
        placed.features = copy.deepcopy(self.features).to(like.device, like.dtype)
        return placed

    def _prepared(self, images: Tensor) -> Tensor:
        if images.shape[1] not in (1, 3) or min(images.shape[2:]) < SMALLEST:
            raise InputError(
                f"{self.name} need grey or RGB images of {SMALLEST} pixels or more, not "
                f"{tuple(images.shape[1:])}; use the pyramid distance"
            )
        mean, std = (torch.tensor(v, dtype=torch.float64).to(images) for v in (IMAGENET_MEAN, IMAGENET_STD))
        unit = at_most(images, self.largest) / 2 + 0.5
        return (unit - mean.view(1, -1, 1, 1)) / std.view(1, -1, 1, 1)

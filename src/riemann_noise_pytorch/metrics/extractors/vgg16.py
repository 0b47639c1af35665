"""VGG16 after its second fully connected layer: the features of precision and recall."""

from pathlib import Path
from types import MappingProxyType
from typing import final

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.metrics.extractors.interfaces import Extractor
from riemann_noise_pytorch.metrics.extractors.resizing import normalise_imagenet, resize_tensorflow1
from riemann_noise_pytorch.metrics.weights import VGG16 as PUBLISHED
from riemann_noise_pytorch.metrics.weights import check_weights

SIZE = 224
SMALLEST = 4
SECOND_FULLY_CONNECTED = 3
"""Index of that layer in torchvision's classifier."""


@final
class VGG16(Extractor):
    """VGG16 trained on ImageNet: 4096 features after the second fully connected layer and its ReLU.

    References:
        Simonyan and Zisserman, Very deep convolutional networks for large-scale image recognition,
        ICLR 2015; Kynkaanniemi, Karras, Laine, Lehtinen and Aila, Improved precision and recall metric for
        assessing generative models, NeurIPS 2019.

    Args:
        weights: File of torchvision's VGG16 weights, or a safetensors file of the same tensors; by default
            the one named by ``RIEMANN_NOISE_VGG16``.

    Raises:
        InputError: torchvision or the file is missing, or the content is not what it should be.
    """

    key = "vgg16"
    resize = "bilinear to 224x224, corners as in TensorFlow 1"
    dimensions = MappingProxyType({"fc2_relu": 4096})
    smallest = SMALLEST

    def __init__(self, weights: Path | str | None = None) -> None:
        super().__init__()
        network = empty_vgg16("VGG16", "fidelity")
        found = PUBLISHED.read(PUBLISHED.locate(weights))
        self.name, self.official, self.weights_sha256 = found.name("VGG16"), found.official, found.sha256
        layers = list(network.get_submodule("classifier").children())
        network.classifier = nn.Sequential(*layers[: SECOND_FULLY_CONNECTED + 1])
        wanted = {name: value.shape for name, value in network.state_dict().items()}
        check_weights(found.state, wanted, found.path, "torchvision's VGG16")
        state = {name: found.state[name].float().contiguous() for name in wanted}
        network.load_state_dict(state, assign=True)
        self.network = network
        self.requires_grad_(False).eval()

    def features_of(self, images: Tensor) -> dict[str, Tensor]:
        """Compute the features of checked RGB images, uint8 (N, 3, H, W)."""
        x = normalise_imagenet(resize_tensorflow1(images.float(), SIZE))
        return {"fc2_relu": self.network(x).relu()}


def empty_vgg16(what: str, extra: str, instead: str = "") -> nn.Module:
    """Build torchvision's VGG16 without memory for its weights.

    Args:
        what: What needs it, for the message.
        extra: The extra of this package that brings torchvision.
        instead: What else the user could do, as an end of the message.

    Raises:
        InputError: torchvision is missing.
    """
    try:
        from torchvision.models import vgg16
    except ImportError as error:
        raise InputError(
            f"{what} needs torchvision; pip install 'riemann-noise-pytorch[{extra}]'{instead}"
        ) from error
    with torch.device("meta"):
        network: nn.Module = vgg16(weights=None)
    return network

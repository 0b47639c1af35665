"""A fixed random convolutional network: features that need no weights, for work offline.

Random filters see edges, textures and where in the image they lie, but no objects: distances made from them
order blurred, noisy and collapsed sets rightly, and cannot be compared with those of trained networks.
"""

import math
from types import MappingProxyType
from typing import final

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.metrics.extractors.interfaces import RGB, Extractor
from riemann_noise_pytorch.noise.pairs import counted_normal
from riemann_noise_pytorch.seeds import derive

SEED = 0
SIZE = 32
SMALLEST = 8
WIDTHS = (32, 64, 128)
EDGE_FILTERS = 24
"""Filters of the first layer without a response to flat areas; the others see brightness and colour."""
GRID = SIZE // 2 ** len(WIDTHS)
PROJECTIONS = 128


@final
class RandomConv(Extractor):
    r"""Three random convolutions with strides of 2: 224 features, of which 96 are textures and 128 a layout.

    .. math:: h_l = \max(0, w_l * h_{l-1}), \quad
        f = (\operatorname{mean}_{hw} h_1,\ \operatorname{mean}_{hw} h_2,\ P \operatorname{vec} h_3)

    with normal weights of variance 2 / (inputs of a unit), those of P of variance 1 / inputs. They are a
    function of a fixed seed, the same on every machine up to rounding.

    References:
        Saxe, Koh, Chen, Bhand, Suresh and Ng, On random weights and unsupervised feature learning, ICML 2011.

    Example:
        >>> RandomConv()(torch.zeros(2, 1, 16, 16, dtype=torch.uint8))["features"].shape
        torch.Size([2, 224])
    """

    key = "random-conv"
    name = "random-conv"
    official = True
    weights_sha256 = None
    resize = "bilinear with antialiasing to 32x32"
    dimensions = MappingProxyType({"features": WIDTHS[0] + WIDTHS[1] + PROJECTIONS})
    smallest = SMALLEST

    def __init__(self) -> None:
        super().__init__()
        first = _normal("first", (WIDTHS[0], RGB, 5, 5), gain=2)
        first[:EDGE_FILTERS] -= first[:EDGE_FILTERS].mean(dim=(2, 3), keepdim=True)
        weights = (
            first,
            _normal("second", (WIDTHS[1], WIDTHS[0], 3, 3), gain=2),
            _normal("third", (WIDTHS[2], WIDTHS[1], 3, 3), gain=2),
            _normal("projection", (PROJECTIONS, WIDTHS[2] * GRID * GRID), gain=1),
        )
        self.weights = nn.ParameterList(nn.Parameter(w.float(), requires_grad=False) for w in weights)
        self.eval()

    def features_of(self, images: Tensor) -> dict[str, Tensor]:
        """Compute the features of checked RGB images, uint8 (N, 3, H, W)."""
        x = images.float() / 127.5 - 1
        if x.shape[2:] != (SIZE, SIZE):
            x = nn.functional.interpolate(x, (SIZE, SIZE), mode="bilinear", antialias=True)
        *filters, projection = self.weights
        maps = []
        for weight in filters:
            x = nn.functional.conv2d(x, weight, stride=2, padding=weight.shape[-1] // 2).relu()
            maps.append(x)
        textures = [layer.mean(dim=(2, 3)) for layer in maps[:2]]
        return {"features": torch.cat([*textures, maps[2].flatten(1) @ projection.T], dim=1)}


def _normal(name: str, shape: tuple[int, ...], gain: int) -> Tensor:
    inputs = torch.Size(shape[1:]).numel()
    return math.sqrt(gain / inputs) * counted_normal(derive(SEED, "random-conv", name), 0, shape)

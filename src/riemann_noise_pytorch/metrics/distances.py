"""Perceptual distances for the path length: one that needs no weights, and LPIPS when its weights are given.

Weights are never downloaded. A distance has a name, which is printed with every number made from it: path
lengths of different distances cannot be compared.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import final

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.metrics.extractors.vgg16 import empty_vgg16
from riemann_noise_pytorch.metrics.pyramid import laplacian_pyramid
from riemann_noise_pytorch.metrics.weights import LPIPS_HEADS, SHORT_HASH, VGG16, Weights, check_weights


class Distance(nn.Module, ABC):
    """A distance of images that is quadratic for small differences, so that d / eps^2 has a limit.

    Attributes:
        name: As it is printed; it never claims more than is computed.
        official: Whether it is LPIPS with its published weights, by which alone a path length is called ppl.
    """

    name: str
    official: bool = False

    @abstractmethod
    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Distances of two batches of images (N, C, H, W) in [-1, 1]: (N,)."""


@final
class PyramidDistance(Distance):
    r"""Mean squared difference over the levels of the Laplacian pyramid; no weights.

    .. math:: d(x, y) = \frac{1}{L} \sum_{l=1}^{L} \operatorname{mean}_{chw} \bigl(L_l(x) - L_l(y)\bigr)^2

    The pyramid is linear, so the distance is a quadratic form of x - y: differentiable, exact in float64, and
    d / eps^2 along a straight path does not depend on eps. All levels count the same, whatever their number
    of pixels.

    Example:
        >>> x = torch.zeros(2, 1, 16, 16)
        >>> PyramidDistance()(x, x + 1)
        tensor([0.5000, 0.5000])
    """

    name = "pyramid distance"
    official = False

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Distances of two batches of images (N, C, H, W), of any size: (N,).

        Raises:
            InputError: The shapes differ, or the images are not (N, C, H, W) of floating point.
        """
        _check_pair(first, second)
        levels = laplacian_pyramid(first - second)
        return torch.stack([level.square().mean(dim=(1, 2, 3)) for level in levels]).mean(dim=0)


VGG_STAGES = ((0, 4), (4, 9), (9, 16), (16, 23), (23, 30))
"""Slices of VGG16's features that end at relu1_2, relu2_2, relu3_3, relu4_3 and relu5_3."""
VGG_CHANNELS = (64, 128, 256, 512, 512)
LPIPS_SHIFT = (-0.030, -0.088, -0.188)
LPIPS_SCALE = (0.458, 0.448, 0.450)
LPIPS_SMALLEST = 16
NORM_EPSILON = 1e-10


@final
class LPIPSDistance(Distance):
    r"""Learned perceptual image patch similarity, version 0.1 on VGG16, with weights from the user's files.

    .. math:: d(x, y) = \sum_l \operatorname{mean}_{hw} \sum_c w_{lc} (\hat f_{lc}(x) - \hat f_{lc}(y))^2

    with :math:`\hat f_l` the features after five activations of VGG16, of unit length over the channels.

    References:
        Zhang, Isola, Efros, Shechtman and Wang, The unreasonable effectiveness of deep features as a
        perceptual metric, CVPR 2018.

    Args:
        backbone: File of torchvision's VGG16 (``vgg16-397923af.pth``, or a safetensors file of it).
        heads: File of the LPIPS linear layers for VGG (``vgg.pth`` of version 0.1, or a safetensors file).
        backbone_sha256: Hash the first file must have; any, if None.
        heads_sha256: Hash the second file must have; any, if None.

    Attributes:
        name: ``LPIPS-VGG16`` if both are the published files; otherwise their hashes follow.
        official: Whether both are the published files.

    Raises:
        InputError: torchvision or a file is missing, a hash or the content is not what it should be.
    """

    shift: Tensor
    scale: Tensor

    def __init__(
        self,
        backbone: Path | str,
        heads: Path | str,
        *,
        backbone_sha256: str | None = None,
        heads_sha256: str | None = None,
    ) -> None:
        super().__init__()
        lower = VGG16.read(Path(backbone), backbone_sha256)
        upper = LPIPS_HEADS.read(Path(heads), heads_sha256)
        self.official = lower.official and upper.official
        hashes = f"{lower.sha256[:SHORT_HASH]} and {upper.sha256[:SHORT_HASH]}"
        self.name = "LPIPS-VGG16" if self.official else f"LPIPS-VGG16 with weights {hashes}"
        self.features = _vgg_features(lower)
        weights = _head_weights(upper)
        self.heads = nn.ParameterList(nn.Parameter(w, requires_grad=False) for w in weights)
        self.register_buffer("shift", torch.tensor(LPIPS_SHIFT).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(LPIPS_SCALE).view(1, 3, 1, 1))
        self.eval()

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Distances of two batches of images (N, 1 or 3, H, W) of at least 16 pixels: (N,).

        Grey images are repeated to three channels.

        Raises:
            InputError: The shapes differ, or the images are too small or have other numbers of channels.
        """
        _check_pair(first, second)
        if first.shape[1] not in (1, 3) or min(first.shape[2:]) < LPIPS_SMALLEST:
            raise InputError(
                f"LPIPS needs grey or RGB images of {LPIPS_SMALLEST} pixels or more, not "
                f"{tuple(first.shape[1:])}; use the pyramid distance"
            )
        x, y = (((image - self.shift) / self.scale) for image in (first, second))
        total = first.new_zeros(len(first))
        for (start, stop), head in zip(VGG_STAGES, self.heads, strict=True):
            stage = self.features[start:stop]
            x, y = stage(x), stage(y)
            difference = (_unit_length(x) - _unit_length(y)).square()
            total = total + (difference * head).sum(dim=1).mean(dim=(1, 2))
        return total


def _unit_length(features: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    return features / (norm + NORM_EPSILON)


def _check_pair(first: Tensor, second: Tensor) -> None:
    if first.shape != second.shape or first.ndim != 4:
        raise InputError(
            f"a distance needs two batches (N, C, H, W) of equal shape, not {tuple(first.shape)} and "
            f"{tuple(second.shape)}; resize one of them"
        )


def _vgg_features(weights: Weights) -> nn.Sequential:
    network = empty_vgg16("LPIPS", "perceptual", ", or use the pyramid distance")
    layers = list(network.get_submodule("features").children())
    features = nn.Sequential(*layers[: VGG_STAGES[-1][1]])
    prefix = "features."
    wanted = {prefix + name: value.shape for name, value in features.state_dict().items()}
    check_weights(weights.state, wanted, weights.path, "torchvision's VGG16")
    state = {name.removeprefix(prefix): weights.state[name].float() for name in wanted}
    features.load_state_dict(state, assign=True)
    for layer in features:
        if isinstance(layer, nn.ReLU):
            layer.inplace = False
    return features.requires_grad_(False)


def _head_weights(weights: Weights) -> list[Tensor]:
    names = [f"lin{index}.model.1.weight" for index in range(len(VGG_CHANNELS))]
    wanted = {
        name: torch.Size((1, channels, 1, 1)) for name, channels in zip(names, VGG_CHANNELS, strict=True)
    }
    check_weights(weights.state, wanted, weights.path, "LPIPS heads for VGG")
    return [weights.state[name].float().view(1, -1, 1, 1) for name in names]

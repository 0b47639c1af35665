"""Perceptual distances for the path length: one that needs no weights, and LPIPS when its weights are given.

Weights are never downloaded. A distance has a name, which is printed with every number made from it: path
lengths of different distances cannot be compared.
"""

import hashlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, final

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.metrics.pyramid import laplacian_pyramid


class Distance(nn.Module, ABC):
    """A distance of images that is quadratic for small differences, so that d / eps^2 has a limit."""

    name: ClassVar[str]

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
        backbone_sha256: Hash the first file must have; not checked if None.
        heads_sha256: Hash the second file must have; not checked if None.

    Raises:
        InputError: torchvision or a file is missing, a hash or the content is not what it should be.
    """

    name = "LPIPS-VGG16"
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
        self.features = _vgg_features(_read_weights(Path(backbone), backbone_sha256), Path(backbone))
        weights = _head_weights(_read_weights(Path(heads), heads_sha256), Path(heads))
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


def _read_weights(path: Path, sha256: str | None) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputError(
            f"no weights at {path}; download the file and give its path (nothing is downloaded for you)"
        )
    if sha256 is not None:
        found = _sha256(path)
        if found != sha256.lower():
            raise InputError(f"{path} has the hash {found}, not {sha256.lower()}; download it again")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state: object = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a foreign file fails in many ways that mean the same
        raise InputError(
            f"cannot read weights from {path} ({type(error).__name__}); download it again"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path} holds no state dict of tensors; give the file of the weights alone")
    return state


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _vgg_features(state: dict[str, Tensor], path: Path) -> nn.Sequential:
    try:
        from torchvision.models import vgg16
    except ImportError as error:
        raise InputError(
            "LPIPS needs torchvision; pip install 'riemann-noise-pytorch[perceptual]', "
            "or use the pyramid distance"
        ) from error
    with torch.device("meta"):
        features = vgg16(weights=None).features[: VGG_STAGES[-1][1]]
    prefix = "features."
    wanted = {prefix + name: value.shape for name, value in features.state_dict().items()}
    _check_weights(state, wanted, path, "torchvision's VGG16")
    features.load_state_dict({name.removeprefix(prefix): state[name].float() for name in wanted}, assign=True)
    for layer in features:
        if isinstance(layer, nn.ReLU):
            layer.inplace = False
    sequential = nn.Sequential(*features)
    return sequential.requires_grad_(False)


def _head_weights(state: dict[str, Tensor], path: Path) -> list[Tensor]:
    names = [f"lin{index}.model.1.weight" for index in range(len(VGG_CHANNELS))]
    wanted = {
        name: torch.Size((1, channels, 1, 1)) for name, channels in zip(names, VGG_CHANNELS, strict=True)
    }
    _check_weights(state, wanted, path, "LPIPS heads for VGG")
    return [state[name].float().view(1, -1, 1, 1) for name in names]


def _check_weights(state: dict[str, Tensor], wanted: dict[str, torch.Size], path: Path, what: str) -> None:
    for name, shape in wanted.items():
        if name not in state or state[name].shape != shape:
            found = f"shape {tuple(state[name].shape)}" if name in state else "nothing"
            raise InputError(
                f"{path} is no file of {what}: '{name}' should have shape {tuple(shape)}, "
                f"but there is {found}; give the right file"
            )

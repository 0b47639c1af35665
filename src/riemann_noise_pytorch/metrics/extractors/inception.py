"""Inception of 2015: the features of FID, KID and the Inception score.

The network is torch-fidelity's, with weights from the user's file; its batch norms are folded into the
convolutions, in float64, and its maps are stored with the channels last.
"""

import io
from pathlib import Path
from types import MappingProxyType
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.metrics.extractors.interfaces import Extractor
from riemann_noise_pytorch.metrics.extractors.resizing import resize_tensorflow1
from riemann_noise_pytorch.metrics.weights import INCEPTION, Weights, check_weights

SIZE = 299
SMALLEST = 4
STAGES = (
    *("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "MaxPool_1"),
    *("Conv2d_3b_1x1", "Conv2d_4a_3x3", "MaxPool_2"),
    *("Mixed_5b", "Mixed_5c", "Mixed_5d"),
    *("Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"),
    *("Mixed_7a", "Mixed_7b", "Mixed_7c", "AvgPool"),
)
"""The network's parts from the image to the pooled features, by their names in torch-fidelity."""


@final
class Inception(Extractor):
    """Inception V3 as of 2015-12-05: pooled features, and class logits without their bias.

    References:
        Szegedy, Vanhoucke, Ioffe, Shlens and Wojna, Rethinking the Inception architecture for computer
        vision, CVPR 2016; Heusel et al., GANs trained by a two time-scale update rule, NeurIPS 2017.

    Args:
        weights: File of the weights, as torch-fidelity publishes it, or a safetensors file of the same
            tensors; by default the one named by ``RIEMANN_NOISE_INCEPTION``.

    Raises:
        InputError: torch-fidelity or the file is missing, or the content is not what it should be.
    """

    key = "inception"
    resize = "bilinear to 299x299, corners as in TensorFlow 1"
    dimensions = MappingProxyType({"pool3": 2048, "logits_unbiased": 1008})
    smallest = SMALLEST

    def __init__(self, weights: Path | str | None = None) -> None:
        super().__init__()
        network = _empty_network()
        found = INCEPTION.read(INCEPTION.locate(weights))
        self.name = found.name("Inception-2015" if found.official else "Inception")
        self.official, self.weights_sha256 = found.official, found.sha256
        _fill(network, found)
        self.stages = nn.Sequential(*(network.get_submodule(stage) for stage in STAGES))
        self.classes = network.get_parameter("fc.weight")
        self.requires_grad_(False).to(memory_format=torch.channels_last).eval()

    def features_of(self, images: Tensor) -> dict[str, Tensor]:
        """Compute the features of checked RGB images, uint8 (N, 3, H, W)."""
        x = (resize_tensorflow1(images.float(), SIZE) - 128) / 128
        pooled: Tensor = self.stages(x.contiguous(memory_format=torch.channels_last)).flatten(1)
        return {"pool3": pooled, "logits_unbiased": pooled @ self.classes.T}


def _empty_network() -> nn.Module:
    """Build torch-fidelity's network without memory for its weights; it is given nothing to unpickle."""
    try:
        from torch_fidelity import FeatureExtractorInceptionV3
    except ImportError as error:
        raise InputError(
            "Inception needs torch-fidelity; pip install 'riemann-noise-pytorch[fidelity]'"
        ) from error

    class Empty(FeatureExtractorInceptionV3):  # type: ignore[misc]
        def load_state_dict(self, *_: object, **__: object) -> None:
            """Load nothing: the constructor demands a file of weights, and gets an empty one."""

    nothing = io.BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    with torch.device("meta"):
        network: nn.Module = Empty("inception", ["2048", "logits_unbiased"], nothing)
    return network


def _fill(network: nn.Module, weights: Weights) -> None:
    wanted = {
        name: value.shape
        for name, value in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    check_weights(weights.state, wanted, weights.path, "Inception of 2015")
    state = {name: weights.state[name].float() for name in wanted}
    nn.Module.load_state_dict(network, state, assign=True)
    for block in network.modules():
        conv, norm = getattr(block, "conv", None), getattr(block, "bn", None)
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            block.conv = fuse_conv_bn_eval(conv.double(), norm.double()).float()
            block.bn = nn.Identity()

"""DINOv2 from the user's own clone of its repository and the user's own weights.

torch.hub runs the clone's ``hubconf.py``: that is the code of whoever made the clone, chosen by the user.
The weights are read as tensors alone. Nothing is downloaded.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import final

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.errors import InputError, unknown_name
from riemann_noise_pytorch.metrics.extractors.interfaces import Extractor
from riemann_noise_pytorch.metrics.extractors.resizing import normalise_imagenet
from riemann_noise_pytorch.metrics.weights import DINOV2_L, DINOV2_ORIGIN, DINOV2_S, check_weights

SIZE = 224
SMALLEST = 8
XFORMERS_SWITCH = "XFORMERS_DISABLED"
REPOSITORY_OPTION = "--dinov2-repository"
REPOSITORY_VARIABLE = "RIEMANN_NOISE_DINOV2_REPOSITORY"
PUBLISHED = {"dinov2-vits14": DINOV2_S, "dinov2-vitl14": DINOV2_L}
WIDTHS = {"dinov2-vits14": 384, "dinov2-vitl14": 1024}
"""Sizes of the network by key; the larger is that of the published FD-DINOv2 values."""


@final
class DINOv2(Extractor):
    """DINOv2 with patches of 14 pixels: the class token's features, trained without labels.

    References:
        Oquab et al., DINOv2: learning robust visual features without supervision, TMLR 2024; Stein et al.,
        Exposing flaws of generative model evaluation metrics and their unfair treatment of diffusion
        models, NeurIPS 2023, whose bicubic resizing with antialiasing is taken.

    Args:
        key: ``dinov2-vits14`` (384 features) or ``dinov2-vitl14`` (1024).
        weights: File of the pretrained weights; by default the one named by ``RIEMANN_NOISE_DINOV2``.
        repository: Folder of a clone of ``facebookresearch/dinov2``; by default the one named by
            ``RIEMANN_NOISE_DINOV2_REPOSITORY``.

    Raises:
        InputError: The clone or the weights are missing, unusable, or do not fit each other.
    """

    resize = "bicubic with antialiasing to 224x224"
    smallest = SMALLEST
    dimensions: Mapping[str, int]

    def __init__(
        self, key: str, weights: Path | str | None = None, *, repository: Path | str | None = None
    ) -> None:
        super().__init__()
        if key not in PUBLISHED:
            raise unknown_name("size of DINOv2", key, PUBLISHED)
        published = PUBLISHED[key]
        folder = _clone(repository)
        found = published.read(published.locate(weights))
        self.key, self.dimensions = key, {"class_token": WIDTHS[key]}
        self.name, self.official = found.name(published.what), found.official
        self.weights_sha256 = found.sha256
        network = _from_clone(folder, key.replace("-", "_"))
        wanted = {name: value.shape for name, value in network.state_dict().items()}
        check_weights(found.state, wanted, found.path, published.what)
        network.load_state_dict({name: found.state[name].float() for name in wanted})
        self.network = network
        self.requires_grad_(False).eval()

    def features_of(self, images: Tensor) -> dict[str, Tensor]:
        """Compute the features of checked RGB images, uint8 (N, 3, H, W)."""
        x = images.float()
        if x.shape[2:] != (SIZE, SIZE):
            x = nn.functional.interpolate(x, (SIZE, SIZE), mode="bicubic", antialias=True)
        features: object = self.network(normalise_imagenet(x))
        wanted = (len(images), *self.dimensions.values())
        if not isinstance(features, Tensor) or tuple(features.shape) != wanted:
            kind = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
            raise InputError(f"the clone's network gives {kind}, not {wanted}; clone {DINOV2_ORIGIN} anew")
        return {"class_token": features.float()}


def _clone(given: Path | str | None) -> Path:
    path = given or os.environ.get(REPOSITORY_VARIABLE)
    if not path:
        raise InputError(
            f"DINOv2 needs a local clone of its repository: git clone {DINOV2_ORIGIN} from GitHub, and give "
            f"its folder by {REPOSITORY_OPTION} or {REPOSITORY_VARIABLE}; nothing is downloaded for you"
        )
    if not (Path(path) / "hubconf.py").is_file():
        raise InputError(
            f"{path} is no clone of {DINOV2_ORIGIN}: no hubconf.py in it; give the clone's folder"
        )
    return Path(path)


def _from_clone(folder: Path, entry: str) -> nn.Module:
    try:
        with torch.random.fork_rng(devices=[]), _without_xformers():
            network: object = torch.hub.load(  # type: ignore[no-untyped-call]
                str(folder), entry, source="local", pretrained=False
            )
    except Exception as error:  # the clone's code may fail in any way
        cause = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(
            f"the clone at {folder} does not give '{entry}' ({cause}); clone {DINOV2_ORIGIN} anew"
        ) from error
    if not isinstance(network, nn.Module):
        raise InputError(f"the clone at {folder} gives no network as '{entry}'; clone {DINOV2_ORIGIN} anew")
    return network


@contextlib.contextmanager
def _without_xformers() -> Iterator[None]:
    """Within the block, DINOv2's code takes torch's attention, which runs on every device."""
    before = os.environ.get(XFORMERS_SWITCH)
    os.environ[XFORMERS_SWITCH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[XFORMERS_SWITCH]
        else:
            os.environ[XFORMERS_SWITCH] = before

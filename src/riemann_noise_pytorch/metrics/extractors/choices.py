"""Extractors by name."""

from pathlib import Path
from typing import TYPE_CHECKING

from riemann_noise_pytorch.errors import InputError, unknown_name

if TYPE_CHECKING:
    import torch

    from riemann_noise_pytorch.metrics.extractors.interfaces import Extractor

RANDOM_CONV, INCEPTION, VGG16 = "random-conv", "inception", "vgg16"
EXTRACTORS = {
    RANDOM_CONV: "fixed random convolutions: no weights, works offline; not comparable with trained networks",
    INCEPTION: "Inception of 2015, for FID, KID and the Inception score; needs its published weights",
    VGG16: "VGG16 after its second fully connected layer, for precision and recall; torchvision's weights",
    "dinov2-vits14": "DINOv2 ViT-S/14, from your clone of its repository and your weights",
    "dinov2-vitl14": "DINOv2 ViT-L/14, as in published FD-DINOv2 values, likewise",
}
"""What each extractor is, in one line."""


def make_extractor(
    key: str,
    weights: Path | str | None = None,
    *,
    device: "torch.device | str" = "cpu",
    repository: Path | str | None = None,
) -> "Extractor":
    """Build an extractor.

    Args:
        key: One of :data:`EXTRACTORS`.
        weights: File of its weights; by default the one named by its environment variable
            (``RIEMANN_NOISE_INCEPTION``, ``RIEMANN_NOISE_VGG16``, ``RIEMANN_NOISE_DINOV2``).
        device: Where it computes.
        repository: Folder of a clone of DINOv2's repository, for that extractor alone; by default the one
            named by ``RIEMANN_NOISE_DINOV2_REPOSITORY``.

    Raises:
        InputError: The key is unknown, or what the extractor needs is missing or wrong; the message says
            what to download, where to put it and which hash it has.

    Example:
        >>> make_extractor("random-conv").name
        'random-conv'
    """
    if key not in EXTRACTORS:
        raise unknown_name("extractor", key, EXTRACTORS)
    if repository is not None and not key.startswith("dinov2"):
        raise InputError(f"{key} takes no repository; leave it out, or choose an extractor of DINOv2")
    return _build(key, weights, repository).to(device)


def _build(key: str, weights: Path | str | None, repository: Path | str | None) -> "Extractor":
    if key == RANDOM_CONV:
        from riemann_noise_pytorch.metrics.extractors.random_conv import RandomConv

        if weights is not None:
            raise InputError(f"{key} has no weights; leave the path out, or choose another extractor")
        return RandomConv()
    if key == INCEPTION:
        from riemann_noise_pytorch.metrics.extractors.inception import Inception

        return Inception(weights)
    if key == VGG16:
        from riemann_noise_pytorch.metrics.extractors import vgg16

        return vgg16.VGG16(weights)
    from riemann_noise_pytorch.metrics.extractors.dinov2 import DINOv2

    return DINOv2(key, weights, repository=repository)

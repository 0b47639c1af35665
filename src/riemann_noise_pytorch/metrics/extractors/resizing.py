"""The resizing that published extractors of features were calibrated with."""

from functools import lru_cache

import torch
from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def resize_tensorflow1(images: Tensor, size: int) -> Tensor:
    r"""Resize to a square by TensorFlow 1's bilinear interpolation, corners not aligned.

    .. math:: x'_{i} = x_{l} + (x_{l+1} - x_{l}) (i s - l), \qquad l = \lfloor i s \rfloor, \quad s = n / n'

    along the rows, then along the columns; the last pixel is repeated. Sample points start at the corner of
    the first pixel, not at its centre, and nothing is averaged when images shrink.

    References:
        Heusel, Ramsauer, Unterthiner, Nessler and Hochreiter, GANs trained by a two time-scale update rule
        converge to a local Nash equilibrium, NeurIPS 2017, whose network resizes so.

    Args:
        images: (N, C, H, W), float32.
        size: The new height and width.

    Returns:
        (N, C, size, size).

    Example:
        >>> resize_tensorflow1(torch.tensor([[[[0.0, 2.0], [4.0, 6.0]]]]), 4)[0, 0, 0]
        tensor([0., 1., 2., 2.])
    """
    for dim in (3, 2):
        if images.shape[dim] != size:
            images = _resize_along(images, dim, size)
    return images


def normalise_imagenet(images: Tensor) -> Tensor:
    """Subtract the mean and divide by the standard deviation of ImageNet's channels.

    Args:
        images: (N, 3, H, W), float32, in [0, 255].
    """
    mean, std = (
        torch.tensor([255 * value for value in values], device=images.device).view(1, -1, 1, 1)
        for values in (IMAGENET_MEAN, IMAGENET_STD)
    )
    return (images - mean) / std


def _resize_along(images: Tensor, dim: int, size: int) -> Tensor:
    low, high, share = _grid(images.shape[dim], size, images.device)
    first = images.index_select(dim, low)
    difference = images.index_select(dim, high).sub_(first)
    return first.add_(difference.mul_(share.view(-1, *(1,) * (3 - dim))))


@lru_cache(maxsize=16)
def _grid(length: int, size: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    points = torch.arange(size, dtype=torch.float32) * torch.tensor(length / size, dtype=torch.float32)
    low = points.long().clamp(max=length - 1)
    return low.to(device), (low + 1).clamp(max=length - 1).to(device), (points - low).to(device)

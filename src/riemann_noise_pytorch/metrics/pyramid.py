r"""The Laplacian pyramid: an image taken apart into levels of detail, without loss.

.. math:: L_l = G_l - \mathrm{up}(G_{l+1}), \qquad G_{l+1} = \mathrm{down}(G_l), \qquad G_0 = x

The last level is the coarsest image itself. ``down`` smooths with the binomial filter and drops every second
row and column; ``up`` puts zeros between and smooths with the filter doubled. At the border the image is
mirrored about its last row and column.

References:
    Burt and Adelson, The Laplacian pyramid as a compact image code, IEEE Trans. Communications 1983.
"""

from torch import Tensor
from torch.nn import functional

from riemann_noise_pytorch.errors import InputError

BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
SMALLEST = 8


def laplacian_pyramid(images: Tensor) -> list[Tensor]:
    """Take images apart into levels, the finest first, as long as the shorter side has 8 pixels or more.

    Args:
        images: (N, C, H, W), floating point, any scale.

    Returns:
        Levels (N, C, ceil(H / 2^l), ceil(W / 2^l)); differentiable, linear in the images.

    Raises:
        InputError: The images are not (N, C, H, W) of floating point.

    Example:
        >>> import torch
        >>> [tuple(level.shape[2:]) for level in laplacian_pyramid(torch.zeros(1, 3, 32, 32))]
        [(32, 32), (16, 16), (8, 8)]
    """
    if images.ndim != 4 or not images.is_floating_point():
        raise InputError(
            f"a pyramid needs floating-point images (N, C, H, W), not {images.dtype} of shape "
            f"{tuple(images.shape)}; convert them"
        )
    levels = []
    while (min(images.shape[2:]) + 1) // 2 >= SMALLEST:
        coarser = downsampled(images)
        levels.append(images - upsampled(coarser, (images.shape[2], images.shape[3])))
        images = coarser
    return [*levels, images]


def downsampled(images: Tensor) -> Tensor:
    """Smooth and keep every second row and column: (N, C, H, W) to (N, C, ceil(H / 2), ceil(W / 2))."""
    return _smoothed(images, 1.0, stride=2)


def upsampled(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Double to ``size``: (N, C, ceil(H / 2), ceil(W / 2)) to (N, C, H, W)."""
    spread = images.new_zeros((*images.shape[:2], *size))
    spread[:, :, ::2, ::2] = images
    return _smoothed(spread, 2.0, stride=1)


def _smoothed(images: Tensor, gain: float, stride: int) -> Tensor:
    n, c, h, w = images.shape
    taps = gain * images.new_tensor(BINOMIAL)
    planes = functional.pad(images.reshape(n * c, 1, h, w), (2, 2, 2, 2), mode="reflect")
    planes = functional.conv2d(planes, taps.view(1, 1, 5, 1), stride=(stride, 1))
    planes = functional.conv2d(planes, taps.view(1, 1, 1, 5), stride=(1, stride))
    return planes.reshape(n, c, *planes.shape[2:])

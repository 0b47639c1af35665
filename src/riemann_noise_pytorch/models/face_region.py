"""The region of an image where the face is, in sets of aligned faces such as FFHQ."""

from typing import Final

from torch import Tensor

from riemann_noise_pytorch.errors import InputError

EIGHTHS: Final = 8
"""The region's borders are eighths of the image."""


def face_region(images: Tensor) -> Tensor:
    """Crop images to the face: rows from 3/8 to 7/8 and columns from 2/8 to 6/8, as in StyleGAN's metrics.

    References:
        Karras, Laine and Aila, A style-based generator architecture for GANs, CVPR 2019, Section 4.1.

    Args:
        images: (N, C, H, W), at least 8 pixels high and wide.

    Returns:
        Their region, (N, C, 4 (H // 8), 4 (W // 8)).

    Raises:
        InputError: These are no images, or smaller ones.

    Example:
        >>> import torch
        >>> face_region(torch.zeros(1, 3, 32, 32)).shape
        torch.Size([1, 3, 16, 16])
    """
    if images.ndim != 4:
        raise InputError(
            f"the generator returns shape {tuple(images.shape)}, not images (N, C, H, W) to crop to faces; "
            "measure without crop, or reshape its output"
        )
    height, width = images.shape[2:]
    if min(height, width) < EIGHTHS:
        raise InputError(
            f"images of {height}x{width} are too small for the crop to the face, which takes {EIGHTHS} "
            "pixels or more; measure without crop, as ppl2 and mc without _crop do"
        )
    rows, columns = height // EIGHTHS, width // EIGHTHS
    return images[:, :, 3 * rows : 7 * rows, 2 * columns : 6 * columns]

"""Contact sheets: many images in one PNG."""

import math
import os

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from riemann_noise_pytorch.data.imageset import to_uint8
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.files import atomic_write

GREY = 128


def tile(images: Tensor, columns: int | None = None) -> Tensor:
    """Lay images side by side, row by row, without gaps.

    Args:
        images: (N, C, H, W), N at least 1.
        columns: Images in a row, N at most; None for the nearest to a square sheet. Places left over are 0.

    Returns:
        (C, rows * H, columns * W), same dtype.

    Raises:
        InputError: There are no images, or no columns.

    Example:
        >>> tile(torch.zeros(5, 3, 8, 8)).shape
        torch.Size([3, 16, 24])
    """
    if images.dim() != 4 or 0 in images.shape:
        raise InputError(f"a grid needs images (N, C, H, W), not {tuple(images.shape)}; give at least one")
    if columns is not None and columns < 1:
        raise InputError(f"a grid cannot have {columns} columns; give 1 or more")
    count, channels, height, width = images.shape
    across = min(columns or math.ceil(math.sqrt(count)), count)
    down = math.ceil(count / across)
    sheet = images.new_zeros((down * across, channels, height, width))
    sheet[:count] = images
    rows = sheet.view(down, across, channels, height, width)
    return rows.permute(2, 0, 3, 1, 4).reshape(channels, down * height, across * width)


def save_grid(
    images: Tensor,
    path: str | os.PathLike[str],
    columns: int | None = None,
    scale: int = 1,
    gap: int | None = None,
) -> None:
    """Write images as one PNG, whole or not at all.

    Args:
        images: (N, C, H, W) with C = 1 or 3: floats in [-1, 1], or uint8.
        path: The file; its folder is made if missing.
        columns: Images in a row; None for the nearest to a square sheet. Places left over are black.
        scale: Each pixel becomes a square of this side.
        gap: Grey pixels between neighbours, before scaling; None for a sixteenth of an image's width.

    Raises:
        InputError: The images are of another shape or type, a number is out of range, or the file cannot be
            written.
    """
    if scale < 1 or (gap is not None and gap < 0):
        raise InputError(f"a grid cannot have scale {scale} and gap {gap}; give 1 or more, and 0 or more")
    pixels = images.detach().cpu()
    pixels = pixels if pixels.dtype == torch.uint8 else to_uint8(pixels)
    space = max(1, pixels.shape[-1] // 16) if gap is None else gap
    sheet = tile(functional.pad(pixels, (0, space, 0, space), value=GREY), columns)
    sheet = sheet[:, : sheet.shape[1] - space, : sheet.shape[2] - space]
    if len(sheet) not in (1, 3):
        raise InputError(f"a PNG grid needs 1 or 3 channels, not {len(sheet)}; choose the channels to show")
    large = sheet.repeat_interleave(scale, 1).repeat_interleave(scale, 2)
    picture = Image.fromarray((large[0] if len(large) == 1 else large.permute(1, 2, 0)).numpy())
    with atomic_write(path) as temporary:
        picture.save(temporary, format="PNG")

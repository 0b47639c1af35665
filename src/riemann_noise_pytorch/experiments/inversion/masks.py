"""Which parts of the images count, and of which class they are."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from riemann_noise_pytorch.data.sources import locate
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.inversion.options import InvertConfig
from riemann_noise_pytorch.experiments.inversion.target_images import (
    OneFile,
    TargetImages,
    files_of,
    read_fitted,
)

MASK_FILTER = "box"
"""A pixel of a smaller mask is the share of the large one that counts there."""


def read_masks(mask: Path, names: Sequence[str], size: tuple[int, int], *, resize: bool) -> Tensor:
    """Read masks.

    Args:
        mask: A grey image for all, or a folder or ZIP with one for each, of the image's name.
        names: The images.
        size: (H, W) of the images; a mask is cropped and resized as images are.
        resize: False: a mask of another size is refused.

    Returns:
        (N, 1, H, W) in [0, 1], 1 where an image counts.

    Raises:
        InputError: There is no such mask, an image has none, or one cannot be used.
    """
    if locate(mask) is None:
        raise InputError(
            f"there is no mask at {mask}; give a grey image, or a folder or ZIP with one for each"
        )
    source, files = files_of(mask)
    shape = (1, *size)
    resize_filter = MASK_FILTER if resize else None
    if isinstance(source, OneFile):
        one = read_fitted(source, files[0], shape, resize_filter)
        return (one.float() / 255).expand(len(names), *shape).clone()
    by_name = {file.rpartition(".")[0]: file for file in files}
    missing = [name for name in names if name not in by_name]
    if missing:
        raise InputError(
            f"{mask} has no mask for image '{missing[0]}' ({len(missing)} such); add {missing[0]}.png there, "
            "or give one mask for all"
        )
    each = [read_fitted(source, by_name[name], shape, resize_filter) for name in names]
    return torch.stack(each).float() / 255


def classes_of(images: TargetImages, config: InvertConfig, classes: int) -> Tensor | None:
    """Choose the classes of images.

    Args:
        images: The images, which may have classes of their own.
        config: The options, which come first.
        classes: How many the generator has; 0 for none.

    Returns:
        int64 (N,); None for a generator without classes.

    Raises:
        InputError: Classes for a generator that has none, or none for one that has; too many or too few, or
            one that the generator does not have.
    """
    count, given = len(images.names), config.labels
    if not classes:
        if given is not None:
            raise InputError("--labels are given, but the generator has no classes; leave them out")
        return None
    if given is None and images.labels is None:
        raise InputError(
            f"the generator has {classes} classes, but nothing tells those of the images; give --labels, one "
            "for all or one for each, or put a dataset.json beside the images"
        )
    if given is not None and len(given) not in (1, count):
        raise InputError(f"--labels has {len(given)} classes for {count} images; give 1 or {count}")
    labels = images.labels if given is None else torch.tensor(given).expand(count).clone()
    assert labels is not None
    if int(labels.max()) >= classes:
        raise InputError(
            f"class {int(labels.max())} is asked for, but the generator has {classes}, from 0 to "
            f"{classes - 1}; correct --labels"
        )
    return labels

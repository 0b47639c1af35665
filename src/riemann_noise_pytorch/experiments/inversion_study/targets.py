"""What the study of inversion inverts: plain images, and hard ones made from them or of another kind."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, radians, sin
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from riemann_noise_pytorch.data.images import ImageSet, open_images, to_float, to_uint8
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.seeds import derive
from riemann_noise_pytorch.training.config import TrainConfig
from riemann_noise_pytorch.training.real_images import held_out_images, open_data

PLAIN: Final = "plain"
OCCLUDED: Final = "occluded"
HARD: Final = ("rotated", OCCLUDED, "off")
SELF: Final = "self"
KINDS: Final = (PLAIN, *HARD, SELF)
"""Kinds of targets, in the order of tables."""
DEGREES: Final = 30.0
GREY: Final = 128
"""What stands where a target is hidden; it counts for nothing."""


@dataclass(frozen=True, eq=False)
class Targets:
    """The targets that all generators share.

    Args:
        images: By kind, uint8 (N, C, H, W): what is to be reproduced.
        visible: uint8 (N, 1, H, W): 1 where an occluded target is seen, 0 where it is hidden.
        told: By kind, what they are, for tables and pages.
        held_out: Whether the trainings saw none of the images.
        source: Where the plain ones are from.
    """

    images: dict[str, Tensor]
    visible: Tensor
    told: dict[str, str]
    held_out: bool
    source: str


def make_targets(config: TrainConfig, count: int, seed: int) -> Targets:
    """Choose plain targets, turn them, hide a part of them, and take as many images of another kind.

    Args:
        config: A training of the comparison, with its data complete.
        count: How many of each kind.
        seed: Of every choice.

    Raises:
        InputError: There are not so many images, or none of another kind of that size.
    """
    kept = held_out_images(config)
    source = open_data(config, mirror=False) if kept is None else kept
    plain = _some(source, count, derive(seed, "plain"))
    other = _other(config.data, source.image_shape)
    visible = hidden_squares(count, source.image_shape[1:], derive(seed, "hidden"))
    images = {
        PLAIN: plain,
        "rotated": to_uint8(rotated(to_float(plain), DEGREES)),
        OCCLUDED: torch.where(visible.bool(), plain, GREY),
        "off": _some(other, count, derive(seed, "off")),
    }
    seen = "which the trainings saw, for the comparison kept none out"
    told = {
        PLAIN: f"drawn from {source.name}, {seen if kept is None else 'which no training saw'}",
        "rotated": f"the plain ones turned by {DEGREES:g} degrees counter-clockwise, bilinear, what comes in "
        "from outside filled with the median of the image's edge",
        OCCLUDED: "the plain ones with a square of half their side hidden, at a place drawn for each; the "
        "loss does not see it, the scores are of the whole image",
        "off": f"drawn from {other.name}, which are not what the generators learned",
        SELF: "samples of the generator itself, under the noise that it is inverted with",
    }
    return Targets(images, visible, told, kept is not None, source.name)


def rotated(images: Tensor, degrees: float) -> Tensor:
    """Turn images counter-clockwise around their centre, bilinearly; what comes in from outside is flat.

    Args:
        images: Floating point (N, C, H, W).
        degrees: The angle.

    Returns:
        The same shape; corners have the median of each image's and channel's outermost pixels.

    Example:
        >>> image = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]).view(1, 1, 3, 3)
        >>> rotated(image, 90)[0, 0].round(decimals=4).abs()
        tensor([[0., 1., 0.],
                [0., 0., 0.],
                [0., 0., 0.]])
    """
    fill = _edge(images).median(dim=2).values[..., None, None]
    height, width = images.shape[2:]
    c, s = cos(radians(degrees)), sin(radians(degrees))
    # the grid's coordinates run from -1 to 1 on both sides, whatever the shape
    turn = images.new_tensor([[c, -s * height / width, 0], [s * width / height, c, 0]])
    grid = functional.affine_grid(turn.expand(len(images), 2, 3), list(images.shape), align_corners=False)
    turned: Tensor = functional.grid_sample(
        images - fill, grid, mode="bilinear", padding_mode="zeros", align_corners=False
    )
    return turned + fill


def hidden_squares(count: int, size: Sequence[int], seed: int) -> Tensor:
    """Masks with a square of half the shorter side hidden, anywhere inside: uint8 (count, 1, H, W).

    Args:
        count: How many.
        size: (H, W).
        seed: Of the places.

    Example:
        >>> hidden_squares(3, (16, 16), 0).sum(dim=(1, 2, 3)).tolist()
        [192, 192, 192]
    """
    height, width = size
    side = max(1, min(height, width) // 2)
    generator = torch.Generator().manual_seed(seed)
    visible = torch.ones(count, 1, height, width, dtype=torch.uint8)
    for mask in visible:
        top, left = (
            int(torch.randint(whole - side + 1, (), generator=generator)) for whole in (height, width)
        )
        mask[:, top : top + side, left : left + side] = 0
    return visible


def _some(images: ImageSet, count: int, seed: int) -> Tensor:
    if len(images) < count:
        raise InputError(
            f"{count} targets were asked for, but {images.name} has {len(images)} images; "
            f"give --images {len(images)} or fewer"
        )
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    return images.batch(order[:count])


def _other(data: str, shape: tuple[int, int, int]) -> ImageSet:
    """Images of another kind than the data, of their shape: photographs for digits, digits for all else."""
    channels, *size = shape
    name = "photos" if data == "digits" else "digits"
    return open_images(name, resolution=(size[0], size[1]), channels=channels)


def _edge(images: Tensor) -> Tensor:
    """The outermost pixels, (N, C, pixels)."""
    sides = (images[..., 0, :], images[..., -1, :], images[..., 1:-1, 0], images[..., 1:-1, -1])
    return torch.cat(sides, dim=2)

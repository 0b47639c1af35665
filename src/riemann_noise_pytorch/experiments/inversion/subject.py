"""What an inversion has to know of a generator: its images, its spaces, its noise."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.evaluation.drawing import ENOUGH, Draws
from riemann_noise_pytorch.experiments.targets import Target
from riemann_noise_pytorch.inversion.held import held
from riemann_noise_pytorch.models.latent_space import Space, labels_for
from riemann_noise_pytorch.noise.control import noise_layers

LOOKED_AT_ONCE = 20


@final
@dataclass(frozen=True)
class Subject:
    """A generator as inversion sees it.

    Args:
        image_shape: (C, H, W).
        spaces: Of z, w and w+ those that it has.
        maps: Noise layers whose noise is a map, by name, with their planes (P, H, W); these can be optimised.
        draws: How many noise layers draw at all.
        strengths: Learned strength of every noise layer.
    """

    image_shape: tuple[int, int, int]
    spaces: tuple[Space, ...]
    maps: dict[str, tuple[int, ...]]
    draws: int
    strengths: dict[str, float]


def subject_of(target: Target) -> Subject:
    """Look at a generator.

    Args:
        target: From :func:`~riemann_noise_pytorch.experiments.targets.open_target`.

    Raises:
        InputError: It is a set of images, does not take latents, or makes no images.
    """
    if target.generator is None:
        raise InputError(
            f"{target.name} is a set of images; give a run, a snapshot or a callable to invert by"
        )
    labels = torch.zeros(2, dtype=torch.int64) if target.classes else None
    with held(target.generator, z_dim=target.z_dim, module=target.module) as still:
        _, images = still.look("z", labels)
        if images.ndim != 4 or not images.is_floating_point():
            raise InputError(
                f"{target.name} returns {images.dtype} of shape {tuple(images.shape)}; return floating-point "
                "images (N, C, H, W) in [-1, 1]"
            )
        spaces: list[Space] = ["z"]
        higher: tuple[Space, ...] = ("w", "w+")
        for space in higher:
            try:
                still.look(space, labels)
            except InputError:  # the recipe that needs it says why
                break
            spaces.append(space)
        maps: dict[str, tuple[int, ...]] = {
            name: place.shape for name, place in still.places.items() if len(place.shape) == 3
        }
        draws = len(still.places)
    module = target.module
    layers = {} if module is None else noise_layers(module)
    channels, height, width = images.shape[1:]
    return Subject(
        (channels, height, width),
        tuple(spaces),
        maps,
        draws,
        {name: float(layer.strength()) for name, layer in layers.items()},
    )


def try_out(
    target: Target, spaces: Iterable[Space], labels: Tensor | None, image_shape: tuple[int, int, int]
) -> None:
    """Refuse a generator that cannot be inverted in some spaces, before anything is written.

    Raises:
        InputError: Its images have no gradient, or depend on the call or on the rest of the batch.
    """
    assert target.generator is not None
    with held(target.generator, z_dim=target.z_dim, module=target.module) as still:
        for space in dict.fromkeys(spaces):
            still.try_out(space, labels, image_shape)


def range_warning(target: Target) -> str:
    """What to say of a callable whose images are not in [-1, 1]; empty if there is nothing to say.

    Raises:
        NonFiniteError: An image is not finite.
    """
    if target.kind != "callable" or target.generator is None:
        return ""
    draws = Draws(target, 0, labels=labels_for(target.generator, None, 0)[0])
    for first in range(0, ENOUGH, LOOKED_AT_ONCE):
        draws(first, LOOKED_AT_ONCE)
    return draws.range_warning

r"""Mixtures of Gaussians in a plane, and the plane in space: data of fewer dimensions than what they live in.

A point of the plane is embedded in three dimensions by a rotation and a shift,

.. math:: x = R\,(u_1, u_2, 0)^T + (1, 1, 1)^T / \sqrt 3

with R the rotation by :math:`\pi/4` about :math:`(1, -1, 0) / \sqrt 2`, right-handed. Real points
then lie in a set of volume zero, and a discriminator that finds the plane can tell them from all others.

References:
    Roth, Lucchi, Nowozin and Hofmann (2017), Stabilizing training of generative adversarial networks through
    regularization, arXiv:1705.09367, Figure 1.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor

from riemann_noise_pytorch.errors import unknown_name
from riemann_noise_pytorch.experiments.toy.options import Ambient

ANGLE: Final = math.pi / 4
SPACE: Final = 3


@dataclass(frozen=True)
class Mixture:
    """Gaussians of equal weight and deviation in a plane.

    Attributes:
        name: Its name.
        centres: Of the Gaussians in the plane, (K, 2).
        std: Deviation of each in both directions.
        ambient: 2 for the plane itself, 3 for the plane embedded in space.
    """

    name: str
    centres: Tensor
    std: float
    ambient: Ambient = 3

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw points, (count, ambient)."""
        which = torch.randint(len(self.centres), (count,), generator=generator)
        noise = torch.randn(count, 2, generator=generator, dtype=self.centres.dtype)
        return self.embed(self.centres[which] + self.std * noise)

    def embed(self, points: Tensor) -> Tensor:
        """Move points of the plane (..., 2) to where they lie, (..., ambient)."""
        if self.ambient == 2:
            return points
        return points @ _rotation(points)[:, :2].T + _shift(points)

    def coordinates(self, points: Tensor) -> Tensor:
        """Project points (..., ambient) on the plane: coordinates within it, (..., 2)."""
        return points if self.ambient == 2 else (points - _shift(points)) @ _rotation(points)[:, :2]

    def height(self, points: Tensor) -> Tensor:
        """The distance of points (..., ambient) from the plane, (...); 0 where the plane is all there is."""
        if self.ambient == 2:
            return torch.zeros_like(points[..., 0])
        return ((points - _shift(points)) @ _rotation(points)[:, 2]).abs()


def _rotation(like: Tensor) -> Tensor:
    """Rodrigues' formula about (1, -1, 0) / sqrt 2."""
    root = math.sqrt(0.5)
    cross = torch.tensor([[0, 0, -root], [0, 0, -root], [root, root, 0]], dtype=torch.float64)
    turn = torch.eye(3, dtype=torch.float64) + math.sin(ANGLE) * cross + (1 - math.cos(ANGLE)) * cross @ cross
    return turn.to(like)


def _shift(like: Tensor) -> Tensor:
    return like.new_full((SPACE,), 1 / math.sqrt(3))


def make_mixture(name: str, ambient: Ambient = 3) -> Mixture:
    """Build a mixture by name.

    Args:
        name: ``ring`` (seven Gaussians at (sin t, cos t), deviation 0.01), ``grid25`` (5 x 5, 0.5 apart,
            0.02), ``moons`` (two half circles of 12 Gaussians each, 0.08) or ``spiral`` (40 Gaussians, 0.04).
        ambient: 3 to embed the plane in space, 2 to leave it as it is.

    Returns:
        The mixture, in float32.

    Raises:
        InputError: There is no mixture of that name; the nearest is suggested.

    Example:
        >>> make_mixture("ring").centres.shape, make_mixture("grid25", ambient=2).std
        (torch.Size([7, 2]), 0.02)
    """
    if name not in MIXTURES:
        raise unknown_name("mixture", name, MIXTURES)
    centres, std = MIXTURES[name]
    return Mixture(name, centres().float(), std, ambient)


def _ring() -> Tensor:
    angle = torch.arange(7, dtype=torch.float64) * (2 * math.pi / 7)
    return torch.stack([angle.sin(), angle.cos()], dim=1)


def _grid() -> Tensor:
    side = torch.linspace(-1, 1, 5, dtype=torch.float64)
    return torch.cartesian_prod(side, side)


def _moons() -> Tensor:
    """Two half circles of radius 1, interleaved, centred on the origin and scaled to fit [-1, 1]."""
    angle = torch.linspace(0, math.pi, 12, dtype=torch.float64)
    upper = torch.stack([angle.cos(), angle.sin()], dim=1)
    lower = torch.stack([1 - angle.cos(), 0.5 - angle.sin()], dim=1)
    return (torch.cat([upper, lower]) - torch.tensor([0.5, 0.25])) / 1.5


def _spiral() -> Tensor:
    """Archimedes' spiral of 1.6 turns, its centres about equally far apart along it."""
    radius = torch.linspace(0.04, 1, 40, dtype=torch.float64).sqrt()
    angle = 4 * math.pi * radius
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)


MIXTURES: Mapping[str, tuple[Callable[[], Tensor], float]] = MappingProxyType(
    {"ring": (_ring, 0.01), "grid25": (_grid, 0.02), "moons": (_moons, 0.08), "spiral": (_spiral, 0.04)}
)
"""Centres and deviation of every mixture."""

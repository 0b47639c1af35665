"""The manifolds on which Theorems 2-4 are tried: closed forms, a graph, and a manifold of images."""

from dataclasses import dataclass

import torch
from torch import Tensor

from riemann_noise_pytorch.data.manifold import ManifoldRenderer
from riemann_noise_pytorch.geometry.immersion import Immersion
from riemann_noise_pytorch.geometry.manifolds import FlatTorus, Manifold, Sphere

IMAGE_DIMENSION, IMAGE_SHAPE = 3, (1, 16, 16)
STEPS = 8
"""Radii are small, so few steps do; a round trip is exact with any."""


@dataclass(frozen=True)
class Place:
    """A point of a manifold.

    Attributes:
        name: What the manifold is called.
        manifold: It.
        mu: The point.
        unit: A length about as long as the coordinates are wide there, in which radii are given.
    """

    name: str
    manifold: Manifold
    mu: Tensor
    unit: float


def saddle(u: Tensor) -> Tensor:
    """The graph z = x^2 - y^2 / 2, (2,) -> (3,)."""
    return torch.stack([u[0], u[1], u[0].square() - u[1].square() / 2])


def image_manifold(steps: int = STEPS) -> Immersion:
    """Images of three intrinsic dimensions, as a manifold in the space of their pixels."""
    renderer = ManifoldRenderer(IMAGE_DIMENSION, IMAGE_SHAPE)
    return Immersion(
        lambda u: renderer.render(u.unsqueeze(0)), IMAGE_DIMENSION, bounds=(-0.5, 0.5), steps=steps
    )


def places(seed: int) -> list[Place]:
    """One point on each manifold."""
    graph, images = Immersion(saddle, 2, bounds=(-1.0, 1.0), steps=STEPS), image_manifold()
    manifolds = {"sphere": Sphere(2), "flat torus": FlatTorus(2), "saddle": graph, "images": images}
    return [
        Place(name, manifold, mu := manifold.random_points(1, seed)[0], _unit(manifold, mu))
        for name, manifold in manifolds.items()
    ]


def _unit(manifold: Manifold, mu: Tensor) -> float:
    """The smallest singular value of the differential: such a step moves coordinates by 1 at most."""
    if not isinstance(manifold, Immersion):
        return 1.0
    return float(torch.linalg.matrix_norm(manifold.differential(mu), ord=-2))

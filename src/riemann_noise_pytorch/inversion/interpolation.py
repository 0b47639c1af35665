r"""From one inverted image to another: points of the way between their latents, and between their noise maps.

.. math::

    w_t = (1 - t)\, w_0 + t\, w_1, \qquad
    z_t = \frac{\sin((1 - t) \theta)}{\sin\theta} z_0 + \frac{\sin(t \theta)}{\sin\theta} z_1, \qquad
    n_t = \frac{(1 - t)\, n_0 + t\, n_1}{\sqrt{(1 - t)^2 + t^2}}

with theta the angle between the two z: a straight line in w, along a great circle in z, and with the variance
of white noise kept in noise maps.

References:
    White (2016), Sampling generative networks, arXiv:1609.04468, for z.
"""

import torch
from torch import Tensor

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.models.latent_space import Space

FLAT = 1e-4
"""Below this sine of the angle a great circle is taken for a line."""


def latents_between(first: Tensor, second: Tensor, space: Space, points: int) -> Tensor:
    """Points of the way from one latent to another, both ends included.

    Args:
        first: (z_dim,), (w_dim,) or (rows, w_dim).
        second: Of the same shape.
        space: ``z``, ``w`` or ``w+``.
        points: How many, 2 or more.

    Returns:
        (points, ...).

    Raises:
        InputError: The shapes differ, or there are fewer than 2 points.

    Example:
        >>> latents_between(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), "z", 3)[1]
        tensor([0.7071, 0.7071])
    """
    t = _shares(first, second, points)
    if space != "z":
        return (1 - t) * first + t * second
    cosine = (first * second).sum() / (first.norm() * second.norm()).clamp(min=torch.finfo(first.dtype).tiny)
    angle = cosine.clamp(-1, 1).acos()
    if angle.sin() < FLAT:
        return (1 - t) * first + t * second
    way: Tensor = (((1 - t) * angle).sin() * first + (t * angle).sin() * second) / angle.sin()
    return way


def noise_between(first: Tensor, second: Tensor, points: int) -> Tensor:
    """Noise maps of the way from one to another, with the variance of independent maps kept.

    Args:
        first: The maps of a layer, (P, H, W).
        second: Of the same shape.
        points: How many, 2 or more.

    Returns:
        (points, P, H, W).

    Raises:
        InputError: The shapes differ, or there are fewer than 2 points.
    """
    t = _shares(first, second, points)
    return ((1 - t) * first + t * second) / ((1 - t).square() + t.square()).sqrt()


def _shares(first: Tensor, second: Tensor, points: int) -> Tensor:
    if first.shape != second.shape:
        raise InputError(
            f"there is no way from shape {tuple(first.shape)} to {tuple(second.shape)}; give two of one space"
        )
    if points < 2:
        raise InputError(f"a way of {points} points has no two ends; give 2 or more")
    return torch.linspace(0, 1, points, dtype=first.dtype, device=first.device).view(-1, *(1,) * first.ndim)

"""Theorems 2 and 3: normal coordinates, and the tangent plane to first order."""

import math

import torch
from torch import Tensor

from riemann_noise_pytorch.experiments.theory.options import TheoryConfig
from riemann_noise_pytorch.experiments.theory.statement import Statement, curve, slope_guide
from riemann_noise_pytorch.experiments.theory.surfaces import Place, places
from riemann_noise_pytorch.geometry.exponential import (
    geodesic_ball,
    normal_coordinates,
    tangent_error,
    unit_ball,
)

ROUND_TRIP = 1e-9
"""The round trip solves for coordinates to 1e-12 of their size, and starts from a thousandth of it."""
ORDER_WITHIN = 0.1


def theorem2(config: TheoryConfig) -> Statement:
    """Go out along geodesics and come back, from small balls to large ones."""
    lengths = torch.logspace(-3, math.log10(0.5), 3 if config.quick else 6, dtype=torch.float64)
    directions = 4 if config.quick else 12
    curves = [
        curve(place.name, lengths, _round_trips(place, lengths, directions)) for place in places(config.seed)
    ]
    worst = max(max(one.y) for one in curves)
    return Statement(
        name="Theorem 2",
        statement="The exponential map leads a ball of the tangent space one to one onto a geodesic ball; "
        "its inverse gives normal coordinates (Eqs. 6-7).",
        experiment=f"{directions} points of balls of growing radius out by the exponential map and back by "
        "its inverse, on a sphere, a flat torus, a saddle and a manifold of images",
        measured=f"largest relative error of a round trip {worst:.1e}",
        expected=f"below {ROUND_TRIP:.0e}",
        holds=worst < ROUND_TRIP,
        x_label="radius, in units of the coordinates",
        y_label="relative error",
        curves=tuple(curves),
    )


def theorem3(config: TheoryConfig) -> Statement:
    """Measure how far the tangent ball is from the geodesic ball, and with which power of the radius."""
    radii = torch.logspace(-2.5, -0.7, 3 if config.quick else 7, dtype=torch.float64)
    curves, orders = [], {}
    for place in places(config.seed):
        found = tangent_error(
            place.manifold,
            place.mu,
            place.unit * radii,
            directions=8 if config.quick else 24,
            seed=config.seed,
        )
        orders[place.name] = found.order
        curves.append(curve(place.name, radii, found.errors / place.unit))
    return Statement(
        name="Theorem 3",
        statement="The exponential map is the identity to first order, so a geodesic ball is mu + r T(mu) "
        "epsilon up to o(r) (Eqs. 8-12).",
        experiment="largest distance between the tangent ball and the geodesic ball over radii r, on a "
        "sphere, a flat torus, a saddle and a manifold of images",
        measured="orders " + ", ".join(f"{order:.2f} ({name})" for name, order in orders.items()),
        expected=f"above 1 for o(r); 2 within {ORDER_WITHIN:g} on smooth manifolds",
        holds=all(abs(order - 2) <= ORDER_WITHIN for order in orders.values()),
        x_label="radius r, in units of the coordinates",
        y_label="error, in the same units",
        curves=(*curves, slope_guide(radii, 2, max(one.y[-1] for one in curves))),
        remark="The paper claims o(r) only; the error is half the normal curvature times r squared.",
    )


def _round_trips(place: Place, lengths: Tensor, directions: int) -> Tensor:
    """The largest relative error of normal coordinates, by length."""
    drawn = unit_ball(directions, place.manifold.dimension)
    unit = drawn / drawn.norm(dim=1, keepdim=True)
    sizes = place.unit * lengths.repeat_interleave(directions).unsqueeze(1)
    out = sizes * unit.repeat(len(lengths), 1)
    x = geodesic_ball(place.manifold, place.mu, 1.0, out)
    back = normal_coordinates(place.manifold, place.mu, x)
    errors: Tensor = (back - out).norm(dim=1) / sizes.squeeze(1)
    return errors.view(len(lengths), -1).amax(dim=1)

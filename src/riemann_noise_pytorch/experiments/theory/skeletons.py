"""Theorem 4: finitely many representative pairs approximate a compact manifold."""

import math

import torch

from riemann_noise_pytorch.experiments.theory.options import TheoryConfig
from riemann_noise_pytorch.experiments.theory.statement import Statement, curve, slope_guide
from riemann_noise_pytorch.experiments.theory.surfaces import STEPS, saddle
from riemann_noise_pytorch.geometry.immersion import Immersion
from riemann_noise_pytorch.geometry.manifolds import FlatTorus, Manifold, Sphere
from riemann_noise_pytorch.geometry.skeleton import polyhedron_error

LEAST_ORDER = 1.5
"""Above the 1 of errors that are no smaller than r, by more than the luck of where centres fall."""
EVEN = ("circle", "sphere")
"""Manifolds that bend alike everywhere and in all directions: there luck has no part in the order."""
ORDER_WITHIN = 0.1
COMPACT: dict[str, tuple[Manifold, float, float]] = {
    "circle": (FlatTorus(1), 0.1, 0.8),
    "sphere": (Sphere(2), 0.3, 0.9),
    "flat torus": (FlatTorus(2), 0.6, 1.4),
    "saddle": (Immersion(saddle, 2, bounds=(-1.0, 1.0), steps=STEPS), 0.3, 0.8),
}
"""Manifolds with the smallest and the largest radius."""


def theorem4(config: TheoryConfig) -> Statement:
    """Cover compact manifolds by tangent balls of falling radius."""
    number, candidates = (3, 4096) if config.quick else (6, 16_384)
    curves, orders, counts = [], {}, {}
    for name, (manifold, low, high) in COMPACT.items():
        radii = torch.logspace(math.log10(low), math.log10(high), number, dtype=torch.float64)
        found = polyhedron_error(manifold, radii, candidates=candidates, seed=config.seed)
        orders[name], counts[name] = found.order, int(found.counts.max())
        curves.append(curve(name, found.covering, found.errors))
    widest = torch.tensor([x for one in curves for x in one.x])
    return Statement(
        name="Theorem 4",
        statement="Finitely many points of a compact manifold, with their representative pairs, approximate "
        "it with a local error of o(r).",
        experiment="centres farthest first until balls of falling radius cover the manifold; of 2,048 other "
        "points of it, the largest distance to a centre, r, and to the tangent ball of the nearest one",
        measured="orders "
        + ", ".join(f"{order:.2f} ({name}, up to {counts[name]} centres)" for name, order in orders.items()),
        expected=f"above 1 for o(r), here {LEAST_ORDER:g} or more; 2 within {ORDER_WITHIN:g} on "
        f"{' and '.join(EVEN)}, which bend alike everywhere",
        holds=all(
            order >= LEAST_ORDER and (name not in EVEN or abs(order - 2) <= ORDER_WITHIN)
            for name, order in orders.items()
        ),
        x_label="radius r that the centres cover",
        y_label="largest distance to the skeleton's balls",
        curves=(*curves, slope_guide(widest, 2, max(max(one.y) for one in curves))),
        remark="Where the curvature varies, the worst point is now at a flat and now at a bent place, which "
        "moves the order about 2 by some tenths: over few radii this experiment cannot tell it better.",
    )

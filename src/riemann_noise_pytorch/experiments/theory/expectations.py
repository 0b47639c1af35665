"""Theorem 5: noise makes a map smooth in expectation, on the noise layers of this package."""

import torch
from torch import Tensor
from torch.func import jacfwd, vmap

from riemann_noise_pytorch.experiments.theory.options import TheoryConfig
from riemann_noise_pytorch.experiments.theory.statement import Curve, Statement, curve
from riemann_noise_pytorch.geometry.lipschitz import (
    ExpectedDistances,
    MeanAndScale,
    expected_distances,
    mean_and_scale,
)
from riemann_noise_pytorch.noise.interfaces import NoiseLayer
from riemann_noise_pytorch.noise.layers import EuclideanNoise, RiemannNoise
from riemann_noise_pytorch.noise.pairs import counted_normal
from riemann_noise_pytorch.seeds import derive

FEATURES = (4, 4, 4)
STRENGTHS = (0.2, 0.1, 0.05)
ALONG = 9
"""Points of a segment at which the slope of f is measured."""


def theorem5(config: TheoryConfig) -> Statement:
    """Compare mean distances of noisy features with the distances of what they came from."""
    x, y = _pairs(12 if config.quick else 48, config.seed)
    curves, found = [], {}
    for kind in ("euclidean", "riemannian"):
        layers = [_layer(kind, strength) for strength in STRENGTHS]
        found[kind] = [_measured(layer, x, y, config) for layer in layers]
        widest = found[kind][0]
        curves += [curve(f"{kind}, E|g(x) - g(y)|", widest.distances, widest.expected), _line(kind, widest)]
    every = [one for kind in found.values() for one in kind]
    slopes = ", ".join(f"{kind} L = {ones[0].constant:.2f}" for kind, ones in found.items())
    shares = [[one.remainder / ones[0].remainder for one in ones] for ones in found.values()]
    return Statement(
        name="Theorem 5",
        statement="With noise whose scale goes to 0, the mean distance of noisy images of two points is at "
        "most L times their own distance plus o(1).",
        experiment=f"{len(x)} pairs of features at distances from 0.001 to 3, Euclidean and Riemannian noise "
        f"of strength {', '.join(f'{s:g}' for s in STRENGTHS)}, independent for the two points; L is the "
        "largest slope of f = [mu, sigma] on the segments between them",
        measured=f"{slopes}; largest share of the bound that is reached {_reached(every)}; remainder at "
        f"half the noise {shares[0][1]:.2f} and {shares[1][1]:.2f} of the whole",
        expected="at most 1 but for chance, and a remainder that goes to 0 with the noise",
        holds=all(one.holds for one in every) and all(share[-1] < 0.5 for share in shares),
        x_label="|x - y|",
        y_label="mean distance of noisy features",
        curves=tuple(curves),
        remark="With the same noise for both points no remainder is needed: the mean is at most L |x - y|.",
    )


def _layer(kind: str, strength: float) -> NoiseLayer:
    """A layer with noise of a given strength; the Riemannian one follows the features."""
    if kind == "euclidean":
        return EuclideanNoise(strength=strength, planes="per_channel", dtype=torch.float64)
    return RiemannNoise(FEATURES[1:], A=1.0, w=strength, planes="per_channel", dtype=torch.float64)


def _measured(layer: NoiseLayer, x: Tensor, y: Tensor, config: TheoryConfig) -> ExpectedDistances:
    f = mean_and_scale(layer)
    return expected_distances(
        f, x, y, constant=_largest_slope(f, x, y), noise_shape=layer.noise_shape,
        draws=64 if config.quick else 512, seed=config.seed,
    )  # fmt: skip


def _pairs(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Pairs of features, each at its own distance."""
    x, step = (counted_normal(derive(seed, name), 0, (count, *FEATURES)) for name in ("x", "step"))
    lengths = torch.logspace(-3, 0.5, count, dtype=torch.float64)
    return x, x + step * (lengths / step.flatten(1).norm(dim=1)).view(-1, 1, 1, 1)


def _largest_slope(f: MeanAndScale, x: Tensor, y: Tensor) -> float:
    """The largest singular value of the Jacobian of f on the segments: the mean value inequality."""

    def both(point: Tensor) -> Tensor:
        return torch.cat([part.flatten() for part in f(point.unsqueeze(0))])

    slopes = vmap(jacfwd(both), chunk_size=32)
    shares = torch.linspace(0, 1, ALONG, dtype=torch.float64)
    norms = [
        torch.linalg.matrix_norm(slopes(x + t * (y - x)).detach().flatten(2), ord=2).amax() for t in shares
    ]
    return float(max(norms))


def _line(kind: str, found: ExpectedDistances) -> Curve:
    return curve(f"{kind}, bound", found.distances, found.lines, "guide")


def _reached(every: list[ExpectedDistances]) -> str:
    """The largest share of the bound, with its standard error."""
    shares = torch.cat([one.expected / one.lines for one in every])
    errors = torch.cat([one.errors / one.lines for one in every])
    largest = int(shares.argmax())
    return f"{float(shares[largest]):.3f} (standard error {float(errors[largest]):.3f})"

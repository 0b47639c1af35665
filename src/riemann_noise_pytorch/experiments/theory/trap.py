"""Theorem 1: a generator of too few dimensions pays in its Jacobian or in its distance from the data."""

import math
from functools import partial

import torch
from torch import Tensor
from torch.func import jacfwd, vmap

from riemann_noise_pytorch.experiments.theory.options import TheoryConfig
from riemann_noise_pytorch.experiments.theory.statement import Statement, curve
from riemann_noise_pytorch.experiments.theory.trained import trained_generators
from riemann_noise_pytorch.geometry.divergence import TRAP_FLOOR, js_lower_bound
from riemann_noise_pytorch.noise.pairs import counted_normal
from riemann_noise_pytorch.seeds import derive


def theorem1(config: TheoryConfig) -> Statement:
    """Draw a square with one line, ever more finely: rank 1 for data of 2 dimensions."""
    strokes = (1, 16) if config.quick else (1, 2, 4, 8, 16, 32)
    count, epochs = (1500, 30) if config.quick else (6000, 60)
    square = 2 * torch.special.ndtr(counted_normal(derive(config.seed, "square"), 0, (count, 2))) - 1
    z = counted_normal(derive(config.seed, "line"), 0, (count, 1))
    norms, bounds = [], []
    for number in strokes:
        line = partial(_line, strokes=number)
        slopes = vmap(jacfwd(line))(z)
        norms.append(float(torch.linalg.matrix_norm(slopes, ord=2).amax()))
        bounds.append(
            js_lower_bound(square.float(), vmap(line)(z).float(), seed=config.seed, epochs=epochs).value
        )
    shown = [norm for norm, bound in zip(norms, bounds, strict=True) if bound >= TRAP_FLOOR]
    trained = trained_generators(config.trap)
    ends = (min(norms), max(norms))
    return Statement(
        name="Theorem 1",
        statement="Where the rank of a generator is below the dimension of the data, its Jacobian is "
        "unbounded or its Jensen-Shannon divergence from the data is log(2)/2 or more (Eq. 3).",
        experiment=f"a square drawn by one line of {strokes[0]} to {strokes[-1]} strokes, rank 1 for 2 "
        "dimensions: a lower bound of the divergence from a classifier, against the norm of the Jacobian; "
        f"{count:,} points",
        measured=f"at least {bounds[0]:.3f} at a norm of {norms[0]:.3g}, at least {bounds[-1]:.3f} at one of "
        f"{norms[-1]:.3g}",
        expected=f"{TRAP_FLOOR:.3f} or more while the norm is small; as it grows, a classifier may show less",
        holds=True if shown and norms[0] in shown else None,
        x_label="largest norm of the Jacobian",
        y_label="divergence, at least",
        curves=(
            curve("a line in a square", norms, bounds),
            *trained.curves,
            curve("log(2)/2", ends, (TRAP_FLOOR, TRAP_FLOOR), "guide"),
        ),
        log_y=False,
        remark=_remark(shown, trained.remark),
    )


def _line(z: Tensor, strokes: int) -> Tensor:
    """From a normal number (1,) to a place on a zigzag in the square, (2,)."""
    share = torch.special.ndtr(z)
    height = torch.asin(torch.sin(math.pi * (strokes * share - 0.5))) * (2 / math.pi)
    return torch.cat([2 * share - 1, height])


def _remark(shown: list[float], trained: str) -> str:
    reach = f"up to a norm of {max(shown):.3g}" if shown else "nowhere"
    return (
        f"The classifier shows log(2)/2 {reach}. The true divergence is log 2 for every line, since a line "
        f"has no area; a lower bound below log(2)/2 refutes nothing.{' ' if trained else ''}{trained}"
    )

"""Definition 1: the Jacobian against the difference quotients that it is the limit of."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.experiments.theory.networks import chain, dcgan
from riemann_noise_pytorch.experiments.theory.options import TheoryConfig
from riemann_noise_pytorch.experiments.theory.statement import Statement, curve, slope_guide
from riemann_noise_pytorch.geometry.exponential import measured_order
from riemann_noise_pytorch.geometry.jacobian import jacobian
from riemann_noise_pytorch.geometry.still import still
from riemann_noise_pytorch.noise.pairs import counted_normal
from riemann_noise_pytorch.seeds import derive

WIDTHS = (16, 64, 64, 256)
COLUMNS = 4
ORDER_WITHIN = 0.1
SMALL = 1e-4


def definition1(config: TheoryConfig) -> Statement:
    """Compare columns of Jacobians with forward quotients of falling step."""
    steps = torch.logspace(-6, -1, 6 if config.quick else 16, dtype=torch.float64)
    smooth, _ = _errors(chain(config.seed, WIDTHS), WIDTHS[0], steps, config.seed)
    bent, printed = _errors(dcgan(config.seed, WIDTHS[0]), WIDTHS[0], steps, config.seed)
    order = measured_order(steps, smooth)
    return Statement(
        name="Definition 1",
        statement="The columns of the Jacobian are the limits of difference quotients (Eqs. 1-2).",
        experiment=f"{COLUMNS} columns of the Jacobian by forward mode, in float64, against forward "
        "quotients of falling step h: a smooth chain of layers, and an untrained DCGAN, which is nearly "
        "straight between the kinks of its ReLU",
        measured=f"order {order:.2f} of the smooth network; relative error at h = 1e-6 "
        f"{float(smooth[0]):.1e}, and {float(bent[0]):.1e} of the DCGAN",
        expected=f"order 1 within {ORDER_WITHIN:g}, errors below {SMALL:.0e}",
        holds=abs(order - 1) <= ORDER_WITHIN and max(float(smooth[0]), float(bent[0])) < SMALL,
        x_label="step h",
        y_label="relative error",
        curves=(
            curve("smooth network", steps, smooth),
            curve("DCGAN", steps, bent),
            curve("DCGAN, Eq. 1 as printed", steps, printed),
            slope_guide(steps, 1, float(smooth[-1])),
        ),
        remark="Eq. 1 is printed without the term - f(z); that quotient has no limit, for it goes as h to "
        f"the power {measured_order(steps, printed):.2f}.",
    )


def _errors(network: nn.Module, z_dim: int, steps: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Relative errors of the quotients, and of those without the term - f(z), by step."""
    z = counted_normal(derive(seed, "latent"), 0, (1, z_dim))[0]
    with still(network, z_dim, seed=seed) as net:
        f = net.at(0)
        J = jacobian(f, z).dense()[:, :COLUMNS]
        with torch.no_grad():
            start = f(z).flatten()
            moved = torch.stack([_moved(f, z, float(h)) for h in steps])
    size, h = J.norm(), steps[:, None, None]
    errors = ((moved - start[:, None]) / h - J).flatten(1).norm(dim=1)
    return errors / size, (moved / h - J).flatten(1).norm(dim=1) / size


def _moved(f: Callable[[Tensor], Tensor], z: Tensor, h: float) -> Tensor:
    """The values of f at a step along each of the first axes, (m, COLUMNS)."""
    axes = torch.eye(len(z), dtype=z.dtype)[:COLUMNS]
    return torch.stack([f(z + h * axis).flatten() for axis in axes], dim=1)

"""Adam as GANs need it: corrected for lazy penalties, and with a learning rate of the noise's own."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from riemann_noise_pytorch.noise.control import noise_layers


def lazy_correction(
    lr: float, betas: tuple[float, float], interval: int
) -> tuple[float, tuple[float, float]]:
    r"""Adapt Adam to a penalty that takes an extra step after every k ordinary ones.

    .. math:: c = \frac{k}{k + 1}, \quad \text{lr} \to c\,\text{lr}, \quad \beta_i \to \beta_i^c

    References:
        Karras et al. (2020), arXiv:1912.04958, Appendix B.

    Args:
        lr: Learning rate.
        betas: Adam's two decays.
        interval: Ordinary steps k for each extra one.

    Returns:
        The corrected rate and decays.

    Example:
        >>> lazy_correction(0.002, (0.0, 0.99), 1)[0]
        0.001
    """
    c = interval / (interval + 1)
    return lr * c, (betas[0] ** c, betas[1] ** c)


def generator_groups(generator: nn.Module, lr: float, noise_lr_multiplier: float) -> list[dict[str, Any]]:
    """Split a generator's parameters into those of its noise layers, with a rate of their own, and the rest.

    Args:
        generator: Any network.
        lr: Learning rate of the others.
        noise_lr_multiplier: Rate of the noise layers, as a multiple of ``lr``.

    Returns:
        Parameter groups for an optimiser; one only, where there is no noise.
    """
    noise = [parameter for layer in noise_layers(generator).values() for parameter in layer.parameters()]
    known = {id(parameter) for parameter in noise}
    others = [parameter for parameter in generator.parameters() if id(parameter) not in known]
    groups = [{"params": others, "lr": lr}, {"params": noise, "lr": lr * noise_lr_multiplier}]
    return [group for group in groups if group["params"]]


def adam(
    parameters: Iterable[nn.Parameter] | list[dict[str, Any]], lr: float, betas: tuple[float, float]
) -> torch.optim.Adam:
    """Build the optimiser: one fused pass over all parameters, on CPUs as on GPUs.

    Args:
        parameters: Parameters or parameter groups, all of floating point.
        lr: Learning rate of the groups that have none of their own.
        betas: The two decays.
    """
    return torch.optim.Adam(parameters, lr=lr, betas=betas, eps=1e-8, fused=True)

"""Every kernel against torch's own operations, on maps of a few values."""

import torch
from torch import Tensor

from riemann_noise_pytorch.noise import passes
from riemann_noise_pytorch.noise.kernels import launches as kernels
from riemann_noise_pytorch.noise.presets import RIEMANN_PRESETS
from riemann_noise_pytorch.noise.readings import Reading

SHAPE = (2, 5, 6, 8)
WORST = {torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 3e-3}
"""Largest error of a result's norm, relative: some ten times what rounding makes of it."""


def compare(device: torch.device, dtype: torch.dtype) -> None:
    """Run every kernel once; nothing is drawn from torch's generators.

    Raises:
        ArithmeticError: A kernel's result is not torch's; the first is named.
    """
    mu, upstream, map_noise = (_waves(SHAPE, phase, device).to(dtype) for phase in (0.0, 1.0, 2.0))
    mu[:, 1] = mu[:, 0]  # so that some of the largest are tied
    plane_noise, A, b = mu[:, 2:3].clone(), *_waves((2, *SHAPE[2:]), 3.0, device)
    alpha, r, w = (torch.tensor(value, device=device) for value in (0.4, 1.3, 0.7))
    reading = Reading(RIEMANN_PRESETS["seed"], SHAPE[1])
    parameters = (A, b, alpha, r)
    mu_tilde = passes.identified("neg_max", mu)
    gain = reading(mu_tilde, *parameters)
    dot, total = passes.channel_dots(upstream, mu, with_total=True)
    found_dot, found_total = kernels.channel_dots(upstream, mu, True) or (None, None)
    results: dict[str, tuple[Tensor | None, Tensor | None]] = {
        "identify": (kernels.identified("neg_max", mu), mu_tilde),
        "geometry": (kernels.gain_of(reading, mu_tilde, *parameters), gain),
        "inject with geometry": (
            kernels.injected(reading, mu, mu_tilde, plane_noise, w, *parameters),
            passes.shaped(mu, gain, plane_noise, w),
        ),
        "inject": (kernels.shaped(mu, gain, map_noise, w), passes.shaped(mu, gain, map_noise, w)),
        "dots": (found_dot, dot),
        "totals": (found_total, total),
        "gradient": (
            kernels.feature_gradient("neg_max", upstream, mu, mu_tilde, gain, dot),
            passes.feature_gradient("neg_max", upstream, mu, mu_tilde, gain, dot),
        ),
    }
    for name, (found, expected) in results.items():
        if found is None or expected is None or not _close(found, expected, WORST[dtype]):
            raise ArithmeticError(f"the kernel '{name}' differs from torch in {dtype}")


def _waves(shape: tuple[int, ...], phase: float, device: torch.device) -> Tensor:
    count = torch.Size(shape).numel()
    return torch.sin(torch.arange(count, device=device, dtype=torch.float32) * 1.7 + phase).view(shape)


def _close(found: Tensor, expected: Tensor, worst: float) -> bool:
    difference = (found.float() - expected.float()).norm()
    return bool(difference <= worst * expected.float().norm())  # false for NaN

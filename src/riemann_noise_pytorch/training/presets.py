"""Rows of the paper's tables as named sets of options."""

from typing import Any

from riemann_noise_pytorch.models.choices import Architecture, NoiseKind

ROW_PRESET = "paper"
"""What Riemannian noise means in the rows of the paper's tables: its equations as they are written."""

_STYLEGAN2: dict[str, Any] = {
    "architecture": "stylegan2",
    "z_dim": 512,
    "batch": 32,
    "kimg": 25_000.0,
    "lr_g": 2e-3,
    "lr_d": 2e-3,
    "beta1": 0.0,
    "beta2": 0.99,
    "gamma_rule": "config-e",
    "regularizer_interval": 16,
    "tick_kimg": 4.0,
    "keep_snapshots": 5,
}
"""Config e of Karras et al. (2020), arXiv:1912.04958, with the lengths of the paper's runs."""

_SMALL: dict[str, Any] = {
    "resolution": 32,
    "z_dim": 64,
    "w_dim": 64,
    "mapping_layers": 4,
    "channel_base": 512,
    "channel_max": 64,
    "batch": 16,
    "gamma_rule": "given",
    "gamma": 1.0,
    "kimg": 40.0,
    "tick_kimg": 2.0,
    "snapshot_ticks": 5,
    "ema_kimg": 5.0,
    "ema_rampup": 0.05,
}
"""What two cores can train in minutes; the average forgets its start, as in Karras et al. (2020),
arXiv:2006.06676. Widths, batch and the weight of R1 are choices of ours after single short trials on digits,
with no study behind them: the heuristic by resolution gives a weight of 0.0128, made for larger data sets."""

_PATH_LENGTH = {"pl_weight": 2.0}

_ROWS: dict[str, dict[str, Any]] = {
    "stylegan2-plain": {},
    "stylegan2-eni": {"noise": "euclidean", **_PATH_LENGTH},
    "stylegan2-nopathreg-rni": {"noise": "riemannian"},
    "stylegan2-rni": {"noise": "riemannian", **_PATH_LENGTH},
}

PRESETS: dict[str, dict[str, Any]] = {
    "dcgan": {},
    "dcgan-eni": {"noise": "euclidean"},
    "dcgan-rni": {"noise": "riemannian"},
    **{name: {**_STYLEGAN2, **row} for name, row in _ROWS.items()},
    **{f"{name}-small": {**_STYLEGAN2, **_SMALL, **row} for name, row in _ROWS.items()},
}
"""Named rows of the paper's tables, as differences from the defaults of the options."""

IDENTITY = ("architecture", "noise")
"""The options that make a row what it is."""
WITHOUT_PATH_LENGTH = "stylegan2-nopathreg-rni"


def preset_of(noise: NoiseKind, architecture: Architecture = "dcgan", pl_weight: float = 1.0) -> str:
    """Name the row that has a kind of noise.

    Args:
        noise: ``none``, ``euclidean`` or ``riemannian``.
        architecture: ``dcgan`` or ``stylegan2``.
        pl_weight: Weight of the path-length penalty, which tells the two Riemannian rows of stylegan2 apart.

    Example:
        >>> preset_of("euclidean"), preset_of("riemannian", "stylegan2", pl_weight=0.0)
        ('dcgan-eni', 'stylegan2-nopathreg-rni')
    """
    if (noise, architecture) == ("riemannian", "stylegan2"):
        return WITHOUT_PATH_LENGTH if pl_weight == 0 else "stylegan2-rni"
    for name, changes in PRESETS.items():
        if (changes.get("noise", "none"), changes.get("architecture", "dcgan")) == (noise, architecture):
            return name
    raise ValueError(f"no row has {architecture} with noise {noise}")

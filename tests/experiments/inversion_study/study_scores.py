"""Scores of a study of inversion whose outcome is known."""

import numpy as np

from riemann_noise_pytorch.experiments.inversion_study.claim import ARMS
from riemann_noise_pytorch.experiments.inversion_study.targets import KINDS, OCCLUDED

SEEDS = (0, 1, 2)
IMAGES = 6


def fabricated(level, *, arms=ARMS, seeds=SEEDS, spread=0.002, gain=1.0, change=20.0):
    """Scores whose mean is ``level(arm, kind)``, with a little spread between seeds."""
    rng = np.random.default_rng(0)
    records = []
    for arm in arms:
        for seed in seeds:
            for kind in KINDS:
                mse = level(arm, kind) * (1 + spread * rng.standard_normal()) * np.linspace(0.5, 1.5, IMAGES)
                frozen = {
                    "mse": mse.tolist(),
                    "psnr": (10 * np.log10(4 / mse)).tolist(),
                    "pyramid": (mse / 3).tolist(),
                }
                if kind == OCCLUDED:
                    frozen |= {"seen": (mse / 2).tolist(), "hidden": (mse * 2).tolist()}
                factor = 10 ** (-gain / 10)
                better = {
                    name: [value + gain if name == "psnr" else value * factor for value in values]
                    for name, values in frozen.items()
                }
                records.append(
                    {
                        "record": "scores",
                        "arm": arm,
                        "seed": seed,
                        "kind": kind,
                        "diverged": 0,
                        "frozen": frozen,
                        "optimised": None if arm == "none" else better,
                        "change": None if arm == "none" else [change] * IMAGES,
                    }
                )
    return records

"""A folder as `riemann-noise toy` leaves it, fabricated in a moment."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

ARMS = (
    ("minimax", "none"),
    ("minimax", "js 0.1"),
    ("non-saturating", "none"),
    ("non-saturating", "noise 0.1"),
)
STEPS = [10, 20, 30]


def key_of(loss: str, method: str) -> str:
    return f"{loss}-{method.replace(' ', '-')}"


def fabricate_toy(path: Path, seeds: int = 2) -> list[dict[str, Any]]:
    """Make records and artifacts, write them, and give the records."""
    rng = np.random.default_rng(0)
    angles = 2 * np.pi * np.arange(7) / 7
    centres = np.stack([np.sin(angles), np.cos(angles)], axis=1)
    records = [_setup(seeds, centres)]
    for loss, method in ARMS:
        key = key_of(loss, method)
        smoothed = method != "none"
        records += [_run(key, seed, smoothed) for seed in range(seeds)]
        records.append(_summary(key, seeds, smoothed))
        points = centres[rng.integers(7, size=(seeds, 3, 40))] + rng.normal(0, 0.02, (seeds, 3, 40, 2))
        near = (rng.random((seeds, 3, 40)) < 0.7).astype(np.uint8)
        (path / "artifacts").mkdir(parents=True, exist_ok=True)
        tensors = {"points": points.astype(np.float16), "near": near}
        save_file(tensors, path / "artifacts" / f"{key}.safetensors")
    records.append(
        {"record": "verdict", "sentences": ["What is seen.", "minimax: this.", "non-saturating: that."]}
    )
    write(path, records)
    return records


def write(path: Path, records: list[dict[str, Any]]) -> None:
    (path / "records.jsonl").write_text(
        "".join(json.dumps(record) + "\n" for record in records), encoding="utf-8"
    )


def _setup(seeds: int, centres: Any) -> dict[str, Any]:
    arms = [{"key": key_of(*arm), "generator_loss": arm[0], "method": arm[1]} for arm in ARMS]
    return {
        "record": "setup",
        "version": "0.1.0",
        "commit": "abc",
        "environment": {"torch": "2.11.0"},
        "options": {"data": "ring", "gammas": [0.0, 0.1]},
        "mixture": {
            "name": "ring",
            "ambient": 3,
            "std": 0.01,
            "reach": 0.1,
            "good": 0.03,
            "centres": centres.tolist(),
        },
        "arms": arms,
        "seeds": list(range(seeds)),
        "steps": STEPS,
        "columns": [10, 30],
    }


def _run(key: str, seed: int, smoothed: bool) -> dict[str, Any]:
    variances = {"noise": [2.0] * 2 * smoothed, "penalty": [1.0] * 2 * smoothed}
    return {
        "record": "run",
        "arm": key,
        "seed": seed,
        "seconds": 1.5,
        "modes": [0, 7, 6],
        "good": [0.0, 0.5, 0.25],
        "height": [0.5, 0.1, 0.01],
        "full": 1 / 3,
        "first_full": 20,
        "held": 0.0,
        "gradient_variance": variances,
        "variance_ratio": 2.0 if smoothed else None,
    }


def _summary(key: str, seeds: int, smoothed: bool) -> dict[str, Any]:
    def spread(mean: float) -> dict[str, float | None]:
        return {"mean": mean, "sd": 0.1 if seeds > 1 else None, "n": seeds}

    return {
        "record": "summary",
        "arm": key,
        "seeds": seeds,
        "modes": spread(6.0),
        "good": spread(0.25),
        "height": spread(0.01),
        "full": spread(1 / 3),
        "covered": 1,
        "first_full": [20],
        "held": {"mean": 0.0, "sd": None, "n": 1},
        "variance_ratio": spread(2.0) if smoothed else None,
    }

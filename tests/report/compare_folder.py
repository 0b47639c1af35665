"""Fabricates comparison folders: true to the schema, quick to make, with pictures that one can recognise."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from riemann_noise_pytorch.statistics.paired import paired_difference, verdict

ARMS = ("none", "euclidean", "riemannian")
METRICS = {
    "swd": ("sliced Wasserstein distance x1e3 (levels 16, 8; 512 directions)", 60.0, "95 % redraws"),
    "pl2_zfull": ("pl2_zfull (pyramid distance, 2,000 pairs, slerp, eps 1e-4)", 41.0, "95 % bootstrap"),
    "pl2_zend": ("pl2_zend (pyramid distance, 2,000 pairs, slerp, eps 1e-4)", 55.0, "95 % bootstrap"),
    "mc_z": ("MC (z, 2,000 pairs, std 0.0001)", 0.61, "95 % bootstrap"),
    "mc_z_top2": ("mean of the top 2 % (z, 2,000 pairs, std 0.0001)", 1.4, "95 % bootstrap"),
}
GAIN = {"none": 1.0, "euclidean": 0.94, "riemannian": 0.8}
LAYERS = {"stage4.noise": 4, "stage8.noise": 8, "stage16.noise": 16}


@dataclass
class Folder:
    """What to fabricate, and the records that came of it."""

    path: Path
    arms: Sequence[str] = ARMS
    seeds: Sequence[int] = (0, 1, 2)
    metrics: Sequence[str] = tuple(METRICS)
    size: int = 16
    channels: int = 1
    images: int = 36
    records: list[dict[str, Any]] = field(default_factory=list)

    def write(self) -> "Folder":
        """Write the records as they now are."""
        self.path.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(record) + "\n" for record in self.records)
        (self.path / "records.jsonl").write_text(text, encoding="utf-8")
        return self

    def of(self, kind: str, **where: object) -> list[dict[str, Any]]:
        """The records of one type whose fields have the given values."""
        return [
            record
            for record in self.records
            if record["record"] == kind and all(record[key] == value for key, value in where.items())
        ]

    def drop(self, kind: str, **where: object) -> None:
        """Take records away again."""
        gone = self.of(kind, **where)
        self.records = [record for record in self.records if record not in gone]


def fabricate(path: Path, **options: Any) -> Folder:
    """Make a folder with records and artifacts."""
    folder = Folder(path, **options)
    rng = np.random.default_rng(0)
    folder.records = [_setup(folder), *_references(folder)]
    for arm in folder.arms:
        for seed in folder.seeds:
            folder.records += [_run(arm, seed, rng), *_measurements(folder, arm, seed, rng)]
            save_file(_artifact(folder, arm, rng), _artifacts(path) / f"{arm}-seed{seed}.safetensors")
    save_file({"real": _images(folder, folder.images, 0.0, rng)}, _artifacts(path) / "real.safetensors")
    folder.records += [*_summaries(folder), *_comparisons(folder), _verdict()]
    return folder.write()


def _artifacts(path: Path) -> Path:
    (path / "artifacts").mkdir(parents=True, exist_ok=True)
    return path / "artifacts"


def _setup(folder: Folder) -> dict[str, Any]:
    shape = [folder.channels, folder.size, folder.size]
    return {
        "record": "setup",
        "version": "0.1.0",
        "commit": None,
        "environment": {"python": "3.11.2", "torch": "2.11.0", "cpu": "two cores", "threads": 1},
        "data": {"name": "digits", "hash": "5f" * 32, "count": 1797, "image_shape": shape},
        "config": {"batch": 32, "lr_g": 1e-3, "network": {"architecture": "dcgan", "width": 16}},
        "arms": list(folder.arms),
        "seeds": list(folder.seeds),
    }


def _references(folder: Folder) -> Iterable[dict[str, Any]]:
    for metric in folder.metrics:
        base = METRICS[metric][1]
        known = (
            {"floor": 22.0, "floor_low": 19.5, "floor_high": 24.5, "real_std": 1.3} if metric == "swd" else {}
        )
        untrained = dict.fromkeys(folder.arms, 6.5 * base)
        yield {
            "record": "reference",
            "metric": metric,
            "name": METRICS[metric][0],
            "untrained": untrained,
            **known,
        }


def _run(arm: str, seed: int, rng: np.random.Generator) -> dict[str, Any]:
    kimg = np.linspace(2, 60, 30)
    final = {"none": {}, "euclidean": dict.fromkeys(LAYERS, 0.05), "riemannian": dict.fromkeys(LAYERS, 0.12)}[
        arm
    ]
    strengths = {layer: value * (1 + i) for i, (layer, value) in enumerate(final.items())}
    stats = [
        {
            "kimg": float(time),
            "loss_g": 0.9 + 1.1 * (1 - np.exp(-time / 12)) + 0.1 * rng.normal(),
            "loss_d": 1.35 - 0.5 * (1 - np.exp(-time / 15)) + 0.05 * rng.normal(),
            "noise_strengths": {
                k: v * (1 - np.exp(-time / 20)) + 0.003 * rng.normal() for k, v in strengths.items()
            },
        }
        for time in kimg
    ]
    return {
        "record": "run",
        "arm": arm,
        "seed": seed,
        "seconds": 41.5 + rng.normal(),
        "kimg": 60.0,
        "images_per_s": 1440.0,
        "stats": stats,
        "strengths": strengths,
        "sample_std": 0.58 + 0.02 * rng.normal(),
        "real_std": 0.623,
    }


def _measurements(folder: Folder, arm: str, seed: int, rng: np.random.Generator) -> Iterable[dict[str, Any]]:
    for metric in folder.metrics:
        name, base, interval = METRICS[metric]
        value = base * GAIN[arm] * (1 + 0.07 * rng.normal())
        yield {
            "record": "measurement",
            "arm": arm,
            "seed": seed,
            "metric": metric,
            "name": name,
            "value": value,
            "low": value * 0.95,
            "high": value * 1.06,
            "count": 2000,
            "interval": interval,
            "unit": "",
        }


def _summaries(folder: Folder) -> Iterable[dict[str, Any]]:
    for metric in folder.metrics:
        for arm in folder.arms:
            rows = folder.of("measurement", metric=metric, arm=arm)
            values = [row["value"] for row in rows]
            yield {
                "record": "summary",
                "arm": arm,
                "metric": metric,
                "name": METRICS[metric][0],
                "mean": float(np.mean(values)),
                "within": float(np.mean([(row["high"] - row["low"]) / 2 for row in rows])),
                "between": float(np.std(values, ddof=1)) if len(values) > 1 else None,
                "seeds": len(values),
            }


def _comparisons(folder: Folder) -> Iterable[dict[str, Any]]:
    for metric in folder.metrics:
        values = {
            arm: [row["value"] for row in folder.of("measurement", metric=metric, arm=arm)]
            for arm in folder.arms
        }
        for arm, against in (("euclidean", "none"), ("riemannian", "none"), ("riemannian", "euclidean")):
            if arm in values and against in values:
                several = len(values[arm]) > 1
                result = paired_difference(values[arm], values[against]) if several else None
                gap = float(np.mean(np.subtract(values[arm], values[against])))
                said = verdict(result, metric=metric, arm=arm, against=against) if result else "a single pair"
                yield {
                    "record": "comparison",
                    "metric": metric,
                    "arm": arm,
                    "against": against,
                    "difference": gap,
                    "low": result.low if result else None,
                    "high": result.high if result else None,
                    "smallest_detectable": result.smallest_detectable if result else None,
                    "pairs": len(values[arm]),
                    "verdict": said,
                }


def _verdict() -> dict[str, Any]:
    return {
        "record": "verdict",
        "sentences": [
            "Riemannian noise: sliced Wasserstein distance lower than without by 11.2 (7.4 to 15.0).",
            "Euclidean noise: no difference shown; the smallest that this run could detect was 8.9.",
            "euclidean noise: its strength went from 0.1 to between 0.001 and 0.009 over layers and seeds: "
            "the generators turned it off.",
        ],
    }


def _artifact(folder: Folder, arm: str, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    samples = _images(folder, folder.images, 0.08, rng)
    tensors: dict[str, NDArray[Any]] = {"samples": samples, "noise_std_images": samples[:8].copy()}
    brightness = samples[:8].mean(axis=1).astype(np.float32) / 255
    edges = sum(np.abs(np.gradient(brightness, axis=axis)) for axis in (1, 2)).astype(np.float32)
    gain = {"none": 0.0, "euclidean": 0.05, "riemannian": 0.3}.get(arm, 0.1)
    tensors["noise_std"] = gain * (0.2 + edges if arm != "euclidean" else np.full_like(edges, 0.5))
    if arm == "riemannian":
        for layer, size in LAYERS.items():
            step = folder.size // size
            pooled = brightness.reshape(-1, size, step, size, step).mean(axis=(2, 4))
            noise = rng.normal(size=pooled.shape)
            sigma = 1.2 - 1.9 * pooled + 0.15 * noise
            sigma /= np.sqrt(np.square(sigma).mean(axis=(1, 2), keepdims=True))
            tensors[f"sigma/{layer}"] = sigma.astype(np.float32)
    return tensors


def _images(folder: Folder, count: int, blur: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Rings and bars of random place and slant, uint8 (count, C, size, size)."""
    y, x = np.mgrid[-1 : 1 : folder.size * 1j, -1 : 1 : folder.size * 1j]
    pictures = []
    for _ in range(count):
        across, along, radius, slant = rng.uniform((-0.2, -0.2, 0.35, -0.4), (0.2, 0.2, 0.6, 0.4))
        ring = np.abs(np.hypot((x - across - slant * y) * 1.4, y - along) - radius)
        bar = np.abs(x - across - slant * y) + 2 * np.maximum(np.abs(y) - 0.7, 0)
        distance = ring if rng.random() < 0.6 else bar
        ink = np.exp(-((distance / 0.16) ** 2)) + blur * rng.normal(size=x.shape)
        pictures.append(np.repeat(ink[None], folder.channels, axis=0))
    return (255 * np.clip(pictures, 0, 1)).astype(np.uint8)

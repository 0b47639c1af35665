"""Fabricates folders of an inversion: true to the schema, quick to make, with planted numbers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

LAYERS = (("stage4.noise", 4), ("stage8.noise", 8), ("stage16.noise", 16))
HEADLINE = "The noise adds 7.31 dB in the median."
OTHER = "The noise of stage4.noise does next to nothing."
FRAME_STEPS = (0, 1, 3, 10, 30)


@dataclass
class Folder:
    """What to fabricate, and the records and tensors that came of it."""

    path: Path
    images: int = 3
    restarts: int = 2
    noise: bool = True
    layers: Sequence[tuple[str, int]] = LAYERS
    size: int = 16
    channels: int = 1
    records: list[dict[str, Any]] = field(default_factory=list)
    tensors: dict[str, NDArray[Any]] = field(default_factory=dict)

    def write(self) -> "Folder":
        """Write records and tensors as they now are."""
        self.path.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(record, allow_nan=False) + "\n" for record in self.records)
        (self.path / "inversion.jsonl").write_text(text, encoding="utf-8")
        save_file(self.tensors, self.path / "pictures.safetensors")
        return self

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The records of one type."""
        return [record for record in self.records if record["record"] == kind]


def fabricate(path: Path, **options: Any) -> Folder:
    """Make a folder with records and tensors."""
    folder = Folder(path, **options)
    folder.records = [
        _setup(folder),
        *(_image(folder, i) for i in range(folder.images)),
        _summary(folder),
    ]
    _pictures(folder)
    return folder.write()


def _setup(folder: Folder) -> dict[str, Any]:
    return {
        "record": "setup",
        "version": "0.1.0",
        "commit": None,
        "environment": {"python": "3.11.2", "torch": "2.11.0", "cpu": "two cores", "threads": 1},
        "target": {"name": "runs/rings", "kind": "run", "snapshot": "00060000.safetensors", "z_dim": 64},
        "options": {"recipe": None, "restarts": folder.restarts, "draws": 16},
        "images": {
            "source": ["faces"],
            "count": folder.images,
            "shape": [folder.channels, folder.size, folder.size],
            "resized": 1,
        },
        "recipe": "z-restarts",
        "space": "z",
        "objectives": ["1 mse", "1 mse + 100000 noise autocorrelation"][: 1 + folder.noise],
        "layers": [name for name, _ in folder.layers],
        "sequential": folder.noise,
        "distance": "pyramid distance, 4 levels",
        "noise_layers": len(folder.layers),
        "stages": [
            {"space": "z", "latent": True, "noise": "frozen", "steps": 30, "lr": 0.1, "schedule": "ramped"},
            {"space": "z", "latent": False, "noise": "optimised", "steps": 10, "lr": 5.0},
        ][: 1 + folder.noise],
    }


def _image(folder: Folder, i: int) -> dict[str, Any]:
    ssim = 0.5 + 0.1 * (i % 4) if folder.size >= 11 else None
    without = {"psnr": 20.0 + i, "ssim": ssim, "mse": 0.04 / (i + 1), "perceptual": 0.2}
    better = {"psnr": 27.5 + i, "ssim": ssim, "mse": 0.004, "perceptual": 0.05}
    fresh = {"draws": 16, "psnr": 19.25 + i, "psnr_sd": 0.31, "change": 7.77}
    stages = [0.02, 0.004][: 1 + folder.noise]
    return {
        "record": "image",
        "index": i,
        "name": f"face {i:02}.png",
        "restart": folder.restarts - 1,
        "ending": "all steps",
        "steps": [30, 10][: 1 + folder.noise],
        "losses": [[None] * len(stages) if folder.restarts > 1 else stages]
        + [[stage / (k + 1) for stage in stages] for k in range(folder.restarts - 1)],
        "without": without,
        "with": better if folder.noise else None,
        "fresh": fresh if folder.noise else None,
    }


def _summary(folder: Folder) -> dict[str, Any]:
    return {
        "record": "summary",
        "rates": {"1": 0.25, str(folder.restarts): 0.5},
        "gain": {"median": 7.31, "low": 6.5, "high": 8.0} if folder.noise else None,
        "strengths": {name: 0.1 for name, _ in folder.layers},
        "change": 7.77 if folder.noise else None,
        "spread": 3.25 if folder.noise else None,
        "noise_rms": 1.5 if folder.noise else None,
        "sentences": [HEADLINE, OTHER],
    }


def _pictures(folder: Folder) -> None:
    rng = np.random.default_rng(0)
    shape = (folder.images, folder.channels, folder.size, folder.size)
    rings = _rings(folder, rng)

    def near(spread: float, *front: int) -> NDArray[np.uint8]:
        noise = spread * rng.normal(size=(*front, *shape)) if front else spread * rng.normal(size=shape)
        return (rings + noise).clip(0, 255).astype(np.uint8)

    tensors: dict[str, NDArray[Any]] = {"targets": near(0), "without": near(25)}
    if folder.noise:
        tensors["with"] = near(6)
        tensors["fresh"] = np.moveaxis(near(28, 4), 0, 1).copy()
        for name, side in folder.layers:
            maps = rng.normal(size=(folder.images, side, side))
            tensors[f"noise/{name}"] = maps.astype(np.float16)
    count = min(16, folder.images)
    tensors["frames"] = np.stack([near(60 / (i + 1))[:count] for i in range(len(FRAME_STEPS))])
    tensors["frames/steps"] = np.array(FRAME_STEPS)
    if folder.images > 1:
        shares = np.linspace(0, 1, 5)[:, None, None, None]
        way = ((1 - shares) * rings[0] + shares * rings[1]).astype(np.uint8)
        tensors["interpolation/frozen"] = way
        if folder.noise:
            tensors["interpolation/interpolated"] = way[::-1].copy()
    steps = np.arange(40)
    tensors["curve/steps"] = steps
    tensors["curve/stages"] = (steps >= 30).astype(np.int64)
    tensors["curve/median"] = 0.4 * np.exp(-steps / 8) + 0.02
    tensors["curve/best"] = 0.3 * np.exp(-steps / 7) + 0.002
    folder.tensors = tensors


def _rings(folder: Folder, rng: np.random.Generator) -> NDArray[np.float64]:
    """Rings of random place and colour, (N, C, size, size) from 0 to 255."""
    y, x = np.mgrid[-1 : 1 : folder.size * 1j, -1 : 1 : folder.size * 1j]
    pictures = []
    for _ in range(folder.images):
        across, along, radius = rng.uniform((-0.2, -0.2, 0.35), (0.2, 0.2, 0.6))
        ring = np.exp(-(((np.hypot(x - across, y - along) - radius) / 0.16) ** 2))
        pictures.append(ring[None] * rng.uniform(0.5, 1, (folder.channels, 1, 1)))
    return 230 * np.stack(pictures)

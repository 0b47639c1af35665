"""Fabricates folders of a diagnosis: true to the schema, quick to make, with planted drops of the rank."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

LAYERS = (
    ("stage4.conv", (64, 4, 4), 64),
    ("stage4.norm", (64, 4, 4), 64),
    ("stage4.noise", (64, 4, 4), 64),
    ("stage4", (64, 4, 4), 63),
    ("stage8.conv", (32, 8, 8), 48),
    ("stage8.norm", (32, 8, 8), 48),
    ("stage8.noise", (32, 8, 8), 48),
    ("stage8", (32, 8, 8), 48),
    ("stage16.conv", (16, 16, 16), 23),
    ("stage16.norm", (16, 16, 16), 23),
    ("stage16.noise", (16, 16, 16), 23),
    ("stage16", (16, 16, 16), 23),
    ("to_image", (1, 16, 16), 23),
    ("image", (1, 16, 16), 23),
)
"""Names, shapes and ranks, with planted drops."""
INPUTS, LATENTS, TOLERANCE = 64, 4, 2.3e-13
GROUPS = {
    "latent": (0.71, 0.86),
    "stage4.noise": (0.1, 0.19),
    "stage8.noise": (0.04, 0.09),
    "stage16.noise": (0.0, 0.0),
}


@dataclass
class Folder:
    """What to fabricate, and the records and tensors that came of it."""

    path: Path
    layers: Sequence[tuple[str, tuple[int, ...], int]] = LAYERS
    joint: bool = True
    size: int = 16
    records: list[dict[str, Any]] = field(default_factory=list)
    tensors: dict[str, NDArray[Any]] = field(default_factory=dict)

    def write(self) -> "Folder":
        """Write records and tensors as they now are."""
        self.path.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(record) + "\n" for record in self.records)
        (self.path / "diagnosis.jsonl").write_text(text, encoding="utf-8")
        save_file(self.tensors, self.path / "diagnosis.safetensors")
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
    """Make a folder with records and tensors."""
    folder = Folder(path, **options)
    rng = np.random.default_rng(0)
    folder.records = [_setup(folder)]
    for joint in (False, True) if folder.joint else (False,):
        folder.records.append(_profile(joint))
        for order, layer in enumerate(folder.layers):
            folder.records.append(_layer(folder, layer, order, joint, rng))
    _conditions(folder, rng)
    _shares(folder)
    folder.records += [_dimension("data", 31.5), _dimension("samples", 19.0), *_findings()]
    folder.records.append({"record": "sample", "count": 16})
    folder.tensors["samples"] = _images(folder, rng)
    return folder.write()


def _setup(folder: Folder) -> dict[str, Any]:
    return {
        "record": "setup",
        "version": "0.1.0",
        "commit": None,
        "environment": {"python": "3.11.2", "torch": "2.11.0", "cpu": "two cores", "threads": 1},
        "target": {
            "name": "runs/rings",
            "kind": "run",
            "snapshot": "00060000.safetensors",
            "sha256": "5f" * 32,
            "z_dim": INPUTS,
            "classes": 0,
        },
        "options": {"layers": "*", "num_latents": LATENTS, "budget": 10.0, "data": None},
        "seed": 0,
        "image_shape": [1, folder.size, folder.size],
        "work": {"num_latents": LATENTS, "reductions": ["13,049 of 50,000 pairs"]},
    }


def _profile(joint: bool) -> dict[str, Any]:
    return {
        "record": "profile",
        "inputs": 1408 if joint else INPUTS,
        "joint": joint,
        "mode": "forward",
        "reason": "fewer inputs than outputs",
        "remark": "",
        "tolerance": "max(m, n) eps of float64, of the largest",
        "sketched": False,
        "num_latents": LATENTS,
    }


def _layer(
    folder: Folder, layer: tuple[str, tuple[int, ...], int], order: int, joint: bool, rng: np.random.Generator
) -> dict[str, Any]:
    name, shape, rank = layer
    columns = min(1408, int(np.prod(shape))) if joint else INPUTS
    rank = min(columns, rank + 150 * (order + 1) // 2) if joint else rank
    index = np.arange(columns)
    fall = 10 ** (-2.2 * (index / columns) ** 1.5 - 0.04 * order)
    values = np.where(index < rank, fall, 1e-17) * (1 + 0.15 * rng.random((LATENTS, columns)))
    values = np.sort((3 + order) * values, axis=1)[:, ::-1].copy()
    folder.tensors[f"spectrum/{'joint' if joint else 'z'}/{name}"] = values
    squares = (values**2).sum(1)
    weights = values / values.sum(1, keepdims=True)
    ranks = [rank] * LATENTS
    if name == "stage4":
        ranks[0] = rank - 3
    lost = [None if rank == columns else 8e3] * LATENTS
    return {
        "record": "layer",
        "joint": joint,
        "name": name,
        "shape": list(shape),
        "size": int(np.prod(shape)),
        "order": order,
        "rank": ranks,
        "stable_rank": [float(v) for v in squares / values[:, 0] ** 2],
        "effective_rank": [float(v) for v in np.exp(-(weights * np.log(weights)).sum(1))],
        "norm": [float(v) for v in values[:, 0]],
        "margin_kept": [4.2 if name == "stage4" else 3.1e9] * LATENTS,
        "margin_lost": lost,
        "ambiguous": name == "stage4",
        "tolerance": [TOLERANCE] * LATENTS,
    }


def _conditions(folder: Folder, rng: np.random.Generator) -> None:
    for space, middle in (("z", 0.6), ("w", 1.4)):
        values = np.sort(middle * np.exp(0.35 * rng.normal(size=5000)))
        tail = float(values[-100:].mean())
        folder.tensors[f"condition/{space}"] = values
        folder.records.append(
            {
                "record": "condition",
                "space": space,
                "mc": float(values.mean()),
                "mc_low": float(values.mean()) - 0.01,
                "mc_high": float(values.mean()) + 0.01,
                "mc_name": f"MC ({space}, 5,000 pairs, std 0.0001)",
                "ttmc": tail,
                "ttmc_low": 0.97 * tail,
                "ttmc_high": 1.03 * tail,
                "ttmc_name": f"mean of the top 2 % ({space}, 5,000 pairs, std 0.0001)",
                "pairs": 5000,
                "local": [9.1, 11.0, 8.4, 9.9] if space == "z" else [],
                "log_condition": [13.2, 12.8, None, 13.9] if space == "z" else [],
                "quotient_error": 3.1e-9 if space == "z" else None,
            }
        )


def _shares(folder: Folder) -> None:
    y, x = np.mgrid[-1 : 1 : folder.size * 1j, -1 : 1 : folder.size * 1j]
    ring = np.exp(-(((np.hypot(x, y) - 0.5) / 0.25) ** 2))
    for group, (first, total) in GROUPS.items():
        shape = 1 - 0.6 * ring if group == "latent" else ring
        folder.tensors[f"attribution/{group}"] = (first * shape).astype(np.float64)
        error = 0.0 if total == 0 else 0.012
        folder.records.append(
            {
                "record": "share",
                "group": group,
                "first": first,
                "first_error": error,
                "total": total,
                "total_error": error,
                "ignored": total == 0,
            }
        )


def _dimension(what: str, value: float) -> dict[str, Any]:
    return {
        "record": "dimension",
        "what": what,
        "method": "MLE, k = 20",
        "value": value,
        "low": value - 0.6,
        "high": value + 0.6,
        "count": 5000,
        "repeated": 0,
    }


def _findings() -> list[dict[str, Any]]:
    rows = [
        (
            "note",
            "noise of stage16.noise is ignored",
            "Share of the images' variance: stage16.noise (0.0e+00 +- 0.0e+00).",
            "remove it, or start it stronger",
            "",
        ),
        (
            "problem",
            "rank falls from 48 to 23 at stage16.conv",
            "Of 48 directions in which the latent can move what comes before, 23 still move the output of "
            "stage16.conv; none of the later layers can bring them back (Lemma 2).",
            "widen stage16.conv, or inject noise after it, which adds directions of its own",
            "riemann-noise train --preset dcgan-rni --data photos",
        ),
        (
            "problem",
            "fewer dimensions than the data",
            "The images move in 23 directions; the data have about 31.5 dimensions.",
            "give the latent more dimensions (--z-dim), or inject noise",
            "riemann-noise train --preset dcgan-rni --data photos --z-dim 128",
        ),
        ("good", "noise adds 1,000 dimensions", "The image's rank is 23 in the latent.", "", ""),
    ]
    names = ("severity", "title", "text", "remedy", "command")
    return [{"record": "finding", **dict(zip(names, row, strict=True))} for row in rows]


def _images(folder: Folder, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Rings of random place, uint8 (16, 1, size, size)."""
    y, x = np.mgrid[-1 : 1 : folder.size * 1j, -1 : 1 : folder.size * 1j]
    pictures = []
    for _ in range(16):
        across, along, radius = rng.uniform((-0.2, -0.2, 0.35), (0.2, 0.2, 0.6))
        pictures.append(np.exp(-(((np.hypot(x - across, y - along) - radius) / 0.16) ** 2))[None])
    return (255 * np.clip(pictures, 0, 1)).astype(np.uint8)

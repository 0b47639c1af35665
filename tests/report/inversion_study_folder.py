"""Fabricates folders of the study of inversion: true to the schema, with pictures that one can recognise."""

import dataclasses
import json

import numpy as np
from safetensors.numpy import save_file

from riemann_noise_pytorch.experiments.inversion_study.claim import ARMS, RULE, claims, sentences
from riemann_noise_pytorch.experiments.inversion_study.numbers import comparisons, summaries
from riemann_noise_pytorch.experiments.inversion_study.targets import KINDS, SELF
from tests.experiments.inversion_study.study_scores import IMAGES, SEEDS, fabricated


def records(*, seeds=SEEDS, told=None):
    """All records of a study in which Riemannian noise is best on hard images."""
    scores = fabricated(lambda arm, kind: 0.01 if arm == "riemannian" else 0.02, seeds=seeds)
    means, differences = summaries(scores, ARMS, seeds), comparisons(scores, ARMS, seeds)
    found = claims(differences, means)
    setup = {
        "record": "setup",
        "version": "1",
        "commit": None,
        "environment": {"torch": "2"},
        "options": {"images": IMAGES, "restarts": 4, "steps": 300, "noise_steps": 300},
        "comparison": {"config": {"data": "digits", "kimg": 40.0}},
        "arms": list(ARMS),
        "seeds": list(seeds),
        "kinds": told or {kind: f"what {kind} means" for kind in KINDS},
        "held_out": True,
        "source": "40 held out of digits",
        "image_shape": [1, 16, 16],
        "space": "z",
        "objectives": ["0.5 mse + 0.5 pyramid distance", "1 mse"],
        "lr": [0.1, 0.1],
        "rule": RULE,
    }
    verdict = sentences(found, differences, means, held_out=True)
    return [
        setup,
        *scores,
        *means,
        *differences,
        *({"record": "claim", **dataclasses.asdict(claim)} for claim in found),
        {"record": "verdict", "sentences": verdict},
    ]


def write_folder(folder, every=None):
    """Write records and pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    every = records() if every is None else every
    (folder / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in every))
    artifacts = folder / "artifacts"
    artifacts.mkdir(exist_ok=True)
    images = (np.arange(IMAGES * 256) % 251).astype(np.uint8).reshape(IMAGES, 1, 16, 16)
    save_file({kind: images for kind in KINDS if kind != SELF}, artifacts / "targets.safetensors")
    for arm in ARMS:
        for kind in KINDS:
            pictures = {"frozen": images[:4], "losses": np.zeros((IMAGES, 4), np.float32)}
            if arm != "none":
                pictures["optimised"] = images[:4]
            if kind == SELF:
                pictures["targets"] = images[:4]
            save_file(pictures, artifacts / f"{arm}-seed0-{kind}.safetensors")
    return folder

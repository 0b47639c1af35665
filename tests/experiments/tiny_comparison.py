"""The runs of a comparison of two steps, with the setup that it records: three kinds of noise, two seeds."""

from riemann_noise_pytorch.experiments.options import CompareConfig
from riemann_noise_pytorch.experiments.records import write_records
from riemann_noise_pytorch.training.loop import train
from riemann_noise_pytorch.training.real_images import open_data

ARMS = ("none", "euclidean", "riemannian")
SEEDS = (0, 1)
CONFIG = CompareConfig(seeds=2, kimg=0.064, width=4, z_dim=8, holdout=40)


def tiny_comparison(folder):
    """Train it, without the measurements."""
    images = open_data(CONFIG.training("none", 0))
    for arm in ARMS:
        for seed in SEEDS:
            train(CONFIG.training(arm, seed), images, folder / "runs" / f"{arm}-seed{seed}")
    data = {"name": images.name, "hash": images.content_hash(), "count": len(images)}
    setup = {"record": "setup", "version": "1", "commit": None, "data": data, "config": {"data": "digits"}}
    write_records(folder / "records.jsonl", [setup | {"arms": list(ARMS), "seeds": list(SEEDS)}])
    return folder

"""A cache of its own for every test, no weights by the environment, and one small run with metrics."""

from dataclasses import replace

import pytest

from riemann_noise_pytorch.experiments.evaluation.in_training import Schedule, TrainingEvaluation
from riemann_noise_pytorch.training.loop import train
from riemann_noise_pytorch.training.state import config_for_images
from tests.training.runs import blobs, small

METRICS = "swd200,fd240,ppl2_100_zfull"


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("INCEPTION", "VGG16", "LPIPS", "DINOV2", "DINOV2_REPOSITORY"):
        monkeypatch.delenv(f"RIEMANN_NOISE_{name}", raising=False)


def train_with_metrics(
    run_dir, *, metrics=METRICS, every=1, resume=False, tell=None, say=None, report=None, **options
):
    """Train a small run on blobs that is measured while it trains."""
    config = small(noise="riemannian", riemann_preset="neutral", **options)
    complete = config_for_images(replace(config, data="digits"), blobs())
    told = tell or (lambda _: None)
    measure = TrainingEvaluation(Schedule(metrics, every), complete, blobs(), told, say or print, report)
    return train(replace(config, data="digits"), blobs(), run_dir, resume=resume, on_tick=measure)


@pytest.fixture(scope="session")
def measured_run(tmp_path_factory):
    """Four ticks, each measured; what was told at each."""
    told = []
    folder = tmp_path_factory.mktemp("measured")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        train_with_metrics(folder / "run", tell=told.append, keep_snapshots=1)
    return folder / "run", told

"""One generator of the experiment on the dimension trap: trained, then measured as Theorem 1 asks."""

import math
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from torch import Tensor

from riemann_noise_pytorch.data.imageset import to_float, to_uint8
from riemann_noise_pytorch.data.manifold import manifold_images
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.arm import Report, TrainedRun
from riemann_noise_pytorch.experiments.artifacts import sample
from riemann_noise_pytorch.experiments.diagnosis.stages import dimensions
from riemann_noise_pytorch.experiments.records import Record, write_records
from riemann_noise_pytorch.geometry.divergence import JSBound, js_lower_bound
from riemann_noise_pytorch.geometry.rank_profile import LayerRank, RankProfile, rank_profile
from riemann_noise_pytorch.geometry.trap import NormGrowth, jacobian_growth, trap_report
from riemann_noise_pytorch.models.interfaces import Generator
from riemann_noise_pytorch.noise.control import noise_layers
from riemann_noise_pytorch.seeds import derive
from riemann_noise_pytorch.training.checkpoints import generator_of, list_snapshots, load_snapshot
from riemann_noise_pytorch.training.config import TrainConfig
from riemann_noise_pytorch.training.real_images import open_data

IMAGE = "image"
"""What the profile calls the generator's result."""
FRESH_IMAGES_SEED = 1
"""Of real images that no training saw, which has those of seed 0."""
LATE = 0.5
"""Growth is that over the last half of a training: every norm grows at first."""


@dataclass(frozen=True)
class TrapArm(TrainedRun):
    """One training with its measurements.

    Args:
        noise: The kind of noise.
        dimension: Dimension of the data.
        config: The training.
        out: Folder of the whole experiment.
        images: Number of new real images and of samples.
        epochs: Most epochs of the classifiers that bound the divergence.
        latents: Number of latents of the Jacobian.
    """

    noise: str
    dimension: int
    config: TrainConfig
    out: Path
    images: int
    epochs: int
    latents: int

    @property
    def name(self) -> str:
        """The arm's name among its files, such as ``z8-riemannian-seed0``."""
        return f"z{self.config.z_dim}-{self.noise}-seed{self.config.seed}"


def run_arm(arm: TrapArm, report: Report) -> None:
    """Train and measure one generator; what an earlier, interrupted attempt finished is kept.

    Raises:
        RiemannNoiseError: The training or a measurement cannot go on.
    """
    generator, device = arm.trained(report)
    seed = derive(arm.config.seed, "trap")
    norms = _norms(arm, seed, report)
    profile = rank_profile(generator, num_latents=arm.latents, seed=seed, progress=partial(report, "rank"))
    joint = _joint_profile(generator, arm.latents, seed, report)
    samples = to_uint8(sample(generator, arm.images, derive(seed, "samples")))
    js = js_lower_bound(
        *(to_float(each).to(device) for each in (fresh_images(arm), samples)),
        seed=seed,
        epochs=arm.epochs,
        progress=partial(report, "divergence"),
    )
    estimates = sample_dimensions(samples, report)
    about = {"z_dim": arm.config.z_dim, "noise": arm.noise, "seed": arm.config.seed}
    found = _arm_record(arm, norms, profile, joint, js)
    layers = [{"record": "layer", **about, "order": i, **_layer(x)} for i, x in enumerate(profile.layers)]
    steps = [{"record": "norm", **about, "kimg": kimg, "norm": norm} for kimg, norm in norms]
    write_records(arm.records, [found, *layers, *steps, *(each | about for each in estimates)])
    report("done", 1, 1)


def measure_data(arm: TrapArm, path: Path, report: Report) -> None:
    """Measure the data: its dimension, and the divergence of two sets of it, which is none."""
    images = open_data(arm.config)
    some = fresh_images(arm)
    half = len(some) // 2
    halves = to_float(some[:half]), to_float(some[half:])
    js = js_lower_bound(*halves, epochs=arm.epochs, progress=partial(report, "divergence"))
    _, estimates = dimensions("data", some, report)
    data = {
        "record": "data",
        "name": images.name,
        "hash": images.content_hash(),
        "count": len(images),
        "image_shape": list(images.image_shape),
        "js": asdict(js) | {"floor": js.floor},
    }
    write_records(path, [data, *estimates])
    report("done", 1, 1)


def sample_dimensions(samples: Tensor, report: Report) -> list[Record]:
    """Estimate the dimension of samples; nothing where too few of them differ, for a generator may collapse.

    Args:
        samples: uint8 (N, C, H, W).
        report: Told of the progress.
    """
    try:
        return dimensions("samples", samples, report)[1]
    except InputError:
        return []


def fresh_images(arm: TrapArm) -> Tensor:
    """Real images that no training saw, uint8 (N, C, H, W)."""
    every = manifold_images(
        arm.dimension, arm.config.image_size, channels=arm.config.channels, count=arm.images,
        seed=FRESH_IMAGES_SEED,
    )  # fmt: skip
    return every.pixels


def _norms(arm: TrapArm, seed: int, report: Report) -> list[tuple[float, float]]:
    """The largest singular value of the Jacobian at every snapshot, by thousands of images seen."""
    snapshots = list_snapshots(arm.run_dir)
    norms = []
    for number, path in enumerate(snapshots, start=1):
        snapshot = load_snapshot(path)
        profile = rank_profile(generator_of(snapshot), num_latents=arm.latents, layers=IMAGE, seed=seed)
        norms.append((snapshot.images_seen / 1000, profile.layers[-1].norm))
        report("norm", number, len(snapshots))
    return norms


def _joint_profile(generator: Generator, latents: int, seed: int, report: Report) -> RankProfile | None:
    """The rank of the image in the latent and the noise together, where there is noise."""
    if not noise_layers(generator):
        return None
    progress = partial(report, "rank with noise")
    return rank_profile(
        generator, num_latents=latents, layers=IMAGE, joint=True, seed=seed, progress=progress
    )


def _growth(norms: list[tuple[float, float]]) -> NormGrowth | None:
    last = norms[-1][0]
    late = [(kimg, norm) for kimg, norm in norms if kimg >= LATE * last > 0]
    return jacobian_growth(*zip(*late, strict=True)) if len(late) > 2 else None


def _arm_record(
    arm: TrapArm,
    norms: list[tuple[float, float]],
    profile: RankProfile,
    joint: RankProfile | None,
    js: JSBound,
) -> Record:
    image = profile.layers[-1]
    whole = image if joint is None else joint.layers[-1]
    growth = _growth(norms)
    found = trap_report(whole.rank, arm.dimension, growth, js)
    return {
        "record": "arm",
        "z_dim": arm.config.z_dim,
        "noise": arm.noise,
        "seed": arm.config.seed,
        "kimg": arm.config.kimg,
        **_layer(image),
        "joint_rank": None if joint is None else whole.rank,
        "joint_inputs": None if joint is None else joint.inputs,
        "tolerance": profile.tolerance,
        "remark": "; ".join(p.remark for p in (profile, joint) if p is not None and p.remark),
        "growth": None if growth is None else asdict(growth),
        "js": asdict(js) | {"floor": js.floor},
        "case": found.case,
        "sentence": found.sentence,
    }


def _layer(layer: LayerRank) -> Record:
    """What a record keeps of the Jacobian of one layer."""
    return {
        "name": layer.name,
        "size": math.prod(layer.shape),
        "rank": layer.rank,
        "lowest": layer.lowest,
        "highest": layer.highest,
        "margin_kept": min(_finite(report.margin_kept) for report in layer.reports),
        "margin_lost": min(_finite(report.margin_lost) for report in layer.reports),
        "ambiguous": layer.ambiguous,
        "stable_rank": layer.stable_rank,
        "effective_rank": layer.effective_rank,
        "norm": layer.norm,
    }


def _finite(margin: float) -> float:
    """JSON has no infinity."""
    return min(margin, 1e300)

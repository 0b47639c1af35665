"""The premises of Eq. 15 on a trained generator: what the noise moves, and whether sigma knows where."""

import tempfile
from pathlib import Path

from riemann_noise_pytorch.data.images import open_images
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.targets import open_target
from riemann_noise_pytorch.experiments.theory.options import TheoryConfig
from riemann_noise_pytorch.experiments.theory.statement import Statement, curve
from riemann_noise_pytorch.geometry.premises import LayerPremises, premises
from riemann_noise_pytorch.models.interfaces import Generator
from riemann_noise_pytorch.noise.control import noise_layers
from riemann_noise_pytorch.noise.layers import RiemannNoise
from riemann_noise_pytorch.statistics.intervals import Interval
from riemann_noise_pytorch.training.checkpoints import load_generator
from riemann_noise_pytorch.training.config import resolve_config
from riemann_noise_pytorch.training.loop import train

UNRELATED, NEAR_ZERO = 0.95, 0.3
"""Overlaps from which on nothing is left of orthogonality, and up to which the product counts as about 0."""
KIMG = 10.0
"""Of a digit generator's training: enough for digits, in seconds."""


def equation15(config: TheoryConfig) -> Statement:
    """Measure how orthogonal s_v and mu are, and how sigma ranks the places that noise moves."""
    generator, name = _generator(config)
    samples, draws = (16, 8) if config.quick else (64, 16)
    layers = premises(generator, samples=samples, draws=draws, seed=config.seed)
    places = range(1, len(layers) + 1)
    rows = {
        "overlap of s_v and mu": [(i, one.overlap) for i, one in zip(places, layers, strict=True)],
        "sigma against features": [(i, one.features) for i, one in zip(places, layers, strict=True)],
        "sigma against image": [(i, one.image) for i, one in zip(places, layers, strict=True)],
    }
    known = {label: {i: one.value for i, one in row if one is not None} for label, row in rows.items()}
    ends = (1.0, float(len(layers)))
    return Statement(
        name="Eq. 15",
        statement="s_d = s_m + s_v, where s_v moves with the noise; s_v * mu is about 0, and sigma is large "
        "where the semantics vary (the premises of Eqs. 15-17).",
        experiment=f"{name}: {samples} latents with {draws} draws of noise each; overlap of s_v with mu (0 "
        "where the product is 0, 1 without any relation), and rank correlation of sigma with the deviation "
        "of features and image over noise",
        measured="; ".join(_words(one) for one in layers),
        expected=f"an overlap of at most {NEAR_ZERO:g}, correlations with the features above 0; the paper "
        "gives no numbers",
        holds=_holds(layers),
        x_label="noise layer, from the latent to the image",
        y_label="overlap, rank correlation",
        curves=(
            *(curve(label, row.keys(), row.values()) for label, row in known.items() if row),
            curve("", ends, (0.0, 0.0), "guide"),
        ),
        log_x=False,
        log_y=False,
        remark=_remark(layers),
    )


def noisy_generator(run: Path) -> tuple[Generator, str]:
    """Open a trained generator with Riemannian noise.

    Args:
        run: A run folder or a snapshot.

    Returns:
        The generator, and what to call it.

    Raises:
        InputError: It is something else, or has no Riemannian noise.
    """
    target = open_target(str(run))
    if not isinstance(target.generator, Generator):
        raise InputError(f"{run} is no run; give a run folder or a snapshot with Riemannian noise")
    if not any(isinstance(layer, RiemannNoise) for layer in noise_layers(target.generator).values()):
        raise InputError(f"{run} has no Riemannian noise, so it has no premises; give another run")
    return target.generator, f"{run.name}, {target.snapshot}"


def _generator(config: TheoryConfig) -> tuple[Generator, str]:
    """The generator asked for, or one that is trained here, and what to call it."""
    if config.run is not None:
        return noisy_generator(config.run)
    kimg = KIMG / 10 if config.quick else KIMG
    options = resolve_config(
        "dcgan-rni",
        {
            "data": "digits", "z_dim": 64, "width": 16, "batch": 32, "kimg": kimg, "tick_kimg": kimg,
            "lr_g": 1e-3, "lr_d": 1e-3, "beta1": 0.0, "beta2": 0.99, "d_norm": "none", "gamma": 2.0,
            "regularizer_interval": 8, "ema_rampup": 0.05, "sample_grid": 1, "seed": config.seed,
            "device": "cpu",
        },
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        train(options, open_images("digits"), Path(folder) / "run")
        generator = load_generator(Path(folder) / "run")
    return generator, f"a DCGAN with Riemannian noise (preset paper) after {kimg:g} thousand digits"


def _holds(layers: tuple[LayerPremises, ...]) -> bool | None:
    """Whether the intervals of all layers are where they should be; None where that cannot be told."""
    overlaps = [one.overlap for one in layers if one.overlap is not None]
    features = [one.features for one in layers if one.features is not None]
    if any(one.low >= UNRELATED for one in overlaps) or any(one.high < 0 for one in features):
        return False
    kept = all(one.high <= NEAR_ZERO for one in overlaps) and all(one.low > 0 for one in features)
    return True if kept and overlaps and features else None


def _remark(layers: tuple[LayerPremises, ...]) -> str:
    """What the numbers say of the premises, in words."""
    found = ["The first noise layer has no s_v: it computes s before any noise has been added."]
    if any(one.overlap is not None and one.overlap.low >= UNRELATED for one in layers):
        found.append("Here s_v * mu is no smaller than if the two knew nothing of one another.")
    if any(one.features is not None and one.features.high < 0 for one in layers):
        found.append("Here sigma is small where noise moves the features most, not large.")
    return " ".join(found)


def _words(one: LayerPremises) -> str:
    numbers = {"overlap": one.overlap, "features": one.features, "image": one.image}
    found = ", ".join(f"{name} {_number(number)}" for name, number in numbers.items())
    return f"{one.name.removesuffix('.noise')}: {found}"


def _number(interval: Interval | None) -> str:
    if interval is None:
        return "none"
    return f"{interval.value:.2f} ({interval.low:.2f} to {interval.high:.2f})"

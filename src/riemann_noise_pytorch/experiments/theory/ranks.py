"""Lemmas 1 and 2: the rank is the dimension of what is generated, and it never grows with depth."""

import torch
from torch import nn

from riemann_noise_pytorch.experiments.theory.networks import RenderedCodes, chain, dcgan
from riemann_noise_pytorch.experiments.theory.options import TheoryConfig
from riemann_noise_pytorch.experiments.theory.statement import Statement, curve
from riemann_noise_pytorch.geometry.dimension import twonn_dimension
from riemann_noise_pytorch.geometry.rank_profile import LayerRank, rank_profile
from riemann_noise_pytorch.noise.pairs import counted_normal
from riemann_noise_pytorch.seeds import derive
from riemann_noise_pytorch.statistics.neighbours import nearest

DIMENSIONS = (1, 2, 4, 8, 16)
Z_DIM = 24
DROPS = (64, 64, 48, 20, 128)


def lemma1(config: TheoryConfig) -> Statement:
    """Compare the rank with the dimension that was planted, and with that of the images as points."""
    count, latents = (1000, 2) if config.quick else (5000, 4)
    ranks, estimates, sure = [], [], True
    for dimension in DIMENSIONS:
        generator = RenderedCodes(dimension, Z_DIM, config.seed)
        profile = rank_profile(generator, num_latents=latents, seed=config.seed)
        image = profile.layers[-1]
        ranks.append(image.rank)
        sure = sure and not image.ambiguous and image.lowest == image.highest == dimension
        z = counted_normal(derive(config.seed, "samples", dimension), 0, (count, Z_DIM))
        with torch.no_grad():
            estimates.append(twonn_dimension(nearest(generator(z).flatten(1), 2)).value)
    found = ", ".join(f"{estimate:.1f}" for estimate in estimates)
    return Statement(
        name="Lemma 1",
        statement="The intrinsic dimension of what is generated is the rank of the Jacobian.",
        experiment=f"images of {', '.join(map(str, DIMENSIONS))} planted dimensions from {Z_DIM} latent "
        f"ones: the rank at {latents} latents, and the dimension of {count:,} images as points by TwoNN",
        measured=f"ranks {', '.join(map(str, ranks))}; TwoNN, which sees no Jacobian, {found}",
        expected="the planted dimensions as ranks, at every latent and with a clear margin",
        holds=sure,
        x_label="planted dimension",
        y_label="measured dimension",
        curves=(
            curve("rank of J", DIMENSIONS, ranks),
            curve("TwoNN of images", DIMENSIONS, estimates),
            curve("", DIMENSIONS, DIMENSIONS, "guide"),
        ),
        remark="Estimates from points fall short in high dimensions, for lack of points; the rank does not.",
    )


def lemma2(config: TheoryConfig) -> Statement:
    """Follow the rank through a chain with planted drops and through a DCGAN."""
    latents = 1 if config.quick else 4
    networks: dict[str, tuple[nn.Module, int]] = {
        "chain": (chain(config.seed, DROPS), DROPS[0]),
        "DCGAN": (dcgan(config.seed, DROPS[0]), DROPS[0]),
    }
    curves, growth, steps = [], 0.0, 0
    for name, (network, z_dim) in networks.items():
        layers = rank_profile(network, z_dim, num_latents=latents, seed=config.seed).layers
        ranks = [float(z_dim), *(float(layer.rank) for layer in layers)]
        curves.append(curve(name, range(len(ranks)), ranks))
        growth = max([growth, *_growths(z_dim, layers)])
        steps += len(layers)
    lowest = int(curves[0].y[-1])
    return Statement(
        name="Lemma 2",
        statement="The rank of a chain of maps is at most that of each of them: it never grows with depth.",
        experiment=f"ranks of all layers at {latents} latents: a chain of {' to '.join(map(str, DROPS))} "
        "features, and an untrained DCGAN",
        measured=f"largest growth over {steps} layers: {growth:g}; the chain ends at rank {lowest}",
        expected=f"no growth; the chain ends at {min(DROPS)}",
        holds=growth == 0 and lowest == min(DROPS),
        x_label="layers passed",
        y_label="rank",
        curves=tuple(curves),
        log_x=False,
        log_y=False,
        remark="It holds for chains of maps. In StyleGAN w enters every layer, and ranks may grow.",
    )


def _growths(z_dim: int, layers: tuple[LayerRank, ...]) -> list[float]:
    """By how much the rank at each latent exceeds that one layer before, for every layer."""
    before, growths = [z_dim] * len(layers[0].reports), []
    for layer in layers:
        ranks = [report.rank for report in layer.reports]
        growths += [float(now - then) for now, then in zip(ranks, before, strict=True)]
        before = ranks
    return growths

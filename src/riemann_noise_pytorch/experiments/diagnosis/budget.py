"""How much of a diagnosis fits into the minutes that it may take."""

from dataclasses import dataclass, replace

from riemann_noise_pytorch.experiments.diagnosis.options import DiagnoseConfig

FLOAT64 = 2.0
"""A forward pass in float64 against one in float32."""
TANGENT = 2.0
"""A tangent against a forward pass in the same precision: two numbers for one, and the QR of the columns."""
FEWEST_PAIRS = 1000
FEWEST_SAMPLES = 128


@dataclass(frozen=True)
class Work:
    """What is computed.

    Attributes:
        num_latents: Latents of the Jacobians.
        pairs: Pairs of points in each space.
        samples: Samples of the attribution.
        joint: Whether the noise counts among the inputs of a second set of Jacobians.
        reductions: What is less than the options ask for, in words; empty if all fits.
    """

    num_latents: int
    pairs: int
    samples: int
    joint: bool
    reductions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Costs:
    """What the parts of a diagnosis cost, in forward passes of one image in the generator's precision.

    Args:
        latent: Tangents of one latent: its dimension.
        joint: Tangents of latent and noise together; 0 where there is no noise to count.
        spaces: Spaces in which pairs are taken.
        groups: Groups of the attribution, the latent among them; 0 for none.
    """

    latent: int
    joint: int
    spaces: int
    groups: int

    def passes(self, work: Work) -> dict[str, float]:
        """Count the forward passes of each part."""
        tangents = self.latent + (self.joint if work.joint else 0)
        return {
            "latents": FLOAT64 * TANGENT * work.num_latents * tangents,
            "pairs": FLOAT64 * 2 * self.spaces * work.pairs,
            "samples": float((self.groups + 2) * work.samples) if self.groups else 0.0,
        }


def fitted(config: DiagnoseConfig, costs: Costs, image_s: float) -> Work:
    """Take as much as fits: first fewer pairs and samples, then fewer latents, last no joint rank.

    Args:
        config: The options.
        costs: What the parts cost.
        image_s: Seconds of one image.

    Example:
        >>> fitted(DiagnoseConfig(budget=1), Costs(100, 0, 1, 2), image_s=0.001).reductions
        ('14,307 of 50,000 pairs', '293 of 1,024 samples')
    """
    work = Work(config.num_latents, config.pairs, config.samples, config.joint and costs.joint > 0)
    affordable = 60 * config.budget / max(image_s, 1e-9)
    work = _fewer(work, costs, affordable)
    while sum(costs.passes(work).values()) > affordable and work.num_latents > 1:
        work = replace(work, num_latents=work.num_latents - 1)
    if sum(costs.passes(work).values()) > affordable:
        work = replace(work, joint=False)
    return replace(work, reductions=_reductions(config, work, costs))


def _fewer(work: Work, costs: Costs, affordable: float) -> Work:
    """Fewer pairs and samples, in equal shares of what was asked for, but never fewer than say anything."""
    wanted = costs.passes(work)
    spare = affordable - wanted["latents"]
    share = max(0.0, spare) / (wanted["pairs"] + wanted["samples"])
    if share >= 1:
        return work
    fewest = min(work.samples, FEWEST_SAMPLES)
    work = replace(work, samples=max(fewest, int(share * work.samples)))
    share = max(0.0, spare - costs.passes(work)["samples"]) / wanted["pairs"]
    return replace(work, pairs=max(min(work.pairs, FEWEST_PAIRS), int(share * work.pairs)))


def _reductions(config: DiagnoseConfig, work: Work, costs: Costs) -> tuple[str, ...]:
    words = []
    for name in ("num_latents", "pairs", "samples"):
        taken, asked = getattr(work, name), getattr(config, name)
        if taken < asked and (name != "samples" or costs.groups):
            words.append(f"{taken:,} of {asked:,} {name.removeprefix('num_')}")
    if config.joint and costs.joint and not work.joint:
        words.append("no joint rank of latent and noise")
    return tuple(words)

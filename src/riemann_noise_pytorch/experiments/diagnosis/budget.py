"""How much of a diagnosis fits into the minutes that it may take."""

from dataclasses import dataclass, replace

from riemann_noise_pytorch.experiments.diagnosis.options import DiagnoseConfig

FLOAT64 = 2.0
"""A forward pass in float64 against one in float32."""
TANGENT = 2.0
"""A tangent against a forward pass in the same precision: two numbers for one, and the QR of the columns."""
LOCAL_CALLS = 40
"""Calls of one image for the exact condition at a latent: the power iteration ends after a few dozen products
with the Jacobian and its transpose, and the ways of derivatives are tried before."""
PAIR_S, POINT_S = 1e-10, 5e-7
"""Seconds of the search for nearest neighbours on one core, for each number of an image: of a pair of images,
and of an image."""
FEWEST = {"pairs": 1000, "samples": 128, "images": 500}
"""What says something at least: below so many images, the bias of a dimension outweighs what it tells."""


@dataclass(frozen=True)
class Work:
    """What is computed.

    Attributes:
        num_latents: Latents of the Jacobians.
        pairs: Pairs of points in each space.
        samples: Samples of the attribution.
        images: Images of each kind whose dimension is estimated.
        joint: Whether the noise counts among the inputs of a second set of Jacobians.
        reductions: What is less than the options ask for, in words; empty if all fits.
    """

    num_latents: int
    pairs: int
    samples: int
    images: int
    joint: bool
    reductions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Costs:
    """What the parts of a diagnosis cost.

    Args:
        latent: Tangents of one latent: its dimension.
        joint: Tangents of latent and noise together; 0 where there is no noise to count.
        spaces: Spaces in which pairs are taken.
        groups: Groups of the attribution, the latent among them; 0 for none.
        images: Images of each kind whose dimension is wanted; 0 for none.
        kinds: Kinds of them: the samples alone, or the data too.
        values: Numbers of an image.
        image_s: Seconds of one image in a batch, in the generator's precision.
        call_s: Seconds of an image on its own.
    """

    latent: int
    joint: int
    spaces: int
    groups: int
    images: int
    kinds: int
    values: int
    image_s: float
    call_s: float

    def seconds(self, work: Work) -> dict[str, float]:
        """Count the seconds of each part."""
        tangents = self.latent + (self.joint if work.joint else 0)
        local = FLOAT64 * (TANGENT * LOCAL_CALLS) * self.call_s
        search = self.values * work.images * (work.images * PAIR_S + POINT_S)
        return {
            "latents": work.num_latents * (FLOAT64 * TANGENT * tangents * self.image_s + local),
            "pairs": FLOAT64 * 2 * self.spaces * work.pairs * self.image_s,
            "samples": (self.groups + 2) * work.samples * self.image_s if self.groups else 0.0,
            "images": work.images * self.image_s + self.kinds * search,
        }


def fitted(config: DiagnoseConfig, costs: Costs, spent_s: float = 0.0) -> Work:
    """Take as much as fits: first fewer pairs, samples and images, then fewer latents, last no joint rank.

    Args:
        config: The options.
        costs: What the parts cost.
        spent_s: Seconds that are gone already.

    Example:
        >>> costs = Costs(
        ...     latent=100, joint=0, spaces=1, groups=2, images=5000, kinds=1, values=64,
        ...     image_s=0.001, call_s=0.001,
        ... )
        >>> fitted(DiagnoseConfig(budget=1), costs).reductions
        ('13,790 of 50,000 pairs', '282 of 1,024 samples', '1,379 of 5,000 images for the dimension')
    """
    joint = config.joint and costs.joint > 0
    work = Work(config.num_latents, config.pairs, config.samples, costs.images, joint)
    affordable_s = max(0.0, 60 * config.budget - spent_s)
    work = _fewer(work, costs, affordable_s)
    while sum(costs.seconds(work).values()) > affordable_s and work.num_latents > 1:
        work = replace(work, num_latents=work.num_latents - 1)
    if sum(costs.seconds(work).values()) > affordable_s:
        work = replace(work, joint=False)
    return replace(work, reductions=_reductions(config, work, costs))


def _fewer(work: Work, costs: Costs, affordable_s: float) -> Work:
    """Fewer of what is many, in equal shares of what was asked for, but never fewer than say anything."""
    asked = {name: getattr(work, name) for name in FEWEST}
    fewest = {name: min(asked[name], least) for name, least in FEWEST.items()}
    wanted, least = costs.seconds(work), costs.seconds(_with(work, fewest))
    spare, free = max(0.0, affordable_s - wanted["latents"]), list(asked)
    while True:
        cost = sum(wanted[name] for name in free)
        share = min(1.0, spare / cost) if cost else 1.0
        held = [name for name in free if int(share * asked[name]) < fewest[name]]
        if not held:
            return _with(work, fewest | {name: int(share * asked[name]) for name in free})
        spare = max(0.0, spare - sum(least[name] for name in held))
        free = [name for name in free if name not in held]


def _with(work: Work, counts: dict[str, int]) -> Work:
    return replace(work, pairs=counts["pairs"], samples=counts["samples"], images=counts["images"])


def _reductions(config: DiagnoseConfig, work: Work, costs: Costs) -> tuple[str, ...]:
    words = []
    if work.num_latents < config.num_latents:
        words.append(f"{work.num_latents:,} of {config.num_latents:,} latents")
    if work.pairs < config.pairs:
        words.append(f"{work.pairs:,} of {config.pairs:,} pairs")
    if work.samples < config.samples and costs.groups:
        words.append(f"{work.samples:,} of {config.samples:,} samples")
    if work.images < costs.images:
        words.append(f"{work.images:,} of {costs.images:,} images for the dimension")
    if config.joint and costs.joint and not work.joint:
        words.append("no joint rank of latent and noise")
    return tuple(words)

"""What a diagnosis sets out with: the real images, and as much work as fits into its minutes."""

import time

import torch

from riemann_noise_pytorch.data.builtin import builtin_set
from riemann_noise_pytorch.data.imageset import ImageSet
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.diagnosis import stages
from riemann_noise_pytorch.experiments.diagnosis.budget import Costs, Work, fitted
from riemann_noise_pytorch.experiments.diagnosis.options import DiagnoseConfig
from riemann_noise_pytorch.experiments.evaluation.reference import reference_images
from riemann_noise_pytorch.experiments.targets import Target
from riemann_noise_pytorch.geometry.layer_tangents import MOST_INPUTS
from riemann_noise_pytorch.geometry.still import still
from riemann_noise_pytorch.noise.control import noise_layers

TIMED_IMAGES = 64
"""Images at once, at most, of which the time of one is taken."""


def real_images(target: Target, config: DiagnoseConfig, say: stages.Say) -> ImageSet | None:
    """Open the real images: those of the training may be gone, those that are asked for must be there.

    Args:
        target: Its run may tell which.
        config: The options, which come first.
        say: Called with a line where there are none.

    Raises:
        InputError: The options name images that cannot be used.
    """
    if config.data is None and target.config is None:
        say("no real images are known, so the dimension of the data is left out; give --data")
        return None
    try:
        return reference_images(target, config)
    except InputError as error:
        if (config.data, config.resolution, config.channels) != (None, None, None):
            raise
        say(f"the dimension of the data is left out, for the images of the training cannot be used: {error}")
        return None


def known_dimension(target: Target, config: DiagnoseConfig) -> int | None:
    """The dimension of real images that are drawn (``manifold-D``); None for all others."""
    given = config.data or (target.config.data if target.config else "")
    kind, _, number = given.partition("-")
    return int(number) if kind == "manifold" and builtin_set(given) is not None else None


def planned(
    target: Target, config: DiagnoseConfig, data: ImageSet | None, say: stages.Say, started_s: float
) -> Work:
    """See how long an image takes, and what fits into the minutes.

    Args:
        target: What is diagnosed.
        config: The options.
        data: The real images.
        say: Called with a line where there is less than was asked for.
        started_s: When the diagnosis began, by ``time.perf_counter``.

    Raises:
        InputError: The generator gives no images, or cannot be differentiated.
        NonFiniteError: Images are not finite.
    """
    (first,) = stages.samples_of(target, 1, 1, config.seed)
    batch = min(config.batch, TIMED_IMAGES)
    layers = 0 if target.module is None else len(noise_layers(target.module))
    costs = Costs(
        latent=target.z_dim,
        joint=_joint_inputs(target, config.seed, say) if config.joint and layers else 0,
        spaces=len(stages.spaces_of(target)),
        groups=1 + bool(target.classes) + layers,
        images=stages.DIMENSION_IMAGES if data is None else min(stages.DIMENSION_IMAGES, len(data)),
        kinds=1 if data is None else 2,
        values=first.numel(),
        image_s=_seconds(target, batch, config.seed) / batch,
        call_s=_seconds(target, 1, config.seed),
    )
    work = fitted(config, costs, time.perf_counter() - started_s)
    if work.reductions:
        say(f"to end in about {config.budget:g} minutes: {', '.join(work.reductions)} (--budget)")
    return work


def _seconds(target: Target, batch: int, seed: int) -> float:
    """How long a batch of images takes."""
    started_s = time.perf_counter()
    stages.samples_of(target, batch, batch, seed)
    return time.perf_counter() - started_s


def _joint_inputs(target: Target, seed: int, say: stages.Say) -> int:
    """The number of inputs when noise counts among them; 0 where it cannot."""
    assert target.generator is not None
    with still(target.generator, target.z_dim, module=target.module, seed=seed) as net:
        z = torch.zeros(target.z_dim, device=net.device, dtype=net.dtype)
        try:
            return target.z_dim + min(net.joint_at(0, z).noise_size, MOST_INPUTS)
        except InputError as error:
            say(f"the joint rank of latent and noise is left out: {error}")
            return 0

"""Images of latents and noise maps that were found, or of the latents under other noise."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.inversion.held import held
from riemann_noise_pytorch.models.latent_space import Space
from riemann_noise_pytorch.noise.precision import Network


def reconstruct(
    generator: Network,
    latents: Tensor,
    space: Space,
    *,
    noise: Mapping[str, Tensor] | None = None,
    labels: Tensor | None = None,
    seed: int = 0,
    first: int = 0,
    batch: int = 64,
    z_dim: int | None = None,
    module: nn.Module | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Images of points, each under its own noise.

    Args:
        generator: As for :func:`~riemann_noise_pytorch.inversion.projector.invert`.
        latents: (N, ...): z, w, or rows of w.
        space: Which of them.
        noise: Maps (N, P, H, W) by layer; layers that are not named, and all of them by default, have the
            frozen noise of ``seed``.
        labels: Classes (N,), for a generator that has them.
        seed: Of the frozen noise: that of the inversion for its own images, another one for a fresh draw.
        first: Index of the first sample, on which its noise depends.
        batch: Images at once.
        z_dim: Size of z, where the generator has no attribute of that name.
        module: What the generator is made of, for a callable that is no module itself.
        dtype: Precision of a copy that is used instead.

    Returns:
        (N, C, H, W), on the CPU.

    Raises:
        InputError: The generator has no such space or layer.
    """
    given = {} if noise is None else dict(noise)
    images = []
    with held(generator, z_dim=z_dim, module=module, dtype=dtype) as still, torch.no_grad():
        still.look(space, labels)
        unknown = sorted(set(given) - set(still.places))
        if unknown:
            raise InputError(
                f"the generator has no noise layer '{unknown[0]}' that draws; give the maps of its own layers"
            )
        for low in range(0, len(latents), batch):
            rows = slice(low, low + batch)
            points = latents[rows].to(still.like)
            maps = still.maps(seed, first + low, len(points))
            maps |= {name: each[rows].to(still.like) for name, each in given.items()}
            classes = None if labels is None else labels[rows].to(still.device)
            images.append(still.images(points, space, maps, classes).cpu())
    return torch.cat(images)

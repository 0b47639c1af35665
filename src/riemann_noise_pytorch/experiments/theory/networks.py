"""Small networks that the experiments are made on."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.data.manifold import ManifoldRenderer
from riemann_noise_pytorch.models.interfaces import Generator
from riemann_noise_pytorch.models.networks import NetworkConfig, build_generator, initialise
from riemann_noise_pytorch.noise.pairs import counted_normal
from riemann_noise_pytorch.seeds import derive


def dcgan(seed: int, z_dim: int) -> Generator:
    """An untrained DCGAN of 16x16 grey images, in eval mode."""
    generator = build_generator(NetworkConfig(resolution=16, channels=1, z_dim=z_dim, width=16)).eval()
    initialise(generator, derive(seed, "dcgan"))
    return generator


def chain(seed: int, widths: tuple[int, ...]) -> nn.Sequential:
    """Linear maps of given widths with a smooth bend after each: a chain whose drops are planted."""
    layers: list[nn.Module] = []
    for number, (before, after) in enumerate(pairwise(widths)):
        linear = nn.Linear(before, after, bias=False, dtype=torch.float64)
        rows = counted_normal(derive(seed, "chain", number), 0, (after, before))
        linear.weight = nn.Parameter(rows / before**0.5)
        layers += [linear, nn.Softplus()]
    return nn.Sequential(*layers)


class RenderedCodes(nn.Module):
    """A generator whose images have exactly ``dimension`` dimensions, however large its latent is.

    Args:
        dimension: That of the images.
        z_dim: Size of a latent, at least the dimension.
        seed: Seed of the directions that count.
    """

    def __init__(self, dimension: int, z_dim: int, seed: int) -> None:
        super().__init__()
        self.z_dim = z_dim
        rows = counted_normal(derive(seed, "directions"), 0, (z_dim, dimension))
        self.directions = nn.Parameter(torch.linalg.qr(rows)[0].mT.contiguous(), requires_grad=False)
        self.renderer = ManifoldRenderer(dimension, (1, 16, 16))

    def forward(self, z: Tensor) -> Tensor:
        """Latents (N, z_dim) to images (N, 1, 16, 16); codes are uniform for normal latents."""
        return self.renderer.render(2 * torch.special.ndtr(z @ self.directions.mT) - 1)

"""Small generators whose images depend on every latent, in float64."""

import torch
from torch import nn

from riemann_noise_pytorch.models.dcgan import DCGANGenerator
from riemann_noise_pytorch.models.networks import initialise
from riemann_noise_pytorch.models.stylegan2 import StyleGAN2Generator
from riemann_noise_pytorch.noise.control import frozen


def dcgan(noise="none", z_dim=4):
    """A DCGAN of 16 pixels with the statistics of its batch norms filled in."""
    generator = DCGANGenerator(16, 1, z_dim, 8, noise=noise, noise_strength=None if noise == "none" else 0.1)
    initialise(generator, 0)
    generator.double()
    with torch.no_grad(), frozen(generator, 0):
        for seed in range(40):
            rng = torch.Generator().manual_seed(seed)
            generator(torch.randn(64, z_dim, generator=rng, dtype=torch.float64))
        generator.to_image.conv.weight *= 20
    return generator.eval()


def stylegan2(noise="euclidean", strength=0.2, size=16):
    """A StyleGAN2 with initial weights, whose images have a few units of contrast."""
    generator = StyleGAN2Generator(
        (1, size, size),
        8,
        8,
        2,
        channel_max=8,
        noise=noise,
        noise_strength=None if noise == "none" else strength,
    )
    initialise(generator, 0)
    return generator.double().eval()


def images(generator, count=3, seed=0, first=0):
    """Targets that the generator makes, under the noise that inversions see by default, and their latents."""
    rng = torch.Generator().manual_seed(seed)
    z = torch.randn(count, generator.z_dim, generator=rng, dtype=torch.float64)
    with torch.no_grad(), frozen(generator, 0, first_sample=first):
        return generator(z), z


class Cliff(nn.Module):
    """Images linear in z, but NaN where the first value of z exceeds a limit."""

    def __init__(self, z_dim=3, limit=1.0):
        super().__init__()
        rng = torch.Generator().manual_seed(1)
        self.z_dim, self.limit = z_dim, limit
        self.register_buffer("basis", torch.randn(z_dim, 64, generator=rng, dtype=torch.float64))

    def forward(self, z):
        flat = z @ self.basis + 0 * (self.limit - z[:, :1]).sqrt()
        return flat.reshape(-1, 1, 8, 8)

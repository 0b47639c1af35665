"""Tiny generators of 1x16x16 images, with noise of this package, foreign noise, classes or none."""

import torch
from torch import nn

from riemann_noise_pytorch.experiments.targets import Target, weights_sha256
from riemann_noise_pytorch.noise.layers import EuclideanNoise

Z_DIM = 6


class Tiny(nn.Module):
    """One linear layer, blurred noise, tanh."""

    z_dim = Z_DIM

    def __init__(self, strength=0.5, seed=0):
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(256, Z_DIM, generator=draw) / Z_DIM**0.5)
        self.noise = EuclideanNoise(strength=strength)

    def forward(self, z):
        return self.noise((z @ self.weight.T).view(-1, 1, 16, 16)).tanh()


class Mapped(Tiny):
    """The same with a space w."""

    def __init__(self):
        super().__init__()
        self.mapping = nn.Linear(Z_DIM, Z_DIM, bias=False)
        nn.init.eye_(self.mapping.weight)
        self.synthesis = Tiny(seed=1)

    def forward(self, z):
        return self.synthesis(self.mapping(z))


class Classes(Tiny):
    """Images of one brightness for each class."""

    classes = 3

    def forward(self, z, labels):
        return 0.01 * super().forward(z) + (labels.to(z) - 1).view(-1, 1, 1, 1) * 0.9


class Foreign(Tiny):
    """Noise that nobody can tell where to come from."""

    def forward(self, z):
        return super().forward(z) + 0.1 * torch.randn(len(z), 1, 16, 16)


def target_of(generator, name="tiny", z_dim=Z_DIM):
    """Give a target, as open_target would of a callable."""
    sha256 = weights_sha256(generator) if isinstance(generator, nn.Module) else ""
    return Target(name, "callable", generator, z_dim, sha256)

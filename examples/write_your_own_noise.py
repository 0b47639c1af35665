"""A noise of your own: one formula, and every source, network and table of this package knows it.

Run: python examples/write_your_own_noise.py [--quick]
"""

import argparse

import torch
from torch import Tensor, nn

from riemann_noise_pytorch import frozen, inject, noise_layers
from riemann_noise_pytorch.noise.interfaces import NoiseLayer


class MultiplicativeNoise(NoiseLayer):
    """Noise in proportion to the features: o = mu (1 + a epsilon)."""

    kind = "multiplicative"

    def __init__(self, strength: float = 0.1) -> None:
        super().__init__(planes="per_channel", law="clipped")
        self.initial_strength = strength
        self.a = nn.Parameter(torch.empty(()))
        self.reset_parameters()

    def inject(self, mu: Tensor, epsilon: Tensor | None) -> Tensor:
        """Combine features (N, C, ...) with noise; None is no noise."""
        return mu.clone() if epsilon is None else mu * (1 + self.a.to(mu.dtype) * epsilon)

    def strength(self) -> Tensor:
        """Standard deviation of the noise, relative to the features."""
        return self.a.detach().abs()

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:  # noqa: ARG002
        """Set a to its initial value; what is drawn at random comes from the generator."""
        self.a.fill_(self.initial_strength)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer samples")
    samples = 4 if parser.parse_args().quick else 256

    torch.manual_seed(0)
    generator = nn.Sequential(
        nn.Linear(8, 64), nn.Unflatten(1, (4, 4, 4)), nn.ConvTranspose2d(4, 1, 4, 2, 1), nn.Tanh()
    )
    z = torch.randn(samples, 8)
    plain = generator(z)
    inject(generator, nn.Linear, lambda _: MultiplicativeNoise(0.2), example_input=z)
    print(noise_layers(generator))

    with frozen(generator, seed=1):
        images = generator(z)
        assert torch.equal(generator(z), images)
    images.square().mean().backward()
    gradient = noise_layers(generator)["0.noise"].a.grad
    print(f"the noise moves pixels by {(images - plain).std():.3f}; its strength learns: {gradient:.4f}")


if __name__ == "__main__":
    main()

"""Noise in a generator that you already have: in by one line, trained, listed, and out again.

Run: python examples/inject_into_your_generator.py [--quick]
"""

import argparse

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from riemann_noise_pytorch import inject, noise_layers, remove


class Generator(nn.Module):
    """Stands for yours: latents (N, 16) to images (N, 1, 16, 16); it knows nothing of noise."""

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Linear(16, 32 * 4 * 4)
        self.block8 = nn.ModuleDict({"conv": nn.ConvTranspose2d(32, 16, 4, 2, 1), "norm": nn.BatchNorm2d(16)})
        self.block16 = nn.ModuleDict({"conv": nn.ConvTranspose2d(16, 8, 4, 2, 1), "norm": nn.BatchNorm2d(8)})
        self.image = nn.Conv2d(8, 1, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        """Make images in [-1, 1]."""
        features = self.start(z).view(-1, 32, 4, 4)
        for block in (self.block8, self.block16):
            features = block["norm"](block["conv"](features)).relu()
        return self.image(features).tanh()


def discs(count: int) -> Tensor:
    """Real images: a disc of any size at any place, (N, 1, 16, 16)."""
    rows, columns = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    y, x, radius = torch.rand(3, count, 1, 1) * torch.tensor([8.0, 8, 2]).view(3, 1, 1, 1) + 4
    return (radius - ((rows - y) ** 2 + (columns - x) ** 2).sqrt()).clamp(-1, 1).unsqueeze(1)


def train(generator: nn.Module, steps: int) -> None:
    """A small GAN."""
    judge = nn.Sequential(nn.Conv2d(1, 16, 4, 2, 1), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(16 * 64, 1))
    g = torch.optim.Adam(generator.parameters(), lr=2e-3, betas=(0.5, 0.99))
    d = torch.optim.Adam(judge.parameters(), lr=2e-3, betas=(0.5, 0.99))
    for _ in range(steps):
        fake = generator(torch.randn(32, 16))
        d.zero_grad()
        (softplus(-judge(discs(32))) + softplus(judge(fake.detach()))).mean().backward()
        d.step()
        g.zero_grad()
        softplus(-judge(fake)).mean().backward()
        g.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few steps only")
    steps = 10 if parser.parse_args().quick else 500

    torch.manual_seed(0)
    generator = Generator()
    before = generator.state_dict().keys()

    inject(generator, "block*.conv", "riemannian", strength=0.1, example_input=torch.randn(2, 16))
    train(generator, steps)
    print(f"{'layer':<20} {'kind':<12} {'maps':<7} strength, 0.1 before {steps} steps")
    for name, layer in noise_layers(generator).items():
        print(f"{name:<20} {layer.kind:<12} {'x'.join(map(str, layer.size or ())):<7} {layer.strength():.4f}")

    remove(generator)
    print("the noise is out; the state dict is as before:", generator.state_dict().keys() == before)


if __name__ == "__main__":
    main()

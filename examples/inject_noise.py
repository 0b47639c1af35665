"""Noise inside a generator of your own: put the layers in, see them get gradients, measure what each does.

Run: python examples/inject_noise.py [--quick]
"""

import argparse

import torch
from torch import Tensor, nn

from riemann_noise_pytorch import RiemannNoise, frozen, noise_layers, off


class Generator(nn.Module):
    """Latents (N, 64) to images (N, 3, R, R): the image doubles in size until it has resolution R."""

    def __init__(self, resolution: int) -> None:
        super().__init__()
        self.start = nn.Linear(64, 128 * 4 * 4)
        self.blocks = nn.ModuleDict()
        size, channels = 4, 128
        while size < resolution:
            size, wide, channels = size * 2, channels, channels // 2
            self.blocks[f"{size}x{size}"] = nn.Sequential(
                nn.ConvTranspose2d(wide, channels, 4, 2, 1),
                nn.InstanceNorm2d(channels),
                RiemannNoise(size, w=0.1),  # the size of the features, and the noise's initial strength
                nn.LeakyReLU(0.2),
            )
        self.image = nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        """Make images in [-1, 1]."""
        features = self.start(z).view(-1, 128, 4, 4)
        for block in self.blocks.values():
            features = block(features)
        return self.image(features).tanh()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="images of 16 pixels instead of 128")
    resolution = 16 if parser.parse_args().quick else 128

    torch.manual_seed(0)
    generator = Generator(resolution)
    z = torch.randn(8, 64)

    generator(z).square().mean().backward()
    without_gradient = [name for name, p in generator.named_parameters() if p.grad is None]
    print(f"images: {tuple(generator(z).shape)}; parameters without a gradient: {without_gradient or 'none'}")

    with torch.no_grad(), off(generator):
        silent = generator(z)
    print("layer                 kind        strength  moves a pixel by (root mean square)")
    for name, layer in noise_layers(generator).items():
        with torch.no_grad(), off(generator), frozen(generator, seed=0, layers=name):
            moved = (generator(z) - silent).square().mean().sqrt()
        print(f"{name:<21} {layer.kind:<11} {layer.strength():.4f}    {moved:.5f}")


if __name__ == "__main__":
    main()

"""Noise under control: frozen, turned off, scaled and given, for the layers that you name.

python examples/freeze_noise.py [--quick]
"""

import argparse

import torch

from riemann_noise_pytorch import frozen, given, noise_layers, off, scaled
from riemann_noise_pytorch.models.dcgan import DCGANGenerator


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="16 pixels instead of 64")
    resolution = 16 if parser.parse_args().quick else 64

    torch.manual_seed(0)
    generator = DCGANGenerator(resolution, width=16, noise="riemannian", noise_strength=0.5).eval()
    z = torch.randn(4, generator.z_dim)

    with torch.no_grad():
        print("fresh:  two calls differ by", difference(generator(z), generator(z)))

        with frozen(generator, seed=1):
            first, second = generator(z), generator(z)
            print("frozen: two calls differ by", difference(first, second))
            print("        the last image made alone:", end=" ")
        with frozen(generator, seed=1, first_sample=3):
            print("differs from itself in the batch by", difference(generator(z[3:]), first[3:]))

        with off(generator):
            without = generator(z)
        for factor in (0.5, 1.0, 2.0):
            with frozen(generator, seed=1), scaled(generator, factor):
                print(f"scaled by {factor}: moves the images by", difference(generator(z), without))

        for name in noise_layers(generator):
            with frozen(generator, seed=1), off(generator), frozen(generator, seed=1, layers=name):
                print(f"{name} alone: moves the images by", difference(generator(z), without))

        finest = list(noise_layers(generator))[-1]
        stripes = torch.zeros(resolution // 2, resolution // 2)
        stripes[::2] = 1.0
        with off(generator), given(generator, {finest: stripes}):
            print(f"stripes given to {finest}: move the images by", difference(generator(z), without))


def difference(a: torch.Tensor, b: torch.Tensor) -> str:
    """Root mean square of a - b."""
    return f"{(a - b).square().mean().sqrt().item():.5f}"


if __name__ == "__main__":
    main()

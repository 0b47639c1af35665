"""What a page shows of a trained generator: samples, sigma maps, and where the noise moves the image."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from riemann_noise_pytorch.data.images import to_uint8
from riemann_noise_pytorch.files import atomic_write
from riemann_noise_pytorch.models.interfaces import Generator
from riemann_noise_pytorch.noise.control import frozen, noise_layers, off
from riemann_noise_pytorch.noise.layers import RiemannNoise
from riemann_noise_pytorch.noise.pairs import counted_normal
from riemann_noise_pytorch.seeds import derive

SHOWN_SAMPLES = 64
SHOWN_MAPS = 8
NOISE_DRAWS = 100
"""Draws of the noise for the standard-deviation map (Figure 1 of the paper has 100)."""
BATCH = 128


def latents(generator: Generator, count: int, seed: int) -> Tensor:
    """Draw latents (count, z_dim); each depends on the seed and its index alone."""
    device = next(generator.parameters()).device
    z = counted_normal(derive(seed, "latents"), 0, (count, generator.z_dim))
    return z.to(device, torch.float32)


@torch.no_grad()
def sample(generator: Generator, count: int, seed: int) -> Tensor:
    """Draw images (count, C, H, W) in float, with frozen noise, in batches.

    Args:
        generator: A generator in evaluation mode.
        count: Number of images.
        seed: Seed of latents and noise.
    """
    z = latents(generator, count, seed)
    parts = []
    for first in range(0, count, BATCH):
        with frozen(generator, seed, first_sample=first):
            parts.append(generator(z[first : first + BATCH]).cpu())
    return torch.cat(parts)


def write_artifacts(path: Path, generator: Generator, seed: int) -> None:
    """Write samples, sigma maps and standard-deviation maps of a generator as safetensors.

    Args:
        path: The file.
        generator: A trained generator, in evaluation mode.
        seed: Seed of latents and noise; equal seeds show equal latents.

    Raises:
        InputError: The file cannot be written.
    """
    tensors = {"samples": to_uint8(sample(generator, SHOWN_SAMPLES, seed))}
    tensors |= {f"sigma/{name}": sigma for name, sigma in _sigma_maps(generator, seed).items()}
    if noise_layers(generator):
        tensors |= _noise_deviation(generator, seed)
    with atomic_write(path) as temporary:
        save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, temporary)


@torch.no_grad()
def _sigma_maps(generator: Generator, seed: int) -> dict[str, Tensor]:
    """Compute r sigma of the first shown samples, of every Riemannian layer, (SHOWN_MAPS, H, W)."""
    maps: dict[str, Tensor] = {}
    layers = {n: layer for n, layer in noise_layers(generator).items() if isinstance(layer, RiemannNoise)}
    hooks = [
        layer.register_forward_pre_hook(
            lambda module, inputs, name=name: maps.update({name: module.local_scale(inputs[0])[:, 0]})
        )
        for name, layer in layers.items()
    ]
    try:
        z = latents(generator, SHOWN_SAMPLES, seed)
        with frozen(generator, seed):
            generator(z[:SHOWN_MAPS])
    finally:
        for hook in hooks:
            hook.remove()
    return maps


@torch.no_grad()
def _noise_deviation(generator: Generator, seed: int) -> dict[str, Tensor]:
    """Deviation of the pixels over draws of the noise, at fixed latents, and the images without it."""
    z = latents(generator, SHOWN_SAMPLES, seed)[:SHOWN_MAPS]
    total = square = torch.zeros((), device=z.device)
    for draw in range(NOISE_DRAWS):
        with frozen(generator, derive(seed, "draw", draw)):
            images = generator(z).double()
        total, square = total + images, square + images.square()
    mean = total / NOISE_DRAWS
    variance = (square / NOISE_DRAWS - mean.square()).clamp_min(0) * NOISE_DRAWS / (NOISE_DRAWS - 1)
    with off(generator):
        still = generator(z)
    deviation = variance.mean(dim=1).sqrt().float()
    return {"noise_std": deviation, "noise_std_images": to_uint8(still)}

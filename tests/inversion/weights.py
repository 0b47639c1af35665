"""Random weights in the formats of the published files."""

import torch
from safetensors.torch import save_file

from riemann_noise_pytorch.metrics.distances import VGG_CHANNELS
from tests.metrics.test_distances import VGG_LAYERS


def save_random(folder):
    """Write a VGG16 and LPIPS heads, and give the VGG's tensors."""
    rng = torch.Generator().manual_seed(0)
    vgg = {}
    for layer, inputs, outputs in VGG_LAYERS:
        scale = (2 / (9 * inputs)) ** 0.5
        vgg[f"features.{layer}.weight"] = scale * torch.randn(outputs, inputs, 3, 3, generator=rng)
        vgg[f"features.{layer}.bias"] = 0.1 * torch.randn(outputs, generator=rng)
    heads = {
        f"lin{i}.model.1.weight": torch.rand(1, c, 1, 1, generator=rng) for i, c in enumerate(VGG_CHANNELS)
    }
    save_file(vgg, folder / "vgg16.safetensors")
    save_file(heads, folder / "heads.safetensors")
    return vgg

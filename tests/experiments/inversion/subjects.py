"""Generators to invert, small enough for tests, and images as files."""

import json

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from riemann_noise_pytorch.experiments.inversion.invert import invert_images
from riemann_noise_pytorch.experiments.inversion.options import InvertConfig
from riemann_noise_pytorch.experiments.targets import Target
from riemann_noise_pytorch.models.networks import initialise
from riemann_noise_pytorch.models.stylegan2 import StyleGAN2Generator
from tests.inversion import generators

QUICK = {"draws": 2, "frames": 6, "points": 3}


def target_of(generator, sha256="0"):
    return Target("own.py:net", "snapshot", generator, generator.z_dim, sha256)


def dcgan(noise="riemannian"):
    return target_of(generators.dcgan(noise).float())


def stylegan2(noise="euclidean", strength=0.2):
    return target_of(generators.stylegan2(noise, strength).float())


def conditional(classes=3):
    size = {"channel_max": 8, "classes": classes}
    generator = StyleGAN2Generator((1, 16, 16), 8, 8, 2, noise="euclidean", noise_strength=0.2, **size)
    initialise(generator, 0)
    return target_of(generator.eval())


def pixels_of(count=3, size=16, seed=0):
    """Smooth grey pictures, uint8 (count, size, size), which no generator of the tests makes."""
    rng = np.random.default_rng(seed)
    x = np.linspace(0, 1, size)
    waves = [np.sin(rng.uniform(2, 9) * x[:, None] + rng.uniform(2, 9) * x) for _ in range(count)]
    return np.stack([np.rint(127.5 + 90 * wave).astype(np.uint8) for wave in waves])


def write_pictures(folder, pixels):
    folder.mkdir(parents=True, exist_ok=True)
    for i, each in enumerate(pixels):
        Image.fromarray(each).save(folder / f"{i}.png")
    return folder


def written(out):
    """The records, latents and noise, and pictures of an inversion."""
    records = [json.loads(line) for line in (out / "inversion.jsonl").read_text().splitlines()]
    return records, load_file(out / "inversion.safetensors"), load_file(out / "pictures.safetensors")


def inverted(target, images, out, *, resume=False, report=None, say=None, on_loss=None, **options):
    """Invert with few draws and frames, and read what was written."""
    config = InvertConfig(**(QUICK | options))
    invert_images(target, images, config, out=out, resume=resume, report=report, say=say, on_loss=on_loss)
    return written(out)


def png(path):
    return torch.from_numpy(np.array(Image.open(path)))

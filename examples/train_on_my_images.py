"""Train on a folder of images with Riemannian noise, load the result, and write a grid.

Without --data, a folder is made first: discs of any colour, place and size, as PNG files.

Run: python examples/train_on_my_images.py [--data FOLDER] [--out FOLDER] [--quick]
"""

import argparse
import colorsys
import random
from pathlib import Path

import torch
from PIL import Image, ImageDraw

from riemann_noise_pytorch import frozen, load_generator
from riemann_noise_pytorch.data.grid import save_grid
from riemann_noise_pytorch.data.images import open_images
from riemann_noise_pytorch.training.config import resolve_config
from riemann_noise_pytorch.training.loop import TickInfo, train


def make_folder(folder: Path, count: int) -> Path:
    """Draw the images that stand in for yours."""
    folder.mkdir(parents=True)
    draw = random.Random(0)
    for i in range(count):
        image = Image.new("RGB", (40, 40), (230, 230, 220))
        x, y, radius = draw.uniform(10, 30), draw.uniform(10, 30), draw.uniform(4, 9)
        colour = colorsys.hsv_to_rgb(draw.random(), 0.8, 0.8)
        box = (x - radius, y - radius, x + radius, y + radius)
        ImageDraw.Draw(image).ellipse(box, fill=tuple(int(255 * c) for c in colour))
        image.save(folder / f"{i:04d}.png")
    return folder


def show(tick: TickInfo) -> None:
    """Print a line at every tick."""
    stats = tick.stats
    print(f"{stats['kimg']:.2f} kimg  loss_g {stats['loss_g']:.3f}  loss_d {stats['loss_d']:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="your folder of images")
    parser.add_argument("--out", type=Path, default=Path("runs/my-images"), help="a new folder")
    parser.add_argument("--quick", action="store_true", help="a few steps only")
    options = parser.parse_args()

    data = options.data or make_folder(options.out / "images", 24 if options.quick else 1000)
    config = resolve_config(
        "dcgan-rni",
        {
            "data": str(data),
            "resolution": 32,
            "mirror": True,
            "width": 4 if options.quick else 16,
            "batch": 16,
            "kimg": 0.032 if options.quick else 10.0,
            "tick_kimg": 0.016 if options.quick else 1.0,
            "lr_g": 1e-3,
            "lr_d": 1e-3,
            "ema_rampup": 0.05,
        },
    )
    images = open_images(data, resolution=config.resolution, mirror=config.mirror)
    train(config, images, options.out / "run", on_tick=show)

    generator = load_generator(options.out / "run")
    z = torch.randn(16, generator.z_dim, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), frozen(generator, seed=0):
        save_grid(generator(z), options.out / "grid.png", scale=4)
    print(f"The grid: {options.out / 'grid.png'}; the run: {options.out / 'run'}")


if __name__ == "__main__":
    main()

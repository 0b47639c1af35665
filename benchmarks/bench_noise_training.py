"""What noise costs in training: steps of a GAN without noise, with Euclidean and with Riemannian noise.

Two generators: this package's DCGAN in its own training step, and a residual generator written without this
package, into which noise is injected. All arms take a step in turn, so that a slow spell meets them all.

Run: python benchmarks/bench_noise_training.py [--device cpu] [--rounds 21]
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from measuring import interleaved, ratio, record
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from riemann_noise_pytorch.cli.allocator import keep_big_buffers
from riemann_noise_pytorch.models.dcgan import DCGANDiscriminator
from riemann_noise_pytorch.noise.inject import inject
from riemann_noise_pytorch.training.config import resolve_config
from riemann_noise_pytorch.training.state import TrainState
from riemann_noise_pytorch.training.step import Trainer

ARMS = ("none", "euclidean", "neutral", "paper")
SIZES = {"16x16": (16, 32, 32), "64x64": (64, 64, 16)}
"""Resolution, width and batch."""


class Block(nn.Module):
    """A residual block that doubles the resolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(outputs)
        self.conv1, self.conv2 = (nn.Conv2d(c, outputs, 3, padding=1) for c in (inputs, outputs))
        self.skip = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', 2H, 2W)."""
        y = self.conv1(F.interpolate(F.relu(self.norm1(x)), scale_factor=2))
        return self.conv2(F.relu(self.norm2(y))) + F.interpolate(self.skip(x), scale_factor=2)


class ResidualGenerator(nn.Module):
    """A generator in the style of SNGAN (Miyato et al., ICLR 2018), written without this package."""

    def __init__(self, resolution: int, width: int) -> None:
        super().__init__()
        doublings = (resolution // 4).bit_length() - 1
        widths = [width * 2 ** max(0, doublings - 1 - i) for i in range(doublings + 1)]
        self.first = nn.Linear(64, widths[0] * 16)
        self.blocks = nn.Sequential(*map(Block, widths[:-1], widths[1:]))
        self.last = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        """(N, 64) to (N, 3, H, W)."""
        return torch.tanh(self.last(F.relu(self.blocks(self.first(z).unflatten(1, (-1, 4, 4))))))


def own_step(arm: str, resolution: int, width: int, batch: int, device: str) -> Callable[[], object]:
    """A step of this package's training."""
    noise = {"noise": "riemannian", "riemann_preset": arm} if arm in ARMS[2:] else {"noise": arm}
    config = resolve_config(
        "dcgan", {"resolution": resolution, "channels": 3, "width": width, "batch": batch, **noise}
    )
    accelerator = Accelerator(cpu=device == "cpu")
    trainer = Trainer(config, TrainState(config, accelerator.device), accelerator)
    pixels = torch.randint(256, (batch, 3, resolution, resolution), dtype=torch.uint8)
    return partial(trainer.step, pixels)


def foreign_step(arm: str, resolution: int, width: int, batch: int, device: str) -> Callable[[], object]:
    """A step of a plain loop around the residual generator, with noise behind the first convolutions."""
    generator = ResidualGenerator(resolution, width).to(device)
    if arm != "none":
        strength = {} if arm == "paper" else {"strength": 0.1}
        example = torch.zeros(2, 64, device=device)
        inject(generator, "blocks.*.conv1", arm, example_input=example, **strength)
    discriminator = DCGANDiscriminator(resolution, width=width, norm="none").to(device)
    optimizers = [torch.optim.Adam(m.parameters(), 2e-4, (0.5, 0.99)) for m in (generator, discriminator)]
    real = torch.rand(batch, 3, resolution, resolution, device=device) * 2 - 1

    def step() -> None:
        fake = generator(torch.randn(batch, 64, device=device))
        losses = (
            F.softplus(discriminator(fake.detach())).mean() + F.softplus(-discriminator(real)).mean(),
            F.softplus(-discriminator(fake)).mean(),
        )
        for loss, optimizer in zip(losses[::-1], optimizers, strict=True):
            optimizer.zero_grad()
            loss.backward(inputs=[p for group in optimizer.param_groups for p in group["params"]])
        for optimizer in optimizers:
            optimizer.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=SIZES)
    parser.add_argument("--record", type=Path, help="append the results to this file")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    results = []
    settings = ["as it is"] + (["keeping big buffers"] if options.device == "cpu" else [])
    for setting in settings:
        if setting != "as it is" and not keep_big_buffers():
            continue
        for size in options.sizes:
            for name, build in (("DCGAN", own_step), ("residual, injected", foreign_step)):
                steps = {arm: build(arm, *SIZES[size], options.device) for arm in ARMS}
                times_s = interleaved(steps, options.device, options.rounds)
                middle_s = sorted(times_s["euclidean"])[options.rounds // 2]
                ratios = {arm: ratio(times_s[arm], times_s["euclidean"]) for arm in ARMS}
                print(
                    f"{name}, {size}, allocator {setting}: Euclidean {1000 * middle_s:.1f} ms a step; "
                    + ", ".join(
                        f"{arm} {r['ratio']:.3f} ({r['low']:.3f}-{r['high']:.3f})"
                        for arm, r in ratios.items()
                    )
                )
                results.append(
                    {
                        "generator": name,
                        "size": size,
                        "allocator": setting,
                        "euclidean_ms": round(1000 * middle_s, 2),
                        "to_euclidean": ratios,
                    }
                )
    if options.record:
        record(options.record, options.threads, benchmark="noise in training", results=results)


if __name__ == "__main__":
    main()

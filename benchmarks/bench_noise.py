"""What an injection costs: each kind of noise against adding a constant, which moves as many bytes.

Run: python benchmarks/bench_noise.py [--device cpu] [--shape 16 64 64 64] [--rounds 30]
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from riemann_noise_pytorch import EuclideanNoise, RiemannNoise


class Constant(nn.Module):
    """The least that an injection can do: one pass over the features."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(0.1))

    def forward(self, mu: Tensor) -> Tensor:
        """Add a to every value."""
        return mu + self.a


def seconds(work: Callable[[], object], device: str) -> float:
    """Time one call."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--shape", type=int, nargs=4, default=[16, 64, 64, 64], help="N C H W")
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    size = (options.shape[2], options.shape[3])

    layers: dict[str, nn.Module] = {
        "constant": Constant(),
        "euclidean, one plane": EuclideanNoise(strength=0.1),
        "euclidean, a plane per channel": EuclideanNoise(strength=0.1, planes="per_channel"),
        "riemannian, one plane": RiemannNoise(size, w=0.1),
        "riemannian, a plane per channel": RiemannNoise(size, w=0.1, planes="per_channel"),
    }
    mu = torch.randn(*options.shape, device=options.device, requires_grad=True)
    upstream = torch.randn_like(mu)
    times_s: dict[str, list[list[float]]] = {name: [[], []] for name in layers}
    for round_number in range(options.rounds + 3):
        for name, layer in layers.items():
            layer.to(options.device)
            forward = seconds(lambda layer=layer: layer(mu), options.device)
            both = seconds(lambda layer=layer: layer(mu).backward(upstream), options.device)
            if round_number >= 3:
                times_s[name][0].append(forward)
                times_s[name][1].append(both)

    medians = {name: [statistics.median(times) for times in pair] for name, pair in times_s.items()}
    least = medians["constant"]
    print(f"{tuple(options.shape)} on {options.device}, {torch.get_num_threads()} threads")
    print(f"{'':<32} {'forward':>18} {'with backward':>20}")
    for name, (forward, both) in medians.items():
        print(
            f"{name:<32} {1000 * forward:8.2f} ms {forward / least[0]:5.2f}x"
            f" {1000 * both:10.2f} ms {both / least[1]:5.2f}x"
        )


if __name__ == "__main__":
    main()

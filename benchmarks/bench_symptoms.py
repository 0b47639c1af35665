"""What the signs of trouble cost: a tick's two spreads and a look at its line, against its steps.

The spreads are those of the samples of a tick and of the real images of its last step.

Both are timed in turn with training steps of one network, with as many lines before as are ever looked at. A
tick is that of the preset; the share of a tick of a single step is told beside it.

Run: python benchmarks/bench_symptoms.py [--device cpu] [--rounds 21] [--networks dcgan stylegan2]
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

import torch
from bench_regularizers import NETWORKS, make_trainer
from measuring import interleaved, record

from riemann_noise_pytorch.data.imageset import to_float
from riemann_noise_pytorch.training.sample_grid import spread
from riemann_noise_pytorch.training.state import MEASURES
from riemann_noise_pytorch.training.step import Trainer
from riemann_noise_pytorch.training.symptoms import MEMORY, Symptoms


def made_up_line(trainer: Trainer, tick: int, stream: torch.Generator) -> dict[str, float]:
    """A line of ``stats.jsonl`` in which nothing is wrong."""
    values = 0.6 + 0.1 * torch.rand(len(MEASURES) + 2, generator=stream)
    images_seen = tick * trainer.config.steps_per_tick * trainer.config.batch
    named = dict(zip((*MEASURES, "sample_spread", "real_spread"), values.tolist(), strict=True))
    return {**named, "images_seen": images_seen, "kimg": images_seen / 1000}


def measure(network: str, options: argparse.Namespace) -> dict[str, Any]:
    """Time steps and signs of one network, print their shares, and give them."""
    trainer = make_trainer(network, options.resolution, options.batch, options.device)
    config, shape = trainer.config, trainer.state.generator.image_shape
    stream = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (config.batch, *shape), dtype=torch.uint8, generator=stream)
    samples = torch.rand(config.sample_grid, *shape, generator=stream).to(options.device)
    lines = [made_up_line(trainer, tick, stream) for tick in range(MEMORY + 1)]
    symptoms = Symptoms(config, lines)
    cases = {
        "step": lambda: trainer.step(pixels),
        "spread": lambda: (spread(samples), spread(to_float(pixels))),
        "look": lambda: symptoms.look(lines[-1]),
    }
    times_s = interleaved(cases, options.device, options.rounds)
    middle_s = {name: statistics.median(times) for name, times in times_s.items()}
    of_a_step = (middle_s["spread"] + middle_s["look"]) / middle_s["step"]
    of_a_tick = of_a_step / config.steps_per_tick
    size = f"{options.resolution}x{options.resolution}, batch {config.batch}"
    print(
        f"{network}, {size}, {options.device}: {1000 * middle_s['step']:.1f} ms a step, spread "
        f"{1000 * middle_s['spread']:.3f} ms and signs {1000 * middle_s['look']:.3f} ms a tick: "
        f"{of_a_tick:.3%} of its {config.steps_per_tick} steps, {of_a_step:.2%} if it were one"
    )
    return {
        "network": network,
        "size": size,
        "device": options.device,
        "rounds": options.rounds,
        **{f"{name}_ms": round(1000 * value, 4) for name, value in middle_s.items()},
        "steps_per_tick": config.steps_per_tick,
        "of_a_step": round(of_a_step, 6),
        "of_a_tick": round(of_a_tick, 6),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--batch", type=int, help="images in a step; by default that of the preset")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--record", type=Path, help="append the results to this file")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    results = [measure(network, options) for network in options.networks]
    if options.record:
        record(options.record, options.threads, benchmark="symptoms", results=results)


if __name__ == "__main__":
    main()

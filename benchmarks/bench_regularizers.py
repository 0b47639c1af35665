"""What each penalty of the discriminator costs: training steps with it, against steps without one.

One training of each network takes all steps, in turn, so that a slow spell meets every penalty. An eager
penalty is in every step; a lazy one in every sixteenth, with an optimiser step of its own, so that its mean
step is a sixteenth of a step with it and fifteen sixteenths of one without. Ratios are to the steps without,
round by round. The loss is logistic, for every penalty fits it, and costs nothing beside the networks.

Run: python benchmarks/bench_regularizers.py [--device cpu] [--rounds 21] [--networks dcgan stylegan2]
"""

import argparse
import dataclasses
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import torch
from accelerate import Accelerator
from measuring import interleaved, ratio, record

from riemann_noise_pytorch.cli.allocator import keep_big_buffers
from riemann_noise_pytorch.training.choices import Regularizer
from riemann_noise_pytorch.training.config import resolve_config
from riemann_noise_pytorch.training.regularizers import make_penalty
from riemann_noise_pytorch.training.state import TrainState
from riemann_noise_pytorch.training.step import Trainer

INTERVAL = 16
NETWORKS: Mapping[str, dict[str, Any]] = {
    "dcgan": {"preset": "dcgan", "d_norm": "none"},
    "stylegan2": {"preset": "stylegan2-plain-small", "gamma": 0.0},
}
NONE = "none"


def make_trainer(network: str, resolution: int, batch: int | None, device: str) -> Trainer:
    """A training without a penalty, about to take its first step."""
    options = dict(NETWORKS[network])
    preset = options.pop("preset")
    if network == "stylegan2":
        options["regularizer_interval"] = INTERVAL
    own = {} if batch is None else {"batch": batch}
    size = {"resolution": resolution, "channels": 3, "device": device}
    config = resolve_config(preset, {**options, **own, **size})
    accelerator = Accelerator(cpu=device == "cpu")
    return Trainer(config, TrainState(config, accelerator.device), accelerator)


def cases(trainer: Trainer) -> dict[str, Callable[[], object]]:
    """A step without a penalty, and with each, eager and lazy."""
    config = trainer.config
    pixels = torch.randint(256, (config.batch, *trainer.state.generator.image_shape), dtype=torch.uint8)

    def with_penalty(name: str, gamma: float, interval: int) -> Callable[[], object]:
        penalty = make_penalty(name, gamma, interval)

        def step() -> None:
            trainer.penalty, trainer.state.step = penalty, 0
            trainer.step(pixels)

        return step

    steps = {NONE: with_penalty("r1", 0.0, 1)}
    for name in get_args(Regularizer):
        steps[f"{name}, eager"] = with_penalty(name, 1.0, 1)
        steps[f"{name}, lazy"] = with_penalty(name, 1.0, INTERVAL)
    return steps


def measure(network: str, options: argparse.Namespace, setting: str) -> dict[str, Any]:
    """Time the steps of one network, print the ratios, and give them."""
    trainer = make_trainer(network, options.resolution, options.batch, options.device)
    times_s = interleaved(cases(trainer), options.device, options.rounds, warm_up=options.warm_up)
    none_s = times_s[NONE]
    shape = f"{options.resolution}x{options.resolution}, batch {trainer.config.batch}"
    print(
        f"\n{network}, {shape}, {options.device}, allocator {setting}; "
        f"{1000 * statistics.median(none_s):.1f} ms a step without a penalty; ratios to it:"
    )
    found = {}
    for name in get_args(Regularizer):
        due_s = times_s[f"{name}, lazy"]
        mean_s = [(due + (INTERVAL - 1) * none) / INTERVAL for due, none in zip(due_s, none_s, strict=True)]
        eager, lazy = ratio(times_s[f"{name}, eager"], none_s), ratio(mean_s, none_s)
        found[name] = {"eager": eager, "lazy": lazy, "due": ratio(due_s, none_s)}
        told = (f"{each['ratio']:.3f} ({each['low']:.3f} to {each['high']:.3f})" for each in (eager, lazy))
        print(f"  {name:<8} eager {next(told)}, every {INTERVAL} steps {next(told)}")
    return {
        "network": network,
        "size": shape,
        "device": options.device,
        "allocator": setting,
        "interval": INTERVAL,
        "rounds": options.rounds,
        "none_ms": round(1000 * statistics.median(none_s), 2),
        "options": {n: v for n, v in dataclasses.asdict(trainer.config).items() if n in ("width", "d_norm")},
        "regularizers": found,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--batch", type=int, help="images in a step; by default that of the preset")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--warm-up", type=int, default=2, help="rounds that do not count")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--record", type=Path, help="append the results to this file")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    setting = "keeping big buffers" if options.device == "cpu" and keep_big_buffers() else "as it is"
    results = [measure(network, options, setting) for network in options.networks]
    if options.record:
        record(options.record, options.threads, benchmark="regularizers", results=results)


if __name__ == "__main__":
    main()

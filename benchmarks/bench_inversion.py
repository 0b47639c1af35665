"""What it costs to invert images: many together against one after the other, and beside bare passes.

A generator is inverted in z, or in w and w+, in float32: all images in one optimisation, and each in one of
its own. Every evaluation is one pass forward and, but for the last, one backward; they are counted. Beside
it, in the same rounds: as many passes of the generator alone for all images, once bare and once with the
objective, so that what is left is bookkeeping (Adam, the best state, the tests of what is finished). A run of
a single step tells what comes before and after the steps: trying the generator out, and the mean w.

Run: python benchmarks/bench_inversion.py [--images 16] [--steps 50] [--rounds 5] [--record FILE]
"""

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from measuring import interleaved, ratio, record
from torch import Tensor, nn

from riemann_noise_pytorch.cli.allocator import keep_big_buffers
from riemann_noise_pytorch.inversion.held import HeldGenerator, held
from riemann_noise_pytorch.inversion.objectives import Guess, total_loss
from riemann_noise_pytorch.inversion.projector import invert
from riemann_noise_pytorch.inversion.recipes import Recipe, recipe_named
from riemann_noise_pytorch.inversion.variables import Samples, start_points
from riemann_noise_pytorch.models.interfaces import Generator
from riemann_noise_pytorch.models.networks import build_generator, initialise
from riemann_noise_pytorch.noise.control import frozen
from riemann_noise_pytorch.training.config import resolve_config
from riemann_noise_pytorch.training.state import network_config

TOGETHER, SINGLE = "together", "one by one"
BARE, LOSS = "bare passes", "passes and objective"
TOGETHER_ONE, SINGLE_ONE = "together, one step", "one by one, one step"
NETWORKS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "dcgan": ({"preset": "dcgan", "width": 32, "z_dim": 64}, {"z": "z-restarts"}),
    "stylegan2": (
        {"preset": "stylegan2-eni-small"},
        {"w": "image2stylegan", "w+": "image2stylegan"},
    ),
}
"""Options of the networks, and the recipe of each space."""


def built(network: str, resolution: int) -> Generator:
    """A generator with initial weights, which cost as much as trained ones."""
    options = dict(NETWORKS[network][0])
    preset = options.pop("preset")
    config = resolve_config(preset, {**options, "resolution": resolution, "channels": 1})
    generator = build_generator(network_config(config))
    initialise(generator, 0)
    return generator.eval()


@torch.no_grad()
def samples(generator: Generator, count: int) -> Tensor:
    """Images of the generator under the noise of the inversion."""
    z = torch.randn(count, generator.z_dim, generator=torch.Generator().manual_seed(1))
    with frozen(generator, 0):
        return generator(z)


def counted(generator: Generator, work: Callable[[], object]) -> dict[str, int]:
    """How often images are made, and how often a gradient comes back to them."""
    found = {"forward": 0, "backward": 0}

    def came_back(_: Tensor) -> None:
        found["backward"] += 1

    def seen(_: nn.Module, __: object, images: Tensor) -> None:
        found["forward"] += 1
        if images.requires_grad:
            images.register_hook(came_back)

    whole = getattr(generator, "synthesis", generator)  # z goes through it as well
    handle = whole.register_forward_hook(seen)
    try:
        work()
    finally:
        handle.remove()
    return found


def passes(still: HeldGenerator, recipe: Recipe, targets: Tensor, *, objective: bool) -> Callable[[], None]:
    """All steps of a recipe for all images without any bookkeeping, and with the objective or without."""
    (stage,) = recipe.stages
    still.look(recipe.space)
    start = start_points(still, recipe.space, Samples(0, len(targets), 1), 0, mean=None)
    maps = still.maps(0, 0, len(targets))

    def work() -> None:
        for step in range(stage.steps + 1):
            points = start.detach().requires_grad_(step < stage.steps)
            images = still.images(points, recipe.space, maps)
            losses = images.flatten(1).sum(1)
            if objective:
                losses = total_loss(stage.objectives, Guess(images, targets, latents=points))
            if points.requires_grad:
                torch.autograd.grad(losses.sum(), points)

    return work


def one_by_one(generator: Generator, targets: Tensor, recipe: Recipe) -> None:
    """Every image in an optimisation of its own."""
    for i in range(len(targets)):
        invert(generator, targets[i : i + 1], recipe, first=i)


def measure(network: str, space: str, options: argparse.Namespace) -> dict[str, Any]:
    """Time all cases of a network and a space in turn; print and return the ratios."""
    generator = built(network, options.resolution)
    targets = samples(generator, options.images)
    recipe = recipe_named(NETWORKS[network][1][space]).changed(space=space, steps=options.steps)
    once = recipe.changed(steps=1)
    with held(generator) as still:
        times_s = interleaved(
            {
                TOGETHER: lambda: invert(generator, targets, recipe),
                SINGLE: lambda: one_by_one(generator, targets, recipe),
                BARE: passes(still, recipe, targets, objective=False),
                LOSS: passes(still, recipe, targets, objective=True),
                TOGETHER_ONE: lambda: invert(generator, targets, once),
                SINGLE_ONE: lambda: one_by_one(generator, targets, once),
            },
            "cpu",
            options.rounds,
            warm_up=options.warm_up,
        )
    counts = counted(generator, lambda: invert(generator, targets, recipe))
    return told(network, space, recipe, options, times_s, counts)


def told(
    network: str,
    space: str,
    recipe: Recipe,
    options: argparse.Namespace,
    times_s: dict[str, list[float]],
    counts: dict[str, int],
) -> dict[str, Any]:
    """Print what was measured of a network and a space, and give it."""

    def without_start(case: str, start: str) -> list[float]:
        return [whole - one for whole, one in zip(times_s[case], times_s[start], strict=True)]

    to_single = ratio(times_s[TOGETHER], times_s[SINGLE])
    steps_alone = ratio(without_start(TOGETHER, TOGETHER_ONE), without_start(SINGLE, SINGLE_ONE))
    to_bare = {case: ratio(times_s[case], times_s[BARE]) for case in (TOGETHER, LOSS)}
    middle_s = {case: round(statistics.median(times), 4) for case, times in times_s.items()}
    print(
        f"{network}, {space}: {options.images} images in {options.steps} steps {middle_s[TOGETHER]:.2f} s "
        f"together, {middle_s[SINGLE]:.2f} s one by one: {shown(to_single)}; the steps alone "
        f"{shown(steps_alone)}"
    )
    print(
        f"  {counts['forward']} passes forward and {counts['backward']} backward for {options.steps} steps; "
        f"to bare passes: with the objective {shown(to_bare[LOSS])}, all {shown(to_bare[TOGETHER])}"
    )
    return {
        "network": network,
        "space": space,
        "size": f"{options.resolution}x{options.resolution}",
        "recipe": recipe.name,
        "images": options.images,
        "steps": options.steps,
        "rounds": options.rounds,
        "s": middle_s,
        "to_single": to_single,
        "to_single_steps_alone": steps_alone,
        "passes": counts,
        "objective_to_bare": to_bare[LOSS],
        "whole_to_bare": to_bare[TOGETHER],
    }


def shown(found: dict[str, float]) -> str:
    """A ratio with its quartiles."""
    return f"{found['ratio']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--steps", type=int, default=50, help="2 or more")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--warm-up", type=int, default=1, help="rounds that do not count")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--as-it-is", action="store_true", help="leave the allocator alone")
    parser.add_argument("--record", type=Path, help="append the results to this file")
    options = parser.parse_args()
    setting = "as it is" if options.as_it_is or not keep_big_buffers() else "keeping big buffers"
    torch.set_num_threads(options.threads)
    print(f"{options.resolution}x{options.resolution}, {options.threads} threads, allocator {setting}")
    results = [
        {**measure(network, space, options), "allocator": setting}
        for network in options.networks
        for space in NETWORKS[network][1]
    ]
    if options.record:
        record(options.record, options.threads, benchmark="inversion", results=results)


if __name__ == "__main__":
    main()

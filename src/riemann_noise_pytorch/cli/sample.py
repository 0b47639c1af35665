"""``riemann-noise sample``: a grid of images by seed. The image of a seed depends on that seed alone."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from riemann_noise_pytorch.cli.options import parse
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.seeds import derive

if TYPE_CHECKING:
    from torch import Tensor

    from riemann_noise_pytorch.models.interfaces import Generator

NoiseMode = Literal["random", "const", "none"]
MOST_IMAGES = 10_000


@dataclass(frozen=True)
class SampleOptions:
    """Write a grid of images from a trained generator."""

    run: tyro.conf.Positional[Path]
    """Run folder, for its newest snapshot, or a snapshot file."""
    seeds: str = "0-35"
    """Seeds of the images: numbers and ranges, such as 0-35 or 1,4,9-12."""
    out: Path = Path("grid.png")
    """PNG file to write."""
    which: Literal["ema", "raw"] = "ema"
    """Weights: their moving average, or as last trained."""
    noise_mode: NoiseMode = "random"
    """random: noise of its own for each image; const: the same noise for all, for stylegan2 the maps stored
    with its layers; none: no noise."""
    noise_seed: int = 0
    """Seed of the noise."""
    truncation_psi: float = 1.0
    """For stylegan2: 1 leaves w as it is; less goes towards the average w, trading variety for quality."""
    truncation_cutoff: int | None = None
    """For stylegan2: rows of w that truncation_psi changes, from the first, coarsest one. None: all."""
    label: Annotated[int | None, tyro.conf.arg(name="class")] = None
    """For a generator with classes: the class of all images. None: the classes take turns."""
    columns: int | None = None
    """Images in a row. None: nearest to a square."""
    scale: int = 1
    """Each pixel becomes a square of this side."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto takes a GPU where there is one."""


def main(arguments: Sequence[str]) -> None:
    """Write the grid that the command line asks for.

    Raises:
        InputError: Seeds or options cannot be used, there is no such run, or the file cannot be written.
    """
    options = parse(SampleOptions, "sample", arguments)
    seeds = parse_seeds(options.seeds)
    if options.noise_seed < 0:
        raise InputError(f"noise seed {options.noise_seed} is negative; give 0 or more")

    from riemann_noise_pytorch.data.grid import save_grid
    from riemann_noise_pytorch.training.checkpoints import generator_of, load_snapshot, newest_snapshot

    snapshot = newest_snapshot(options.run) if options.run.is_dir() else load_snapshot(options.run)
    generator = generator_of(snapshot, options.which, _device(options.device))
    further = _further(options, generator)
    images = images_of_seeds(generator, seeds, options.noise_mode, options.noise_seed, further, options.label)
    visible = 3 if images.shape[1] >= 3 else 1
    save_grid(images[:, :visible], options.out, options.columns, options.scale)
    print(f"Wrote {len(seeds)} images of {snapshot.path.name} to {options.out}")


def parse_seeds(text: str) -> list[int]:
    """Read seeds written as numbers and ranges.

    Args:
        text: Such as ``0-35`` or ``1,4,9-12``; both ends of a range belong to it.

    Returns:
        The seeds in the order given.

    Raises:
        InputError: The text is malformed, a range runs backwards, or there are more than 10,000 seeds.

    Example:
        >>> parse_seeds("1,4,9-12")
        [1, 4, 9, 10, 11, 12]
    """
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not _is_number(first) or (dash and not _is_number(last)):
            raise InputError(f"seeds '{text}' cannot be read at '{part}'; write them as 0-35 or 1,4,9-12")
        low, high = int(first), int(last or first)
        if high < low:
            raise InputError(f"seeds '{part.strip()}' run backwards; write {high}-{low}")
        if len(seeds) + high - low >= MOST_IMAGES or high >= 2**62:
            raise InputError(
                f"seeds '{text}' are too many or too large; give at most {MOST_IMAGES}, below 2^62"
            )
        seeds.extend(range(low, high + 1))
    return seeds


def images_of_seeds(
    generator: "Generator",
    seeds: Sequence[int],
    noise_mode: NoiseMode = "random",
    noise_seed: int = 0,
    options: Mapping[str, Any] | None = None,
    label: int | None = None,
) -> "Tensor":
    """Make one image a seed, each by itself, so that no seed has a say in another's image.

    Args:
        generator: In evaluation mode, on any device.
        seeds: Seeds in [0, 2^62).
        noise_mode: ``random``, ``const`` or ``none``.
        noise_seed: Seed of the noise, 0 or more.
        options: Further arguments of the generator, such as ``truncation_psi``.
        label: For a generator with classes, the class of all images; None: that of a seed is the seed
            modulo their number.

    Returns:
        The images (len(seeds), C, H, W), about in [-1, 1], on the CPU.
    """
    import torch

    device = next(generator.parameters()).device
    further, classes = dict(options or {}), _classes(generator)
    if noise_mode == "const" and _is_stylegan2(generator):
        further["noise_mode"] = "const"
    images = []
    for seed in seeds:
        stream = torch.Generator().manual_seed(derive(seed, "sample", "z"))
        z = torch.randn(1, generator.z_dim, generator=stream).to(device)
        if classes:
            further["labels"] = torch.tensor([seed % classes if label is None else label], device=device)
        with torch.no_grad(), _noise(generator, noise_mode, noise_seed, seed):
            images.append(generator(z, **further).cpu())
    return torch.cat(images)


def _further(options: SampleOptions, generator: "Generator") -> dict[str, Any]:
    """What a StyleGAN2 generator is told besides, or a refusal."""
    classes = _classes(generator)
    if options.label is not None and not 0 <= options.label < classes:
        held = (
            f"has the classes 0 to {classes - 1}; give one of them" if classes else "has none; leave it out"
        )
        raise InputError(f"class is {options.label}, but the generator of {options.run} {held}")
    if options.truncation_cutoff is not None and options.truncation_psi == 1:
        raise InputError("truncation cutoff has no meaning with truncation psi 1; give a psi below 1")
    if _is_stylegan2(generator):
        if options.noise_mode == "const" and options.noise_seed:
            raise InputError(
                "noise seed has no meaning with noise mode const of stylegan2, whose maps are stored; "
                "leave it out"
            )
        names = ("truncation_psi", "truncation_cutoff")
        return {name: getattr(options, name) for name in names}
    if options.truncation_psi != 1:
        raise InputError(
            f"truncation psi is {options.truncation_psi:g}, but the generator of {options.run} has no w to "
            "truncate; leave it out, or give a run of stylegan2"
        )
    return {}


def _is_stylegan2(generator: "Generator") -> bool:
    from riemann_noise_pytorch.models.stylegan2 import StyleGAN2Generator

    return isinstance(generator, StyleGAN2Generator)


def _classes(generator: "Generator") -> int:
    return int(getattr(generator, "classes", 0))


def _noise(
    generator: "Generator", mode: NoiseMode, noise_seed: int, seed: int
) -> AbstractContextManager[None]:
    from riemann_noise_pytorch.noise.control import frozen, off

    if mode == "none":
        return off(generator)
    return frozen(generator, noise_seed, first_sample=seed if mode == "random" else 0)


def _device(wanted: str) -> str:
    import torch

    found = torch.cuda.is_available()
    if wanted == "cuda" and not found:
        raise InputError("device cuda was asked for, but torch finds no GPU here; give --device cpu")
    return "cuda" if found and wanted != "cpu" else "cpu"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()

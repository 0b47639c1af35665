"""What can be evaluated: a run, a snapshot, a callable of one's own, or images as they are."""

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Literal

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.data.builtin import builtin_set
from riemann_noise_pytorch.data.sources import locate
from riemann_noise_pytorch.errors import InputError, unknown_name
from riemann_noise_pytorch.experiments.own_code import imported
from riemann_noise_pytorch.models.latent_space import number_of_classes
from riemann_noise_pytorch.training.checkpoints import (
    best_snapshot,
    generator_of,
    load_snapshot,
    newest_snapshot,
)
from riemann_noise_pytorch.training.config import TrainConfig

MOST_NAMES = 20
"""Of a module's own names, so many are listed at most."""
Kind = Literal["run", "snapshot", "callable", "images"]
Which = Literal["ema", "raw"]


@dataclass(frozen=True)
class Target:
    """What is evaluated.

    Args:
        name: How it was given.
        kind: ``run``, ``snapshot``, ``callable`` or ``images``.
        generator: From latents (N, z_dim) to images (N, C, H, W) in about [-1, 1]; None for images.
        z_dim: Size of a latent; 0 for images.
        sha256: Hash of the generator's weights, or of the source file of a callable without weights; empty
            for images.
        snapshot: File name of the weights; empty where there is none.
        images_seen: Real images that the generator has seen in training, where that is known.
        config: Options of the run, where there is one: they tell the real images.
    """

    name: str
    kind: Kind
    generator: Callable[..., Tensor] | None = None
    z_dim: int = 0
    sha256: str = ""
    snapshot: str = ""
    images_seen: int | None = None
    config: TrainConfig | None = None

    @property
    def module(self) -> nn.Module | None:
        """The generator as a module, where it is one."""
        return self.generator if isinstance(self.generator, nn.Module) else None

    @property
    def classes(self) -> int:
        """Number of classes that the generator must be told; 0 for none."""
        return number_of_classes(self.generator)


def open_target(
    given: str,
    *,
    snapshot: str = "last",
    which: Which = "ema",
    z_dim: int | None = None,
    device: torch.device | str = "cpu",
) -> Target:
    """Find out what a word or path means, and load it.

    Args:
        given: A run folder, a snapshot file, a folder or ZIP of images or the name of a built-in set, or a
            callable as ``package.module:name`` or ``file.py:name``.
        snapshot: Of a run: ``last``, ``best`` (by the first metric of its training), or a file name.
        which: ``ema``: the moving average; ``raw``: the weights last trained.
        z_dim: Size of a callable's latents, where it has no attribute of that name.
        device: Where to put a generator.

    Returns:
        The target; a generator's module is in evaluation mode.

    Raises:
        InputError: There is no such thing, or it cannot be used.

    Example:
        >>> open_target("digits").kind
        'images'
    """
    place = Path(given)
    if (place / "config.json").is_file():
        _refuse(given, "a run", z_dim=z_dim)
        return _trained(given, snapshot, which, device)
    if place.suffix == ".safetensors":
        _refuse(given, "a snapshot", snapshot, z_dim=z_dim)
        return _trained(given, snapshot, which, device)
    if builtin_set(given) is not None or (locate(given) is not None and place.suffix != ".py"):
        _refuse(given, "a set of images", snapshot, which, z_dim)
        return Target(given, "images")
    if ":" in given:
        _refuse(given, "a callable", snapshot, which)
        return _own_callable(given, z_dim, device)
    if place.suffix == ".py":
        raise InputError(f"{given} is a file of Python; give the name of a callable in it, as {given}:NAME")
    raise InputError(
        f"there is nothing at {given}; give a run folder, a snapshot (.safetensors), a folder or "
        "ZIP of images, or a callable as package.module:name or file.py:name"
    )


def weights_sha256(module: nn.Module) -> str:
    """Hash all parameters and buffers of a module, by name, type and value.

    Example:
        >>> weights_sha256(nn.ReLU())[:8]
        'e3b0c442'
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _refuse(
    given: str, kind: str, snapshot: str = "last", which: Which = "ema", z_dim: int | None = None
) -> None:
    """Refuse options that say nothing about such a target."""
    idle = {"--snapshot": snapshot != "last", "--which": which != "ema", "--z-dim": z_dim is not None}
    for name, is_given in idle.items():
        if is_given:
            raise InputError(f"{given} is {kind}, for which {name} has no meaning; leave it out")


def _trained(given: str, snapshot: str, which: Which, device: torch.device | str) -> Target:
    place = Path(given)
    kind: Kind = "run" if place.is_dir() else "snapshot"
    if kind == "snapshot":
        read = load_snapshot(place)
    elif snapshot == "last":
        read = newest_snapshot(place)
    elif snapshot == "best":
        read = load_snapshot(best_snapshot(place))
    else:
        read = load_snapshot(place / "snapshots" / snapshot)
    if which == "raw" and not any(name.startswith("generator/") for name in read.tensors):
        raise InputError(
            f"{read.path} holds the average alone; leave --which raw out, or take another snapshot of the run"
        )
    generator = generator_of(read, which, device)
    return Target(
        name=given,
        kind=kind,
        generator=generator,
        z_dim=generator.z_dim,
        sha256=weights_sha256(generator),
        snapshot=read.path.name,
        images_seen=read.images_seen,
        config=read.config,
    )


def _own_callable(given: str, z_dim: int | None, device: torch.device | str) -> Target:
    home, _, name = given.rpartition(":")
    module = imported(home, given)
    found = getattr(module, name, None)
    if found is None:
        own = [key for key, value in vars(module).items() if key[0] != "_" and _is_own(value, module)]
        if not own:
            raise InputError(f"{home} has no '{name}', nor any function or module; define one there")
        if len(own) > MOST_NAMES:
            own = get_close_matches(name, own, n=MOST_NAMES, cutoff=0.4) or own[:MOST_NAMES]
        raise unknown_name(f"callable in {home}", name, own)
    if not callable(found) or inspect.isclass(found):
        raise InputError(f"{given} is no callable from latents to images; give a function or a module")
    if isinstance(found, nn.Module):
        found = found.eval().to(device)
    own_size = getattr(found, "z_dim", None)
    size = own_size if z_dim is None else z_dim
    if not isinstance(size, int) or size < 1:
        raise InputError(f"{given} does not tell the size of its latents; give --z-dim, 1 or more")
    if isinstance(own_size, int) and size != own_size:
        raise InputError(f"z_dim is {size}, but {given} says {own_size}; leave --z-dim out")
    return Target(given, "callable", found, size, _callable_sha256(found, module))


def _is_own(value: object, module: ModuleType) -> bool:
    if isinstance(value, nn.Module):
        return True
    is_function = callable(value) and not inspect.isclass(value)
    return is_function and getattr(value, "__module__", None) == module.__name__


def _callable_sha256(found: Callable[..., Tensor], module: ModuleType) -> str:
    if isinstance(found, nn.Module) and found.state_dict():
        return weights_sha256(found)
    source = getattr(module, "__file__", None)
    return hashlib.sha256(Path(source).read_bytes()).hexdigest() if source else ""

"""An inversion that can be stopped: its state on disk, and how it goes on as if nothing had been."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from riemann_noise_pytorch.errors import InputError, Interrupted
from riemann_noise_pytorch.experiments.inversion.film import Film
from riemann_noise_pytorch.files import atomic_write
from riemann_noise_pytorch.inversion.projector import StepInfo
from riemann_noise_pytorch.training.signals import StopRequest

EVERY_S = 30.0
STATE, FILM = "state/", "film/"
Tensors = dict[str, Tensor]


@final
@dataclass(frozen=True)
class Folder:
    """Where the state of an inversion is kept until it is finished.

    Args:
        path: The folder of the results.
        stop: Remembers a request to stop.
    """

    path: Path
    stop: StopRequest

    def file(self, part: str) -> Path:
        """The state of a part of the work."""
        return self.path / f"unfinished-{part}.safetensors"

    def check(self) -> None:
        """Leave where that was asked for.

        Raises:
            Interrupted: The message tells how to go on.
        """
        if self.stop.number:
            raise Interrupted(
                f"stopped; the state is kept in {self.path}: give the same command with --resume to go on",
                self.stop.number,
            )

    def clear(self) -> None:
        """Remove all states, for nothing is left to do."""
        for path in self.path.glob("unfinished-*.safetensors"):
            path.unlink(missing_ok=True)


@final
class Keeper:
    """Watches an inversion, keeps its state every half minute, and stops it when asked to.

    Args:
        folder: Where.
        part: Name of this part of the work.
        film: What else sees the steps, and is kept with the state; None for nothing.
        on_step: Called with each step, and with what the film found of it.
    """

    def __init__(
        self,
        folder: Folder,
        part: str,
        film: Film | None,
        on_step: Callable[[StepInfo, tuple[float, float] | None], object],
    ) -> None:
        self._folder, self._path, self._film = folder, folder.file(part), film
        self._on_step = on_step
        self._kept_s = time.monotonic()

    def __call__(self, info: StepInfo) -> None:
        """Look at a step.

        Raises:
            InputError: The state cannot be written.
            Interrupted: A request to stop came; the state is kept.
        """
        found = None if self._film is None else self._film.saw(info)
        self._on_step(info, found)
        if self._folder.stop.number or time.monotonic() - self._kept_s >= EVERY_S:
            self._keep(info)
        self._folder.check()

    def _keep(self, info: StepInfo) -> None:
        tensors = {STATE + name: tensor for name, tensor in info.state().items()}
        if self._film is not None:
            tensors |= {FILM + name: tensor for name, tensor in self._film.tensors().items()}
        with atomic_write(self._path) as temporary:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)
        self._kept_s = time.monotonic()

    def taken_up(self) -> Tensors | None:
        """The state to go on from, if there is one; the film goes on as well.

        Raises:
            InputError: It is damaged.
        """
        if not self._path.is_file():
            return None
        try:
            tensors = load_file(self._path)
            if self._film is not None:
                self._film.take_up(_below(FILM, tensors))
        except (SafetensorError, KeyError, OSError) as error:
            raise InputError(
                f"{self._path} is damaged ({error}); remove it and --resume to begin this part anew"
            ) from error
        return _below(STATE, tensors)


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> Tensors:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}

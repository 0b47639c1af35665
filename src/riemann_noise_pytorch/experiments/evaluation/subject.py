"""The side that is measured: images by index, drawn from a generator or taken from a set."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, final

import torch
from torch import Tensor

from riemann_noise_pytorch.data.imageset import ImageSet
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.evaluation.drawing import Draws, labels_like
from riemann_noise_pytorch.experiments.targets import Target
from riemann_noise_pytorch.metrics.feature_sets import ImageSource, stored
from riemann_noise_pytorch.seeds import derive
from riemann_noise_pytorch.statistics.sampling import Processes

Say = Callable[[str], object]


@final
class Subject:
    """What the images of a target are, whatever it is.

    Args:
        target: The target.
        images: Its images, for a target that is a set.
        seed: Seed of latents, noise and classes, or of the choice among the images.
        device: Where processes exchange images.
        data_labels: Classes of the real images, (M,), for a generator that must be told.
        options: Further arguments of the generator.
        say: Called with a line where values lie outside the usual range.
        check: Called before each batch is drawn.
    """

    def __init__(
        self,
        target: Target,
        images: ImageSet | None,
        *,
        seed: int,
        device: torch.device | str,
        data_labels: Tensor | None,
        options: dict[str, Any],
        say: Say,
        check: Callable[[], object] | None = None,
    ) -> None:
        self._target, self._images, self._seed = target, images, seed
        self._device, self._data_labels, self._options, self._say = device, data_labels, options, say
        self._check, self._told = check, False

    @property
    def is_set(self) -> bool:
        """Whether there are only so many images."""
        return self._images is not None

    @property
    def images(self) -> ImageSet | None:
        """The images of a set; None for a generator."""
        return self._images

    @cached_property
    def image_shape(self) -> tuple[int, ...]:
        """Shape (C, H, W) of one image."""
        if self._images is not None:
            return self._images.image_shape
        return tuple(self._draws(0)(0, 1).shape[1:])

    def available(self, count: int) -> int:
        """How many of so many images there are."""
        return count if self._images is None else min(count, len(self._images))

    def source(self, redraw: int, count: int) -> ImageSource:
        """Give ``count`` images by index: of a generator those of one redraw, of a set a random part.

        The first images of a longer source are those of a shorter one.
        """
        if self._images is not None:
            stream = torch.Generator().manual_seed(derive(self._seed, "measured"))
            return stored(self._images, torch.randperm(len(self._images), generator=stream)[:count])
        draws = self._draws(redraw)

        def source(first: int, many: int) -> Tensor:
            if self._check is not None:
                self._check()
            images = draws(first, many)
            if not self._told and draws.range_warning:
                self._told = True
                self._say(draws.range_warning)
            return images

        return source

    def all_images(self, redraw: int, count: int, batch: int, processes: Processes) -> Tensor:
        """Give ``count`` images at once, uint8 (count, C, H, W) on the CPU, in every process."""
        source, share = self.source(redraw, count), processes.share(count)
        mine = torch.zeros(processes.largest_share(count), *self.image_shape, dtype=torch.uint8)
        failure: Exception | None = None
        try:
            for first in range(share.start, share.stop, batch):
                images = source(first, min(batch, share.stop - first))
                mine[first - share.start : first - share.start + len(images)] = images.cpu()
        except Exception as error:  # the other processes wait for this one, and must learn of it
            failure = error
        failed = processes.gathered(torch.tensor([failure is not None], device=self._device))
        if failure is not None:
            raise failure
        if failed.any():
            raise InputError(f"process {int(failed.nonzero()[0])} failed; its own message says why")
        return processes.gathered(mine.to(self._device))[:count].cpu()

    def _draws(self, redraw: int) -> Draws:
        seed = derive(self._seed, "redraw", redraw)
        classes = self._data_labels
        labels = None if classes is None else labels_like(classes, derive(seed, "classes"))
        return Draws(self._target, seed, labels=labels, options=self._options)

"""What a step draws for the generator: latents, classes, and for StyleGAN2 the rows of w that come of them.

Everything is drawn on the CPU for the batch of all processes, from the seed and the step, and each process
takes its share; so several processes see what one would.
"""

from typing import final

import torch
from accelerate import Accelerator
from torch import Tensor

from riemann_noise_pytorch.models.interfaces import Generator
from riemann_noise_pytorch.models.stylegan2 import StyleGAN2Generator
from riemann_noise_pytorch.seeds import derive
from riemann_noise_pytorch.training.config import TrainConfig


@final
class Styles:
    """Draws latents, maps them, mixes styles, and keeps the average w.

    Args:
        config: Complete options.
        accelerator: Device and processes.
        labels: Classes of all real images, from which those of generated ones are drawn; None for no classes.
    """

    def __init__(self, config: TrainConfig, accelerator: Accelerator, labels: Tensor | None = None) -> None:
        self._config = config
        self._accelerator = accelerator
        self._classes = labels
        self._stream = torch.Generator()
        self._alone: bool = accelerator.num_processes == 1

    def inputs(self, generator: Generator, step: int) -> Tensor:
        """Draw what the images of a step are made of: rows of w for a synthesis, latents for others.

        Returns:
            This process's share; rows have a graph to the mapping, and the average w follows them.
        """
        if isinstance(generator, StyleGAN2Generator):
            return self.rows(generator, step, self._config.batch, follow=True)
        return self.latents(step)

    def latents(self, step: int) -> Tensor:
        """Draw the latents of a step, (share, z_dim)."""
        return self._latents(step, self._config.batch, "latents")

    def labels(self, step: int, batch: int | None = None, purpose: str = "") -> Tensor | None:
        """Draw the classes of generated images, as often as they are among the real ones.

        Args:
            step: The step.
            batch: Samples of all processes; None for the whole batch.
            purpose: Tells this draw of the step from others, as of :meth:`rows`.

        Returns:
            This process's share, int64 (share,), or None where the run has no classes.
        """
        if self._classes is None:
            return None
        self._seed(f"{purpose}labels", step)
        chosen = torch.randint(len(self._classes), (batch or self._config.batch,), generator=self._stream)
        return self._share(self._classes[chosen])

    def mix(self, step: int) -> Tensor:
        """Draw the share of the real image in each mixture of a real and a generated one, (share,)."""
        self._seed("mixtures", step)
        return self._share(torch.rand(self._config.batch, generator=self._stream))

    def rows(
        self, generator: StyleGAN2Generator, step: int, batch: int, purpose: str = "", *, follow: bool = False
    ) -> Tensor:
        """Map latents to rows of w, some of them of two latents.

        D9: every sample has a crossover of its own.

        Args:
            generator: The generator.
            step: The step.
            batch: Samples of all processes.
            purpose: Tells this draw of the step from others.
            follow: Whether the average w takes a step towards these.

        Returns:
            This process's share, (share, num_ws, w_dim), with a graph to the mapping.
        """
        labels = self.labels(step, batch, purpose)
        w: Tensor = generator.mapping(self._latents(step, batch, f"{purpose}latents"), labels)
        if follow:
            mean = w.detach().mean(dim=0, keepdim=True)
            generator.mapping.follow(mean if self._alone else self._accelerator.reduce(mean, "mean"))
        ws = w.unsqueeze(1).repeat(1, generator.synthesis.num_ws, 1)
        if self._config.style_mixing == 0:
            return ws
        other: Tensor = generator.mapping(self._latents(step, batch, f"{purpose}mixed latents"), labels)
        crossover = self._crossovers(step, batch, purpose, generator.synthesis.num_ws)
        row = torch.arange(generator.synthesis.num_ws, device=ws.device)
        return torch.where((row < crossover.unsqueeze(1)).unsqueeze(2), ws, other.unsqueeze(1))

    def image_noise(self, step: int, batch: int, image_shape: tuple[int, int, int]) -> Tensor:
        """Draw the noise images of the path length: this process's share."""
        self._seed("path length noise", step)
        return self._share(torch.randn((batch, *image_shape), generator=self._stream))

    def _latents(self, step: int, batch: int, name: str) -> Tensor:
        self._seed(name, step)
        return self._share(torch.randn(batch, self._config.z_dim, generator=self._stream))

    def _crossovers(self, step: int, batch: int, purpose: str, num_ws: int) -> Tensor:
        """The row from which each sample has the other w; num_ws where it has none of it."""
        self._seed(f"{purpose}style mixing", step)
        crossover = torch.randint(1, num_ws, (batch,), generator=self._stream)
        mixed = torch.rand(batch, generator=self._stream) < self._config.style_mixing
        return self._share(crossover.where(mixed, num_ws))

    def _seed(self, name: str, step: int) -> None:
        self._stream.manual_seed(derive(self._config.seed, name, step))

    def _share(self, tensor: Tensor) -> Tensor:
        count = tensor.shape[0] // self._accelerator.num_processes
        first = count * self._accelerator.process_index
        tensor = tensor[first : first + count]
        if self._accelerator.device.type == "cuda":
            tensor = tensor.pin_memory()
        return tensor.to(self._accelerator.device, non_blocking=True)

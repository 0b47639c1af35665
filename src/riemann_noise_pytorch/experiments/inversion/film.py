"""What is seen of an optimisation: how the images come about, and how the loss falls.

At every step each image is shown as its best start so far has it, in the stage it is in.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import final

import torch
from torch import Tensor

from riemann_noise_pytorch.data.imageset import to_uint8
from riemann_noise_pytorch.inversion.projector import StepInfo

SHOWN = 16
"""Images of the animation, the first."""
MEASURED = 200
"""Steps at which the loss is kept."""


def spaced(count: int, lengths: Sequence[int]) -> list[int]:
    """Choose steps, in each stage ever further apart, with its first and its last one.

    Args:
        count: How many; a stage has at most its length, and at least 2 of them.
        lengths: Steps of each stage.

    Returns:
        Numbers of steps over all stages, from 1.

    Example:
        >>> spaced(9, [100, 10])
        [1, 3, 10, 32, 100, 101, 102, 105, 110]
    """
    steps, before = list[int](), 0
    for stage, length in enumerate(lengths):
        own = min(length, max(2, count // len(lengths) + (stage < count % len(lengths))))
        powers = (length ** (i / max(1, own - 1)) for i in range(own))
        steps += [before + max(i + 1, round(power)) for i, power in enumerate(powers)]
        before += length
    return steps


@final
class Film:
    """Watches an inversion of N images.

    Args:
        count: N.
        restarts: Starts of each image.
        lengths: Steps of each stage.
        image_shape: (C, H, W).
        frames: How many frames are kept.

    Attributes:
        frame_steps: Steps of the frames.
        curve_steps: Steps at which losses are kept.
    """

    def __init__(
        self,
        count: int,
        restarts: int,
        lengths: Sequence[int],
        image_shape: tuple[int, int, int],
        frames: int,
    ) -> None:
        self.frame_steps, self.curve_steps = spaced(frames, lengths), spaced(MEASURED, lengths)
        self._restarts, self._total = restarts, sum(lengths)
        ends = [0]
        for length in lengths:
            ends.append(ends[-1] + length)
        self._curve_of = [self._between(low, high) for low, high in pairwise(ends)]
        shown = min(count, SHOWN)
        self._kept = {
            "best": torch.full((count,), torch.inf, dtype=torch.float64),
            "stage": torch.full((count,), -1),
            "images": torch.zeros(shown, *image_shape),
            "frames": torch.zeros(len(self.frame_steps), shown, *image_shape, dtype=torch.uint8),
            "losses": torch.full((len(self.curve_steps), count), torch.nan, dtype=torch.float64),
        }

    def _between(self, low: int, high: int) -> slice:
        """Which of the curve's steps lie in (low, high]."""
        inside = [i for i, step in enumerate(self.curve_steps) if low < step <= high]
        return slice(inside[0], inside[-1] + 1)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that was seen: copies."""
        return {name: tensor.clone() for name, tensor in self._kept.items()}

    def take_up(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what :meth:`tensors` gave."""
        self._kept = {name: tensors[name].clone() for name in self._kept}

    def saw(self, info: StepInfo) -> tuple[float, float]:
        """Look at a step; give the median and the least loss of the images that it is about."""
        kept, stage = self._kept, info.stage
        losses = info.losses.double().cpu().nan_to_num(torch.inf)
        of = info.samples // self._restarts
        about = torch.unique(of)
        entering = about[kept["stage"][about] != stage]
        kept["best"][entering], kept["stage"][entering] = torch.inf, stage
        least = torch.full_like(kept["best"], torch.inf).scatter_reduce(0, of, losses, "amin")
        self._show(info, (of < len(kept["images"])) & (losses == least[of]) & (losses < kept["best"][of]), of)
        kept["best"][about] = torch.minimum(kept["best"][about], least[about])
        step = (info.step - 1) % self._total + 1
        if step in self.frame_steps:
            seen = about[about < len(kept["images"])]
            kept["frames"][self.frame_steps.index(step) :, seen] = to_uint8(kept["images"][seen])
        if step in self.curve_steps:
            rows = slice(self.curve_steps.index(step), self._curve_of[stage].stop)
            found = kept["best"][about]
            kept["losses"][rows, about] = found.where(found.isfinite(), torch.nan)
        return float(kept["best"][about].median()), float(kept["best"][about].min())

    def _show(self, info: StepInfo, better: Tensor, of: Tensor) -> None:
        if better.any():
            images = info.images[better.to(info.images.device)].float().cpu()
            self._kept["images"][of[better]] = images.nan_to_num(0)

    def frames(self, last: Tensor) -> dict[str, Tensor]:
        """``frames``, uint8 (F, n, C, H, W), and ``frames/steps``; the last is ``last`` (N, C, H, W)."""
        frames = self._kept["frames"].clone()
        frames[-1] = last[: frames.shape[1]]
        return {"frames": frames, "frames/steps": torch.tensor(self.frame_steps)}

    def curve(self) -> dict[str, Tensor]:
        """Steps, their stages, and the median and the least loss of all images there, each (K,)."""
        losses = self._kept["losses"]
        least = losses.nan_to_num(torch.inf).amin(dim=1)
        least = least.where(least.isfinite(), torch.nan)
        return {
            "steps": torch.tensor(self.curve_steps),
            "stages": torch.cat([torch.full((s.stop - s.start,), i) for i, s in enumerate(self._curve_of)]),
            "median": losses.nanquantile(0.5, dim=1).float(),
            "best": least.float(),
        }

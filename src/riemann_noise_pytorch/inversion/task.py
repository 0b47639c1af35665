"""What is asked of an inversion: targets, masks, labels and starts, checked and cut into batches."""

import hashlib
from dataclasses import dataclass, fields
from typing import final

import torch
from torch import Tensor

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.inversion.descent import Scene
from riemann_noise_pytorch.inversion.objectives import Term
from riemann_noise_pytorch.inversion.recipes import Recipe, Stage
from riemann_noise_pytorch.inversion.variables import Samples


@final
@dataclass(frozen=True, eq=False)
class Task:
    """What is asked for.

    Args:
        recipe: How.
        targets: (N, C, H, W), floating point, in [-1, 1].
        masks: (N, 1, H, W) in [0, 1], 1 where a target counts; None for all of it.
        labels: Classes (N,), or None.
        start: First latents (N, R, ...), in the space of the first stage; None for the recipe's.
        restarts: R, 1 or more.
        seed: Of everything random.
        first: Index of the first target, on which its random numbers depend.
        batch: Samples at once: as many targets with all their restarts as fit, one at least.

    Raises:
        InputError: One of these is not as it must be.
    """

    recipe: Recipe
    targets: Tensor
    masks: Tensor | None = None
    labels: Tensor | None = None
    start: Tensor | None = None
    restarts: int = 1
    seed: int = 0
    first: int = 0
    batch: int = 64

    def __post_init__(self) -> None:
        for name, least in (("restarts", 1), ("batch", 1), ("first", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"{name} is {value!r}; give a whole number, {least} or more")
        _check_targets(self.targets)
        count = len(self.targets)
        if self.masks is not None:
            _check_masks(self.masks, self.targets)
        if self.labels is not None and (self.labels.shape != (count,) or self.labels.dtype != torch.int64):
            raise InputError(
                f"the labels are {self.labels.dtype} of shape {tuple(self.labels.shape)}; give one class for "
                f"each target, int64 of shape ({count},)"
            )
        if self.start is not None and (
            self.start.shape[:2] != (count, self.restarts) or not self.start.isfinite().all()
        ):
            raise InputError(
                f"the start has shape {tuple(self.start.shape)}; give finite latents of shape "
                f"({count}, {self.restarts}, ...), one for each target and restart"
            )

    def batches(self) -> list[Samples]:
        """The batches, in order."""
        count, at_once = len(self.targets), max(1, self.batch // self.restarts)
        return [
            Samples(self.first + low, min(at_once, count - low), self.restarts)
            for low in range(0, count, at_once)
        ]

    def scene(self, samples: Samples, like: Tensor) -> Scene:
        """What the samples of a batch are to become, where ``like`` is and in its precision."""
        low = samples.first - self.first
        rows = slice(low, low + samples.targets)
        targets = samples.repeated(self.targets[rows].detach().to(like, copy=True))
        masks = None if self.masks is None else samples.repeated(self.masks[rows].detach().to(like))
        labels = None if self.labels is None else samples.repeated(self.labels[rows].to(like.device))
        return Scene(samples, targets, masks, labels, self.seed)

    def starts(self, samples: Samples, like: Tensor) -> Tensor | None:
        """The first latents of a batch, (count, ...), where they are given."""
        if self.start is None:
            return None
        low = samples.first - self.first
        return self.start[low : low + samples.targets].detach().flatten(0, 1).to(like, copy=True)

    def fingerprint(self) -> Tensor:
        """A number of everything in it, by which a state is known."""
        digest = hashlib.blake2b(digest_size=8)
        outer = (self.recipe.start, self.recipe.mean_samples)
        own = (self.restarts, self.seed, self.first, self.batch)
        digest.update(repr((outer, own, [_described(stage) for stage in self.recipe.stages])).encode())
        for tensor in (self.targets, self.masks, self.labels, self.start):
            if tensor is not None:
                flat = tensor.detach().cpu().contiguous().reshape(-1)
                digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
                digest.update(flat.view(torch.uint8).numpy().data)
        return torch.tensor(int.from_bytes(digest.digest(), "big") >> 1)


def told_terms(terms: tuple[Term, ...]) -> str:
    """Objectives and weights in one line.

    Example:
        >>> from riemann_noise_pytorch.inversion.recipes import RECIPES
        >>> told_terms(RECIPES["image2stylegan"].stages[0].objectives)
        '0.5 mse + 0.5 pyramid distance'
    """
    return " + ".join(f"{term.weight:g} {term.objective.name}" for term in terms)


def _described(stage: Stage) -> list[str]:
    constants = [each.name for each in fields(stage) if each.name != "objectives"]
    return [told_terms(stage.objectives), *(f"{name}={getattr(stage, name)!r}" for name in constants)]


def _check_targets(targets: Tensor) -> None:
    if targets.ndim != 4 or len(targets) == 0 or not targets.is_floating_point():
        raise InputError(
            f"the targets are {targets.dtype} of shape {tuple(targets.shape)}; give at least one image as "
            "floating point in [-1, 1], (N, C, H, W)"
        )
    if not targets.isfinite().all():
        raise InputError("the targets have NaN or infinity; give images in [-1, 1]")


def _check_masks(masks: Tensor, targets: Tensor) -> None:
    wanted = (len(targets), 1, *targets.shape[2:])
    if masks.shape != wanted:
        raise InputError(f"the masks have shape {tuple(masks.shape)}; give one for each target, {wanted}")
    if not ((masks >= 0) & (masks <= 1)).all():
        raise InputError("the masks leave [0, 1]; give 1 where a target counts and 0 where it is hidden")
    hidden = (masks.flatten(1) == 0).all(dim=1).nonzero()[:, 0].tolist()
    if hidden:
        raise InputError(f"the mask of target {hidden[0]} hides all of it; leave that target out")

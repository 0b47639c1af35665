"""One stage for one batch of samples: Adam on rows that go their own ways.

The losses of the rows are summed, so each row's gradient is that of its own loss, and Adam acts on each value
alone. A row leaves when it is finished or its loss is no longer finite; the best point it has seen is kept.
What is kept is a point whose loss was computed, with the noise that was on it. A loss over few draws of the
noise is a matter of luck, though, and the least of many the luckiest: where noise is averaged, the kept point
and the last one are judged again at the end, over more draws that are the same for all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.inversion.adam import adam_step
from riemann_noise_pytorch.inversion.held import HeldGenerator
from riemann_noise_pytorch.inversion.noise_penalty import renormalised
from riemann_noise_pytorch.inversion.objectives import Guess, total_loss
from riemann_noise_pytorch.inversion.recipes import Stage
from riemann_noise_pytorch.inversion.variables import Samples, Spread
from riemann_noise_pytorch.seeds import derive

ENDINGS = ("all steps", "enough", "no longer falling", "diverged")
"""How the optimisation of a sample ended, by number."""
ENOUGH, STALLED, DIVERGED = 1, 2, 3
LATENTS = "latents"
NOISE = "noise/"
LAST = "last"
JUDGING_DRAWS = 64
"""Draws, at least, by which the points of a stage with averaged noise are judged; or twice its own."""


@final
@dataclass(frozen=True, eq=False)
class Scene:
    """What the samples of a batch have beside their variables.

    Args:
        samples: Which they are.
        targets: (count, C, H, W).
        masks: (count, 1, H, W), or None.
        labels: (count,), or None.
        seed: Of everything random.
    """

    samples: Samples
    targets: Tensor
    masks: Tensor | None
    labels: Tensor | None
    seed: int


@final
@dataclass(frozen=True, eq=False)
class Look:
    """What one evaluation saw: the samples that were active, their losses and their images.

    Args:
        rows: Which rows of the batch, (n,).
        losses: (n,).
        images: (n, C, H, W).
    """

    rows: Tensor
    losses: Tensor
    images: Tensor


@final
class Descent:
    """The optimisation of one stage; every :meth:`advance` is one evaluation and one step.

    Args:
        generator: A generator held still.
        scene: What is wanted.
        stage: How.
        number: The stage's number.
        found: Best latents and noise maps of all rows, where the stage begins; the rows (count, stages) of
            ``losses`` and ``steps``, and ``endings`` (count,). Updated in place.
        spread: Of the stage's space.
    """

    def __init__(
        self,
        generator: HeldGenerator,
        scene: Scene,
        stage: Stage,
        number: int,
        found: dict[str, Tensor],
        spread: Spread,
    ) -> None:
        self.step = 0
        self._generator, self._scene, self._stage, self._number = generator, scene, stage, number
        self._found, self._spread = found, spread
        names = [LATENTS] if stage.latent else []
        if stage.noise == "optimised":
            names += [name for name in found if name.startswith(NOISE) and found[name].ndim == 4]
        self._names = names
        rows = (found["endings"] != DIVERGED).nonzero()[:, 0]
        self._live = {"rows": rows, "mark": torch.full_like(found["losses"][rows, number], torch.inf)}
        self._live["marked at"] = torch.zeros_like(rows)
        self._last = found[LATENTS].clone()
        for name in names:
            self._live[name] = found[name][rows].clone()
            for moment in ("first", "second"):
                self._live[f"{moment} {name}"] = torch.zeros_like(self._live[name])

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do."""
        return self.step > self._stage.steps or len(self._live["rows"]) == 0

    def tensors(self) -> dict[str, Tensor]:
        """The state, beside what was found: copies of tensors."""
        return {name: tensor.detach().clone() for name, tensor in (self._live | {LAST: self._last}).items()}

    def resume(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Go on from a state before ``step``.

        Raises:
            InputError: Something is missing in it.
        """
        self.step = step
        taken = moved(tensors, self._live | {LAST: self._last})
        self._last = taken.pop(LAST)
        self._live = taken

    @torch.no_grad()
    def judge(self) -> None:
        """At the end, where noise is averaged: keep the better of two points by more draws, and its loss."""
        found, number = self._found, self._number
        rows = found["losses"][:, number].isfinite().nonzero()[:, 0]
        if self._stage.noise != "averaged" or len(rows) == 0:
            return
        points = found[LATENTS][rows], self._last[rows]
        draws = range(max(JUDGING_DRAWS, 2 * self._stage.draws))
        total = found["losses"].new_zeros(2, len(rows))
        for k in draws:
            maps = self._draw(derive(self._scene.seed, "judging draw", number, k), rows)
            total += torch.stack([self._loss(latents, maps, {}, rows)[0] for latents in points])
        best, last = (total / len(draws)).nan_to_num(nan=torch.inf)
        found[LATENTS][rows[last < best]] = points[1][last < best]
        found["losses"][rows, number] = torch.minimum(best, last)

    def advance(self) -> Look:
        """Evaluate all active samples, keep what is best, let go of what is finished, and do one step."""
        rows, is_last = self._live["rows"], self.step == self._stage.steps
        variables = {name: self._live[name].detach().requires_grad_(not is_last) for name in self._names}
        shown = self._shown(variables)
        losses, images = self._losses(shown, rows)
        finite = losses.detach().isfinite()
        if not is_last:
            gradients = torch.autograd.grad(
                losses.sum(), list(variables.values()), allow_unused=True, materialize_grads=True
            )
            for gradient in gradients:
                finite &= gradient.flatten(1).isfinite().all(dim=1)
        look = Look(rows, losses.detach(), images.detach())
        self._keep(look, shown)
        stays = finite & ~self._finished(look, finite)
        if not is_last and stays.any():
            self._live = self._live if stays.all() else {n: t[stays] for n, t in self._live.items()}
            self._move([gradient[stays] for gradient in gradients])
        else:
            self._live = {name: tensor[:0] for name, tensor in self._live.items()}
        self.step += 1
        return look

    def _shown(self, variables: dict[str, Tensor]) -> dict[str, Tensor]:
        """The variables with the noise of this step on the latents."""
        strength = self._stage.latent_noise_at(self.step)
        if strength == 0 or LATENTS not in variables:
            return variables
        latents = variables[LATENTS]
        seed = derive(self._scene.seed, "noise on latents", self._number, self.step)
        shape = latents.shape[-1:]  # the same for all rows of w+, as of one w
        normal = self._scene.samples.normal(seed, tuple(shape))[self._live["rows"].cpu()].to(latents)
        if latents.ndim == 3:
            normal = normal.unsqueeze(1)
        return {**variables, LATENTS: latents + strength * self._spread.distance * normal}

    def _losses(self, shown: dict[str, Tensor], rows: Tensor) -> tuple[Tensor, Tensor]:
        stage = self._stage
        latents = shown.get(LATENTS)
        latents = self._found[LATENTS][rows] if latents is None else latents
        optimised = {name: maps for name, maps in shown.items() if name != LATENTS}
        total: Tensor | None = None
        for maps in self._noises(optimised, rows):
            losses, images = self._loss(latents, maps, optimised, rows)
            total = losses if total is None else total + losses
        assert total is not None
        return (total / stage.draws if stage.noise == "averaged" else total), images

    def _loss(
        self, latents: Tensor, maps: dict[str, Tensor], optimised: dict[str, Tensor], rows: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Losses and images of latents under one set of noise maps."""
        scene, stage = self._scene, self._stage
        images = self._generator.images(latents, stage.space, maps, _of(scene.labels, rows))
        targets, masks = scene.targets[rows], _of(scene.masks, rows)
        guess = Guess(images, targets, masks, latents, self._spread.mean, optimised)
        return total_loss(stage.objectives, guess), images

    def _noises(self, optimised: dict[str, Tensor], rows: Tensor) -> list[dict[str, Tensor]]:
        """The noise maps of this step, by layer: one set, or one for each draw."""
        if self._stage.noise != "averaged":
            maps = {**{n: m[rows] for n, m in self._found.items() if n.startswith(NOISE)}, **optimised}
            return [{name.removeprefix(NOISE): each for name, each in maps.items()}]
        seed, here = self._scene.seed, (self._number, self.step)
        return [self._draw(derive(seed, "draw", *here, k), rows) for k in range(self._stage.draws)]

    def _draw(self, seed: int, rows: Tensor) -> dict[str, Tensor]:
        """New maps, the same for all restarts of a target."""
        samples = self._scene.samples
        drawn = self._generator.maps(seed, samples.first, samples.targets)
        return {name: maps[rows // samples.restarts] for name, maps in drawn.items()}

    def _keep(self, look: Look, shown: dict[str, Tensor]) -> None:
        losses = self._found["losses"][look.rows, self._number]
        better = look.losses.isfinite() & (look.losses < losses)
        rows = look.rows[better]
        self._found["losses"][rows, self._number] = look.losses[better]
        for name in self._names:
            self._found[name][rows] = shown[name].detach()[better]
        if LATENTS in self._names:
            self._last[look.rows] = shown[LATENTS].detach()

    def _finished(self, look: Look, finite: Tensor) -> Tensor:
        """Which active samples are done, by their own losses."""
        stage, rows = self._stage, look.rows
        self._found["steps"][rows, self._number] = self.step
        self._found["endings"][rows] = 0
        falls = look.losses < self._live["mark"] * (1 - stage.gain)
        self._live["mark"] = torch.where(falls, look.losses, self._live["mark"])
        self._live["marked at"] = torch.where(falls, self.step, self._live["marked at"])
        enough = torch.zeros_like(finite)
        stalled = torch.zeros_like(finite)
        if stage.patience is not None:
            stalled = self.step - self._live["marked at"] >= stage.patience
            self._found["endings"][rows[stalled]] = STALLED
        if stage.enough is not None:
            enough = look.losses <= stage.enough
            self._found["endings"][rows[enough]] = ENOUGH
        self._found["endings"][rows[~finite]] = DIVERGED
        return enough | stalled

    def _move(self, gradients: list[Tensor]) -> None:
        lr = self._stage.lr_at(self.step)
        for name, gradient in zip(self._names, gradients, strict=True):
            value = self._live[name].detach()
            moments = self._live[f"first {name}"], self._live[f"second {name}"]
            adam_step(value, gradient, moments, self.step + 1, lr, self._stage.betas)
            if self._stage.renormalise and name != LATENTS:
                value = renormalised(value)
            self._live[name] = value


def moved(tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of a state, the tensors of some names, copied to where others of these names are.

    Raises:
        InputError: One is missing.
    """
    missing = next((name for name in like if name not in tensors), None)
    if missing is not None:
        raise InputError(f"the state lacks '{missing}', so it is damaged or of another version; begin anew")
    return {name: tensors[name].to(own.device, copy=True) for name, own in like.items()}


def _of(rows_of: Tensor | None, rows: Tensor) -> Tensor | None:
    return None if rows_of is None else rows_of[rows]

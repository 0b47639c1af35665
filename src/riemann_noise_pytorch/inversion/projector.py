r"""From images back to latents and noise, for N targets and R restarts of each in one optimisation.

.. math:: (x^*, n^*) = \arg\min_{x, n} \sum_k \lambda_k\, L_k\bigl(g(x, n), y\bigr)

Every sample is a row that goes its own way (:mod:`~riemann_noise_pytorch.inversion.descent`), so an image has
the same result in any batch, up to rounding.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.inversion.descent import LATENTS, NOISE, Descent, Look, Scene, moved
from riemann_noise_pytorch.inversion.held import HeldGenerator, held
from riemann_noise_pytorch.inversion.recipes import Recipe, Stage, recipe_named
from riemann_noise_pytorch.inversion.results import Inversion
from riemann_noise_pytorch.inversion.task import Task, told_terms
from riemann_noise_pytorch.inversion.variables import Samples, Spread, spread_of, start_maps, start_points
from riemann_noise_pytorch.models.latent_space import Space, labels_for
from riemann_noise_pytorch.noise.precision import Network

State = dict[str, Tensor]
"""Tensors by name, on the CPU: what it takes to go on."""
DONE, FOUND, LIVE = "done/", "found/", "live/"
POSITION, FINGERPRINT = "position", "fingerprint"


@final
@dataclass(frozen=True, eq=False)
class StepInfo:
    """Where an inversion stands, after each evaluation.

    Args:
        step: Steps done, over all stages and batches.
        steps: Steps there are at most.
        stage: Number of the stage.
        samples: Which samples were active, as target * restarts + restart, (n,).
        losses: Their losses, (n,).
        images: Their images, (n, C, H, W).
        state: Gives what :func:`invert` takes as ``state`` to go on from here: a copy; to be called while
            ``on_step`` runs.
    """

    step: int
    steps: int
    stage: int
    samples: Tensor
    losses: Tensor
    images: Tensor
    state: Callable[[], State]


OnStep = Callable[[StepInfo], object]


def invert(
    generator: Network,
    targets: Tensor,
    recipe: Recipe | str,
    *,
    restarts: int = 1,
    masks: Tensor | None = None,
    labels: Tensor | None = None,
    start: Tensor | None = None,
    seed: int = 0,
    first: int = 0,
    batch: int = 64,
    z_dim: int | None = None,
    module: nn.Module | None = None,
    dtype: torch.dtype | None = None,
    on_step: OnStep | None = None,
    state: Mapping[str, Tensor] | None = None,
) -> Inversion:
    """Find latents, and noise where the recipe says so, that reproduce images.

    Target ``i`` is seen under the noise of sample ``first + i`` of ``frozen(generator, seed)``, which is also
    where optimised noise begins.

    Args:
        generator: Any callable from z (N, z_dim) to images, or a module with ``mapping`` and ``synthesis``
            for w and w+; noise is optimised in this package's layers.
        targets: (N, C, H, W), in [-1, 1].
        recipe: A recipe, or the name of one.
        restarts: Starts of each target.
        masks: (N, 1, H, W), 1 where a target counts and 0 where it is hidden.
        labels: Classes (N,), for a generator that has them.
        start: First latents (N, restarts, ...) in place of the recipe's, in the space of its first stage.
        seed: Of noise, starts, and noise on latents.
        first: Index of the first target, on which its random numbers depend.
        batch: Samples at once.
        z_dim: Size of z, where the generator has no attribute of that name.
        module: What the generator is made of, for a callable that is no module itself.
        dtype: Precision of a copy that is used instead; None for the generator itself.
        on_step: Called after each evaluation; what it raises ends the inversion.
        state: Of an inversion with the same arguments that did not end, to go on from there.

    Raises:
        InputError: Arguments that do not fit, a generator without the space or the noise that the recipe asks
            for, or a state of another inversion.

    Example:
        >>> from riemann_noise_pytorch.models.dcgan import DCGANGenerator
        >>> generator = DCGANGenerator(16, 1, 8, 4).eval()
        >>> with torch.no_grad():
        ...     targets = generator(torch.randn(2, 8))
        >>> recipe = recipe_named("z-restarts").changed(steps=3)
        >>> invert(generator, targets, recipe, restarts=4).latents.shape
        torch.Size([2, 4, 8])
    """
    recipe = recipe_named(recipe) if isinstance(recipe, str) else recipe
    task = Task(recipe, targets, masks, labels, start, restarts, seed, first, batch)
    with held(generator, z_dim=z_dim, module=module, dtype=dtype) as still:
        for space in dict.fromkeys(stage.space for stage in recipe.stages):
            still.try_out(space, labels, targets.shape[1:])
        if recipe.optimises_noise and not any(len(place.shape) == 3 for place in still.places.values()):
            raise InputError(
                "the generator has no noise map of this package's layers to optimise; freeze the noise "
                "(noise='frozen'), or put layers in by inject()"
            )
        return _Run(still, task, generator, on_step).result(state)


@final
class _Run:
    """The batches of a task, one after another."""

    def __init__(self, still: HeldGenerator, task: Task, generator: Network, on_step: OnStep | None) -> None:
        self._still, self._task, self._on_step = still, task, on_step
        self._stages = _placed(task.recipe, still.like)
        self._batches = task.batches()
        self._fingerprint = task.fingerprint()
        self._done: State = {}
        self._labels = labels_for(generator, None, task.seed)[0]
        self._spreads: dict[str, Spread] = {}

    def result(self, state: Mapping[str, Tensor] | None) -> Inversion:
        """Do what is not done yet."""
        batch = 0 if state is None else self._take_up(state)
        for number, samples in enumerate(self._batches[batch:], start=batch):
            found = self._batch(number, samples, state if number == batch else None)
            kept = {name: tensor.cpu() for name, tensor in found.items() if self._is_kept(name)}
            self._done = {n: torch.cat([self._done[n], t]) if self._done else t for n, t in kept.items()}
        shape = (len(self._task.targets), self._task.restarts)
        fields = {name: tensor.reshape(*shape, *tensor.shape[1:]) for name, tensor in self._done.items()}
        noise = {name: fields.pop(name) for name in list(fields) if name.startswith(NOISE)}
        return Inversion(
            recipe=self._task.recipe.name,
            space=self._task.recipe.space,
            objectives=tuple(told_terms(stage.objectives) for stage in self._stages),
            noise={name.removeprefix(NOISE): maps for name, maps in noise.items()},
            **fields,
        )

    def _batch(self, number: int, samples: Samples, state: Mapping[str, Tensor] | None) -> State:
        scene = self._task.scene(samples, self._still.like)
        found = self._start(scene)
        begin, step = (0, 0) if state is None else [int(value) for value in state[POSITION][1:]]
        if state is not None:
            kept = {n: t for n, t in found.items() if self._is_kept(n)}
            found |= moved(_below(FOUND, state), kept)
        for stage_number in range(begin, len(self._stages)):
            if stage_number > begin:
                self._lift(found, stage_number, scene)
            stage = self._stages[stage_number]
            spread = self._spread(stage.space)
            descent = Descent(self._still, scene, stage, stage_number, found, spread)
            if state is not None and stage_number == begin:
                descent.resume(step, _below(LIVE, state))
            while not descent.is_over:
                look = descent.advance()
                self._tell(number, stage_number, descent, found, look)
            descent.judge()
        found["images"] = self._images(found, scene)
        return found

    def _start(self, scene: Scene) -> State:
        still, task, samples = self._still, self._task, scene.samples
        space = self._stages[0].space
        latents = task.starts(samples, still.like)
        if latents is not None and tuple(latents.shape[1:]) != still.point_shapes[space]:
            raise InputError(
                f"the start has latents of shape {tuple(latents.shape[1:])}, but points of {space} have "
                f"{still.point_shapes[space]}; give such points"
            )
        if latents is None:
            mean = self._spread(space).mean if task.recipe.start == "mean" else None
            latents = start_points(still, space, samples, task.seed, mean=mean, labels=scene.labels)
        shape = (samples.count, len(self._stages))
        return {
            LATENTS: latents,
            "losses": torch.full(shape, torch.inf, dtype=still.dtype, device=still.device),
            "steps": torch.zeros(shape, dtype=torch.int64, device=still.device),
            "endings": torch.zeros(samples.count, dtype=torch.int64, device=still.device),
            **{NOISE + n: maps for n, maps in start_maps(still, samples, task.seed).items()},
        }

    def _lift(self, found: State, stage: int, scene: Scene) -> None:
        before, after = self._stages[stage - 1].space, self._stages[stage].space
        with torch.no_grad():
            found[LATENTS] = self._still.lifted(found[LATENTS], before, after, scene.labels)

    def _images(self, found: State, scene: Scene) -> Tensor:
        with torch.no_grad():
            return self._still.images(
                found[LATENTS], self._task.recipe.space, _below(NOISE, found), scene.labels
            )

    def _spread(self, space: Space) -> Spread:
        kind: Space = "z" if space == "z" else "w"
        if kind not in self._spreads:
            task = self._task
            self._spreads[kind] = spread_of(
                self._still, kind, samples=task.recipe.mean_samples, seed=task.seed, labels=self._labels
            )
        return self._spreads[kind]

    def _tell(self, batch: int, stage: int, descent: Descent, found: State, look: Look) -> None:
        if self._on_step is None:
            return
        lengths = [each.steps for each in self._stages]
        samples = self._batches[batch]

        def state() -> State:
            kept = {FOUND + n: t.cpu().clone() for n, t in found.items() if self._is_kept(n)}
            done = {DONE + n: t.clone() for n, t in self._done.items()}
            live = {LIVE + n: t.cpu() for n, t in descent.tensors().items()}
            position = torch.tensor([batch, stage, descent.step])
            return {**done, **kept, **live, POSITION: position, FINGERPRINT: self._fingerprint.clone()}

        self._on_step(
            StepInfo(
                step=sum(lengths) * batch + sum(lengths[:stage]) + min(descent.step, lengths[stage]),
                steps=sum(lengths) * len(self._batches),
                stage=stage,
                samples=(samples.first - self._task.first) * samples.restarts + look.rows.cpu(),
                losses=look.losses,
                images=look.images,
                state=state,
            )
        )

    def _take_up(self, state: Mapping[str, Tensor]) -> int:
        """Refuse a state of another inversion, and tell the batch that it stopped in."""
        found = state.get(FINGERPRINT)
        if found is None or int(found) != int(self._fingerprint):
            raise InputError(
                "the state is of another inversion: of other targets, options or seed; give what it was "
                "begun with, or begin anew"
            )
        position = moved(state, {POSITION: self._fingerprint})[POSITION]
        self._done = {name: tensor.clone() for name, tensor in _below(DONE, state).items()}
        return int(position[0])

    def _is_kept(self, name: str) -> bool:
        return self._task.recipe.optimises_noise or not name.startswith(NOISE)


def _placed(recipe: Recipe, like: Tensor) -> list[Stage]:
    """The stages with their objectives' weights where ``like`` is, each of them once."""
    terms = [term for stage in recipe.stages for term in stage.objectives]
    placed = {id(term.objective): term.objective.placed(like) for term in terms}
    return [
        replace(
            stage,
            objectives=tuple(
                replace(term, objective=placed[id(term.objective)]) for term in stage.objectives
            ),
        )
        for stage in recipe.stages
    ]


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> State:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}

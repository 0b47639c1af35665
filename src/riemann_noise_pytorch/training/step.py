"""One training step: the discriminator's update and penalty, the generator's update and penalty, the average.

D7: the images that the generator makes serve both players, as in the original DCGAN code. With instance
noise, both players and the penalty see the same blurred images. Everything random is drawn from the seed and
the step: latents for the batch of all processes, noise for each process.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import final

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from riemann_noise_pytorch.data.imageset import to_float
from riemann_noise_pytorch.errors import NonFiniteError
from riemann_noise_pytorch.models.interfaces import Generator
from riemann_noise_pytorch.models.precision import in_full_precision
from riemann_noise_pytorch.models.stylegan2 import StyleGAN2Generator
from riemann_noise_pytorch.noise.control import noise_layers
from riemann_noise_pytorch.noise.sources import Fresh
from riemann_noise_pytorch.seeds import derive
from riemann_noise_pytorch.training.batch import Batch, given_labels
from riemann_noise_pytorch.training.compiling import Compiled, require_compiler
from riemann_noise_pytorch.training.config import TrainConfig
from riemann_noise_pytorch.training.diagnosis import TERMS, Diagnosis
from riemann_noise_pytorch.training.instance_noise import InstanceNoise
from riemann_noise_pytorch.training.losses import make_loss
from riemann_noise_pytorch.training.path_length import PathLength
from riemann_noise_pytorch.training.processes import average
from riemann_noise_pytorch.training.regularizers import penalty_of
from riemann_noise_pytorch.training.state import TrainState
from riemann_noise_pytorch.training.styles import Styles

NoiseSource = Callable[[Generator, int, int], AbstractContextManager[None]]
"""From a generator, the step and the global index of this process's first sample to a source of its noise."""

MOST_OVERFLOWS = 25
"""A loss scaler halves its 65536 at every overflow: after so many in a row, the gradients are at fault."""


@final
class Watch:
    """Collects the measures of a step, and stops the run where one is not finite.

    Args:
        explain: Says what is to be said of a measure that is not finite, from its name and value.
        excuses: Measures that may be infinite where another is, by that other's name: under a loss scaler,
            which leaves out the step of a scaled gradient that overflows.
    """

    def __init__(
        self, explain: Callable[[str, float], str], excuses: Mapping[str, str] | None = None
    ) -> None:
        self.values: dict[str, float] = {}
        self._unread: dict[str, Tensor] = {}
        self._explain = explain
        self._excuses = excuses or {}

    def add(self, measures: Mapping[str, Tensor]) -> None:
        """Note measures, float32 scalars without a graph, and leave them on the device."""
        self._unread |= measures

    def settle(self) -> None:
        """Read what was noted, in one transfer.

        Raises:
            NonFiniteError: A loss, a penalty or a gradient is not finite.
        """
        if not self._unread:
            return
        read = torch.stack(list(self._unread.values())).tolist()
        values = dict(zip(self._unread, read, strict=True))
        self._unread = {}
        self.values |= values
        for name, value in values.items():
            excused = name in self._excuses and not math.isfinite(self.values[self._excuses[name]])
            if name in TERMS and not math.isfinite(value) and not excused:
                raise NonFiniteError(self._explain(name, value))


@final
class Trainer:
    """Takes training steps.

    Args:
        config: Complete options.
        state: What the steps change.
        accelerator: Device, precision and processes.
        noise_source: Replaces fresh noise, which is drawn per step and process.
        labels: Classes of all real images, for a run with classes.

    Raises:
        InputError: ``config.compile`` is on, and there is no compiler.

    Attributes:
        last_snapshot: The newest snapshot, for messages.
    """

    def __init__(
        self,
        config: TrainConfig,
        state: TrainState,
        accelerator: Accelerator,
        noise_source: NoiseSource | None = None,
        labels: Tensor | None = None,
    ) -> None:
        self.config = config
        self.state = state
        self.accelerator = accelerator
        self.loss = make_loss(config.loss, config.generator_loss)
        self.penalty = penalty_of(config)
        self.path_length = PathLength(
            config.pl_weight, config.pl_interval, config.pl_decay, config.pl_batch_shrink
        )
        self.last_snapshot: Path | None = None
        self._noise_source = noise_source or self._reseeded
        by_layer = config.precision == "no" or config.architecture == "stylegan2"
        self._half = nullcontext if by_layer else accelerator.autocast
        self._alone = accelerator.num_processes == 1
        self._share = config.batch // accelerator.num_processes
        self._first_sample = self._share * accelerator.process_index
        self._styles = Styles(config, accelerator, labels)
        self._instance_noise = InstanceNoise(config, accelerator.device, accelerator.process_index)
        self._diagnosis = Diagnosis(config, state, self._styles, self._as_in_the_step)
        self._noise = torch.Generator(accelerator.device)
        for layer in noise_layers(state.generator).values():
            layer.source = Fresh(self._noise)
        self._of_g = list(state.generator.parameters())
        self._of_d = list(state.discriminator.parameters())
        self._overflows = 0
        self._reads_are_free = accelerator.device.type == "cpu"
        generator = state.generator
        synthesis = generator.synthesis if isinstance(generator, StyleGAN2Generator) else generator
        self._synthesise: Callable[[Tensor], Tensor] = synthesis
        self._judge: Callable[..., Tensor] = state.discriminator
        if config.compile:
            require_compiler(accelerator.device)
            self._synthesise, self._judge = Compiled(synthesis), Compiled(state.discriminator)

    def step(
        self, pixels: Tensor, stop: bool = False, labels: Tensor | None = None
    ) -> tuple[dict[str, float], bool]:
        """Take one step.

        Args:
            pixels: This process's share of the real images, uint8 (N, C, H, W).
            stop: Whether this process wants to stop.
            labels: Classes of the real images, int64 (N,), for a run with classes.

        Returns:
            The measures of the step, means over all processes, and whether any process wants to stop.

        Raises:
            NonFiniteError: A loss, the penalty or a gradient is not finite. On CPUs this is found before the
                optimiser uses it, on GPUs before the last optimiser of the step.
        """
        state, step = self.state, self.state.step
        real = to_float(self._to_device(pixels).contiguous(memory_format=torch.channels_last))
        own = None if labels is None else self._to_device(labels)
        watch = Watch(
            lambda name, value: self._diagnosis.explain(name, value, real, own, self.last_snapshot),
            self._excuses(),
        )
        sigma = self._instance_noise.sigma(step, state.adapted_sigma)
        batch = self._instance_noise.blur(self._with_fakes(real, own), sigma, step)
        _require_gradients(self._of_d, True)
        self._discriminator_phase(batch, watch)
        self._lazy_penalty_phase(batch, watch)
        _require_gradients(self._of_d, False)
        self._generator_phase(batch, stop, watch)
        if self.path_length.is_due(step):
            self._penalise_paths(watch)
        state.ema.update(self.config.batch, step * self.config.batch)
        state.step += 1
        stopping = watch.values.pop("stop", float(stop)) > 0
        self._follow(sigma, watch)
        self._count_overflows(watch)
        return watch.values, stopping

    def _with_fakes(self, real: Tensor, labels: Tensor | None) -> Batch:
        generator, step = self.state.generator, self.state.step
        with self._noise_source(generator, step, self._first_sample), self._half():
            fake = self._synthesise(self._styles.inputs(generator, step))
        return Batch(real, fake, labels, self._styles.labels(step))

    def _discriminator_phase(self, batch: Batch, watch: Watch) -> None:
        state = self.state
        with self._half():
            fake_logits = self._judge(batch.fake.detach(), *given_labels(batch.fake_labels)).float()
            real_logits = self._judge(batch.real, *given_labels(batch.real_labels)).float()
        loss = self.loss.of_discriminator(real_logits, fake_logits)
        _forget_gradients(self._of_d)
        torch.autograd.backward(state.scaler.scale(loss))
        measures = {
            "loss_d": loss.detach(),
            "d_real_accuracy": (real_logits.detach() > self.loss.boundary).float().mean(),
            "d_fake_accuracy": (fake_logits.detach() < self.loss.boundary).float().mean(),
        }
        watch.add(average(self.accelerator, self._of_d, measures))
        state.scaler.unscale_(state.optimizer_d)
        watch.add({"grad_norm_d": _gradient_norm(self._of_d)})
        if not self.penalty.is_lazy and self.penalty.is_due(state.step):
            self._penalise(batch, watch)
        self._settle(watch)
        state.scaler.step(state.optimizer_d)

    def _lazy_penalty_phase(self, batch: Batch, watch: Watch) -> None:
        """Let the discriminator step along the penalty's gradient alone, where that has a step of its own."""
        if not (self.penalty.is_lazy and self.penalty.is_due(self.state.step)):
            return
        _forget_gradients(self._of_d)
        self._penalise(batch, watch)
        self._settle(watch)
        self.state.optimizer_d.step()

    def _penalise(self, batch: Batch, watch: Watch) -> None:
        """Add the penalty's gradient, times its interval, in float32, uncompiled and without a scaler.

        It sees the images that the loss saw: blurred ones where there is instance noise. The norm noted is
        that of the step which follows: of loss and penalty together, or of a lazy penalty times its interval.
        """
        discriminator, step = self.state.discriminator, self.state.step
        seen = batch._replace(fake=batch.fake.detach().to(batch.real.dtype))
        if self.penalty.needs_mix:
            seen = seen._replace(mix=self._styles.mix(step))
        with in_full_precision(discriminator):
            penalty = self.penalty(discriminator, seen, step)
        torch.autograd.backward(penalty * self.penalty.interval)
        # gradients that were averaged before are the same everywhere: averaging the sum leaves them alone
        watch.add(average(self.accelerator, self._of_d, {"penalty": penalty.detach()}))
        watch.add({"grad_norm_penalty": _gradient_norm(self._of_d)})

    def _generator_phase(self, batch: Batch, stop: bool, watch: Watch) -> None:
        state = self.state
        with self._half():
            logits = self._judge(batch.fake, *given_labels(batch.fake_labels)).float()
        loss = self.loss.of_generator(logits).mean()
        _forget_gradients(self._of_g)
        torch.autograd.backward(state.scaler.scale(loss))
        measures = {"loss_g": loss.detach()}
        if not self._alone:
            measures["stop"] = torch.tensor(float(stop), device=loss.device)
        watch.add(average(self.accelerator, self._of_g, measures))
        state.scaler.unscale_(state.optimizer_g)
        watch.add({"grad_norm_g": _gradient_norm(self._of_g)})
        watch.settle()
        state.scaler.step(state.optimizer_g)
        state.scaler.update()

    def _penalise_paths(self, watch: Watch) -> None:
        """Let the generator step along the path length's gradient, in float32, uncompiled and unscaled."""
        state, penalty = self.state, self.path_length
        generator = state.generator
        assert isinstance(generator, StyleGAN2Generator)
        share = self._share // penalty.batch_shrink
        batch = share * self.accelerator.num_processes
        _forget_gradients(self._of_g)
        beyond = self.config.batch + share * self.accelerator.process_index  # noise of its own
        with in_full_precision(generator), self._noise_source(generator, state.step, beyond):
            ws = self._styles.rows(generator, state.step, batch, "path length ")
            noise = self._styles.image_noise(state.step, batch, generator.image_shape)
            lengths = penalty.lengths(generator.synthesis, ws, noise)
        mean = lengths.detach().mean()
        if not self._alone:
            mean = self.accelerator.reduce(mean, "mean")
        state.pl_average = penalty.new_average(state.pl_average, mean)
        value = penalty(lengths, state.pl_average)
        torch.autograd.backward(value * penalty.interval)
        measures = {"pl": value.detach(), "pl_length": mean}
        watch.add(average(self.accelerator, self._of_g, measures))
        watch.add({"grad_norm_pl": _gradient_norm(self._of_g)})
        watch.settle()
        state.optimizer_g.step()

    def _follow(self, sigma: float, watch: Watch) -> None:
        """Note the step's deviation of instance noise; an adaptive one goes on to the next step's."""
        noise, measures = self._instance_noise, watch.values
        if noise.is_adaptive:
            real, fake = measures["d_real_accuracy"], measures["d_fake_accuracy"]
            self.state.adapted_sigma = noise.follow(sigma, real, fake)
        if noise.is_on:
            measures["instance_noise"] = sigma

    def _count_overflows(self, watch: Watch) -> None:
        overflow = not all(map(math.isfinite, watch.values.values()))
        self._overflows = self._overflows + 1 if overflow else 0

    def _excuses(self) -> dict[str, str]:
        """Scaled gradients may overflow, now and then; those of lazy penalties are not scaled."""
        if not self.state.scaler.is_enabled() or self._overflows >= MOST_OVERFLOWS:
            return {}
        scaled = {"grad_norm_d": "grad_norm_d", "grad_norm_g": "grad_norm_g"}
        return scaled if self.penalty.is_lazy else scaled | {"grad_norm_penalty": "grad_norm_d"}

    def _settle(self, watch: Watch) -> None:
        if self._reads_are_free:
            watch.settle()

    @contextlib.contextmanager
    def _as_in_the_step(self) -> Iterator[None]:
        generator = self.state.generator
        with self._noise_source(generator, self.state.step, self._first_sample), self._half():
            yield

    def _reseeded(self, generator: Generator, step: int, first_sample: int) -> AbstractContextManager[None]:  # noqa: ARG002
        purpose = () if first_sample < self.config.batch else ("path length",)
        process = self.accelerator.process_index
        self._noise.manual_seed(derive(self.config.seed, "noise", step, process, *purpose))
        return nullcontext()

    def _to_device(self, tensor: Tensor) -> Tensor:
        if self.accelerator.device.type == "cuda":
            tensor = tensor.pin_memory()
        return tensor.to(self.accelerator.device, non_blocking=True)


def _require_gradients(parameters: list[nn.Parameter], wanted: bool) -> None:
    for parameter in parameters:
        parameter.requires_grad = wanted


def _forget_gradients(parameters: list[nn.Parameter]) -> None:
    for parameter in parameters:
        parameter.grad = None


def _gradient_norm(parameters: list[nn.Parameter]) -> Tensor:
    gradients = [p.grad for p in parameters if p.grad is not None]
    if gradients[0].is_cuda:
        return nn.utils.get_total_norm(gradients)
    norm: Tensor = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients]))
    return norm

"""Where a number stopped being finite in a step, and which option helps."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.models.precision import first_non_finite, in_full_precision
from riemann_noise_pytorch.models.stylegan2 import StyleGAN2Generator
from riemann_noise_pytorch.training.batch import given_labels
from riemann_noise_pytorch.training.config import TrainConfig
from riemann_noise_pytorch.training.state import TrainState
from riemann_noise_pytorch.training.styles import Styles

TERMS = {
    "loss_d": "loss_d",
    "grad_norm_d": "gradient of D",
    "penalty": "penalty of the regularizer",
    "grad_norm_penalty": "gradient of the regularizer's penalty",
    "loss_g": "loss_g",
    "grad_norm_g": "gradient of G",
    "pl": "path length penalty",
    "grad_norm_pl": "gradient of the path length penalty",
}
"""What must be finite, by the name of its measure, and what it is called."""
_OF_PENALTY = ("penalty", "grad_norm_penalty")
_OF_PATHS = ("pl", "grad_norm_pl")


@final
class Diagnosis:
    """Repeats the forward pass of a step to find the layer at fault.

    Args:
        config: Complete options.
        state: The networks.
        styles: What the step drew.
        context: Within which the step calls the generator: its noise, its precision.
    """

    def __init__(
        self,
        config: TrainConfig,
        state: TrainState,
        styles: Styles,
        context: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._config = config
        self._state = state
        self._styles = styles
        self._context = context

    def explain(
        self, measure: str, value: float, real: Tensor, labels: Tensor | None, last_snapshot: Path | None
    ) -> str:
        """Say what is not finite, from which layer on, what is left of the run, and what helps.

        Args:
            measure: A key of ``TERMS``.
            value: Its value.
            real: The real images of the step.
            labels: Their classes, or None.
            last_snapshot: The newest snapshot, or None.

        Returns:
            One line.
        """
        layer, half = self._layer(measure in _OF_PENALTY + _OF_PATHS, real, labels)
        where = f"the first layer that is not finite is {layer}; " if layer else ""
        kept = f"the last good snapshot is {last_snapshot}" if last_snapshot else "no snapshot was lost"
        term = TERMS[measure].replace("regularizer", f"regularizer {self._config.regularizer}")
        told = f"{term} is {value} at step {self._state.step}"
        return f"{told}; {where}{kept}; {remedy(measure, half, self._config)}"

    def _layer(self, full: bool, real: Tensor, labels: Tensor | None) -> tuple[str | None, bool]:
        """The first layer that is not finite, in full precision or as in the step, and whether it is half.

        Networks that wait for other processes are not run.
        """
        networks = (self._state.generator, self._state.discriminator)
        if any(isinstance(part, nn.SyncBatchNorm) for network in networks for part in network.modules()):
            return None, False
        with contextlib.ExitStack() as stack:
            for player in networks if full else ():
                stack.enter_context(in_full_precision(player))
            for name, network, inputs in self._passes(real, labels):
                with torch.no_grad(), self._context():
                    found = first_non_finite(network, *inputs())
                if found is not None:
                    layer = f"{name}.{found}".removesuffix(f".{type(network).__name__}")
                    return layer, self._is_half(network, found)
        return None, False

    def _passes(
        self, real: Tensor, labels: Tensor | None
    ) -> Iterator[tuple[str, nn.Module, Callable[[], tuple[Any, ...]]]]:
        """What runs in a step, in its order: name, network, and what gives its inputs."""
        generator, styles, step = self._state.generator, self._styles, self._state.step
        made_of = given_labels(styles.labels(step))
        if isinstance(generator, StyleGAN2Generator):
            yield "generator.mapping", generator.mapping, lambda: (styles.latents(step), *made_of)
            rows = styles.rows(generator, step, self._config.batch)
            yield "generator.synthesis", generator.synthesis, lambda: (rows,)
        else:
            yield "generator", generator, lambda: (styles.latents(step),)
        discriminator = self._state.discriminator
        if real.is_cuda and not all(bool(p.isfinite().all()) for p in discriminator.parameters()):
            return  # on GPUs the fault may have reached its weights by now, and would be found everywhere
        yield "discriminator", discriminator, lambda: (generator(styles.latents(step), *made_of), *made_of)
        yield "discriminator", discriminator, lambda: (real, *given_labels(labels))

    def _is_half(self, network: nn.Module, layer: str) -> bool:
        if self._config.precision == "no" or self._config.architecture == "dcgan":
            return self._config.precision != "no"
        parts = layer.split(".")
        owners = (".".join(parts[:n]) for n in range(1, len(parts) + 1))
        named = dict(network.named_modules())
        return any(getattr(named.get(owner), "half_dtype", None) is not None for owner in owners)


def remedy(measure: str, half: bool, config: TrainConfig) -> str:
    """Name the options that help.

    Args:
        measure: What is not finite, a key of ``TERMS``.
        half: Whether the layer at fault computes in half precision.
        config: The options of the run.

    Example:
        >>> remedy("pl", False, TrainConfig(pl_weight=2.0))
        'lower pl_weight, which is 2, or lr_g'
    """
    if half and config.architecture == "dcgan":
        return "set precision to no, or lower lr_g and lr_d"
    if half:
        other = "bf16 or no" if config.precision == "fp16" else "no"
        fewer = f"give fewer half_resolutions than {config.half_resolutions}"
        return f"{fewer}, or precision {other}, or lower lr_g and lr_d"
    if measure in _OF_PENALTY:
        return f"lower gamma, which is {config.gamma:g}, or lr_d"
    if measure in _OF_PATHS:
        return f"lower pl_weight, which is {config.pl_weight:g}, or lr_g"
    other = "" if config.loss == "logistic" else ", or take loss logistic"
    return f"lower lr_g and lr_d, or raise gamma{other}"

"""Compiled networks for the phases of a step that have first derivatives alone.

``torch.compile`` cannot differentiate twice, so penalties on gradients always call the network itself, which
stays as it is: nothing is wrapped in place, and names of tensors and of noise layers are the same.

Noise is drawn before the call and handed in, by the very sources and in the very order of an uncompiled call:
a stream of random numbers would break the graph at every noise layer.
"""

import copy
import math
from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise.control import given, noise_layers
from riemann_noise_pytorch.noise.interfaces import NoiseLayer

BACKEND = "inductor"
"""What ``torch.compile`` compiles with."""


def require_compiler(device: torch.device) -> None:
    """Compile and run one addition, so that a missing compiler is told before anything else is done.

    Raises:
        InputError: There is no working compiler for the device.
    """
    try:
        torch.compile(_one_more, backend=BACKEND)(torch.zeros(2, device=device))
    except Exception as error:  # whatever Python, dynamo, a C++ compiler or Triton raises
        needed = "Triton" if device.type == "cuda" else "a C++ compiler such as g++"
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise InputError(
            f"compile needs {needed}, and torch can compile nothing here ({reason}); install it, or turn "
            "compile off"
        ) from error


@final
class Compiled:
    """Calls a network through a compiled copy of its code; weights and buffers are the network's own.

    Args:
        network: A generator, a synthesis or a discriminator.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._call: Callable[..., Tensor] = torch.compile(network, backend=BACKEND, dynamic=False)
        self._layers = dict(noise_layers(network))
        self._features: dict[str, Tensor] | None = None

    def __call__(self, *inputs: Any) -> Tensor:
        """Give what the network gives."""
        if not self._layers:
            return self._call(*inputs)
        if self._features is None:
            self._features = _features(self._network, inputs)
        drawn = {name: self._layers[name].draw(like) for name, like in self._features.items()}
        with given(self._network, {name: epsilon for name, epsilon in drawn.items() if epsilon is not None}):
            return self._call(*inputs)


@torch.no_grad()
def _features(network: nn.Module, inputs: tuple[Any, ...]) -> dict[str, Tensor]:
    """Stand-ins for the features that noise layers see, by name in the order of the calls.

    A copy of the network is called once for it, so that running statistics stay as they are.
    """
    found: dict[str, Tensor] = {}
    replica = copy.deepcopy(network)

    def note(name: str, mu: Tensor) -> None:
        found[name] = torch.zeros((), dtype=mu.dtype, device=mu.device).expand(mu.shape)

    for name, layer in noise_layers(replica).items():
        _require_plain(layer)
        layer.register_forward_pre_hook(lambda _layer, args, name=name: note(name, args[0]))
    with torch.random.fork_rng(devices=_cuda_of(inputs)):
        replica(*inputs)
    return found


def _require_plain(layer: NoiseLayer) -> None:
    if type(layer).draw is not NoiseLayer.draw:
        raise InputError(
            f"{type(layer).__name__} draws its noise by itself, which cannot be compiled; turn compile off"
        )


def _cuda_of(inputs: tuple[Any, ...]) -> list[torch.device]:
    return [each.device for each in inputs if isinstance(each, Tensor) and each.is_cuda]


def _one_more(x: Tensor) -> Tensor:
    return x + math.pi

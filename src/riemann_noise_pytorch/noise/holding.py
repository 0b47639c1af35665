"""The hooks that hold foreign noise, call by call.

torch's compiler runs the hooks and does not trace them. So a compiled network is held as a whole, whether it
or its wrapper is frozen; a held call in the midst of a graph breaks that graph, or is refused where the graph
must be one. This module loads the compiler, which takes seconds: it is imported only where a network may draw
from torch's generators.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise.foreign import Hold, governed, hold_of

REASON = (
    "noise of torch's generators cannot be frozen inside a graph; compile the network itself, "
    "and give the compiled one to frozen()"
)


@contextlib.contextmanager
def held(seeds: Mapping[nn.Module, int], generators: Sequence[torch.Generator]) -> Iterator[None]:
    """Within the block, each call of the modules starts from its seed and leaves no trace in the generators.

    Of nested blocks on one module the innermost governs it. A held call inside a held call of the same block
    goes on with the stream of the outer one.

    Args:
        seeds: The modules, each with the seed that its calls start from.
        generators: From :func:`~riemann_noise_pytorch.noise.foreign.generators_of`.

    Raises:
        InputError: A module is TorchScript, which has no place for hooks.
    """
    if any(isinstance(module, torch.jit.ScriptModule) for module in seeds):
        raise InputError(
            "noise inside of TorchScript cannot be frozen; use the Python network that it was made from, "
            "or call it from a module of your own"
        )
    hold = Hold(seeds, generators)
    with contextlib.ExitStack() as hooks, hold.states, governed(seeds, hold):
        for module in seeds:
            before = module.register_forward_pre_hook(_enter, prepend=True)
            hooks.callback(before.remove)
            after = module.register_forward_hook(_leave, always_call=True)
            hooks.callback(after.remove)
        yield


@torch.compiler.disable(reason=REASON)  # type: ignore[untyped-decorator, no-untyped-call]
def _enter(module: nn.Module, args: Any) -> None:  # noqa: ARG001 - the signature of a hook
    hold = hold_of(module)
    if hold is not None:
        hold.enter(module)


@torch.compiler.disable(reason=REASON)  # type: ignore[untyped-decorator, no-untyped-call]
def _leave(module: nn.Module, args: Any, output: Any) -> None:  # noqa: ARG001 - the signature of a hook
    hold = hold_of(module)
    if hold is not None:
        hold.leave()

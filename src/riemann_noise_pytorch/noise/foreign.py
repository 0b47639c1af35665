"""Noise that is not this package's: networks that draw from torch's generators while they are called.

Nobody can tell such noise where to come from. It can only be held: every call of the network, or of a part of
it, starts from the same state of torch's generators, on the CPU and on the CUDA devices of the network, and
afterwards the state from before is put back. :func:`~riemann_noise_pytorch.noise.control.frozen` does so.

A network whose parts are all known to draw nothing (this package's, and those of ``torch.nn`` but the dropout
family and its like) needs no holding.

Who holds what:

    frozen(network, 3)                                  control.py, for the length of the block
     |
     +- our layers:   layer.source = Frozen(seed of its name)
     |
     +- parts that may draw:  held({part: seed})        holding.py: one Hold, and two hooks for each part
          |
          +- governed(parts, hold)       for each part, which Hold counts: that of the innermost block
          |    released(parts)           the same, with no Hold: what fresh() does
          |
          +- a call of a part:  hooks -> Hold.enter ... the part draws ... Hold.leave
                                         +---- seeded(seed, generators) ----+   the states put back after it
"""

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import final
from weakref import WeakKeyDictionary

import torch
from torch import nn

from riemann_noise_pytorch.noise.interfaces import NoiseLayer

PACKAGE = __name__.partition(".")[0]
KNOWN_HOMES = (f"{PACKAGE}.", "torch.nn.", "torch.ao.nn.", "torch._dynamo.eval_frame.")
DRAWING = (
    *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout),
    *(nn.RReLU, nn.FractionalMaxPool2d, nn.FractionalMaxPool3d, nn.MultiheadAttention, nn.RNNBase),
)
"""The modules of ``torch.nn`` that draw random numbers, some of them in training alone."""


def may_draw(module: nn.Module) -> bool:
    """Tell whether a call of the module might draw from torch's generators.

    Args:
        module: Any module.

    Returns:
        False if every part is a noise layer, belongs to this package, or is one of ``torch.nn`` that draws
        nothing; True where that cannot be known.

    Example:
        >>> may_draw(nn.Sequential(nn.Linear(2, 2), nn.ReLU())), may_draw(nn.Dropout())
        (False, True)
    """
    return any(_may_draw_itself(part) for part in module.modules())


def _may_draw_itself(part: nn.Module) -> bool:
    hooks = [*part._forward_pre_hooks.values(), *part._forward_hooks.values()]
    if any(not _home(hook).startswith(f"{PACKAGE}.") for hook in hooks):
        return True
    if isinstance(part, NoiseLayer):
        return False
    compiled = (
        "_orig_mod" in part._modules
    )  # torch.compile's wrapper has a forward of its own on every object
    known = _home(type(part)).startswith(KNOWN_HOMES) and (compiled or "forward" not in vars(part))
    return not known or isinstance(part, DRAWING)


def _home(thing: object) -> str:
    return f"{getattr(thing, '__module__', '')}."


def generators_of(module: nn.Module | None) -> list[torch.Generator]:
    """List torch's own generators that a module can draw from.

    Args:
        module: Any module, None for a function without parameters.

    Returns:
        The CPU's, then that of every CUDA device on which the module has tensors or replicas; where it has no
        tensors, and CUDA is in use, those of all CUDA devices, for it may draw on any.
    """
    tensors = [] if module is None else [*module.parameters(), *module.buffers()]
    cuda = {tensor.device.index for tensor in tensors if tensor.device.type == "cuda"}
    if isinstance(module, nn.DataParallel):
        cuda.update(module.device_ids)
    if not tensors and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        cuda.update(range(len(torch.cuda.default_generators)))
    return [torch.default_generator, *(torch.cuda.default_generators[index] for index in sorted(cuda))]


@contextlib.contextmanager
def seeded(seed: int, generators: Sequence[torch.Generator]) -> Iterator[None]:
    """Within the block the generators start from a seed; afterwards they are as they were before.

    Args:
        seed: In [0, 2^63).
        generators: From :func:`generators_of`.

    Example:
        >>> with seeded(0, generators_of(None)):
        ...     first = torch.randn(3)
        >>> with seeded(0, generators_of(None)):
        ...     print(torch.equal(torch.randn(3), first))
        True
    """
    before = [generator.get_state() for generator in generators]
    try:
        for generator in generators:
            generator.manual_seed(seed)
        yield
    finally:
        for generator, state in zip(generators, before, strict=True):
            generator.set_state(state)


@final
class Hold:
    """What one block does around calls. A held call within a held call goes on with the outer one's stream.

    Args:
        seeds: The modules, each with the seed that its calls start from.
        generators: From :func:`generators_of`.
    """

    def __init__(self, seeds: Mapping[nn.Module, int], generators: Sequence[torch.Generator]) -> None:
        self.states = contextlib.ExitStack()
        self._seeds = dict(seeds)
        self._generators = generators
        self._depth = 0

    def enter(self, module: nn.Module) -> None:
        """Begin a call of a module."""
        if self._depth == 0:
            self.states.enter_context(seeded(self._seeds[module], self._generators))
        self._depth += 1

    def leave(self) -> None:
        """End a call, and put the states back after the outermost."""
        self._depth = max(self._depth - 1, 0)
        if self._depth == 0:
            self.states.close()


_INNERMOST: WeakKeyDictionary[nn.Module, Hold | None] = WeakKeyDictionary()


def hold_of(module: nn.Module) -> Hold | None:
    """Tell which hold governs the calls of a module: that of the innermost block; for a copy, none."""
    return _INNERMOST.get(module)


@contextlib.contextmanager
def governed(modules: Collection[nn.Module], hold: Hold | None) -> Iterator[None]:
    """Within the block, calls of the modules are governed by a hold; by none at all where it is None."""
    outer = {module: _INNERMOST[module] for module in modules if module in _INNERMOST}
    try:
        for module in modules:
            _INNERMOST[module] = hold
        yield
    finally:
        for module in modules:
            if module in outer:
                _INNERMOST[module] = outer[module]
            else:
                _INNERMOST.pop(module, None)


@contextlib.contextmanager
def released(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Within the block, calls of the modules are not held by the blocks around it."""
    with governed([module for module in modules if module in _INNERMOST], None):
        yield

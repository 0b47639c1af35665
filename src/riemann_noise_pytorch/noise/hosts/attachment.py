"""How a noise layer follows a module of a network that knows nothing of it.

The layer becomes a child named ``noise`` of the module, so it moves, trains, copies and saves with it, and
the state dict gains ``<module>.noise.*`` and nothing else. A forward hook hands the module's output to it; in
a plain ``nn.Sequential``, which runs its children in turn, it is the last child, without a hook.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise.hosts.members import Key, member, replaced
from riemann_noise_pytorch.noise.interfaces import NoiseLayer

CHILD = "noise"
_MARK = "_injected_noise"


@dataclass(eq=False)
class Behind:
    """The forward hook of a module with noise, and the mark by which its noise is found again.

    It holds its handle so that an unpickled copy reserves the hook's number: torch counts hooks anew in every
    process, and a new hook of the same number would take its place.

    Args:
        name: The module's qualified name, for messages.
        output: Which member of the module's output gets the noise.
        handle: What registering the hook returned.
    """

    name: str
    output: Key
    handle: RemovableHandle | None = None

    def __call__(self, module: nn.Module, _args: tuple[Any, ...], result: Any) -> Any:
        """Put the noise into what the module made."""
        layer = module.get_submodule(CHILD)
        try:
            return replaced(result, self.output, layer(member(result, self.output)))
        except InputError as error:
            raise InputError(f"{self.name}: {error}") from error


@dataclass(eq=False)
class Checked:
    """The pre-hook of a noise layer within a Sequential: its complaints bear the Sequential's name.

    Args:
        name: The Sequential's qualified name.
    """

    name: str

    def __call__(self, layer: NoiseLayer, args: tuple[Tensor, ...]) -> None:
        """Refuse features that the layer cannot serve."""
        check_features(self.name, layer, args[0])


def attach(layer: NoiseLayer, module: nn.Module, name: str, output: Key) -> None:
    """Put a layer behind a module.

    Args:
        layer: The layer.
        module: The module, which has no attribute ``noise``.
        name: The module's qualified name, for messages.
        output: Which member of its output gets the noise.
    """
    mark = Behind(name, output)
    module.add_module(CHILD, layer.train(module.training))
    vars(module)[_MARK] = mark
    if runs_in_turn(module):
        layer.register_forward_pre_hook(Checked(name))
    else:
        mark.handle = module.register_forward_hook(mark)


def detach(modules: Iterable[nn.Module]) -> None:
    """Take out the layers behind modules; those without are passed over."""
    for module in modules:
        mark = vars(module).pop(_MARK, None)
        if mark is None:
            continue
        if mark.handle is not None:
            mark.handle.remove()
        if CHILD in dict(module.named_children()):
            delattr(module, CHILD)


def is_attached(module: nn.Module) -> bool:
    """Whether a layer was put behind a module, or behind what it is a copy of."""
    return _MARK in vars(module)


def runs_in_turn(module: nn.Module) -> bool:
    """Whether a module runs all its children in turn, as a plain Sequential does."""
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward


def check_features(name: str, layer: NoiseLayer, features: Tensor) -> None:
    """Refuse features that a layer cannot serve.

    Raises:
        InputError: The layer's complaint, after the name of the module that put them out.
    """
    try:
        layer.check(features)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error

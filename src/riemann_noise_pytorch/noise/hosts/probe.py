"""What modules of a network put out, and how often they are called, when it runs once."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise.hosts.matching import Host
from riemann_noise_pytorch.noise.hosts.members import Key, member
from riemann_noise_pytorch.noise.wording import reason_of, told


def observe(model: nn.Module, hosts: Iterable[Host], example_input: object, output: Key) -> None:
    """Run the network once, and note the features that each host puts out.

    Raises:
        InputError: The network fails on the example, or an output cannot get noise.
    """

    def note(host: Host, result: object) -> None:
        try:
            features = member(result, output)
        except InputError as error:
            host.refusal = host.refusal or error
            return
        host.features.append(torch.empty(features.shape, dtype=features.dtype, device="meta"))
        host.device = features.device

    by_module = {host.module: host for host in hosts}
    watched = _watched(by_module, lambda module, result: note(by_module[module], result))
    with watched, _undisturbed(model):
        _run(model, example_input, "the model fails on example_input", "give what its forward takes")
    for host in by_module.values():
        if host.refusal is not None:
            raise InputError(f"{host.name}: {host.refusal}") from host.refusal
        if not host.features:
            raise InputError(
                f"{host.name}: the model never calls this module ({type(host.module).__name__}) "
                "on example_input in evaluation mode; match one that it calls"
            )


def count_calls(model: nn.Module, modules: Iterable[nn.Module], example_input: object) -> Counter[nn.Module]:
    """Run the network once, and count how often it calls each of some modules.

    Raises:
        InputError: The network fails.
    """
    calls: Counter[nn.Module] = Counter()
    watched = _watched(modules, lambda module, _: calls.update([module]))
    with watched, _undisturbed(model):
        _run(model, example_input, "the model fails with this noise in it", "match other modules")
    return calls


def check_initialised(parts: Mapping[str, nn.Module]) -> None:
    """Refuse lazy modules that have not been called.

    Raises:
        InputError: There is one among the parts; they are given by name.
    """
    for name, part in parts.items():
        if any(is_lazy(t) for t in (*part.parameters(recurse=False), *part.buffers(recurse=False))):
            raise InputError(f"{told(name)}: it is lazy and not initialised; call the network once before")


@contextlib.contextmanager
def _watched(modules: Iterable[nn.Module], note: Callable[[nn.Module, object], None]) -> Iterator[None]:
    def hook(module: nn.Module, _args: object, result: object) -> None:
        note(module, result)

    with contextlib.ExitStack() as stack:
        for module in modules:
            stack.callback(module.register_forward_hook(hook).remove)
        yield


@contextlib.contextmanager
def _undisturbed(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards modes, buffers and random states are as before.

    Lazy modules draw their parameters in it: then the random numbers count as drawn.
    """
    modes = [(module, module.training) for module in model.modules()]
    owned = [(m, name, b) for m in model.modules() for name, b in m.named_buffers(recurse=False)]
    tensors = [*model.parameters(), *model.buffers()]
    lazy = any(map(is_lazy, tensors))
    buffers = [(m, name, b, b.clone()) for m, name, b in owned if not is_lazy(b)]
    devices = {t.device.index or 0 for t in tensors if t.device.type == "cuda"}
    forked = contextlib.nullcontext() if lazy else torch.random.fork_rng(sorted(devices))
    try:
        with torch.no_grad(), forked:
            for module, _ in modes:  # not by eval(), which some networks take as a call to merge weights
                module.training = False
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        with torch.no_grad():
            for module, name, buffer, value in buffers:
                if getattr(module, name, None) is not buffer:
                    setattr(module, name, buffer)
                buffer.copy_(value)


def _run(model: nn.Module, example_input: object, complaint: str, remedy: str) -> None:
    arguments: tuple[Any, ...] = ()
    keywords: dict[str, Any] = {}
    if isinstance(example_input, Tensor):
        arguments = (example_input,)
    elif isinstance(example_input, tuple):
        arguments = example_input
    elif isinstance(example_input, Mapping):
        keywords = {str(name): value for name, value in example_input.items()}
    else:
        raise InputError(
            "example_input must be a tensor, a tuple of positional arguments or a dict of keyword arguments, "
            f"not of type {type(example_input).__name__}; put it into a tuple"
        )
    try:
        model(*arguments, **keywords)
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:
        raise InputError(f"{complaint} ({reason_of(error)}); {remedy}") from error

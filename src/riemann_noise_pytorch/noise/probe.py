"""Which modules of a network are meant, and what they put out when it runs once."""

import contextlib
import fnmatch
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise.interfaces import NoiseLayer
from riemann_noise_pytorch.noise.members import Key, member

Rule = str | type | tuple[type, ...] | Callable[[str, nn.Module], bool]
Where = Rule | list[Rule]


@dataclass
class Host:
    """A module that gets noise.

    Args:
        module: The module.
        names: Its qualified names; several where it is registered several times.
        features: What it put out in a dry run, one tensor for each call, without data.
        device: Where they lay.
        refusal: Why its output cannot get noise.
    """

    module: nn.Module
    names: list[str]
    features: list[Tensor] = field(default_factory=list)
    device: torch.device | None = None
    refusal: InputError | None = None

    @property
    def name(self) -> str:
        """The first of its names, for messages."""
        return told(self.names[0])


def told(name: str) -> str:
    """A qualified name in a message; the network itself has an empty one."""
    return name or "the model"


def find_hosts(model: nn.Module, where: Where) -> list[Host]:
    """Find the modules that are meant; noise layers and what is inside them are not looked at.

    Args:
        model: A network.
        where: A shell pattern on qualified names, a type, a tuple of types, a predicate on name and module,
            or a list of these, each of which must match something.

    Returns:
        Each module once, in order of registration.

    Raises:
        InputError: A rule that is none of these, or that matches nothing.
    """
    everything = list(model.named_modules(remove_duplicate=False))
    noise = {id(part) for _, m in everything if isinstance(m, NoiseLayer) for part in m.modules()}
    rules = where if isinstance(where, list) else [where]
    if not rules:
        raise InputError("where= is an empty list; give a pattern, a type or a predicate")
    chosen: set[int] = set()
    for rule in rules:
        wanted = _test_of(rule)
        found = {id(module) for name, module in everything if wanted(name, module)}
        if not found - noise:
            raise _nothing_matches(rule, bool(found), everything)
        chosen |= found - noise
    hosts: dict[int, Host] = {}
    for name, module in everything:
        if id(module) in chosen:
            hosts.setdefault(id(module), Host(module, [])).names.append(name)
    return list(hosts.values())


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
                "on example_input; match one that it calls"
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
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"{complaint} ({reason[:300]}); {remedy}") from error


def _test_of(rule: Rule) -> Callable[[str, nn.Module], bool]:
    if isinstance(rule, str):
        return lambda name, _: name == rule or fnmatch.fnmatchcase(name, rule)
    if isinstance(rule, type) or (
        isinstance(rule, tuple) and rule and all(isinstance(t, type) for t in rule)
    ):
        return lambda _, module: isinstance(module, rule)
    if callable(rule) and not isinstance(rule, nn.Module):
        return rule
    raise InputError(
        "where= takes a pattern on names, a type, a tuple of types, a predicate (name, module) -> bool, or a "
        f"list of these, but not {type(rule).__name__}{' without types' if isinstance(rule, tuple) else ''}"
    )


def _nothing_matches(rule: Rule, only_noise: bool, everything: list[tuple[str, nn.Module]]) -> InputError:
    if isinstance(rule, str):
        valid, shown = {name: name for name, _ in everything if name}, f"'{rule}'"
    elif isinstance(rule, type | tuple):
        types = rule if isinstance(rule, tuple) else (rule,)
        valid, shown = (
            {type(m).__name__: type(m).__name__ for _, m in everything},
            " or ".join(t.__name__ for t in types),
        )
    else:
        valid, shown = {}, "the predicate"
    if only_noise:
        return InputError(f"{shown} matches noise layers alone; match the modules that noise is to follow")
    near = get_close_matches(shown.strip("'"), valid, n=3, cutoff=0.4) or list(valid)[:5]
    hint = f"; there are {', '.join(map(repr, near))}" if near else "; have it accept one"
    return InputError(f"{shown} matches no module of the model{hint}")

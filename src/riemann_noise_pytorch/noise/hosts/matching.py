"""Which modules of a network are meant to get noise."""

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise.interfaces import NoiseLayer
from riemann_noise_pytorch.noise.wording import reason_of, told

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


def find_hosts(model: nn.Module, where: Where) -> list[Host]:
    """Find the modules that are meant; noise layers, parametrizations and what is in them are passed over.

    Args:
        model: A network.
        where: A shell pattern on qualified names, a type, a tuple of types, a predicate on name and module,
            or a list of these, each of which must match something.

    Returns:
        Each module once, in order of registration.

    Raises:
        InputError: A rule that is none of these, or that matches nothing; or a predicate that fails.
    """
    everything = list(model.named_modules(remove_duplicate=False))
    noise = {id(part) for _, m in everything if isinstance(m, NoiseLayer) for part in m.modules()}
    passed = noise | _parametrizations(model)
    rules = where if isinstance(where, list) else [where]
    if not rules:
        raise InputError("where= is an empty list; give a pattern, a type or a predicate")
    chosen: set[int] = set()
    for rule in rules:
        wanted = _test_of(rule)
        found = {id(module) for name, module in everything if wanted(name, module)}
        if found and not found - passed:
            what = "noise layers" if found <= noise else "parametrizations"
            raise InputError(
                f"{_shown(rule)} matches {what} alone; match the modules that noise is to follow"
            )
        if not found:
            raise _nothing_matches(rule, everything)
        chosen |= found - passed
    hosts: dict[int, Host] = {}
    for name, module in everything:
        if id(module) in chosen:
            hosts.setdefault(id(module), Host(module, [])).names.append(name)
    return list(hosts.values())


def _parametrizations(model: nn.Module) -> set[int]:
    """What stands in place of weights (``torch.nn.utils.parametrize``), whose output is no feature map."""
    tables = [getattr(module, "parametrizations", None) for module in model.modules()]
    return {
        id(part)
        for table in tables
        if isinstance(table, nn.ModuleDict)
        and any(isinstance(m, ParametrizationList) for m in table.values())
        for part in table.modules()
    }


def _test_of(rule: Rule) -> Callable[[str, nn.Module], bool]:
    if isinstance(rule, str):
        return lambda name, _: name == rule or fnmatch.fnmatchcase(name, rule)
    if isinstance(rule, type) or (
        isinstance(rule, tuple) and rule and all(isinstance(t, type) for t in rule)
    ):
        return lambda _, module: isinstance(module, rule)
    if callable(rule) and not isinstance(rule, nn.Module):
        return lambda name, module: _asked(rule, name, module)
    if isinstance(rule, tuple) and any(isinstance(each, str) for each in rule):
        raise InputError(f"where= takes a tuple of types only; give a list of patterns: {list(rule)!r}")
    raise InputError(
        "where= takes a pattern on names, a type, a tuple of types, a predicate (name, module) -> bool, or a "
        f"list of these, but not {type(rule).__name__}{' without types' if isinstance(rule, tuple) else ''}"
    )


def _asked(predicate: Callable[[str, nn.Module], bool], name: str, module: nn.Module) -> bool:
    try:
        return bool(predicate(name, module))
    except Exception as error:
        raise InputError(
            f"{told(name)}: the predicate of where= fails on it ({reason_of(error)}); it takes a qualified "
            "name and a module, and tells whether noise is to follow"
        ) from error


def _shown(rule: Rule) -> str:
    if isinstance(rule, str):
        return f"'{rule}'"
    if isinstance(rule, type | tuple):
        return " or ".join(t.__name__ for t in (rule if isinstance(rule, tuple) else (rule,)))
    return "the predicate"


def _nothing_matches(rule: Rule, everything: list[tuple[str, nn.Module]]) -> InputError:
    shown = _shown(rule)
    if isinstance(rule, str):
        valid = [name for name, _ in everything if name]
    elif isinstance(rule, type | tuple):
        valid = list(dict.fromkeys(type(module).__name__ for _, module in everything))
    else:
        valid = []
    near = get_close_matches(shown.strip("'"), valid, n=3, cutoff=0.4) or valid[:5]
    hint = f"; there are {', '.join(map(repr, near))}" if near else "; have it accept one"
    return InputError(f"{shown} matches no module of the model{hint}")

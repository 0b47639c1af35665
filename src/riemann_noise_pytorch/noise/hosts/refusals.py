"""What :func:`~riemann_noise_pytorch.noise.inject.inject` refuses, each by name, with the remedy."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise.hosts.attachment import CHILD, is_attached, runs_in_turn
from riemann_noise_pytorch.noise.hosts.matching import Host
from riemann_noise_pytorch.noise.hosts.members import Key, check_key
from riemann_noise_pytorch.noise.interfaces import (
    NoiseLayer,
    check_choice,
    check_finite,
    check_module,
)
from riemann_noise_pytorch.noise.presets import RIEMANN_PRESETS
from riemann_noise_pytorch.noise.wording import told

Noise = str | Callable[[torch.Size], NoiseLayer]
CHANNELS_LAST = (
    *(nn.Linear, nn.Bilinear, nn.Embedding, nn.RNNBase, nn.MultiheadAttention),
    *(nn.TransformerEncoderLayer, nn.TransformerDecoderLayer),
)
"""Modules of ``torch.nn`` whose features lie along the last axis."""

_OPTIONS = ("preset", "strength")
_WRAPPERS = {"OptimizedModule", "DistributedDataParallel", "DataParallel", "FullyShardedDataParallel"}


def check_model(model: nn.Module) -> None:
    """Refuse what cannot be changed: no module, or a wrapped or compiled one.

    Raises:
        InputError: It is one of these.
    """
    check_module("model", model)
    if _is_wrapper(model):
        kind = type(model).__name__
        raise InputError(f"the model is wrapped in a {kind}; give the module within, then wrap it anew")
    for name, module in model.named_modules():
        if vars(module).get("_compiled_call_impl") is not None:
            raise InputError(
                f"{told(name)}: this module is compiled already; change its noise before compile()"
            )


def check_mode() -> None:
    """Refuse inference mode.

    Raises:
        InputError: It is on.
    """
    if torch.is_inference_mode_enabled():
        raise InputError(
            "noise injected under torch.inference_mode() could never be trained; inject outside of it"
        )


def check_options(noise: Noise, output: Key, maps: bool, options: dict[str, Any]) -> None:
    """Refuse options that are unknown, without effect or of no use.

    Raises:
        InputError: There is such an option.
    """
    check_key(output)
    for name in options:
        check_choice("option of inject", name, _OPTIONS)
    if options.get("preset") is not None:
        check_choice("preset of Riemannian noise", options["preset"], RIEMANN_PRESETS)
    if options.get("strength") is not None:
        check_finite("strength", options["strength"])
    if isinstance(noise, str):
        if "preset" in options and noise != "riemannian":
            valid = options["preset"] or "riemannian"
            raise InputError(f"preset= has no effect on noise='{noise}'; give noise='{valid}'")
    elif not callable(noise) or isinstance(noise, (nn.Module, type)):
        kind = noise.__name__ if isinstance(noise, type) else type(noise).__name__
        raise InputError(
            f"noise= must be a name, or a function from the features' shape to a new layer, not {kind}; "
            "wrap it: lambda shape: ..."
        )
    elif options or not maps:
        given = [*options, *([] if maps else ["maps"])][0]
        raise InputError(f"{given}= has no effect where noise= is a function; let the function see to it")


def check_places(model: nn.Module, hosts: list[Host], output: Key) -> None:
    """Refuse modules that no layer can be put behind.

    Raises:
        InputError: There is one among the hosts.
    """
    wrappers = [(name, module) for name, module in model.named_modules() if _is_wrapper(module)]
    wrapped = {id(part): name for name, module in wrappers for part in module.modules()}
    for host in hosts:
        refusal = _refusal(host.module, wrapped.get(id(host.module)), output)
        if refusal:
            raise InputError(f"{host.name}: {refusal}")


def _refusal(module: nn.Module, wrapper: str | None, output: Key) -> str | None:
    if is_attached(module):
        return "noise was injected here already; remove(model) it first"
    if isinstance(module, nn.ModuleList | nn.ModuleDict) and type(module).forward is nn.Module.forward:
        return f"a {type(module).__name__} is never called; match the modules in it"
    if isinstance(module, torch.jit.ScriptModule):
        return "TorchScript cannot be changed; inject before torch.jit"
    if wrapper is not None:
        return f"it is within {wrapper}, which is wrapped or compiled; inject before wrapping"
    if hasattr(module, CHILD):
        return f"it has an attribute named '{CHILD}' already; match a module in it"
    if output is not None and runs_in_turn(module):
        return "output= does not reach into a Sequential; match the child that makes it"
    return None


def _is_wrapper(module: nn.Module) -> bool:
    return bool(_WRAPPERS & {base.__name__ for base in type(module).__mro__})


def check_features_of(host: Host, shared: bool) -> None:
    """Refuse features without channels at axis 1, and modules that are used more than once unknowingly.

    Raises:
        InputError: The features, or the uses of the host, are such.
    """
    for features in host.features:
        shape = tuple(features.shape)
        if features.ndim < 2:
            raise InputError(
                f"{host.name}: noise needs features (N, C, ...), but these are {shape}; reshape them"
            )
        if features.ndim > 2 and _puts_channels_last(host.module):
            raise InputError(
                f"{host.name}: a {type(host.module).__name__} puts channels last, but noise takes axis 1 of "
                f"{shape} for them; match a module that moves them there"
            )
    uses = max(len(host.names), len(host.features))
    if uses > 1 and not shared:
        how = f"called {uses} times" if len(host.features) > 1 else f"known as {' and '.join(host.names)}"
        raise InputError(f"{host.name}: it is {how}; give shared=True to have one layer for all its uses")


def _puts_channels_last(module: nn.Module) -> bool:
    if isinstance(module, nn.LayerNorm | nn.RMSNorm):  # some subclasses move the axes there and back
        plain = type(module).forward in (nn.LayerNorm.forward, nn.RMSNorm.forward)
        return plain and len(module.normalized_shape) == 1
    return isinstance(module, CHANNELS_LAST)


def check_calls(hosts: list[Host], layers: list[NoiseLayer], calls: dict[nn.Module, int]) -> None:
    """Refuse hosts whose layer did not run as often as they did.

    Raises:
        InputError: There is one.
    """
    for host, layer in zip(hosts, layers, strict=True):
        if calls[layer] != calls[host.module]:
            raise InputError(
                f"{host.name}: a noise layer in it would run {calls[layer]} times, not {calls[host.module]}, "
                "for its parts are run from elsewhere; match a module in it"
            )

"""Noise behind any module of any network, in one line, and out again."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise.attachment import (
    CHILD,
    attach,
    check_features,
    detach,
    is_attached,
    runs_in_turn,
)
from riemann_noise_pytorch.noise.interfaces import NoiseLayer, as_size, check_choice
from riemann_noise_pytorch.noise.kinds import make_noise
from riemann_noise_pytorch.noise.members import Key
from riemann_noise_pytorch.noise.presets import DEFAULT_PRESET, RIEMANN_PRESETS
from riemann_noise_pytorch.noise.probe import Host, Where, count_calls, find_hosts, observe, told

Network = TypeVar("Network", bound=nn.Module)
Noise = str | Callable[[torch.Size], NoiseLayer]

_OPTIONS = ("preset", "strength")
_WRAPPERS = {"OptimizedModule", "DistributedDataParallel", "DataParallel", "FullyShardedDataParallel"}


def inject(
    model: Network,
    where: Where,
    noise: Noise = DEFAULT_PRESET,
    *,
    example_input: object,
    output: Key = None,
    maps: bool = True,
    shared: bool = False,
    **options: Any,
) -> Network:
    """Put a noise layer behind every matched module of a network.

    The network runs twice, in evaluation mode and without gradients: once to find the features' sizes, once
    to see that each layer runs as often as its module. Modes, buffers and random states stay as they are, and
    after an error the network is as before (except that lazy modules have been initialised).

    Inject before ``torch.compile`` and data parallelism, and before an optimizer takes the parameters.

    Args:
        model: The network, changed in place.
        where: A shell pattern on qualified names such as ``block*.conv``, where ``*`` spans dots, too;
            a type, a tuple of types, a predicate on name and module, or a list of these. Noise layers that
            are there already are passed over.
        noise: A kind or a preset that :func:`~riemann_noise_pytorch.noise.kinds.make_noise` knows (``none``
            puts in nothing), or a function from the shape of the features to a :class:`NoiseLayer`.
        example_input: What the network runs on: a tensor, a tuple of positional arguments, or a dict of
            keyword arguments.
        output: Which member of a module's output gets the noise: an index of a tuple or list, a key of a
            dict, a field of a named tuple; None where the output is a tensor.
        maps: Whether named Riemannian noise learns maps of the size found; otherwise scalars, for any size.
        shared: Whether a module that is used more than once may have one layer for all its uses.
        **options: ``strength`` and ``preset``, for a named noise.

    Returns:
        The same network. The layers' parameters are in float32, or float64 for features in float64.

    Raises:
        InputError: Something that cannot be done; the message names the module and the remedy.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
        >>> model = inject(model, nn.Conv2d, strength=0.1, example_input=torch.zeros(1, 3, 16, 16))
        >>> model[0]
        Conv2d(
          3, 8, kernel_size=(3, 3), stride=(1, 1)
          (noise): RiemannNoise(14x14, preset=neutral, planes=shared, law=gaussian)
        )
    """
    _check_model(model)
    _check_options(noise, maps, options)
    hosts = find_hosts(model, where)
    _check_places(model, hosts, output)
    observe(model, hosts, example_input, output)
    layers: list[NoiseLayer] = []
    for host in hosts:
        _check_uses(host, shared)
        layer = _made(host, noise, maps, options, {id(part) for part in [*model.modules(), *layers]})
        if layer is None:
            return model
        layers.append(layer)
    try:
        for host, layer in zip(hosts, layers, strict=True):
            attach(layer, host.module, host.name, output)
        _check_calls(hosts, layers, count_calls(model, [*(h.module for h in hosts), *layers], example_input))
    except BaseException:
        detach(host.module for host in hosts)
        raise
    return model


def remove(model: Network) -> Network:
    """Take out what :func:`inject` put in, in this network or in a copy of it, and nothing else.

    Args:
        model: The network, changed in place.

    Returns:
        The same network: its output, its state dict's keys and its hooks are what they were.

    Raises:
        InputError: Nothing was injected.
    """
    _check_model(model)
    hosts = [module for module in model.modules() if is_attached(module)]
    if not hosts:
        raise InputError("no noise was injected into this model; remove takes out only what inject put in")
    detach(hosts)
    return model


def _made(
    host: Host, noise: Noise, maps: bool, options: dict[str, Any], known: set[int]
) -> NoiseLayer | None:
    features = host.features[0]
    if isinstance(noise, str):
        size = tuple(features.shape[2:]) or None
        try:
            layer = make_noise(
                noise, size if maps else None, channels=features.shape[1], device=host.device, **options
            )
        except InputError as error:
            raise InputError(f"{host.name}: {error}") from error
        if layer is None:
            return None
    else:
        made: object = noise(features.shape)
        if not isinstance(made, NoiseLayer):
            kind = type(made).__name__
            raise InputError(f"noise= must return a NoiseLayer, not a {kind}; derive yours from NoiseLayer")
        layer = made
        if id(layer) in known:
            raise InputError("noise= returned a layer that is in use; build a new one at every call")
    if layer.size is not None and len({shape.shape[2:] for shape in host.features}) > 1:
        sizes = ", ".join(sorted({as_size(shape.shape[2:]) for shape in host.features}))
        raise InputError(
            f"{host.name}: it runs on several sizes ({sizes}), but maps have one; give maps=False"
        )
    for each in host.features:
        check_features(host.name, layer, each)
    wide = any(each.dtype == torch.float64 for each in host.features)
    return layer.to(device=host.device, dtype=torch.float64 if wide else torch.float32)


def _check_model(model: nn.Module) -> None:
    if not isinstance(model, nn.Module):
        raise InputError(f"model must be an nn.Module, not of type {type(model).__name__}; build it first")
    if _is_wrapper(model):
        kind = type(model).__name__
        raise InputError(f"the model is wrapped in a {kind}; give the module within, then wrap it anew")
    for name, module in model.named_modules():
        if vars(module).get("_compiled_call_impl") is not None:
            raise InputError(
                f"{told(name)}: this module is compiled already; change its noise before compile()"
            )


def _check_options(noise: Noise, maps: bool, options: dict[str, Any]) -> None:
    for name in options:
        check_choice("option of inject", name, _OPTIONS)
    if isinstance(noise, str):
        if "preset" in options and noise != "riemannian":
            valid = options["preset"] if options["preset"] in RIEMANN_PRESETS else "riemannian"
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


def _check_places(model: nn.Module, hosts: list[Host], output: Key) -> None:
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


def _check_uses(host: Host, shared: bool) -> None:
    for features in host.features:
        if features.ndim < 2:
            shape = tuple(features.shape)
            raise InputError(
                f"{host.name}: noise needs features (N, C, ...), but these are {shape}; reshape them"
            )
    uses = max(len(host.names), len(host.features))
    if uses > 1 and not shared:
        how = f"called {uses} times" if len(host.features) > 1 else f"known as {' and '.join(host.names)}"
        raise InputError(f"{host.name}: it is {how}; give shared=True to have one layer for all its uses")


def _check_calls(hosts: list[Host], layers: list[NoiseLayer], calls: dict[nn.Module, int]) -> None:
    for host, layer in zip(hosts, layers, strict=True):
        if calls[layer] != calls[host.module]:
            raise InputError(
                f"{host.name}: a noise layer in it would run {calls[layer]} times, not {calls[host.module]}, "
                "for its parts are run from elsewhere; match a module in it"
            )

"""Noise behind any module of any network, in one line, and out again."""

from typing import Any, TypeVar

import torch
from torch import nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise.hosts.attachment import attach, check_features, detach, is_attached
from riemann_noise_pytorch.noise.hosts.matching import Host, Where, find_hosts
from riemann_noise_pytorch.noise.hosts.members import Key
from riemann_noise_pytorch.noise.hosts.probe import count_calls, observe
from riemann_noise_pytorch.noise.hosts.refusals import (
    Noise,
    check_calls,
    check_features_of,
    check_mode,
    check_model,
    check_options,
    check_places,
)
from riemann_noise_pytorch.noise.interfaces import NoiseLayer, as_size
from riemann_noise_pytorch.noise.kinds import make_noise
from riemann_noise_pytorch.noise.presets import DEFAULT_PRESET
from riemann_noise_pytorch.noise.wording import reason_of

Network = TypeVar("Network", bound=nn.Module)


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

    Axis 1 of the features is taken for the channels, and those behind it for positions: (N, C), (N, C, L),
    (N, C, H, W). Parts of ``torch.nn`` known to put channels last (``Linear``, ``LayerNorm``, recurrent ones,
    attention) are refused where their output has more than two axes; match a module that moves them.

    Args:
        model: The network, changed in place.
        where: A shell pattern on qualified names such as ``block*.conv``, where ``*`` spans dots, too;
            a type, a tuple of types, a predicate on name and module, or a list of these. Noise layers that
            are there already are passed over, and so is what parametrizes weights.
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
    check_model(model)
    check_mode()
    check_options(noise, output, maps, options)
    hosts = find_hosts(model, where)
    check_places(model, hosts, output)
    observe(model, hosts, example_input, output)
    layers: list[NoiseLayer] = []
    for host in hosts:
        check_features_of(host, shared)
        layer = _made(host, noise, maps, options, {id(part) for part in [*model.modules(), *layers]})
        if layer is None:
            return model
        layers.append(layer)
    try:
        for host, layer in zip(hosts, layers, strict=True):
            attach(layer, host.module, host.name, output)
        check_calls(hosts, layers, count_calls(model, [*(h.module for h in hosts), *layers], example_input))
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
    check_model(model)
    hosts = [module for module in model.modules() if is_attached(module)]
    if not hosts:
        raise InputError("no noise was injected into this model; remove takes out only what inject put in")
    detach(hosts)
    return model


def _made(
    host: Host, noise: Noise, maps: bool, options: dict[str, Any], known: set[int]
) -> NoiseLayer | None:
    layer = _built(host, noise, maps, options)
    if layer is None:
        return None
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


def _built(host: Host, noise: Noise, maps: bool, options: dict[str, Any]) -> NoiseLayer | None:
    shape = host.features[0].shape
    size = tuple(shape[2:]) or None
    try:
        if isinstance(noise, str):
            return make_noise(noise, size if maps else None, channels=shape[1], device=host.device, **options)
        made: object = noise(shape)
    except InputError as error:
        raise InputError(f"{host.name}: {error}") from error
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:
        if isinstance(noise, str):
            raise
        raise InputError(
            f"{host.name}: noise= fails on features {tuple(shape)} ({reason_of(error)}); it takes their "
            "shape and returns a new layer"
        ) from error
    if not isinstance(made, NoiseLayer):
        kind = type(made).__name__
        raise InputError(f"noise= must return a NoiseLayer, not a {kind}; derive yours from NoiseLayer")
    return made

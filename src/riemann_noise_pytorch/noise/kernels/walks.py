"""How kernels walk over feature maps: how a map lies in memory, and which part of it a program takes.

A map has N samples of C channels and P positions. A program holds a tile of channels x positions at a time;
neighbouring threads take neighbouring addresses, so a tile is wide along the axis that is dense in memory.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor

from riemann_noise_pytorch.noise.kernels.choice import DTYPES

TILE = 4096
"""Values of float32 that a program holds at a time."""
PLACES_IN_A_ROW = 1024
"""Positions that an injection handles at a time at most."""
LAST_FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}


def is_last(x: Tensor) -> bool | None:
    """Whether a dense tensor (N, C, ...) has its channels last in memory; None where it is not dense."""
    if x.numel() == 0:
        return None
    if x.is_contiguous():
        return False
    last = LAST_FORMATS.get(x.ndim)
    return True if last is not None and x.is_contiguous(memory_format=last) else None


def step_and_last(x: Tensor, like: Tensor) -> tuple[int, bool] | None:
    """How far apart samples are, 0 for one that serves all, and whether channels come last.

    None where a kernel cannot read the tensor: of another shape than ``like`` but for one sample or one
    channel, on another device, of another dtype, or not dense.
    """
    N, C, *size = x.shape
    if [*like.shape[2:]] != size or N not in (1, like.shape[0]) or C not in (1, like.shape[1]):
        return None
    if x.dtype not in DTYPES or x.device != like.device:
        return None
    one_for_all = N == 1 or x.stride(0) == 0
    last = is_last(x[:1] if one_for_all else x)
    return None if last is None else (0 if one_for_all else C * math.prod(size), last)


def sizes(x: Tensor) -> tuple[int, int, int]:
    """N, C and P of (N, C, ...)."""
    return x.shape[0], x.shape[1], math.prod(x.shape[2:])


def power_of_two(n: int) -> int:
    """The smallest power of two that is not below n."""
    return 1 << (n - 1).bit_length()


@lru_cache
def programs(device: int) -> int:
    """How many programs fill a device: four a multiprocessor (an interpreter's device is -1)."""
    return 4 * torch.cuda.get_device_properties(device).multi_processor_count if device >= 0 else 8


@lru_cache(4096)
def columns(N: int, C: int, P: int, last: bool, wanted: int) -> tuple[int, int, int]:
    """Tiles of a program that walks through all channels: channels, positions, parts of a sample."""
    if last:
        channels = min(power_of_two(C), TILE // 4)
        places = min(power_of_two(P), TILE // channels)
    else:
        places = TILE // min(power_of_two(C), 16)
        while places > 32 and N * math.ceil(P / places) < wanted:
            places //= 2
        places = min(places, power_of_two(P))
        channels = min(power_of_two(C), TILE // places)
    return channels, places, math.ceil(P / places)


@lru_cache(4096)
def spans(N: int, C: int, P: int, last: bool, itemsize: int, wanted: int) -> tuple[int, ...]:
    """Tiles of an injection, and the share of a program.

    Returns:
        Channels and positions of a tile; parts of the positions and positions each; the same for channels.
    """
    values = TILE * 4 // itemsize
    if last:
        channels = min(power_of_two(C), values // 4)
        places = min(power_of_two(P), values // channels)
        places_each = _share(P, places, wanted // N)
        return channels, places, math.ceil(P / places_each), places_each, 1, C
    places = min(power_of_two(P), PLACES_IN_A_ROW, values)
    channels = min(power_of_two(C), values // places)
    parts = math.ceil(P / places)
    channels_each = _share(C, channels, wanted // (N * parts))
    return channels, places, parts, places, math.ceil(C / channels_each), channels_each


def _share(total: int, step: int, parts: int) -> int:
    """The length of a part, in whole steps, if something is divided into about so many."""
    return step * math.ceil(math.ceil(total / step) / max(1, parts))

"""Whether a pass over feature maps is done by a Triton kernel: on GPUs where every kernel has proved right.

The kernels of a device are tried once for each dtype, on tiny maps, against torch's own operations. Whatever
goes wrong then or later (no Triton, a compiler's error, a wrong value) is told in one warning, and torch does
the work on that device from then on. ``RIEMANN_NOISE_NO_KERNELS=1`` switches the kernels off.
"""

import importlib
import os
import warnings
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

OFF = "RIEMANN_NOISE_NO_KERNELS"
DTYPES = (torch.float32, torch.bfloat16, torch.float16)

_chosen: dict[tuple[int, torch.dtype], ModuleType | None] = {}


def suits(x: Tensor) -> bool:
    """Whether features are of a device and a dtype that there are kernels for."""
    return x.is_cuda and x.dtype in DTYPES


def attempt(work: str, x: Tensor, *inputs: Any) -> Any:
    """Have a kernel do some work, if it can.

    Args:
        work: A function of :mod:`~riemann_noise_pytorch.noise.kernels.launches`.
        x: The features, which decide whether kernels are used.
        *inputs: What the function takes.

    Returns:
        The result, or None: let torch do it.
    """
    if not suits(x):
        return None
    kernels = _kernels_for(x)
    if kernels is None:
        return None
    try:
        with torch.cuda.device(x.get_device()):
            return getattr(kernels, work)(*inputs)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # whatever a compiler or a driver raises: torch can still do the work
        _give_up(x, error)
        return None


def _kernels_for(x: Tensor) -> ModuleType | None:
    """The kernels, where they have proved right; a graph's capture is no time to find out."""
    key = (x.get_device(), x.dtype)
    if key in _chosen:
        return _chosen[key]
    if x.is_cuda and torch.cuda.is_current_stream_capturing():
        return None
    _chosen[key] = None  # while they are on trial, torch does the work
    if os.environ.get(OFF, "0") not in ("", "0"):
        return None
    try:
        kernels = importlib.import_module("riemann_noise_pytorch.noise.kernels.launches")
        trial = importlib.import_module("riemann_noise_pytorch.noise.kernels.trial")
        with torch.cuda.device(x.get_device()):
            trial.compare(x.device, x.dtype)
    except torch.OutOfMemoryError:
        del _chosen[key]
        raise
    except Exception as error:
        _give_up(x, error)
    else:
        _chosen[key] = kernels
    return _chosen[key]


def _give_up(x: Tensor, error: Exception) -> None:
    _chosen.update({(x.get_device(), dtype): None for dtype in DTYPES})
    cause = (str(error).strip() or "no reason given").splitlines()[0]
    warnings.warn(
        f"the GPU kernels of riemann-noise-pytorch are not used on {x.device} "
        f"({type(error).__name__}: {cause}); torch's own operations give the same, slower. "
        f"Set {OFF}=1 to keep this quiet",
        RuntimeWarning,
        stacklevel=2,
    )

"""Tensors that a page draws: read from a file, each of the axes and the type that its name asks for."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from riemann_noise_pytorch.errors import InputError

Tensor = NDArray[Any]


@dataclass(frozen=True)
class Form:
    """What a tensor must look like.

    Args:
        axes: How many it has.
        kinds: Letters of NumPy for the kinds of number that it may hold: ``u``, ``i``, ``f``.
    """

    axes: int
    kinds: str


def read_tensors(path: Path, forms: Mapping[str, Form], again: str) -> dict[str, Tensor]:
    """Read the tensors that a page draws; those of other names are left out.

    Args:
        path: A safetensors file.
        forms: By whole name, or by what stands before the first slash of it.
        again: How to make the file anew, such as ``run `riemann-noise diagnose` again``.

    Returns:
        The tensors by name.

    Raises:
        InputError: The file is missing or damaged, or a tensor is empty or of another form.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing; restore it, or {again}")
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"cannot read {path}: {' '.join(str(error).split())}; {again}") from error
    kept = {}
    for name, tensor in tensors.items():
        form = forms.get(name) or forms.get(name.partition("/")[0])
        if form is None:
            continue
        if tensor.ndim != form.axes or tensor.dtype.kind not in form.kinds or tensor.size == 0:
            raise InputError(f"{path}: '{name}' is {tensor.dtype} {tensor.shape}; {again}")
        kept[name] = np.asarray(tensor)
    return kept

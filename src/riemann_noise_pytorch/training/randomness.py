"""The random states of a process, as plain bytes.

Training draws everything from its seed and the step. The states are kept for networks and data that use
torch's, NumPy's or Python's own generators.
"""

import json
import random
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor


def random_states(device: torch.device) -> dict[str, Tensor]:
    """Read every global random state.

    Args:
        device: The device in use, whose generator is read as well.

    Returns:
        uint8 tensors on the CPU, by name.
    """
    version, numbers, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002
    states = {
        "torch": torch.get_rng_state(),
        "python": _packed([version, list(numbers), gauss]),
        "numpy": _packed([kind, np.asarray(keys).tolist(), position, has_gauss, cached]),
    }
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def restore_random_states(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Set the global random states that :func:`random_states` read; what is missing stays as it is."""
    if "torch" in states:
        torch.set_rng_state(states["torch"])
    if "cuda" in states and device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
    if "python" in states:
        version, numbers, gauss = _unpacked(states["python"])
        random.setstate((version, tuple(numbers), gauss))
    if "numpy" in states:
        kind, keys, position, has_gauss, cached = _unpacked(states["numpy"])
        np.random.set_state((kind, np.array(keys, dtype=np.uint32), position, has_gauss, cached))  # noqa: NPY002


def _packed(value: object) -> Tensor:
    return torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)


def _unpacked(data: Tensor) -> list:  # type: ignore[type-arg]
    return json.loads(data.numpy().tobytes())  # type: ignore[no-any-return]

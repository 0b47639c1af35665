"""The device, and the processes that a launcher started, as an evaluation sees them."""

import os
from datetime import timedelta
from typing import cast

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.statistics.sampling import ALONE, Gather, Processes

PATIENCE = timedelta(hours=6)
"""How long processes wait for one another: the first alone hashes the real images, which may take an hour."""


def on_device(wanted: str = "auto") -> tuple[torch.device, Processes]:
    """Choose a device, and join the other processes where a launcher started several.

    Args:
        wanted: ``auto``, ``cpu`` or ``cuda``.

    Returns:
        The device of this process, and which process it is.

    Raises:
        InputError: There is no GPU, and one was asked for.
    """
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise InputError("device cuda was asked for, but torch finds no GPU here; give --device cpu")
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return torch.device("cuda" if there and wanted != "cpu" else "cpu"), ALONE
    patience = InitProcessGroupKwargs(timeout=PATIENCE)
    accelerator = Accelerator(cpu=wanted == "cpu" or not there, kwargs_handlers=[patience])
    gather = cast("Gather", accelerator.gather)
    return accelerator.device, Processes(accelerator.process_index, accelerator.num_processes, gather)

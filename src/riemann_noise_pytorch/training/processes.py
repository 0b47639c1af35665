"""Devices, precision and processes, through Accelerate; gradients are averaged by hand.

Networks are not wrapped: the wrapper that overlaps communication with the backward pass does not allow a
second derivative, which gradient penalties need. Instead the gradients of a phase travel in one flat vector,
together with the numbers that are to be reported.
"""

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta

import torch
from accelerate import Accelerator
from accelerate.utils import (
    InitProcessGroupKwargs,
    gather_object,
    is_tensorboard_available,
    is_wandb_available,
)
from torch import Tensor, nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.training.config import Device, TrainConfig

_PATIENCE = timedelta(hours=6)
"""How long processes wait for one another: the first alone hashes the images, which may take an hour."""
_TRACKERS = {"tensorboard": is_tensorboard_available, "wandb": is_wandb_available}


def make_accelerator(config: TrainConfig, run_dir: str | os.PathLike[str]) -> Accelerator:
    """Set up the device, the precision and, where a launcher started several, the processes.

    Args:
        config: The options of the run.
        run_dir: Its folder, in which trackers put their files.

    Returns:
        The accelerator of this process.

    Raises:
        InputError: The device, the precision or the tracker cannot be had.
    """
    require_device(config.device)
    wanted = "cuda" if torch.cuda.is_available() and config.device != "cpu" else "cpu"
    if config.precision == "fp16" and wanted == "cpu":
        raise InputError("precision fp16 needs a GPU, and torch finds none here; give precision bf16 or no")
    tracker = None if config.tracker == "none" else config.tracker
    if tracker and not _TRACKERS[tracker]():
        raise InputError(f"{config.tracker} is not installed; install it, or set tracker to none")
    try:
        accelerator = Accelerator(
            cpu=wanted == "cpu",
            mixed_precision=config.precision,
            log_with=tracker,
            project_dir=run_dir,
            kwargs_handlers=[InitProcessGroupKwargs(timeout=_PATIENCE)],
        )
    except ValueError as error:
        if "already been initialized" not in str(error):
            raise
        raise _other_settings(config) from error
    if accelerator.device.type != wanted:
        raise _other_settings(config)
    return accelerator


def require_device(device: Device) -> None:
    """Refuse a device that is not there.

    Raises:
        InputError: There is no GPU.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda was asked for, but torch finds no GPU here; give device cpu")


def synchronise_norms(module: nn.Module, accelerator: Accelerator) -> None:
    """Let a network's batch norms see the batches of all processes, where the backend has that: several GPUs.

    Parameters, buffers and their names stay the same.
    """
    if accelerator.num_processes > 1 and accelerator.device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]


def average(
    accelerator: Accelerator, parameters: Sequence[nn.Parameter], measures: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Replace gradients and measures by their means over all processes, in one communication.

    Args:
        accelerator: Knows the processes; with one, nothing is done.
        parameters: Their ``.grad`` is averaged in place; those without one are the same in every process.
        measures: float32 scalars without a graph, by name.

    Returns:
        The averaged measures.
    """
    if accelerator.num_processes == 1:
        return dict(measures)
    gradients = [p.grad for p in parameters if p.grad is not None]
    scalars = torch.stack(list(measures.values()))
    flat = accelerator.reduce(torch.cat([*(g.flatten() for g in gradients), scalars]), "mean")
    *parts, means = flat.split([*(g.numel() for g in gradients), len(scalars)])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))
    return dict(zip(measures, means.unbind(), strict=True))


def by_process(accelerator: Accelerator, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Collect small CPU tensors of all processes, prefixed by the process's number."""
    mine = [{f"{accelerator.process_index}/{name}": tensor for name, tensor in tensors.items()}]
    everyone = gather_object(mine) if accelerator.num_processes > 1 else mine
    return {name: tensor for one in everyone for name, tensor in one.items()}


def _other_settings(config: TrainConfig) -> InputError:
    return InputError(
        f"this process has already trained with another device or precision than device {config.device}, "
        f"precision {config.precision}; start a new process"
    )

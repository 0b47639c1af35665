"""The real images of a run: opened, what a snapshot remembers of them, and what to say where they fail.

A resumed run must see the images that it began with, in the same order. So their number, their shape and the
hash of their content are in every snapshot. The hash costs one decoding of every image at the start of a run
and at every resumption. Measured on two cores with PNG files of noise, an image of 128x128 pixels takes 0.5
ms, so 100,000 take a minute; one of 1024x1024 takes 55 ms, so 70,000 take an hour: resize such files
beforehand, which speeds up training as well. In return, a file that cannot be decoded is named before the
first step.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from riemann_noise_pytorch.data.decoding import BadImageError
from riemann_noise_pytorch.data.holdout import split
from riemann_noise_pytorch.data.images import open_images
from riemann_noise_pytorch.data.imageset import ImageSet, MirroredImages
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.training.config import TrainConfig


def open_data(config: TrainConfig, *, mirror: bool | None = None) -> ImageSet:
    """Open the images that a run trains on.

    Args:
        config: Its options.
        mirror: With mirror images or without; None: as the options say.

    Raises:
        InputError: They cannot be used.
    """
    images = _all_images(config)
    images = split(images, config.holdout)[0] if config.holdout else images
    return MirroredImages(images) if (config.mirror if mirror is None else mirror) else images


def held_out_images(config: TrainConfig) -> ImageSet | None:
    """Open the images that a run keeps out of training; None where there are none.

    Raises:
        InputError: They cannot be used.
    """
    return split(_all_images(config), config.holdout)[1] if config.holdout else None


def _all_images(config: TrainConfig) -> ImageSet:
    return open_images(
        config.data,
        resolution=config.image_size,
        channels=config.channels,
        resize_filter=config.resize_filter,
        skip_bad_images=config.skip_bad_images,
    )


def data_record(images: ImageSet, accelerator: Accelerator) -> dict[str, Any]:
    """Describe the images: name, number, shape and hash of the content.

    The first process computes the hash, which the set remembers, and tells the others.

    Args:
        images: The real images.
        accelerator: Knows the processes; all of them must call this.

    Raises:
        InputError: An image cannot be used; it is named in every process.
    """
    found: list[Any] = [None]
    if accelerator.is_main_process:
        try:
            found = [images.content_hash()]
        except InputError as error:
            found = [error]
    if accelerator.num_processes > 1:
        broadcast_object_list(found)
    if isinstance(found[0], InputError):
        raise found[0]
    return {**_outline(images), "content_hash": found[0]}


def same_data_record(
    before: Mapping[str, Any],
    images: ImageSet,
    accelerator: Accelerator,
    run_dir: str | os.PathLike[str],
) -> dict[str, Any]:
    """Describe the images as :func:`data_record` does, and refuse others than those of a snapshot.

    A set of another name with the same content is the same set.

    Args:
        before: What the snapshot remembers; fields that it lacks are not compared.
        images: The real images now.
        accelerator: Knows the processes; all of them must call this.
        run_dir: The run folder, for messages.

    Raises:
        InputError: They are others, and the message tells in what; or one cannot be used.
    """
    _refuse_others(before, _outline(images), run_dir)
    try:
        record = data_record(images, accelerator)
    except InputError as error:
        raise images_failed(error, run_dir) from error
    _refuse_others(before, record, run_dir)
    return record


def images_failed(
    error: Exception | None, run_dir: str | os.PathLike[str], snapshot: Path | None = None
) -> InputError:
    """Build the error of a begun run whose images cannot be read, for the caller to raise.

    Args:
        error: What went wrong; None: it did so in another process.
        run_dir: The run folder.
        snapshot: The snapshot that was written because of it.
    """
    if isinstance(error, BadImageError):
        cause = f"cannot use image {error.name!r}: {error.reason}"
    else:
        cause = str(error) if error else "the images failed in another process"
    saved = f"the state before it is in {snapshot}; " if snapshot else ""
    return InputError(
        f"{cause}; {saved}put the file back as it was and go on with: riemann-noise train --resume "
        f"{os.fspath(run_dir)}; to go without it, start a new run (--out NEW --skip-bad-images)"
    )


def in_any_process(accelerator: Accelerator, here: bool) -> bool:
    """Tell whether something is so in any process; all of them must call this."""
    if accelerator.num_processes == 1:
        return here
    count = accelerator.reduce(torch.tensor(float(here), device=accelerator.device), "sum")
    return bool(count > 0)


def _outline(images: ImageSet) -> dict[str, Any]:
    return {"name": images.name, "count": len(images), "image_shape": list(images.image_shape)}


def _refuse_others(
    before: Mapping[str, Any], now: Mapping[str, Any], run_dir: str | os.PathLike[str]
) -> None:
    differing = [name for name in now if name in before and before[name] != now[name]]
    if differing and differing != ["name"]:
        told = ", ".join(
            f"{name} ({_short(before[name])} before, {_short(now[name])} now)" for name in differing
        )
        raise InputError(
            f"the run in {os.fspath(run_dir)} saw other images: {told}; "
            "put them back as they were, or start a new run (--out NEW)"
        )


def _short(value: object) -> str:
    return f"{value[:12]}..." if isinstance(value, str) and len(value) == 64 else str(value)

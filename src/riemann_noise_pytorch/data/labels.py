"""Class labels of a folder or archive: the file dataset.json, {"labels": [["some/image.png", 3], ...]}."""

import json
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, Final

import torch
from torch import Tensor

from riemann_noise_pytorch.errors import InputError

LABELS_FILE: Final = "dataset.json"
_LARGEST_CLASS: Final = 2**16 - 1
"""ImageNet-21k has a third of that; a larger number is an identifier, no class."""


def read_labels(text: bytes, name: str) -> dict[str, int] | None:
    """Read the content of a dataset.json.

    Args:
        text: The file's bytes.
        name: What to call the file in errors.

    Returns:
        The class of each image by its path, relative to the file, with forward slashes; None where the file
        says that there are no labels (``{"labels": null}``).

    Raises:
        InputError: It is not JSON, or not of the stated form; an image is named twice; a class is not a whole
            number from 0.

    Example:
        >>> read_labels(b'{"labels": [["a/0.png", 3]]}', "dataset.json")
        {'a/0.png': 3}
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{name} is damaged: {error}; write it again, or delete it to go without labels"
        ) from error
    if not isinstance(content, dict) or "labels" not in content:
        raise InputError(f'{name} has no "labels"; write {{"labels": [["image.png", 0], ...]}}, or delete it')
    entries = content["labels"]
    if entries is None:
        return None
    if not isinstance(entries, list):
        raise InputError(f'the "labels" of {name} are no list; write [["image.png", 0], ...]')
    labels: dict[str, int] = {}
    for position, entry in enumerate(entries):
        path, label = _read_entry(entry, f"entry {position} of {name}")
        if path in labels:
            raise InputError(f"{name} names {path!r} more than once; keep one label for it")
        labels[path] = label
    return labels


def match_labels(labels: dict[str, int], images: Sequence[str], known: set[str], name: str) -> Tensor:
    """Put labels in the order of the images.

    Args:
        labels: Class by path.
        images: The paths of the images in use, in order.
        known: All paths that may carry a label, also of images that were skipped.
        name: What to call the labels' file in errors.

    Returns:
        int64 (len(images),).

    Raises:
        InputError: A label names an image that is not there, or an image has no label.
    """
    missing = [path for path in labels if path not in known]
    if missing:
        raise InputError(
            f"{name} labels {missing[0]!r}, which is not there ({len(missing)} such); add the image or "
            "take the entry out"
        )
    bare = [path for path in images if path not in labels]
    if bare:
        raise InputError(
            f"{name} has no label for {bare[0]!r} ({len(bare)} such); label every image, or delete the file "
            "to go without labels"
        )
    return torch.tensor([labels[path] for path in images], dtype=torch.int64)


def _read_entry(entry: Any, place: str) -> tuple[str, int]:
    if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[0], str):
        raise InputError(f'{place} is not of the form ["image.png", 0]; correct it')
    label = entry[1]
    if not isinstance(label, int) or isinstance(label, bool) or not 0 <= label <= _LARGEST_CLASS:
        raise InputError(
            f"{place} has a label that is not a whole number from 0 to {_LARGEST_CLASS}; "
            "number the classes 0, 1, 2 ..."
        )
    return str(PurePosixPath(entry[0].replace("\\", "/"))), label

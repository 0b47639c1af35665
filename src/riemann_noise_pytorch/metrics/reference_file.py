"""The file format of cached features: safetensors that carry their key and a checksum of every tensor.

A file is found by what its numbers depend on: the pixels (the content hash of the set, whatever its path),
their shape, the filter that resized them, which of them were taken, and the extractor with its weights. The
same key stands inside, so that a file that is damaged, foreign or stale is told from a sound one. It is no
pickle, and is written whole or not at all.
"""

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from riemann_noise_pytorch.data.imageset import ImageSet
from riemann_noise_pytorch.files import atomic_write
from riemann_noise_pytorch.metrics.extractors.interfaces import Extractor
from riemann_noise_pytorch.metrics.feature_sets import FeatureSet, Wanted
from riemann_noise_pytorch.metrics.moments import Moments

FORMAT_VERSION = 1
_METADATA = "riemann_noise_reference"


class UnfitReference(Exception):  # noqa: N818 - a state of the file, told and repaired
    """A file of the cache cannot serve; the message says why, the file being its subject."""


@dataclass(frozen=True)
class ReferenceKey:
    """What the features of real images depend on.

    Args:
        content: Content hash of the set, over its pixels and labels.
        count: The number of images taken.
        part: ``all``, or the hash of the positions taken.
        image_shape: (C, H, W).
        resize_filter: What brought the images to this shape; empty where nothing did, or it is not known.
        extractor: Identity of the extractor: its weights, its resizing, the version of its formula.
    """

    content: str
    count: int
    part: str
    image_shape: tuple[int, ...]
    resize_filter: str
    extractor: str

    @staticmethod
    def of(images: ImageSet, extractor: Extractor, positions: Tensor | None = None) -> "ReferenceKey":
        """Make the key of some images of a set; reads the whole set for its hash, once.

        Args:
            images: The set.
            extractor: What extracts the features.
            positions: Which images, int64 (n,); all if None.
        """
        whole = positions is None or torch.equal(positions, torch.arange(len(images)))
        return ReferenceKey(
            content=images.content_hash(),
            count=len(images) if positions is None else len(positions),
            part="all" if positions is None or whole else _sha256(positions.numpy().astype("<i8").tobytes()),
            image_shape=images.image_shape,
            resize_filter=getattr(images, "resize_filter", None) or "",
            extractor=extractor.identity,
        )

    def path(self, folder: Path) -> Path:
        """Give the file of this key in a folder."""
        return folder / f"reference-{_sha256(json.dumps(self.record()).encode())[:32]}.safetensors"

    def record(self) -> dict[str, Any]:
        """Give the key as it stands in the file."""
        return {**asdict(self), "image_shape": list(self.image_shape)}


def write_reference(path: Path, key: ReferenceKey, features: FeatureSet) -> None:
    """Write features beside, then rename; whoever comes last stays.

    Args:
        path: The file; its folder is made if missing.
        key: What the features depend on.
        features: What was kept of them.

    Raises:
        InputError: The file cannot be written.
    """
    tensors = {f"rows/{name}": rows.contiguous() for name, rows in features.rows.items()}
    for name, moments in features.moments.items():
        tensors[f"moments/{name}/mean"] = moments.mean.contiguous()
        tensors[f"moments/{name}/scatter"] = moments.scatter.contiguous()
    content = {
        "format_version": FORMAT_VERSION,
        "key": key.record(),
        "checksums": {name: _checksum(tensor) for name, tensor in tensors.items()},
        "versions": {
            "riemann-noise-pytorch": version("riemann-noise-pytorch"),
            "torch": str(torch.__version__),
        },
    }
    with atomic_write(path) as temporary:
        try:
            save_file(tensors, temporary, {_METADATA: json.dumps(content)})
        except SafetensorError as error:
            raise OSError(str(error)) from error


def read_reference(
    path: Path, key: ReferenceKey, wanted: Wanted, sizes: Mapping[str, int]
) -> tuple[FeatureSet | None, Wanted]:
    """Read what is wanted of a file, and no more.

    Args:
        path: The file.
        key: The key it should have.
        wanted: What is to be read.
        sizes: The number of features of each output of the extractor.

    Returns:
        The features, or None where the file is sound and holds less, or is not there; and what it holds.

    Raises:
        UnfitReference: It is damaged, foreign, of another format or of another key.
    """
    try:
        with safe_open(path, framework="pt") as file:
            checksums = _checked_header(file, key)
            held = _held(checksums, sizes)
            return (_features(file, key.count, wanted, sizes, checksums) if held >= wanted else None), held
    except FileNotFoundError:
        return None, Wanted()
    except OSError as error:
        raise UnfitReference(f"cannot be read ({error.strerror or error})") from error
    except (SafetensorError, ValueError, RecursionError) as error:
        raise UnfitReference(f"is damaged ({str(error).partition(chr(10))[0]})") from error


def _checked_header(file: Any, key: ReferenceKey) -> dict[str, Any]:
    content = json.loads((file.metadata() or {}).get(_METADATA, "null"))
    if not isinstance(content, dict):
        raise UnfitReference("was not written by this package")
    if content.get("format_version") != FORMAT_VERSION:
        raise UnfitReference(f"has format {content.get('format_version')}, not {FORMAT_VERSION}")
    if content.get("key") != key.record():
        raise UnfitReference("belongs to other images or another extractor")
    checksums = content.get("checksums")
    if not isinstance(checksums, dict) or set(checksums) != set(file.keys()):
        raise UnfitReference("is damaged (it does not hold the tensors it lists)")
    return checksums


def _held(names: Mapping[str, Any], sizes: Mapping[str, int]) -> Wanted:
    return Wanted(
        frozenset(
            name for name in sizes if {f"moments/{name}/mean", f"moments/{name}/scatter"} <= names.keys()
        ),
        frozenset(name for name in sizes if f"rows/{name}" in names),
    )


def _features(
    file: Any, count: int, wanted: Wanted, sizes: Mapping[str, int], checksums: Mapping[str, Any]
) -> FeatureSet:
    def tensor(name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        found: Tensor = file.get_tensor(name)
        if found.shape != shape or found.dtype != dtype or _checksum(found) != checksums[name]:
            raise UnfitReference(f"is damaged ({name} is not what was written)")
        return found

    moments, rows = {}, {}
    for name in sorted(wanted.moments):
        size = sizes[name]
        mean = tensor(f"moments/{name}/mean", (size,), torch.float64)
        scatter = tensor(f"moments/{name}/scatter", (size, size), torch.float64)
        moments[name] = Moments(count, mean, scatter)
    for name in sorted(wanted.rows):
        rows[name] = tensor(f"rows/{name}", (count, sizes[name]), torch.float32)
    return FeatureSet(count, moments, rows)


def _checksum(tensor: Tensor) -> int:
    return zlib.crc32(tensor.contiguous().flatten().view(torch.uint8).numpy().data)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

"""What a set of images promises: a fixed shape, uint8 pixels by position, labels, a content hash.

At rest images are uint8 (C, H, W) with values 0..255; for networks they become float in [-1, 1] by
x / 127.5 - 1, and go back by floor(127.5 x + 128), so that the round trip is exact for every level.
"""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor

from riemann_noise_pytorch.errors import InputError

DECODING_THREADS = min(8, os.cpu_count() or 1)
_HASH_CHUNK = 128


def to_float(images: Tensor) -> Tensor:
    """Turn uint8 pixels into the floats that networks see, x / 127.5 - 1.

    Args:
        images: uint8 of any shape.

    Returns:
        float32 of the same shape, in [-1, 1].

    Raises:
        InputError: The images are not uint8, for instance already floats.

    Example:
        >>> to_float(torch.tensor([0, 255], dtype=torch.uint8)).tolist()
        [-1.0, 1.0]
    """
    if images.dtype != torch.uint8:
        raise InputError(f"to_float takes uint8 images, not {images.dtype}; floats in [-1, 1] need no change")
    return images.to(torch.float32) / 127.5 - 1


def to_uint8(images: Tensor) -> Tensor:
    """Turn floats in [-1, 1] into uint8 pixels, floor(127.5 x + 128) clamped to 0..255.

    Args:
        images: Finite floats of any shape; values outside [-1, 1] are clamped.

    Returns:
        uint8 of the same shape; ``to_uint8(to_float(x))`` is exactly ``x``.

    Raises:
        InputError: The images are not floats.

    Example:
        >>> to_uint8(torch.tensor([-1.0, 0.0, 1.0, 7.0])).tolist()
        [0, 128, 255, 255]
    """
    if not images.is_floating_point():
        raise InputError(f"to_uint8 takes floats in [-1, 1], not {images.dtype}; uint8 images need no change")
    wide = images if images.dtype == torch.float64 else images.to(torch.float32)
    return (wide * 127.5 + 128).clamp(0, 255).to(torch.uint8)


class SkippedImage(NamedTuple):
    """An image that was left out.

    Args:
        name: Its path inside the folder or archive.
        reason: What is wrong with it.
    """

    name: str
    reason: str


class ImageSet(ABC):
    """A finite, ordered set of images of one shape, safe to read from several threads at once.

    Args:
        name: A short name for records, such as ``digits``.
        image_shape: (C, H, W) of every image.
        labels: Class of every image, int64 (N,), or None.
    """

    skipped: Sequence[SkippedImage] = ()
    """Images left out at opening, by request, and why."""

    def __init__(self, name: str, image_shape: tuple[int, int, int], labels: Tensor | None = None) -> None:
        self.name = name
        self.image_shape = image_shape
        self.labels = labels
        self._content_hash: str | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {len(self)} images of {self.image_shape})"

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def image(self, index: int) -> Tensor:
        """Give one image.

        Args:
            index: Its position, 0 <= index < len(self).

        Returns:
            uint8 (C, H, W); not to be written to.

        Raises:
            IndexError: There is no such position.
        """

    def batch(self, indices: Tensor) -> Tensor:
        """Give several images, repeats allowed, in the order asked for.

        Args:
            indices: int64 (N,), each in [0, len(self)), N at least 1.

        Returns:
            uint8 (N, C, H, W), fresh memory.
        """
        return torch.stack([self.image(index) for index in indices.tolist()])

    @property
    def num_classes(self) -> int:
        """One more than the largest label; 0 without labels."""
        return 0 if self.labels is None else int(self.labels.max()) + 1

    @property
    def num_originals(self) -> int:
        """Images that are not mirror images of others; image i shows the picture of i % num_originals.

        Whoever splits a set must keep an original and its mirror image on one side.
        """
        return len(self)

    def content_hash(self) -> str:
        """Name what the set contains: the same pixels and labels in the same order give the same hash.

        It is independent of paths, file formats, compression and the order in which files lie on disk. The
        order of the images counts, because samplers and "the first 50,000" address images by position.
        Computed once, by reading every image.

        Returns:
            SHA-256 in hexadecimal over shape, count, labels and the SHA-256 of every image's pixels.
        """
        if self._content_hash is None:
            shape = " ".join(map(str, (len(self), *self.image_shape)))
            total = hashlib.sha256(f"images {shape} labels {self.labels is not None}\n".encode())
            for digest in self._digests():
                total.update(digest)
            if self.labels is not None:
                total.update(self.labels.numpy().astype("<i8").tobytes())
            self._content_hash = total.hexdigest()
        return self._content_hash

    def _digests(self) -> Iterable[bytes]:
        chunks = torch.split(torch.arange(len(self)), _HASH_CHUNK)
        with ThreadPoolExecutor(DECODING_THREADS) as pool:
            return list(chain.from_iterable(pool.map(lambda chunk: _sha256_each(self.batch(chunk)), chunks)))


class TensorImages(ImageSet):
    """Images that lie in memory.

    Args:
        pixels: uint8 (N, C, H, W), N at least 1; kept, not copied.
        name: A short name for records.
        labels: Class of every image, int64 (N,) and not negative, or None.

    Raises:
        InputError: Pixels or labels have another type or shape.
    """

    def __init__(self, pixels: Tensor, *, name: str = "tensor", labels: Tensor | None = None) -> None:
        if pixels.dtype != torch.uint8 or pixels.dim() != 4 or 0 in pixels.shape:
            raise InputError(
                f"images must be a non-empty uint8 tensor (N, C, H, W), not {pixels.dtype} "
                f"{tuple(pixels.shape)}; floats in [-1, 1] are turned into it by to_uint8"
            )
        if labels is not None and (labels.dtype != torch.int64 or labels.shape != pixels.shape[:1]):
            raise InputError(
                f"labels must be int64 ({len(pixels)},), one for each image, not {labels.dtype} "
                f"{tuple(labels.shape)}"
            )
        if labels is not None and int(labels.min()) < 0:
            raise InputError("labels must not be negative; number the classes from 0")
        channels, height, width = pixels.shape[1:]
        super().__init__(name, (channels, height, width), labels)
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def image(self, index: int) -> Tensor:
        """Give one image, a view of the pixels; see :meth:`ImageSet.image`."""
        require_position(index, len(self))
        return self.pixels[index]

    def batch(self, indices: Tensor) -> Tensor:
        """Give several images by one indexed copy; see :meth:`ImageSet.batch`."""
        return self.pixels.index_select(0, indices)


class MirroredImages(ImageSet):
    """A set followed by the left-right mirror image of each of its members, so twice as long.

    Args:
        images: The set of n images; position i >= n is the mirror image of i - n, with the same label.

    Example:
        >>> twice = MirroredImages(TensorImages(torch.zeros(5, 1, 4, 4, dtype=torch.uint8)))
        >>> len(twice), twice.num_originals, 7 % twice.num_originals
        (10, 5, 2)
    """

    def __init__(self, images: ImageSet) -> None:
        labels = None if images.labels is None else images.labels.repeat(2)
        super().__init__(f"{images.name} mirrored", images.image_shape, labels)
        self.images = images
        self.skipped = images.skipped

    def __len__(self) -> int:
        return 2 * len(self.images)

    @property
    def num_originals(self) -> int:
        """Images of the set that was mirrored; see :attr:`ImageSet.num_originals`."""
        return self.images.num_originals

    def image(self, index: int) -> Tensor:
        """Give one image or mirror image; see :meth:`ImageSet.image`."""
        require_position(index, len(self))
        mirrored, position = divmod(index, len(self.images))
        original = self.images.image(position)
        return original.flip(-1) if mirrored else original

    def batch(self, indices: Tensor) -> Tensor:
        """Give several images and mirror images; see :meth:`ImageSet.batch`."""
        pixels = self.images.batch(indices % len(self.images))
        mirrored = indices >= len(self.images)
        pixels[mirrored] = pixels[mirrored].flip(-1)
        return pixels

    def _digests(self) -> Iterable[bytes]:
        def both(chunk: Tensor) -> tuple[list[bytes], list[bytes]]:
            pixels = self.images.batch(chunk)
            return _sha256_each(pixels), _sha256_each(pixels.flip(-1))

        with ThreadPoolExecutor(DECODING_THREADS) as pool:
            pairs = list(pool.map(both, torch.split(torch.arange(len(self.images)), _HASH_CHUNK)))
        return chain(*(plain for plain, _ in pairs), *(flipped for _, flipped in pairs))


def require_position(index: int, length: int) -> None:
    """Refuse a position outside a set.

    Args:
        index: The position asked for.
        length: The number of images.

    Raises:
        IndexError: Not 0 <= index < length.
    """
    if not 0 <= index < length:
        raise IndexError(f"there is no image {index} in a set of {length}")


def _sha256_each(pixels: Tensor) -> list[bytes]:
    return [hashlib.sha256(image.contiguous().numpy()).digest() for image in pixels]

"""Images of a folder or a ZIP archive, decoded when they are asked for and kept while memory allows."""

import io
import os
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from riemann_noise_pytorch.data.archives import MIB
from riemann_noise_pytorch.data.decoding import SUFFIXES, BadImageError, Header, blaming, decode, read_header
from riemann_noise_pytorch.data.imageset import DECODING_THREADS, ImageSet, SkippedImage, require_position
from riemann_noise_pytorch.data.labels import LABELS_FILE, match_labels, read_labels
from riemann_noise_pytorch.data.resizing import as_size, fit, pillow_filter, require_channels
from riemann_noise_pytorch.data.sources import FileSource, open_source
from riemann_noise_pytorch.errors import InputError

DEFAULT_CACHE_MIB: Final = 1024.0
_CHUNK: Final = 64


class FolderImages(ImageSet):
    """The PNG, JPEG and WebP images of a folder, searched recursively, or of a ZIP archive.

    Their order is that of their relative paths, compared character by character, the same for a folder and
    for an archive of it. Names that begin with a dot and the folder ``__MACOSX`` are passed over. Each image
    is turned upright by its EXIF orientation, cropped around its centre to the asked shape (so to a square,
    when a square is asked and it is none), and resized by the stated filter; without a resolution all must
    have one size and stay as they are. Nothing is ever enlarged. A ``dataset.json`` at the top of the folder,
    ``{"labels": [["some/image.png", 3], ...]}``, gives them classes.

    At opening every header is read, so that sizes and kinds are known to fit; pixels are decoded on demand,
    and a damaged file is named when it is met. With ``skip_bad_images`` every image is decoded once at
    opening, and those that cannot be used are left out and listed in ``skipped``.

    Args:
        path: The folder or the archive.
        resolution: Side of the square images in pixels, or (H, W), or None for their own size.
        channels: 1 for grey, 3 for RGB, 4 for RGBA, or None: RGB if any image has colour, else grey.
        resize_filter: ``box``, ``bilinear``, ``bicubic``, ``lanczos`` or ``nearest``, as in Pillow.
        skip_bad_images: Leave out images that are damaged, refused or too small, rather than stop.
        cache_mib: Decoded images are kept in memory up to this size; beyond it they are decoded every time.

    Raises:
        InputError: No images, images that do not fit, damaged labels or archives. A damaged image also raises
            it, with its name, from ``image`` and ``batch``.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        resolution: int | tuple[int, int] | None = None,
        channels: int | None = None,
        resize_filter: str = "lanczos",
        skip_bad_images: bool = False,
        cache_mib: float = DEFAULT_CACHE_MIB,
    ) -> None:
        pillow_filter(resize_filter)
        require_channels(channels)
        if not cache_mib >= 0:
            raise InputError(f"cache_mib is {cache_mib}; give 0 or more MiB")
        asked = None if resolution is None else as_size(resolution)
        self.resize_filter = resize_filter if asked else None
        self._source = open_source(path)
        listed = image_names(self._source)
        headers, self.skipped = _survey(self._source, listed, asked, channels, skip_bad_images)
        self.names = list(headers)
        height, width = asked or _only_size(headers)
        depth = channels or (3 if any(header.colour for header in headers.values()) else 1)
        name = self._source.path.resolve().name or "root"
        super().__init__(name, (depth, height, width), self._read_labels(listed))
        kept = int(min(len(self.names), cache_mib * MIB // (depth * height * width)))
        self._kept = torch.empty((kept, depth, height, width), dtype=torch.uint8)
        self._ready = torch.zeros(kept, dtype=torch.bool)

    def __len__(self) -> int:
        return len(self.names)

    def image(self, index: int) -> Tensor:
        """Give one image, from memory or decoded; see :meth:`ImageSet.image`.

        Args:
            index: Its position, 0 <= index < len(self).

        Returns:
            uint8 (C, H, W); not to be written to.

        Raises:
            InputError: The file is damaged; it is named.
            IndexError: There is no such position.
        """
        require_position(index, len(self))
        if index < len(self._ready) and self._ready[index]:
            return self._kept[index]
        pixels = self._decode(index)
        if index < len(self._ready):
            self._kept[index] = pixels
            self._ready[index] = True
        return pixels

    def batch(self, indices: Tensor) -> Tensor:
        """Give several images, by one copy where all are in memory; see :meth:`ImageSet.batch`.

        Args:
            indices: int64 (N,), each in [0, len(self)), N at least 1.

        Returns:
            uint8 (N, C, H, W), fresh memory.

        Raises:
            InputError: A file is damaged; it is named.
        """
        lowest, highest = (int(bound) for bound in indices.aminmax())
        if lowest >= 0 and highest < len(self._ready) and bool(self._ready[indices].all()):
            return self._kept[indices]
        return super().batch(indices)

    def _decode(self, index: int) -> Tensor:
        depth, height, width = self.image_shape
        name = self.names[index]
        shown = self._source.describe(name)
        with blaming(shown):
            image = decode(io.BytesIO(self._source.read(name)), shown, depth)
            if self.resize_filter:
                image = fit(image, (height, width), self.resize_filter)
            if image.size != (width, height):
                raise BadImageError(
                    shown, f"it is not {width}x{height} pixels, as it was when the set was opened"
                )
        return torch.from_numpy(np.array(image)).view(height, width, depth).permute(2, 0, 1).contiguous()

    def _read_labels(self, listed: Sequence[str]) -> Tensor | None:
        if LABELS_FILE not in self._source.names:
            return None
        shown = self._source.describe(LABELS_FILE)
        try:
            with blaming(shown):
                text = self._source.read(LABELS_FILE)
        except BadImageError as error:
            raise InputError(f"cannot use {shown}: {error.reason}; replace it") from error
        labels = read_labels(text, shown)
        return None if labels is None else match_labels(labels, self.names, set(listed), shown)


def image_names(source: FileSource) -> list[str]:
    """List the images of a folder or an archive, in the order that they are read in.

    Args:
        source: Its files.

    Returns:
        Names of PNG, JPEG and WebP files, sorted, but for those that begin with a dot.

    Raises:
        InputError: There is none.
    """
    visible = [name for name in source.names if not _passed_over(name)]
    images = sorted(name for name in visible if name.lower().endswith(SUFFIXES))
    if images:
        return images
    if not visible:
        raise InputError(f"{source.path} is empty; give a folder or a ZIP with PNG, JPEG or WebP images")
    raise InputError(
        f"{source.path} holds no PNG, JPEG or WebP image, but {len(visible)} other files, such as "
        f"{min(visible)!r}; convert them, or give another folder or ZIP"
    )


def _passed_over(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _survey(
    source: FileSource,
    names: Sequence[str],
    asked: tuple[int, int] | None,
    channels: int | None,
    skip: bool,
) -> tuple[dict[str, Header], list[SkippedImage]]:
    headers: dict[str, Header] = {}
    bad: dict[str, str] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # refused below with a reason
        for name in names:
            try:
                headers[name] = _checked_header(source, name, asked)
            except BadImageError as error:
                if not skip:
                    raise
                bad[name] = error.reason
    if skip:
        bad |= _undecodable(source, headers, channels)
    skipped = [SkippedImage(name, bad[name]) for name in names if name in bad]
    if len(skipped) == len(names):
        raise InputError(
            f"none of the {len(names)} images of {source.path} can be used, {skipped[0].name!r} because "
            f"{skipped[0].reason}; give another folder or ZIP"
        )
    return {name: header for name, header in headers.items() if name not in bad}, skipped


def _checked_header(source: FileSource, name: str, asked: tuple[int, int] | None) -> Header:
    shown = source.describe(name)
    with blaming(shown), source.open(name) as stream:
        header = read_header(stream, shown)
    if asked and (header.height < asked[0] or header.width < asked[1]):
        raise BadImageError(
            shown,
            f"it is {header.width}x{header.height} pixels, smaller than the {asked[1]}x{asked[0]} asked for",
            f"ask for a resolution of at most {min(header.width, header.height)}",
        )
    return header


def _undecodable(source: FileSource, headers: Mapping[str, Header], channels: int | None) -> dict[str, str]:
    def reason(name: str) -> str | None:
        try:
            with blaming(source.describe(name)):
                content = io.BytesIO(source.read(name))
                own = 3 if headers[name].colour else 1
                decode(content, source.describe(name), channels or own)
        except BadImageError as error:
            return error.reason
        return None

    names = list(headers)
    chunks = [names[start : start + _CHUNK] for start in range(0, len(names), _CHUNK)]
    with ThreadPoolExecutor(DECODING_THREADS) as pool:
        reasons = chain.from_iterable(pool.map(lambda chunk: [reason(name) for name in chunk], chunks))
        return {name: text for name, text in zip(names, reasons, strict=True) if text is not None}


def _only_size(headers: Mapping[str, Header]) -> tuple[int, int]:
    name, header = next(iter(headers.items()))
    for other, its in headers.items():
        if (its.width, its.height) != (header.width, header.height):
            smallest = min(min(each.width, each.height) for each in headers.values())
            raise InputError(
                f"images differ in size: {name!r} is {header.width}x{header.height} pixels, {other!r} is "
                f"{its.width}x{its.height}; ask for one resolution, such as --resolution {smallest}"
            )
    return header.height, header.width

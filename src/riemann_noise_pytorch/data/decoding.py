"""From the bytes of a PNG, JPEG or WebP file to 8-bit grey, RGB or RGBA, or a plain reason why not.

What is done: EXIF orientation is applied; palettes become RGB; 16-bit grey keeps its high byte, as 16-bit
RGB does; bilevel becomes 0 and 255; an opaque alpha channel is dropped, unless RGBA is asked for. What is
refused: transparent pixels in grey or RGB (the background is the owner's choice), CMYK (its colours depend on
a profile), animations, floating-point pixels, and more than ``MAX_PIXELS`` pixels, which is seen in the
header before anything is decoded. Of a JPEG that holds several pictures, as some phones write, the first is
read.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Final

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from riemann_noise_pytorch.errors import InputError

MAX_PIXELS: Final = 2**26
"""No image may have more pixels than this, 8192 x 8192; below Pillow's own limit, which only warns."""
SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp")
"""File names that are taken for images; what they hold is decided by their content."""

RGBA: Final = 4
_FORMATS: Final = ("PNG", "JPEG", "WEBP")
_SIXTEEN_BIT: Final = ("I", "I;16", "I;16B", "I;16L")
_GREY: Final = ("1", "L", "LA", *_SIXTEEN_BIT)
_COLOUR: Final = ("P", "PA", "RGB", "RGBA")
_TURNED: Final = (5, 6, 7, 8)  # the EXIF orientations that swap width and height


class BadImageError(InputError):
    """One image cannot be used.

    Args:
        name: The image's path, or archive and member.
        reason: What is wrong with it.
        remedy: What to do about it.
    """

    def __init__(self, name: str, reason: str, remedy: str = "replace or delete it") -> None:
        super().__init__(name, reason, remedy)
        self.name, self.reason, self.remedy = name, reason, remedy

    def __str__(self) -> str:
        return (
            f"cannot use image {self.name!r}: {self.reason}; {self.remedy}, "
            "or leave such images out (--skip-bad-images, in Python skip_bad_images=True)"
        )


@dataclass(frozen=True)
class Header:
    """What an image's header tells before the pixels are decoded.

    Args:
        width: Width in pixels, upright.
        height: Height in pixels, upright.
        colour: Whether it has colour channels; a palette counts as colour.
    """

    width: int
    height: int
    colour: bool


@contextlib.contextmanager
def blaming(name: str) -> Iterator[None]:
    """Turn whatever goes wrong inside into an error that names one image.

    Args:
        name: What to call the image.

    Yields:
        Nothing.

    Raises:
        BadImageError: Something went wrong.
    """
    try:
        yield
    except BadImageError:
        raise
    except UnidentifiedImageError as error:
        raise BadImageError(name, "it is not a PNG, JPEG or WebP image") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadImageError(name, f"it has more than {MAX_PIXELS} pixels", "make it smaller") from error
    except Exception as error:  # on damaged data Pillow's decoders raise almost anything
        system_error = isinstance(error, OSError) and error.strerror
        detail = " ".join(str(system_error or error).split()) or type(error).__name__
        state = "cannot be read" if system_error else "is cut short or damaged"
        raise BadImageError(name, f"it {state} ({detail})") from error


def read_header(stream: IO[bytes], name: str) -> Header:
    """Read an image's size and kind without decoding it.

    Args:
        stream: The file, at its beginning.
        name: What to call the image in errors.

    Returns:
        Its header.

    Raises:
        BadImageError: The image is damaged, too large, or of a kind that is refused.
    """
    with blaming(name), Image.open(stream, formats=_FORMATS) as image:
        _require_readable(image, name)
        turned = _orientation(image) in _TURNED
        width, height = image.size[::-1] if turned else image.size
        return Header(width, height, image.mode in _COLOUR)


def decode(stream: IO[bytes], name: str, channels: int) -> Image.Image:
    """Decode an image, upright, 8 bits a channel.

    Args:
        stream: The file, at its beginning.
        name: What to call the image in errors.
        channels: 1 for grey (ITU-R 601-2 luma of colours), 3 for RGB (grey is repeated), 4 for RGBA (what has
            no transparency is opaque).

    Returns:
        The image, of mode L, RGB or RGBA.

    Raises:
        BadImageError: The image is damaged, too large, or of a kind that is refused.
    """
    with blaming(name), Image.open(stream, formats=_FORMATS) as image:
        _require_readable(image, name)
        image.load()
        _check_transparency(image, name, channels)
        upright = ImageOps.exif_transpose(image)
        if upright.mode in _SIXTEEN_BIT:
            upright = _high_byte(upright, name)
        elif upright.mode in ("P", "PA"):
            upright = upright.convert("RGBA" if channels == RGBA else "RGB")
        return upright.convert({1: "L", RGBA: "RGBA"}.get(channels, "RGB"))


def _require_readable(image: Image.Image, name: str) -> None:
    pixels = image.width * image.height
    if pixels > MAX_PIXELS:
        raise BadImageError(name, f"it has {pixels} pixels, more than {MAX_PIXELS}", "make it smaller")
    if image.mode == "CMYK":
        raise BadImageError(name, "it is CMYK, whose colours depend on a profile", "convert it to RGB")
    if image.mode not in (*_GREY, *_COLOUR):
        raise BadImageError(
            name, f"its pixels are of the kind {image.mode}", "convert it to 8-bit grey or RGB"
        )
    if image.format in ("PNG", "WEBP") and getattr(image, "is_animated", False):
        raise BadImageError(name, "it is an animation", "save its frames as single images")


def _check_transparency(image: Image.Image, name: str, channels: int) -> None:
    if not image.has_transparency_data:
        return
    if image.mode in _SIXTEEN_BIT:
        raise BadImageError(name, "it is 16-bit with a transparent value", "flatten it onto a background")
    if channels != RGBA and np.asarray(image.convert("RGBA").getchannel("A")).min() < 255:
        raise BadImageError(
            name, "it has transparent pixels", "flatten it onto a background, or ask for 4 channels"
        )


def _high_byte(image: Image.Image, name: str) -> Image.Image:
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise BadImageError(name, "its pixels have more than 16 bits", "convert it to 8-bit grey or RGB")
    return Image.fromarray((values >> 8).astype(np.uint8))


def _orientation(image: Image.Image) -> int:
    if "exif" not in image.info:  # asking a PNG without EXIF data would decode it
        return 1
    return int(image.getexif().get(ExifTags.Base.Orientation, 1))

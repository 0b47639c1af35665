import contextlib
import io
import pickle
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from riemann_noise_pytorch.data.decoding import MAX_PIXELS, BadImageError, Header, decode, read_header
from tests.data.pictures import encoded, noise_pixels, picture


def decoded(content, channels=3):
    return np.asarray(decode(io.BytesIO(content), "x.png", channels))


def header(content):
    return read_header(io.BytesIO(content), "x.png")


def bare_png(width, height):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_lossless_formats_give_back_their_pixels(kind, options):
    pixels = noise_pixels(0)
    content = encoded(Image.fromarray(pixels), kind, **options)
    assert np.array_equal(decoded(content), pixels)
    assert header(content) == Header(12, 12, True)


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_decoded_by_pillow(channels):
    content = encoded(picture(0, channels=channels), "JPEG")
    assert np.array_equal(decoded(content, channels), np.asarray(Image.open(io.BytesIO(content))))
    assert header(content).colour == (channels == 3)


def test_grey_is_repeated_and_colour_becomes_luma():
    grey, colour = noise_pixels(0, channels=1), noise_pixels(1)
    assert np.array_equal(decoded(encoded(Image.fromarray(grey))), np.stack([grey] * 3, -1))
    luma = decoded(encoded(Image.fromarray(colour)), 1)
    assert np.abs(luma - colour @ np.array([0.299, 0.587, 0.114])).max() <= 1


def test_palettes_become_colour():
    image = picture(0).quantize(16)
    assert np.array_equal(decoded(encoded(image)), np.asarray(image.convert("RGB")))
    assert header(encoded(image)).colour


def test_sixteen_bit_grey_keeps_its_high_byte():
    values = np.random.default_rng(0).integers(0, 65536, (9, 9), dtype=np.uint16)
    content = encoded(Image.fromarray(values))
    assert np.array_equal(decoded(content, 1), values // 256)
    assert not header(content).colour


def test_bilevel_becomes_black_and_white():
    image = Image.fromarray(noise_pixels(0, channels=1) > 127)
    assert np.array_equal(decoded(encoded(image), 1), np.asarray(image) * np.uint8(255))


@pytest.mark.parametrize("channels", [1, 3])
def test_opaque_alpha_is_dropped(channels):
    image = picture(0, channels=channels)
    with_alpha = image.copy()
    with_alpha.putalpha(255)
    assert np.array_equal(decoded(encoded(with_alpha), channels), np.asarray(image))


def see_through(mode):
    image = picture(0, channels=1 if mode == "LA" else 3)
    image.putalpha(Image.fromarray(noise_pixels(1, channels=1)))
    return image


@pytest.mark.parametrize(
    "content",
    [
        encoded(see_through("LA")),
        encoded(see_through("RGBA")),
        encoded(see_through("RGBA"), "WEBP"),
        encoded(Image.new("P", (8, 8)), transparency=0),
        encoded(Image.new("L", (8, 8), 7), transparency=7),
        encoded(Image.new("RGB", (8, 8), (1, 2, 3)), transparency=(1, 2, 3)),
        encoded(Image.fromarray(np.full((8, 8), 900, dtype=np.uint16)), transparency=900),
    ],
    ids=["grey", "rgb", "webp", "palette", "grey-key", "rgb-key", "16-bit-key"],
)
def test_transparent_pixels_are_refused(content):
    with pytest.raises(BadImageError, match=r"transparent.*flatten"):
        decoded(content)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (encoded(Image.new("CMYK", (8, 8)), "JPEG"), "CMYK.*convert it to RGB"),
        (encoded(picture(0), "PNG", save_all=True, append_images=[picture(1)]), "animation"),
        (encoded(picture(0), "WEBP", save_all=True, append_images=[picture(1)]), "animation"),
        (encoded(picture(0), "GIF"), "not a PNG, JPEG or WebP"),
        (b"", "not a PNG, JPEG or WebP"),
        (b"plain text", "not a PNG, JPEG or WebP"),
        (bare_png(2**16, 2**16), "pixels; make it smaller|more than"),
        (bare_png(8192, 8193), f"more than {MAX_PIXELS}"),
    ],
    ids=["cmyk", "apng", "webp", "gif", "empty", "text", "bomb", "just-too-large"],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_is_refused_is_seen_in_the_header(content, words):
    with pytest.raises(BadImageError, match=words):
        header(content)
    with pytest.raises(BadImageError, match=words):
        decoded(content)


def test_first_picture_of_a_phones_jpeg_is_read():
    content = encoded(picture(0), "MPO", save_all=True, append_images=[picture(1)])
    assert np.array_equal(decoded(content), np.asarray(Image.open(io.BytesIO(content))))


TURNS = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: p.swapaxes(0, 1)[:, ::-1],
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: p.swapaxes(0, 1)[::-1],
}


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
@pytest.mark.parametrize("orientation", TURNS)
def test_exif_orientation_turns_the_image_upright(kind, orientation):
    pixels = noise_pixels(0, 6, 9)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(Image.fromarray(pixels), kind, exif=exif, **options)
    upright = TURNS[orientation](pixels)
    assert np.array_equal(decoded(content), upright)
    assert header(content) == Header(upright.shape[1], upright.shape[0], True)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_an_image_cut_short_anywhere_is_blamed_by_name(kind):
    content = encoded(picture(0, 40, 40), kind)
    for end in range(0, len(content) - len(content) // 10, 97):
        with pytest.raises(BadImageError, match=r"cannot use image 'x\.png'") as caught:
            decoded(content[:end])
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_damaged_bytes_give_an_image_or_a_named_error(kind):
    content = encoded(picture(0, 16, 16), kind)
    generator = np.random.default_rng(0)
    for _ in range(100):
        damaged = bytearray(content)
        for position in generator.integers(0, len(content), 4):
            damaged[position] = generator.integers(0, 256)
        with contextlib.suppress(BadImageError):
            assert decoded(bytes(damaged)).dtype == np.uint8


def test_the_error_is_one_line_and_survives_a_process_boundary():
    error = BadImageError("a\nb.png", "it is odd")
    assert "\n" not in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(
    "content",
    [
        encoded(see_through("RGBA")),
        encoded(see_through("RGBA"), "WEBP", lossless=True, exact=True),
        encoded(see_through("LA")),
    ],
    ids=["rgb", "webp", "grey"],
)
def test_transparency_is_kept_where_it_is_asked_for(content):
    pixels = np.asarray(decode(io.BytesIO(content), "here.png", 4))
    assert pixels.shape[2] == 4
    assert np.array_equal(pixels[..., 3], noise_pixels(1, channels=1))


def test_what_has_no_transparency_is_opaque_in_rgba():
    pixels = np.asarray(decode(io.BytesIO(encoded(picture(0))), "here.png", 4))
    assert (pixels[..., 3] == 255).all()
    assert np.array_equal(pixels[..., :3], np.asarray(picture(0)))

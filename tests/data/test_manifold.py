"""Images of known dimension: the rank of the renderer is the dimension, everywhere, with room to spare."""

import math

import pytest
import torch

from riemann_noise_pytorch.data.builtin import builtin_set
from riemann_noise_pytorch.data.images import open_images
from riemann_noise_pytorch.data.imageset import to_uint8
from riemann_noise_pytorch.data.manifold import ManifoldRenderer, largest_dimension, manifold_images
from riemann_noise_pytorch.errors import InputError


def literal(codes, dimension, height, width, rows, columns):
    """The formula of the module, one pixel and one blob at a time."""
    image = [[-1.0] * width for _ in range(height)]
    padded = [*codes, *[0.0] * (4 * rows * columns - dimension)]
    for blob in range(rows * columns):
        x, y, stretch, light = (padded[kind * rows * columns + blob] for kind in range(4))
        row, column = divmod(blob, columns)
        spread = 0.25 * 1.2**stretch
        for i in range(height):
            for j in range(width):
                across = (j + 0.5) * columns / width - (column + 0.5 + 0.15 * x)
                down = (i + 0.5) * rows / height - (row + 0.5 + 0.15 * y)
                square = (across**2 + down**2) / spread**2
                image[i][j] += 2 * (0.55 + 0.25 * light) * math.exp(-square / 2)
    return torch.tensor(image, dtype=torch.float64)


@pytest.mark.parametrize(
    ("dimension", "size", "grid"),
    [(2, (8, 8), (1, 1)), (6, (8, 8), (2, 2)), (64, (16, 16), (4, 4)), (9, (8, 12), (2, 3))],
)
def test_an_image_is_the_sum_of_its_blobs(dimension, size, grid):
    renderer = ManifoldRenderer(dimension, (1, *size))
    codes = renderer.codes(2, seed=3)
    images = renderer.render(codes)
    for code, image in zip(codes, images, strict=True):
        expected = literal(code.tolist(), dimension, *size, *grid)
        torch.testing.assert_close(image[0], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("dimension", "side"), [(1, 16), (2, 16), (7, 16), (64, 16), (20, 32), (256, 32), (300, 64)]
)
def test_the_rank_of_the_renderer_is_the_dimension_with_clear_margins(dimension, side):
    renderer = ManifoldRenderer(dimension, (1, side, side))
    for code in renderer.codes(3, seed=1):
        columns = torch.func.jacfwd(lambda c: renderer.render(c[None])[0].flatten())(code)
        values = torch.linalg.svdvals(columns)
        assert len(values) == dimension
        assert values[-1] > 0.02 * values[0]


@pytest.mark.parametrize(("dimension", "side"), [(4, 16), (64, 16), (64, 32), (256, 32)])
def test_images_stay_within_the_range_without_clamping_even_at_the_corners(dimension, side):
    renderer = ManifoldRenderer(dimension, (1, side, side))
    stream = torch.Generator().manual_seed(0)
    corners = torch.randint(0, 2, (200, dimension), generator=stream).double() * 2 - 1
    images = renderer.render(torch.cat([corners, torch.ones(1, dimension, dtype=torch.float64)]))
    assert images.min() >= -1
    assert images.max() <= 1


def test_float32_agrees_with_float64_and_channels_with_one_another():
    renderer = ManifoldRenderer(12, (3, 16, 16))
    codes = renderer.codes(4, seed=0)
    images = renderer.render(codes)
    assert images.dtype == torch.float64
    assert torch.equal(images[:, 0], images[:, 2])
    torch.testing.assert_close(renderer.render(codes.float()), images.float(), rtol=0, atol=1e-6)


def test_the_renderer_passes_gradcheck():
    renderer = ManifoldRenderer(5, (1, 8, 8))
    codes = renderer.codes(1, seed=0).requires_grad_()
    assert torch.autograd.gradcheck(renderer.render, (codes,))


def test_codes_are_uniform_and_depend_on_their_index_alone():
    renderer = ManifoldRenderer(3, (1, 16, 16))
    codes = renderer.codes(4000, seed=0)
    assert torch.equal(codes[70:75], renderer.codes(5, seed=0, first=70))
    assert not torch.equal(codes[:5], renderer.codes(5, seed=1))
    assert codes.mean().abs() < 0.02
    assert abs(float(codes.var()) - 1 / 3) < 0.01


def test_a_set_holds_the_rendered_codes_whatever_its_size():
    images = manifold_images(8, 16, count=600)
    assert (images.name, images.image_shape, len(images)) == ("manifold-8", (1, 16, 16), 600)
    renderer = ManifoldRenderer(8, (1, 16, 16))
    assert torch.equal(images.pixels, to_uint8(renderer.render(renderer.codes(600, seed=0))))
    assert torch.equal(manifold_images(8, 16, count=7).pixels, images.pixels[:7])


def test_a_manifold_is_opened_by_name_wherever_sets_are():
    images = open_images("manifold-24", channels=3, mirror=True)
    assert images.name == "manifold-24 mirrored"
    assert images.image_shape == (3, 16, 16)
    assert len(images) == 20_000


@pytest.mark.parametrize(("dimension", "side"), [(1, 16), (64, 16), (65, 32), (257, 64), (1025, 128)])
def test_the_size_is_the_smallest_that_the_dimension_fits(dimension, side):
    assert manifold_images(dimension, count=1).image_shape == (1, side, side)


@pytest.mark.parametrize("name", ["manifold", "manifold-", "manifold-0", "manifold-x", "manifold-08"])
def test_what_is_no_dimension_is_an_unknown_name(name):
    assert builtin_set(name) is None
    with pytest.raises(InputError, match="did you mean 'manifold-64'"):
        open_images(name)


def test_a_dimension_that_does_not_fit_is_refused_with_the_largest_that_does():
    assert largest_dimension(16, 16) == 64
    with pytest.raises(InputError, match=r"1 to 64 in images of 16x16, not 65; .* 20 pixels a side"):
        open_images("manifold-65", resolution=16)
    with pytest.raises(InputError, match="1 to 4096 in images of 128x128, not 99999"):
        open_images("manifold-99999")
    with pytest.raises(InputError, match=r"1 to 64 .*, not 0"):
        ManifoldRenderer(0, (1, 16, 16))
    assert ManifoldRenderer(65, (1, 20, 20)).dimension == 65


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: manifold_images(8, count=0), "0 images make no set"),
        (lambda: manifold_images(8, channels=2), "1 .grey. or 3"),
        (lambda: open_images("manifold-8", resize_filter="lancsoz"), "did you mean 'lanczos'"),
        (lambda: ManifoldRenderer(8, (1, 16, 16)).render(torch.zeros(2, 7)), r"\(N, 8\)"),
        (lambda: ManifoldRenderer(8, (1, 16, 16)).render(torch.zeros(2, 8, dtype=torch.int64)), "floats"),
    ],
)
def test_unfit_requests_are_refused(call, words):
    with pytest.raises(InputError, match=words):
        call()

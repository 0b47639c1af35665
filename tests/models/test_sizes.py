import itertools

import pytest

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.models.sizes import block_channels, block_sizes, check_counts


@pytest.mark.parametrize("size", [(16, 16), (64, 64), (1024, 1024), (16, 20), (32, 16), (48, 24), (28, 1008)])
def test_blocks_double_from_a_small_one_to_the_image(size):
    sizes = block_sizes(*size)
    assert 4 <= min(sizes[0]) < 8
    assert sizes[-1] == size
    assert all((2 * h, 2 * w) == larger for (h, w), larger in itertools.pairwise(sizes))


def test_first_blocks_that_people_use():
    assert block_sizes(128, 128)[0] == (4, 4)
    assert block_sizes(128, 160)[0] == (4, 5)
    assert block_sizes(64, 32)[0] == (8, 4)
    assert block_sizes(96, 96)[0] == (6, 6)


@pytest.mark.parametrize(
    ("size", "nearest"),
    [
        ((100, 100), "96x96"),
        ((100, 150), "96x144"),
        ((150, 100), "144x96"),
        ((4, 5), "8x8"),
        ((3, 3), "8x8"),
        ((1, 1), "8x8"),
        ((30, 33), "28x32"),
        ((1025, 1025), "1024x1024"),
        ((1080, 1920), "1024x1024"),
        ((65, 64), "64x64"),
    ],
)
def test_sizes_that_do_not_fit_are_met_with_the_nearest(size, nearest):
    with pytest.raises(InputError, match=f"images of {size[0]}x{size[1]} do not fit.* nearest .* {nearest}$"):
        block_sizes(*size)


def test_the_nearest_fits_and_nothing_is_nearer():
    fitting = []
    for height in range(8, 57):
        for width in range(8, 57):
            try:
                block_sizes(height, width)
            except InputError:
                continue
            fitting.append((height, width))
    for size in [(9, 9), (13, 30), (31, 17), (50, 50), (45, 21)]:
        with pytest.raises(InputError) as caught:
            block_sizes(*size)
        near = tuple(map(int, str(caught.value).split()[-1].split("x")))
        distances = [abs(h - size[0]) + abs(w - size[1]) for h, w in fitting]
        assert near in fitting
        assert abs(near[0] - size[0]) + abs(near[1] - size[1]) == min(distances)


@pytest.mark.parametrize("side", [0, -4, 16.0, "16", True, None])
def test_sides_are_positive_integers(side):
    with pytest.raises(InputError, match=r"width is .* integer of 1 or more"):
        block_sizes(16, side)
    with pytest.raises(InputError, match=r"height is .* integer of 1 or more"):
        block_sizes(side, 16)


def test_widths_are_those_of_config_e_and_f():
    sides = [4, 8, 16, 32, 64, 128, 256, 512, 1024]
    e = [block_channels((side, side), 16384, 512) for side in sides]
    f = [block_channels((side, side), 32768, 512) for side in sides]
    assert e == [512, 512, 512, 512, 256, 128, 64, 32, 16]
    assert f == [512, 512, 512, 512, 512, 256, 128, 64, 32]


def test_widths_follow_the_doublings_of_the_shorter_side():
    for first in [(4, 4), (4, 5), (8, 4), (6, 6), (7, 7)]:
        counts = [block_channels((first[0] << k, first[1] << k), 256, 48) for k in range(5)]
        assert counts == [48, 32, 16, 8, 4]
    assert block_channels((64, 64), 4, 512) == 1


def test_counts_name_what_is_wrong():
    with pytest.raises(InputError, match="classes is -1, but it must be an integer of 0 or more"):
        check_counts(0, classes=-1)
    check_counts(0, classes=0)

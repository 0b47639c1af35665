"""The sliced Wasserstein distance against a transcription with SciPy's distance, and its laws."""

import pytest
import torch
from sklearn.datasets import load_digits

from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.metrics.pyramid import laplacian_pyramid
from riemann_noise_pytorch.metrics.sliced_wasserstein import (
    RealPatches,
    patch_bytes,
    real_floor,
    sample_spread,
    sliced_wasserstein,
)
from tests.reference import sliced_wasserstein as literal


def images(n=12, channels=1, size=16, seed=0, dtype=torch.float64):
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(n, channels, size, size, generator=rng, dtype=dtype) * 2 - 1


@pytest.fixture(scope="module")
def digits():
    """Scikit-learn's digits in random order: their own order is that of the writers."""
    scans = torch.from_numpy(load_digits().images).float().unsqueeze(1) / 8 - 1
    scans = scans[torch.randperm(len(scans), generator=torch.Generator().manual_seed(0))]
    return torch.nn.functional.interpolate(scans, 16, mode="bilinear")


def transcribed(real, fake, directions, corners=None):
    """The distance by the transcription, on the directions that ours drew."""
    ours = RealPatches(real, directions=directions)
    found = {}
    for a, b in zip(laplacian_pyramid(real), laplacian_pyramid(fake), strict=True):
        side = a.shape[2]
        rows, columns = ours._positions(a)
        corners = list(zip(rows.tolist(), columns.tolist(), strict=True))
        found[side] = literal.distance(a.numpy(), b.numpy(), corners, ours._directions[side].double().numpy())
    return found


@pytest.mark.parametrize(("channels", "size"), [(1, 16), (3, 16), (2, 32)])
def test_distance_is_the_transcriptions(channels, size):
    n = 6 if size == 16 else 3
    real, fake = images(n, channels, size), images(n, channels, size, seed=1).pow(3) + 0.1
    ours = sliced_wasserstein(real, fake, directions=16)
    expected = transcribed(real, fake, 16)
    assert ours.levels == pytest.approx(expected, rel=1e-10)
    assert ours.value == pytest.approx(sum(expected.values()) / len(expected), rel=1e-10)


def test_float32_agrees_with_float64():
    real, fake = images(40), images(40, seed=1).sign()
    exact = sliced_wasserstein(real, fake)
    assert sliced_wasserstein(real.float(), fake.float()).levels == pytest.approx(exact.levels, rel=1e-5)


def test_levels_and_patches_of_small_images():
    result = RealPatches(images())
    assert sorted(result._descriptors) == [8, 16]
    assert result._descriptors[16].shape == (49, 12 * 100)
    assert result._descriptors[8].shape == (49, 12 * 4)


@pytest.mark.parametrize(("channels", "height", "width"), [(1, 8, 8), (3, 16, 16), (3, 33, 40), (1, 64, 9)])
def test_memory_of_patches_is_that_of_the_prepared_reals(channels, height, width):
    images = torch.rand(3, channels, height, width)
    held = RealPatches(images)._descriptors.values()
    assert 3 * patch_bytes(images.shape[1:]) == sum(level.nbytes for level in held)


def test_large_levels_take_128_different_positions():
    level = images(2, 3, 64)
    rows, columns = RealPatches(level)._positions(level)
    assert len({*zip(rows.tolist(), columns.tolist(), strict=True)}) == 128
    assert max(rows.max(), columns.max()) <= 64 - 7


def test_equal_sets_have_distance_0_in_any_order():
    real, order = images(), torch.randperm(12)
    assert sliced_wasserstein(real, real).value == 0
    assert sliced_wasserstein(real, real[order]).value < 1e-9


def test_order_does_not_matter():
    real, fake, order = images(size=32), images(size=32, seed=1).pow(3), torch.randperm(12)
    expected = sliced_wasserstein(real, fake, directions=64).value
    assert sliced_wasserstein(real, fake[order], directions=64).value == pytest.approx(expected, rel=1e-9)


def test_distance_is_symmetric():
    real, fake = images(), images(seed=1).pow(3)
    forth, back = sliced_wasserstein(real, fake), sliced_wasserstein(fake, real)
    assert forth.levels == pytest.approx(back.levels, rel=1e-12)


def test_gain_and_range_of_the_pixels_do_not_matter():
    """Sets are normalised, so 8-bit images and images in [-1, 1] compare."""
    pixels = (images(30) * 127.5 + 127.5).to(torch.uint8)
    fake = images(30, seed=1).pow(3).float()
    expected = sliced_wasserstein(pixels, fake).value
    assert sliced_wasserstein(pixels.float() / 127.5 - 1, fake).value == pytest.approx(expected, rel=1e-4)
    assert sliced_wasserstein(pixels, 40 * fake).value == pytest.approx(expected, rel=1e-4)


def test_prepared_reals_serve_any_number_of_sets_with_or_without_cache():
    real, fake = images(), images(seed=1).pow(3)
    once = sliced_wasserstein(real, fake)
    for cache_mib in (0, 1, 1000):
        prepared = RealPatches(real, cache_mib=cache_mib)
        assert prepared.distance(fake) == once
        assert prepared.distance(fake) == once


def test_the_number_of_threads_does_not_matter():
    real, fake, threads = images(), images(seed=1).pow(3), torch.get_num_threads()
    found = set()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.add(round(sliced_wasserstein(real, fake, directions=64).value, 6))
    finally:
        torch.set_num_threads(threads)
    assert len(found) == 1


def test_seeds_change_the_directions_only_a_little():
    real, fake = images(60), images(60, seed=1).pow(3)
    first, second = (sliced_wasserstein(real, fake, seed=seed).value for seed in (0, 1))
    assert first != second
    assert first == pytest.approx(second, rel=0.1)


def test_more_samples_lower_the_distance_of_equal_distributions():
    values = [sliced_wasserstein(images(n), images(n, seed=1), directions=64).value for n in (10, 40, 160)]
    assert values[0] > 1.4 * values[1] > 1.4**2 * values[2]


def test_bad_sets_lie_far_above_the_floor(digits):
    floor = real_floor(digits, 800, splits=3, directions=32)
    real, fake = digits[:800], digits[800:1600]
    prepared = RealPatches(real, directions=32)
    assert prepared.distance(fake).value < 2 * floor.value
    blurred = torch.nn.functional.avg_pool2d(fake, 3, 1, 1)
    repeated = fake[:1].expand(800, -1, -1, -1)
    noise = torch.rand(fake.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for bad in (blurred, repeated, noise):
        assert prepared.distance(bad).value > 2.5 * floor.value


def test_spread_tells_a_repeated_image_from_a_set(digits):
    assert sample_spread(digits[:1].expand(300, -1, -1, -1)) < 1e-6
    assert sample_spread(digits[:300]) > 0.3


def test_the_floor_is_the_distance_of_disjoint_halves_of_the_same_count():
    real = images(20)
    floor = real_floor(real, 10, splits=4, directions=32)
    assert (floor.n, floor.method) == (4, "redraws")
    assert floor.low <= floor.value <= floor.high
    assert floor.value > 0
    assert real_floor(real, 10, splits=4, directions=32) == floor
    assert real_floor(real, 5, splits=4, directions=32).value > floor.value


def test_floor_reports_progress():
    seen = []
    real_floor(images(8), 4, splits=2, directions=8, progress=lambda *counts: seen.append(counts))
    assert seen == [(1, 2), (2, 2)]


def test_a_constant_set_has_a_finite_distance():
    constant = torch.full((12, 1, 16, 16), 0.3)
    value = sliced_wasserstein(images().float(), constant).value
    assert 100 < value < 1000
    assert sliced_wasserstein(constant, constant).value == 0


def test_the_name_states_the_protocol():
    result = sliced_wasserstein(images(), images(seed=1), directions=8)
    assert result.name == (
        "sliced Wasserstein distance x1e3 "
        "(levels 16, 8; 12 images a side, up to 128 patches each, 8 directions)"
    )


def test_spread_is_the_standard_deviation_over_samples():
    batch = images(50, 3, 8)
    assert sample_spread(batch) == pytest.approx(float(batch.numpy().std(axis=0).mean()), rel=1e-12)
    assert sample_spread(batch[:1].expand(9, -1, -1, -1)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("real", "fake", "cause"),
    [
        (images(4), images(5), "equal numbers"),
        (images(4), images(4, channels=3), "equal shape"),
        (images(4), images(4, size=32), "equal shape"),
        (images(4, size=6), images(4, size=6), "no level of 8"),
        (images(1), images(1), "at least 2"),
        (images(4)[0], images(4), "at least 2"),
        (images(4), images(4).half().to(torch.int64), "torch.int64"),
    ],
)
def test_sets_that_do_not_fit_are_refused(real, fake, cause):
    with pytest.raises(InputError, match=cause):
        sliced_wasserstein(real, fake, directions=4)


def test_images_that_are_not_finite_are_named():
    fake = images(4)
    fake[2, 0, 3, 3] = torch.nan
    with pytest.raises(NonFiniteError, match="generated image 2 of 4"):
        sliced_wasserstein(images(4), fake, directions=4)
    with pytest.raises(NonFiniteError, match="real image 2 of 4"):
        RealPatches(fake)
    with pytest.raises(NonFiniteError, match="image 2 of 4"):
        sample_spread(fake)


def test_counts_that_measure_nothing_are_refused():
    with pytest.raises(InputError, match="0 directions"):
        RealPatches(images(4), directions=0)
    with pytest.raises(InputError, match="two disjoint sets of 3 need 6 real images"):
        real_floor(images(4), 3)
    with pytest.raises(InputError, match="at least 2"):
        real_floor(images(4), 2, splits=1, directions=4)


@pytest.mark.gpu
def test_a_gpu_gives_the_same_distance():
    real, fake = images(40, dtype=torch.float32), images(40, seed=1, dtype=torch.float32).sign()
    expected = sliced_wasserstein(real, fake).value
    assert sliced_wasserstein(real.cuda(), fake.cuda()).value == pytest.approx(expected, rel=1e-4)

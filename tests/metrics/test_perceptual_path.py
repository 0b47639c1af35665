"""Path length: closed forms, shared noise, protocol names, and bad input."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.metrics.catalogue import parse_metrics
from riemann_noise_pytorch.metrics.distances import Distance, PyramidDistance
from riemann_noise_pytorch.metrics.perceptual_path import lerp, perceptual_path_length, slerp
from riemann_noise_pytorch.noise.control import off
from riemann_noise_pytorch.noise.layers import EuclideanNoise
from riemann_noise_pytorch.statistics.sampling import Processes

PYRAMID = PyramidDistance()


def matrix(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


class SmallGenerator(nn.Module):
    """A generator of 8x8 images with noise of standard deviation 0.01, and a mapping to w."""

    z_dim = 16

    def __init__(self, dtype=torch.float64, channels=1):
        super().__init__()
        self.noise = EuclideanNoise(strength=0.01, planes="per_channel", dtype=dtype)
        self.first = nn.Parameter(matrix(16, 16, dtype=dtype) / 4)
        self.second = nn.Parameter(matrix(16, 8 * 64, seed=1, dtype=dtype) / 4)
        self.third = nn.Parameter(matrix(channels, 8, 3, 3, seed=2, dtype=dtype) / 8)

    def mapping(self, z):
        return (z @ self.first).tanh()

    def synthesis(self, w):
        x = self.noise((w @ self.second).view(-1, 8, 8, 8).tanh())
        return nn.functional.conv2d(x, self.third, padding=1).tanh()

    def forward(self, z):
        return self.synthesis(self.mapping(z))


class Perceptual(Distance):
    """Stands for LPIPS by its published weights."""

    name, official = "LPIPS-VGG16", True

    def forward(self, first, second):
        return (first - second).square().sum(dim=(1, 2, 3))


class LinearGenerator(nn.Module):
    z_dim = 6

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(matrix(6, 16 * 16))

    def forward(self, z):
        return (z @ self.weight).view(-1, 1, 16, 16)


def measure(generator, **settings):
    return perceptual_path_length(
        generator, **{"distance": PYRAMID, "num_pairs": 200, "batch": 50, **settings}
    )


def test_a_linear_generator_has_its_closed_form_on_straight_paths():
    """d is a quadratic form q of the images, so d / eps^2 = q(W(b - a)), of mean 2 sum_i q(W e_i)."""
    generator = LinearGenerator()
    expected = (
        2 * PYRAMID(generator(torch.eye(6, dtype=torch.float64)), torch.zeros(6, 1, 16, 16)).sum().item()
    )
    result = measure(
        generator, interpolation="lerp", num_pairs=4000, batch=1000, percentiles=(0.0, 100.0), level=0.999
    )
    assert result.interval.low <= expected <= result.interval.high
    assert result.interval.high - result.interval.low < 0.1 * expected


def test_the_step_does_not_matter_to_a_linear_generator():
    generator = LinearGenerator()
    values = [measure(generator, interpolation="lerp", epsilon=eps).values for eps in (1e-2, 1e-4)]
    assert torch.allclose(*values, rtol=1e-8)


def test_straight_paths_of_a_linear_generator_are_alike_at_both_samplings():
    full, end = (measure(LinearGenerator(), interpolation="lerp", sampling=s).values for s in ("full", "end"))
    assert torch.allclose(full, end, rtol=1e-8)


def test_round_paths_have_the_speed_of_their_angle():
    """On the sphere of radius sqrt(n) the speed is sqrt(n) times the angle; the identity shows it."""

    class Norm(Distance):
        name = "squared norm"

        def forward(self, first, second):
            return (first - second).square().sum(dim=(1, 2, 3))

    n = 4000
    values = measure(
        lambda z: z.view(-1, 1, 1, 3).double(), z_dim=3, distance=Norm(), num_pairs=n, batch=n
    ).values
    angles = values.div(3).sqrt()
    assert angles.max() < math.pi + 0.01
    assert float(angles.mean()) == pytest.approx(math.pi / 2, abs=0.05)  # two random directions in space
    assert float(angles.cos().mean()) == pytest.approx(0, abs=0.05)


def test_slerp_joins_its_ends_at_constant_speed():
    a, b = matrix(5, 7), matrix(5, 7, seed=1)
    radius = math.sqrt(7)
    ends = [radius * nn.functional.normalize(x, dim=1) for x in (a, b)]
    for t, end in zip((0.0, 1.0), ends, strict=True):
        assert torch.allclose(slerp(a, b, torch.full((5, 1), t, dtype=torch.float64)), end)
    path = torch.stack([slerp(a, b, torch.full((5, 1), k / 8, dtype=torch.float64)) for k in range(9)])
    steps = path.diff(dim=0).norm(dim=2)
    assert torch.allclose(steps, steps[:1].expand_as(steps))
    assert torch.allclose(path.norm(dim=2), torch.full((9, 5), radius, dtype=torch.float64))


def test_slerp_does_not_see_lengths_and_is_the_textbooks_formula():
    a, b, t = matrix(5, 7), matrix(5, 7, seed=1), torch.rand(5, 1, dtype=torch.float64)
    assert torch.allclose(slerp(3 * a, 0.2 * b, t), slerp(a, b, t))
    u, v = nn.functional.normalize(a, dim=1), nn.functional.normalize(b, dim=1)
    angle = (u * v).sum(dim=1, keepdim=True).acos()
    textbook = (u * ((1 - t) * angle).sin() + v * (t * angle).sin()) / angle.sin()
    assert torch.allclose(slerp(a, b, t), math.sqrt(7) * textbook)


def test_slerp_of_equal_ends_stays_there():
    a = matrix(5, 7)
    stays = slerp(a, 2 * a, torch.full((5, 1), 0.3, dtype=torch.float64))
    assert torch.allclose(stays, math.sqrt(7) * nn.functional.normalize(a, dim=1))


def test_lerp_takes_latents_with_rows():
    a, b = matrix(2, 3, 4), matrix(2, 3, 4, seed=1)
    assert torch.allclose(lerp(a, b, torch.tensor([[0.0], [0.25]]).double())[1], 0.75 * a[1] + 0.25 * b[1])


def inside(result, other):
    return other.interval.low <= result.value <= other.interval.high


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("space", ["z", "w"])
def test_noise_does_not_reach_the_path_length(dtype, space):
    generator = SmallGenerator(dtype)
    noisy, other = (measure(generator, space=space, num_pairs=500, noise_seed=seed) for seed in (0, 7))
    with off(generator):
        generator.noise.a.data.zero_()
        quiet = measure(generator, space=space, num_pairs=500)
    for result in (noisy, other):
        assert inside(result, quiet)
        assert inside(quiet, result)


def test_naive_pairing_would_be_off_by_more_than_1000_times():
    generator = SmallGenerator().eval()
    shared = measure(generator, sampling="end", interpolation="lerp")
    a, b = matrix(200, 16, seed=5), matrix(200, 16, seed=6)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        naive = PYRAMID(generator(a), generator(a + 1e-4 * (b - a))).mean() / 1e-8
    assert naive > 1000 * shared.interval.high


def test_images_rounded_to_8_bits_would_be_off():
    """Why float images are asked for: rounding hides small steps and magnifies the rest."""
    generator = SmallGenerator()

    def rounded(z):
        return ((generator(z) * 127.5 + 128).floor().clamp(0, 255) - 127.5) / 127.5

    with off(generator):
        exact, coarse = measure(generator).value, measure(rounded, z_dim=16, module=generator).value
    assert coarse > 10 * exact


def test_the_filter_keeps_values_between_the_percentiles():
    result = measure(SmallGenerator(), num_pairs=1000)
    values = result.values.numpy()
    low, high = np.percentile(values, 1, method="lower"), np.percentile(values, 99, method="higher")
    kept = values[(values >= low) & (values <= high)]
    assert result.kept == len(kept) < 1000
    assert result.value == pytest.approx(kept.mean(), rel=1e-12)
    assert result.interval.low < result.value < result.interval.high
    assert len(values) == 1000


@pytest.mark.parametrize("space", ["z", "w"])
def test_batch_size_changes_nothing(space):
    values = [
        measure(SmallGenerator(), batch=batch, space=space, num_pairs=120).value for batch in (1, 7, 120)
    ]
    assert values[1:] == pytest.approx(values[:1] * 2, rel=1e-6)


def test_batch_size_changes_float32_only_by_rounding():
    values = [measure(SmallGenerator(torch.float32), batch=batch).value for batch in (3, 200)]
    assert values[0] == pytest.approx(values[1], rel=1e-3)


def test_processes_share_the_work_and_agree():
    generator, sent, seen = SmallGenerator(), [], []
    whole = measure(generator, num_pairs=101)
    for rank in (0, 1):

        def gather(share):
            sent.append(share)
            return torch.cat([sent[0], sent[-1]])

        result = measure(
            generator, num_pairs=101, processes=Processes(rank, 2, gather),
            progress=lambda *counts: seen.append(counts),
        )  # fmt: skip
    assert result.value == pytest.approx(whole.value, rel=1e-9)
    assert seen == [(50, 51), (51, 51), (50, 50)]


def test_float32_agrees_with_float64():
    generator = SmallGenerator()
    exact = measure(generator).value
    assert measure(generator.float()).value == pytest.approx(exact, rel=1e-3)


def test_a_function_around_a_module_shares_its_noise():
    generator = SmallGenerator()
    wrapped = measure(lambda z: 1.0 * generator(z), z_dim=16, module=generator)
    assert wrapped.value == measure(generator).value


def test_w_is_the_space_of_the_mapping():
    generator = SmallGenerator()
    synthesis = generator.synthesis

    class FromW(nn.Module):
        def forward(self, w):
            return synthesis(w)

    generator_w = measure(generator, space="w", sampling="end")
    assert generator_w.value != pytest.approx(measure(generator, sampling="end").value, rel=0.05)


def test_an_identity_mapping_makes_w_equal_z_on_straight_paths():
    generator = SmallGenerator()
    generator.mapping = lambda z: z
    for sampling in ("full", "end"):
        z, w = (measure(generator, space=s, interpolation="lerp", sampling=sampling) for s in "zw")
        assert torch.allclose(z.values, w.values, rtol=1e-6)


def test_the_crop_is_that_of_faces():
    class Seen(Distance):
        name = "what is seen"

        def forward(self, first, second):
            shapes.append(tuple(first.shape[1:]))
            assert torch.equal(first[0], expected)
            return (first - second).square().sum(dim=(1, 2, 3))

    shapes, picture = [], torch.arange(32.0 * 32).view(1, 1, 32, 32)
    expected = picture[0, :, 12:28, 8:24]
    measure(lambda z: picture.expand(len(z), -1, -1, -1), z_dim=2, distance=Seen(), crop=True)
    assert set(shapes) == {(1, 16, 16)}


@pytest.mark.parametrize(
    ("size", "crop", "expected"),
    [(512, False, 256), (600, False, 300), (300, False, 300), (512, True, 256), (1024, True, 256)],
)
def test_large_images_are_averaged_down_after_the_crop_and_before_the_distance(size, crop, expected):
    class Seen(Distance):
        name = "what is seen"

        def forward(self, first, second):
            seen.append(first[0])
            return (first - second).square().sum(dim=(1, 2, 3))

    seen, picture = [], torch.rand(1, 1, size, size)
    measure(
        lambda z: picture.expand(len(z), -1, -1, -1),
        z_dim=2,
        distance=Seen(),
        num_pairs=2,
        percentiles=(0.0, 100.0),
        crop=crop,
    )
    eighth, left = size // 8, picture[0]
    if crop:
        left = left[:, 3 * eighth : 7 * eighth, 2 * eighth : 6 * eighth]
    factor = left.shape[1] // expected
    blocks = left[:, : expected * factor, : expected * factor]
    mean = blocks.reshape(1, expected, factor, expected, factor).mean(dim=(2, 4))
    assert seen[0].shape == mean.shape
    assert torch.allclose(seen[0], mean, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "key", "protocol"),
    [
        ({}, "2_zfull", "200 pairs, slerp, eps 1e-4, whole image"),
        ({"sampling": "end"}, "2_zend", "200 pairs, slerp, eps 1e-4, whole image"),
        ({"crop": True}, "_zfull", "200 pairs, slerp, eps 1e-4, face crop"),
        ({"interpolation": "lerp"}, "2_dcgan", "200 pairs, lerp, eps 1e-4, whole image"),
        ({"interpolation": "lerp", "crop": True}, "_dcgan", "200 pairs, lerp, eps 1e-4, face crop"),
        (
            {"sampling": "end", "interpolation": "lerp"},
            "2_dcgan_end",
            "200 pairs, lerp, eps 1e-4, whole image",
        ),
        ({"space": "w", "crop": True}, "_wfull", "200 pairs, lerp, eps 1e-4, face crop"),
        ({"space": "w", "sampling": "end", "crop": True}, "_wend", "200 pairs, lerp, eps 1e-4, face crop"),
        ({"space": "w", "sampling": "end"}, "2_wend", "200 pairs, lerp, eps 1e-4, whole image"),
        ({"epsilon": 0.01, "num_pairs": 1000}, "2_zfull", "1,000 pairs, slerp, eps 1e-2, whole image"),
        ({"epsilon": 2.5e-4}, "2_zfull", "200 pairs, slerp, eps 2.5e-4, whole image"),
    ],
)
def test_names_state_the_protocol_and_no_perception_without_lpips(settings, key, protocol):
    result = measure(SmallGenerator(), **settings)
    assert result.key == f"pl{key}"
    assert result.name == f"pl{key} (pyramid distance, {protocol}, float64)"
    single = measure(SmallGenerator(torch.float32), **settings)
    assert (single.key, single.name) == (f"pl{key}", f"pl{key} (pyramid distance, {protocol})")
    perceptual = measure(SmallGenerator(torch.float32), distance=Perceptual(), **settings)
    assert (perceptual.key, perceptual.name) == (f"ppl{key}", f"ppl{key} (LPIPS-VGG16, {protocol})")


def test_names_are_those_of_the_catalogue():
    for name in ("ppl_zfull", "ppl2_zend", "ppl_wfull", "ppl2_wend", "ppl_dcgan", "ppl2_dcgan"):
        (metric,) = parse_metrics(name)
        settings = {each: getattr(metric, each) for each in ("space", "sampling", "interpolation", "crop")}
        assert measure(SmallGenerator(), distance=Perceptual(), **settings).key == name


def test_a_distance_of_ones_own_is_not_official():
    class Own(Distance):
        name = "own"

        def forward(self, first, second):
            return (first - second).square().sum(dim=(1, 2, 3))

    assert measure(SmallGenerator(), distance=Own()).name.startswith("pl2_zfull (own, ")


def test_names_tell_of_labels_and_given_latents():
    generator = SmallGenerator(torch.float32)
    latents = torch.randn(2, 200, 16, generator=torch.Generator().manual_seed(0)).unbind()
    name = measure(generator, latents=latents, num_pairs=None).name
    assert name == "pl2_zfull (pyramid distance, 200 pairs, slerp, eps 1e-4, whole image, given latents)"
    labelled = measure(
        lambda z, labels: generator(z) * (1 + labels.view(-1, 1, 1, 1)), module=generator, z_dim=16,
        labels=lambda first, n: torch.arange(first, first + n) % 2,
    )  # fmt: skip
    assert labelled.name.endswith("whole image, given labels)")
    plain = measure(generator).values
    assert torch.allclose(labelled.values[0::2], plain[0::2], rtol=1e-3)
    assert torch.allclose(labelled.values[1::2], 4 * plain[1::2], rtol=1e-3)


def test_given_latents_are_the_ends_of_the_paths():
    generator, a, b = LinearGenerator(), matrix(150, 6), matrix(150, 6, seed=1)
    result = measure(generator, latents=(a, b), interpolation="lerp", num_pairs=120)
    exact = PYRAMID(generator(b - a), torch.zeros(150, 1, 16, 16, dtype=torch.float64))
    assert torch.allclose(result.values, exact[:120], rtol=1e-7)


def test_the_distance_is_not_moved_but_copied():
    class Weighted(Distance):
        name = "weighted"

        def __init__(self):
            super().__init__()
            self.register_buffer("weight", torch.ones(1))

        def forward(self, first, second):
            assert self.weight.dtype == torch.float64
            return (self.weight * (first - second)).square().mean(dim=(1, 2, 3))

    distance = Weighted()
    measure(SmallGenerator(), distance=distance)
    assert distance.weight.dtype == torch.float32


def test_the_generator_is_left_as_it_was():
    generator, state = SmallGenerator(), torch.get_rng_state()
    before = generator.noise.source
    measure(generator)
    assert generator.training
    assert generator.noise.source is before
    assert torch.equal(torch.get_rng_state(), state)


def test_a_pair_that_is_not_finite_is_named():
    generator, calls = SmallGenerator(), []

    def breaks(z):
        calls.append(len(z))
        images = generator.synthesis(generator.mapping(z))
        return images * torch.nan if len(calls) > 6 else images

    with pytest.raises(NonFiniteError, match="pair 100 of 200"):
        measure(lambda z: breaks(z.double()), z_dim=16)


def test_a_distance_that_hides_nan_does_not_hide_the_images():
    class Blind(Distance):
        name = "blind"

        def forward(self, first, second):
            return torch.zeros(len(first))

    with pytest.raises(NonFiniteError, match="pair 0 of 200"):
        measure(lambda z: z.view(-1, 1, 2, 2) * torch.nan, z_dim=4, distance=Blind())


@pytest.mark.parametrize(
    ("settings", "cause"),
    [
        ({"z_dim": 5}, "z_dim is 5, but the generator's latents have 16"),
        ({"epsilon": 0.0}, "epsilon must lie between"),
        ({"epsilon": 0.2}, "epsilon must lie between"),
        ({"epsilon": float("nan")}, "epsilon must lie between"),
        ({"num_pairs": 99}, "99 pairs are too few"),
        ({"num_pairs": 1, "percentiles": (0.0, 100.0)}, "too few"),
        ({"percentiles": (99.0, 1.0)}, "percentiles"),
        ({"batch": 0}, "batch"),
        ({"sampling": "ful"}, "unknown sampling 'ful'; did you mean 'full'"),
        ({"interpolation": "cubic"}, "unknown interpolation"),
        ({"space": "w+"}, "unknown space"),
        ({"space": "w", "interpolation": "slerp"}, "w is not a sphere"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, cause):
    with pytest.raises(InputError, match=cause):
        measure(SmallGenerator(), **settings)


@pytest.mark.parametrize(
    ("generator", "settings", "cause"),
    [
        (lambda z: z.view(-1, 1, 4, 4), {}, "give z_dim"),
        (lambda z: z.view(-1, 1, 4, 4), {"z_dim": 0}, "positive integer"),
        (lambda z: z.view(-1, 1, 4, 4), {"z_dim": 16, "space": "w"}, "no mapping and synthesis"),
        (LinearGenerator().weight.new_zeros(3).add, {"z_dim": 7}, "does not take one torch.float32 tensor"),
        (lambda z: z, {"z_dim": 16}, "not images"),
        (SmallGenerator(torch.bfloat16), {}, "too coarse"),
        (lambda z: z.view(-1, 1, 4, 4).half(), {"z_dim": 16}, "float16"),
        (lambda z: z.view(-1, 1, 4, 4).half().float(), {"z_dim": 16}, "computes in torch.float16"),
        (lambda z: (z.view(-1, 1, 4, 4) * 50 + 128).byte(), {"z_dim": 16}, "returns torch.uint8"),
        (lambda z: z.view(-1, 1, 4, 4), {"z_dim": 16, "dtype": torch.float64}, "function cannot be copied"),
        (SmallGenerator(), {"dtype": torch.bfloat16}, "cannot be taken in torch.bfloat16"),
        (SmallGenerator(), {"latents": (torch.ones(200, 16), torch.ones(99, 16))}, "no ends of paths"),
        (SmallGenerator(), {"latents": (torch.ones(200, 16), torch.nan * torch.ones(200, 16))}, "finite"),
        (SmallGenerator(), {"latents": (torch.ones(150, 16),) * 2}, "200 pairs need as many latents"),
        (SmallGenerator(), {"latents": (torch.ones(200, 5),) * 2}, "z_dim is 5, but"),
    ],
)
def test_generators_that_do_not_fit_are_refused(generator, settings, cause):
    with pytest.raises(InputError, match=cause):
        measure(generator, **settings)

"""Eq. 19: condition numbers of known maps, of generators with noise, and of bad input."""

import math

import numpy as np
import pytest
import torch
from scipy import special
from torch import nn

from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.geometry.condition import condition_number, condition_numbers, tail_key
from riemann_noise_pytorch.noise.control import off
from riemann_noise_pytorch.noise.layers import EuclideanNoise
from riemann_noise_pytorch.noise.pairs import counted_normal
from riemann_noise_pytorch.seeds import derive
from riemann_noise_pytorch.statistics.sampling import Processes


class Linear(nn.Module):
    def __init__(self, matrix):
        super().__init__()
        self.register_buffer("matrix", matrix)

    def forward(self, z):
        return z @ self.matrix.T


class SmallGenerator(nn.Module):
    """A generator of 8x8 images with noise of standard deviation 0.01 between two convolutions."""

    z_dim = 16

    def __init__(self, dtype=torch.float64):
        super().__init__()
        rng = torch.Generator().manual_seed(0)
        self.fc = nn.Linear(16, 8 * 16, dtype=dtype)
        self.conv = nn.Conv2d(8, 8, 3, padding=1, dtype=dtype)
        self.noise = EuclideanNoise(strength=0.01, planes="per_channel", dtype=dtype)
        self.to_image = nn.Conv2d(8, 1, 3, padding=1, dtype=dtype)
        for parameter in (p for layer in (self.fc, self.conv, self.to_image) for p in layer.parameters()):
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 1
            noise = torch.randn(parameter.shape, generator=rng, dtype=dtype)
            parameter.data = noise * (fan_in**-0.5 if parameter.ndim > 1 else 0.1)

    def forward(self, z):
        x = self.fc(z).view(-1, 8, 4, 4).tanh()
        x = nn.functional.interpolate(x, scale_factor=2)
        return self.to_image(self.noise(self.conv(x)).tanh()).tanh()


def literal_eq19(x, d, image, moved):
    def norm(values):
        return math.sqrt(sum(v * v for v in values))

    change = norm([a - b for a, b in zip(image, moved, strict=True)]) / norm(image)
    return change / (norm(d) / norm(x))


def test_eq19_literal_transcription():
    rng = torch.Generator().manual_seed(0)
    x, d = (torch.randn(5, 3, 2, generator=rng, dtype=torch.float64) for _ in range(2))
    image, moved = (torch.randn(5, 1, 4, 4, generator=rng, dtype=torch.float64) for _ in range(2))
    ours = condition_number(x, d, image, moved)
    for i in range(5):
        row = [t[i].flatten().tolist() for t in (x, d, image, moved)]
        assert float(ours[i]) == pytest.approx(literal_eq19(*row), rel=1e-13)


def test_eq19_an_orthogonal_map_has_condition_1():
    q, _ = torch.linalg.qr(
        torch.randn(32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    )
    result = condition_numbers(Linear(q), 32, num_pairs=500)
    assert (result.values - 1).abs().max() < 1e-10
    assert result.mc.value == pytest.approx(1, abs=1e-10)
    assert result.ttmc.value == pytest.approx(1, abs=1e-10)


def test_eq19_an_orthogonal_map_has_condition_1_in_float32():
    q, _ = torch.linalg.qr(torch.randn(32, 32, generator=torch.Generator().manual_seed(0)))
    assert (condition_numbers(Linear(q), 32, num_pairs=500).values - 1).abs().max() < 0.01


def test_eq19_gain_does_not_matter():
    matrix = torch.randn(20, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    plain = condition_numbers(Linear(matrix), 8, num_pairs=200).values
    assert torch.allclose(condition_numbers(Linear(1000 * matrix), 8, num_pairs=200).values, plain, rtol=1e-9)


@pytest.mark.parametrize("n", [2, 5, 20])
def test_eq19_a_diagonal_map_lies_between_its_extremes(n):
    diagonal = torch.arange(1, n + 1, dtype=torch.float64)
    values = condition_numbers(Linear(torch.diag(diagonal)), n, num_pairs=500).values
    assert values.min() >= 1 / n - 1e-9
    assert values.max() <= n + 1e-9
    first, last = torch.eye(n, dtype=torch.float64)[[0]], torch.eye(n, dtype=torch.float64)[[-1]]
    step = 1e-4 * last
    extreme = condition_number(first, step, first * diagonal, (first + step) * diagonal)
    assert float(extreme) == pytest.approx(n, rel=1e-9)


def test_eq19_the_mean_of_diag_1_2_has_its_closed_form():
    """Points and steps have independent uniform angles: the mean is a product of elliptic integrals."""
    matrix = torch.diag(torch.tensor([1.0, 2.0], dtype=torch.float64))
    result = condition_numbers(Linear(matrix), 2, num_pairs=10_000, batch=5000, level=0.999)
    truth = (2 / math.pi) ** 2 * special.ellipe(-3) * special.ellipk(-3)
    assert result.mc.low <= truth <= result.mc.high
    assert result.mc.high - result.mc.low < 0.05 * truth


def test_eq19_small_steps_converge_to_the_jacobian():
    """The error of the difference quotient falls with the first power of the step."""
    generator, rng = SmallGenerator(), torch.Generator().manual_seed(1)
    x, direction = (torch.randn(4, 16, generator=rng, dtype=torch.float64) for _ in range(2))
    with off(generator):
        image, tangent = torch.autograd.functional.jvp(generator, x, direction)
    with off(generator), torch.no_grad():
        exact = condition_number(x, direction, image, image + tangent)
        errors = [
            (condition_number(x, h * direction, image, generator(x + h * direction)) - exact).abs().max()
            for h in (1e-3, 1e-4)
        ]
    assert math.log10(errors[0] / errors[1]) == pytest.approx(1, abs=0.1)


def test_top_2_percent_is_the_mean_of_the_largest():
    result = condition_numbers(SmallGenerator(), num_pairs=1000, batch=250)
    values = np.sort(result.values.numpy())
    assert result.ttmc.value == pytest.approx(values[-20:].mean(), rel=1e-12)
    assert result.mc.value == pytest.approx(values.mean(), rel=1e-12)
    assert result.mc.low < result.mc.value < result.mc.high
    assert result.ttmc.low < result.ttmc.value < result.ttmc.high


def test_names_state_the_protocol():
    small = condition_numbers(Linear(torch.eye(2)), 2, num_pairs=2000, batch=2000)
    assert small.mc_name == "MC (z, 2,000 pairs, std 0.0001)"
    assert small.ttmc_name == "mean of the top 2 % (z, 2,000 pairs, std 0.0001)"


def test_ttmc_is_the_mean_of_the_largest_1000_of_50000():
    full = condition_numbers(Linear(torch.diag(torch.tensor([1.0, 2.0]))), 2, batch=25_000)
    assert full.ttmc_name == "TTMC (z, 50,000 pairs, std 0.0001)"
    assert full.ttmc.value == pytest.approx(full.values.topk(1000).values.mean().item(), rel=1e-12)


def overlap(a, b):
    return a.low <= b.value <= a.high and b.low <= a.value <= b.high


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_noise_does_not_reach_the_condition_numbers(dtype):
    generator = SmallGenerator(dtype)
    noisy = condition_numbers(generator, num_pairs=500, batch=100)
    other = condition_numbers(generator, num_pairs=500, batch=100, noise_seed=99)
    with off(generator):
        generator.noise.a.data.zero_()
        quiet = condition_numbers(generator, num_pairs=500, batch=100)
    for result in (noisy, other):
        assert overlap(result.mc, quiet.mc)
        assert overlap(result.ttmc, quiet.ttmc)


class Calm(nn.Module):
    """Images far from zero that hardly depend on the latent, as those of trained generators often are."""

    z_dim = 16

    def __init__(self):
        super().__init__()
        rng = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(16, 64, generator=rng, dtype=torch.float64) / 4)
        self.noise = EuclideanNoise(strength=0.01, dtype=torch.float64)

    def forward(self, z):
        return self.noise(0.5 + 0.05 * (z @ self.weight).tanh().view(-1, 1, 8, 8))


def test_naive_pairing_would_be_off_by_more_than_1000_times():
    generator = Calm().eval()
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(500, 16, generator=rng, dtype=torch.float64)
    d = 1e-4 * torch.randn(500, 16, generator=rng, dtype=torch.float64)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        naive = condition_number(x, d, generator(x), generator(x + d)).mean()
    shared = condition_numbers(generator, x)
    with off(generator):
        quiet = condition_numbers(generator, x)
    assert overlap(shared.mc, quiet.mc)
    assert naive > 1000 * shared.mc.high


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-3)])
def test_batch_size_changes_nothing(dtype, tolerance):
    """In float32, up to the rounding of the network's own arithmetic (1e-7) divided by the step (1e-4)."""
    results = [condition_numbers(SmallGenerator(dtype), num_pairs=200, batch=batch) for batch in (1, 7, 200)]
    for result in results[1:]:
        assert result.mc.value == pytest.approx(results[0].mc.value, rel=tolerance)
        assert result.ttmc.value == pytest.approx(results[0].ttmc.value, rel=tolerance)


def test_seeds_change_points_and_noise():
    generator = SmallGenerator()
    first = condition_numbers(generator, num_pairs=100).values
    assert torch.equal(condition_numbers(generator, num_pairs=100).values, first)
    assert not torch.equal(condition_numbers(generator, num_pairs=100, seed=1).values, first)
    assert not torch.equal(condition_numbers(generator, num_pairs=100, noise_seed=1).values, first)


def test_given_points_may_have_rows_for_layers():
    """Steps in w+ differ from layer to layer, even where the points are equal."""
    ws = torch.randn(100, 1, 4, generator=torch.Generator().manual_seed(0)).repeat(1, 3, 1)
    difference = condition_numbers(lambda w: (w[:, 0] - w[:, 1] + 1).view(-1, 1, 2, 2), ws)
    assert (difference.values > 0).all()


class Mapped(nn.Module):
    """Three layers see a w of 4 values, which a linear mapping makes of z of 2; all is exact in float64."""

    z_dim, classes = 2, 0

    def __init__(self):
        super().__init__()
        rng = torch.Generator().manual_seed(0)
        self.to_w = nn.Parameter(torch.randn(2, 4, generator=rng, dtype=torch.float64))
        self.synthesis = Layers()

    def mapping(self, z):
        return z @ self.to_w

    def forward(self, z):
        return self.synthesis(self.mapping(z)[:, None].repeat(1, 3, 1))


class Layers(nn.Module):
    num_ws = 3

    def __init__(self):
        super().__init__()
        rng = torch.Generator().manual_seed(1)
        self.weights = nn.Parameter(torch.randn(3, 4, 16, generator=rng, dtype=torch.float64))

    def forward(self, ws):
        return torch.einsum("nlw,lwp->np", ws, self.weights).view(-1, 1, 4, 4)


def test_spaces_are_those_of_given_points():
    """The step of w is the same in all layers, that of w+ is not."""
    generator, z = Mapped(), condition_numbers(Mapped(), num_pairs=100)
    w = condition_numbers(generator, num_pairs=100, space="w")
    rows = condition_numbers(generator, num_pairs=100, space="w+")
    seed = derive(0, "condition", "points")
    points = generator.mapping(counted_normal(seed, 0, (100, 2))).detach()
    summed = generator.synthesis.weights.detach().sum(dim=0)
    by_hand = condition_numbers(Linear(summed.T), points, space="w")
    by_layers = condition_numbers(generator.synthesis, points[:, None].repeat(1, 3, 1), space="w+")
    assert torch.allclose(w.values, by_hand.values, rtol=1e-9)
    assert torch.allclose(rows.values, by_layers.values, rtol=1e-9)
    for space, result in (("z", z), ("w", w), ("w+", rows)):
        assert result.mc_name == f"MC ({space}, 100 pairs, std 0.0001, float64)"
    assert not torch.allclose(w.values, rows.values, rtol=0.1)


def test_a_condition_in_w_never_has_all_points_in_memory():
    generator, largest = Mapped(), 0

    def watch(module, args):
        nonlocal largest
        largest = max(largest, len(args[0]))

    generator.synthesis.register_forward_pre_hook(watch)
    condition_numbers(generator, num_pairs=1000, batch=10, space="w")
    assert largest == 10


@pytest.mark.parametrize("space", ["z", "w", "w+"])
def test_a_crop_leaves_the_face_alone(space):
    """Rows 3 to 6 and columns 2 to 5 of 8 count; what is beside them, be it huge, does not."""

    class Wide(Mapped):
        def __init__(self, border):
            super().__init__()
            self.synthesis = Bordered(border)

    class Bordered(Layers):
        def __init__(self, border):
            super().__init__()
            self.border = border

        def forward(self, ws):
            face = super().forward(ws)
            image = self.border * ws.square().sum(dim=(1, 2)).view(-1, 1, 1, 1).expand(-1, 1, 8, 8).clone()
            image[:, :, 3:7, 2:6] = face
            return image

    small = condition_numbers(Mapped(), num_pairs=100, space=space)
    for border in (0, 1e3):
        cropped = condition_numbers(Wide(border), num_pairs=100, space=space, crop=True)
        assert torch.allclose(cropped.values, small.values, rtol=1e-9)
        assert cropped.mc_name == f"MC ({space}, 100 pairs, std 0.0001, face crop, float64)"
        assert "face crop" in cropped.ttmc_name
    whole = condition_numbers(Wide(1e3), num_pairs=100, space=space)
    assert not torch.allclose(whole.values, small.values, rtol=0.1)


@pytest.mark.parametrize(
    ("generator", "cause"),
    [
        (lambda z: z.view(-1, 1, 4, 4), "images of 4x4 are too small for the crop to the face"),
        (lambda z: z, r"returns shape \(64, 16\), not images"),
    ],
)
def test_a_crop_needs_images_large_enough(generator, cause):
    with pytest.raises(InputError, match=cause):
        condition_numbers(generator, 16, num_pairs=100, crop=True)


def test_the_tail_is_ttmc_for_50000_pairs_alone():
    for key in ("mc50k_z", "mc50k_w+_crop", "mc_z"):
        assert tail_key(key, 50_000) == f"tt{key}"
        for other in (100, 1000, 49_999, 50_001):
            assert tail_key(key, other) == f"{key}_top2"


def test_classes_are_shared_by_both_members_and_named():
    def generator(z, labels):
        return z * (1 + labels.view(-1, 1))

    half = condition_numbers(
        generator, 8, num_pairs=100, labels=lambda first, n: torch.arange(first, first + n) % 2
    )
    assert half.mc.value == pytest.approx(1, rel=1e-2)
    assert half.mc_name == "MC (z, 100 pairs, std 0.0001, given labels)"


@pytest.mark.parametrize(
    ("generator", "settings", "cause"),
    [
        (Mapped(), {"space": "w++"}, "unknown space 'w\\+\\+'"),
        (Mapped(), {"space": "w", "std": 1.0}, "std must lie between"),
        (SmallGenerator(), {"space": "w"}, "no mapping and synthesis"),
        (lambda z: z, {"points": 4, "dtype": torch.float64}, "function cannot be copied"),
        (lambda z: (z * 100).byte(), {"points": 4}, "returns torch.uint8"),
        (lambda z: z.bfloat16().float(), {"points": 4}, "computes in torch.bfloat16 inside"),
    ],
)
def test_spaces_and_precisions_that_do_not_fit_are_refused(generator, settings, cause):
    with pytest.raises(InputError, match=cause):
        condition_numbers(generator, num_pairs=100, **settings)


def test_processes_and_progress():
    generator, sent, seen = SmallGenerator(), [], []
    whole = condition_numbers(generator, num_pairs=101, batch=20)
    for rank in (0, 1):

        def gather(share):
            sent.append(share)
            return torch.cat([sent[0], sent[-1]])

        result = condition_numbers(
            generator, num_pairs=101, batch=20, processes=Processes(rank, 2, gather),
            progress=lambda *counts: seen.append(counts),
        )  # fmt: skip
    assert torch.allclose(result.values, whole.values, rtol=1e-9)
    assert seen == [(20, 51), (40, 51), (51, 51), (20, 50), (40, 50), (50, 50)]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_images_that_are_not_finite_name_the_pair(bad):
    points = torch.ones(200, 4)
    points[130, 0] = -1

    def generator(z):
        return torch.where(z[:, :1] < 0, bad, z)

    with pytest.raises(NonFiniteError, match="pair 130 of 200"):
        condition_numbers(generator, points)


def test_a_mapping_that_is_not_finite_names_the_pair():
    generator = Mapped()
    generator.to_w.data[0, 0] = torch.nan
    with pytest.raises(NonFiniteError, match="pair 0 of 100"):
        condition_numbers(generator, num_pairs=100, space="w")


def test_an_image_that_is_zero_names_the_pair():
    with pytest.raises(NonFiniteError, match="zero everywhere"):
        condition_numbers(lambda z: (z - z).relu(), 4, num_pairs=100)


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        ({"points": 7}, "points is 7, but the generator's latents have 16"),
        ({"points": 0}, "positive integer"),
        ({"num_pairs": 99}, "99 pairs are too few"),
        ({"num_pairs": -5}, "too few"),
        ({"std": 0.0}, "std must lie between"),
        ({"std": 0.5}, "std must lie between"),
        ({"std": float("nan")}, "std must lie between"),
        ({"points": torch.ones(50, 16, dtype=torch.float64)}, "50 pairs are too few"),
        (
            {"points": torch.ones(150, 16, dtype=torch.float64), "num_pairs": 200},
            "200 pairs need as many points",
        ),
        ({"points": torch.full((100, 16), torch.nan)}, "with NaN"),
        ({"points": torch.ones(100, 16, dtype=torch.long)}, "torch.int64"),
        ({"points": torch.ones(100, 5, dtype=torch.float64)}, "does not take one torch.float.. tensor"),
        ({"batch": 0}, "batch"),
    ],
)
def test_settings_that_do_not_fit_are_refused(arguments, cause):
    with pytest.raises(InputError, match=cause):
        condition_numbers(
            SmallGenerator(), **{"num_pairs": 100, **arguments} if "points" not in arguments else arguments
        )


def test_a_callable_without_a_size_is_refused():
    with pytest.raises(InputError, match="positive integer"):
        condition_numbers(lambda z: z, num_pairs=100)


def test_half_precision_is_refused():
    with pytest.raises(InputError, match="too coarse"):
        condition_numbers(SmallGenerator(torch.bfloat16), num_pairs=100)

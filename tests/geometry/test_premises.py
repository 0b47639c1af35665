"""What Eq. 15 and its neighbours assume, measured on networks where it is known."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.geometry.premises import premises, rank_correlation, separation
from riemann_noise_pytorch.models.dcgan import DCGANGenerator
from riemann_noise_pytorch.models.initial import initialise
from riemann_noise_pytorch.models.latent_space import uniform_labels
from riemann_noise_pytorch.noise.control import frozen, noise_layers
from riemann_noise_pytorch.noise.layers import EuclideanNoise, RiemannNoise
from riemann_noise_pytorch.noise.presets import RIEMANN_PRESETS
from riemann_noise_pytorch.noise.switches import NORMS
from tests.reference import noise_injection as reference

PATTERN = torch.linspace(0.5, 2.0, 16, dtype=torch.float64).view(1, 1, 4, 4)


def dcgan(preset="paper", noise="riemannian"):
    generator = DCGANGenerator(16, channels=1, width=4, z_dim=8, noise=noise, riemann_preset=preset)
    initialise(generator, 0)
    rng = torch.Generator().manual_seed(0)
    for layer in noise_layers(generator).values():
        for parameter in layer.parameters():
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=rng)
    return generator


def test_rank_correlation_is_scipys():
    rng = torch.Generator().manual_seed(0)
    for levels in (1000, 5, 2):
        x, y = (torch.randint(levels, (60,), generator=rng).double() for _ in range(2))
        assert float(rank_correlation(x, y)) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    assert rank_correlation(torch.ones(9), torch.arange(9.0)).isnan()
    assert float(rank_correlation(torch.arange(9.0), -torch.arange(9.0).exp())) == -1


def test_eq15_parts_in_separate_places_are_orthogonal():
    s_v, mu = torch.zeros(3, 16), torch.randn(3, 5, 16, generator=torch.Generator().manual_seed(0))
    s_v[:, :4], mu[:, :, :4] = 1.0, 0.0
    cosine, overlap = separation(s_v, mu)
    assert not cosine.any()
    assert not overlap.any()


def test_eq15_a_channel_that_is_the_moving_part_has_cosine_1():
    s_v = torch.randn(3, 16, generator=torch.Generator().manual_seed(0))
    cosine, _ = separation(s_v, torch.stack([-2 * s_v, torch.zeros_like(s_v)], dim=1))
    assert torch.allclose(cosine, torch.ones(3))


def test_eq15_a_product_of_zero_asks_for_more_than_a_cosine_of_zero():
    s_v = torch.tensor([[1.0, -1.0, 1.0, -1.0]])
    cosine, overlap = separation(s_v, torch.ones(1, 2, 4))
    assert cosine.item() == 0
    assert overlap.item() == pytest.approx(1)


def test_eq15_independent_maps_have_the_cosine_of_chance():
    rng = torch.Generator().manual_seed(0)
    s_v, mu = torch.randn(50, 256, generator=rng), torch.randn(50, 64, 256, generator=rng)
    cosine, overlap = separation(s_v, mu)
    assert float(cosine.mean()) == pytest.approx(1 / 16, rel=0.05)
    assert float(overlap.mean()) == pytest.approx(1, rel=0.05)


def test_eq15_decomposition_of_a_layer_is_the_literal_one():
    rng = torch.Generator().manual_seed(0)
    layer = RiemannNoise(4, preset="paper", map_std=1.0, dtype=torch.float64)
    mu = torch.randn(2, 3, 4, 4, generator=rng)
    ours = layer.decomposition(mu.double())
    for i in range(2):
        s = reference.eq14(reference.eq13(mu[i].double().tolist()))
        theirs = reference.eq15(s, layer.A.tolist(), layer.b.tolist())
        assert ours[i, 0].tolist() == [pytest.approx(row, rel=1e-12) for row in theirs]


@pytest.mark.parametrize("preset", RIEMANN_PRESETS)
def test_eq15_decomposition_is_what_sigma_is_made_of(preset):
    layer = RiemannNoise(4, preset=preset, map_std=0.3, alpha=0.3, dtype=torch.float64)
    mu = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weight = layer.alpha if layer.settings.alpha_on == "affine" else 1 - layer.alpha
    sigma = NORMS[layer.settings.norm](layer.decomposition(mu), weight)
    assert torch.equal(sigma, layer.local_scale(mu))


def literal(generator, name, samples, draws):
    """Latent by latent and draw by draw, in NumPy."""
    layer, rows, seen = noise_layers(generator)[name], [], []
    hook = layer.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    latents = latents_of(generator, samples)
    for i in range(samples):
        seen.clear()
        images = []
        for k in range(draws):
            with frozen(generator, 0, first_sample=i * draws + k), torch.no_grad():
                images.append(generator(latents[i : i + 1])[0].numpy())
        with torch.no_grad():
            s_d = np.stack([layer.decomposition(mu)[0, 0].numpy() for mu in seen])
            sigma = np.mean([layer.local_scale(mu)[0, 0].numpy() for mu in seen], axis=0)
        mu = np.stack([mu[0].numpy() for mu in seen])
        s_v = s_d - s_d.mean(axis=0)
        cosines, overlaps = [], []
        for k in range(draws):
            each = [
                (s_v[k] * channel).sum() / math.sqrt((s_v[k] ** 2).sum() * (channel**2).sum())
                for channel in mu[k] if channel.any()
            ]  # fmt: skip
            cosines.append(np.sqrt(np.mean(np.square(each))))
            product = np.mean((s_v[k] * mu[k]) ** 2)
            overlaps.append(math.sqrt(product / (np.mean(s_v[k] ** 2) * np.mean(mu[k] ** 2))))
        moved = s_d.var(axis=0, ddof=1).sum() / (s_d**2).mean(axis=0).sum()
        image = np.stack(images).var(axis=0, ddof=1).sum(axis=0)
        size = sigma.shape[0]
        pooled = image.reshape(size, 16 // size, size, 16 // size).mean(axis=(1, 3))
        features = stats.spearmanr(sigma.ravel(), mu.var(axis=0, ddof=1).sum(axis=0).ravel()).statistic
        rows.append([moved, np.mean(cosines), np.mean(overlaps), features,
                     stats.spearmanr(sigma.ravel(), pooled.ravel()).statistic])  # fmt: skip
    hook.remove()
    return np.mean(rows, axis=0)


def latents_of(generator, samples):
    from riemann_noise_pytorch.geometry.indexed_images import indexed_images

    with indexed_images(generator) as source:
        return source.latents(0, samples)


def test_eq15_premises_are_those_of_a_literal_transcription():
    generator = dcgan().double().eval()
    last = premises(generator, samples=4, draws=6, batch=12)[-1]
    ours = [last.moved, last.cosine, last.overlap, last.features, last.image]
    truth = list(literal(generator, "stage8.noise", 4, 6))
    assert [each.value for each in ours] == pytest.approx(truth, rel=1e-9)
    assert (last.name, last.preset, last.shape) == ("stage8.noise", "paper", (4, 8, 8))
    assert (last.latents, last.draws) == (4, 6)
    assert last.chance == 1 / 8
    assert last.remark == ""


@pytest.mark.parametrize("dtype", [None, torch.float64])
def test_eq15_the_first_layer_cannot_move_its_own_s(dtype):
    first, second = premises(dcgan(), samples=8, draws=4, dtype=dtype)
    assert (first.moved.value, first.moved.high) == (0, 0)
    assert first.cosine is first.overlap is first.features is None
    assert first.image is not None
    assert first.remark == "no noise before this layer moves its features"
    assert 0 < second.moved.low < second.moved.value < second.moved.high <= 1
    assert second.remark == ""


class Planted(nn.Module):
    """One noise value an image, times a pattern: the deviation is the pattern, and sigma rises with it."""

    z_dim = 4

    def __init__(self, sign=1.0):
        super().__init__()
        self.early = EuclideanNoise(strength=0.1, dtype=torch.float64)
        self.late = RiemannNoise(4, w=0.0, b=0.0, dtype=torch.float64)
        self.late.b.data = sign * PATTERN[0, 0]
        self.early.requires_grad_(False)

    def forward(self, z):
        value = self.early(torch.ones(len(z), 1, 1, 1, dtype=torch.float64))
        content = 1 + z.double().sum(1).tanh().view(-1, 1, 1, 1) / 2
        return self.late(content * value * PATTERN)


@pytest.mark.parametrize("sign", [1.0, -0.4])
def test_a_sigma_that_follows_the_deviation_has_rank_correlation_1(sign):
    (layer,) = premises(Planted(sign), samples=8, draws=7)
    assert layer.features.value == pytest.approx(math.copysign(1, sign), abs=1e-12)
    assert layer.remark == "s_d does not depend on the features"
    assert (layer.moved.value, layer.cosine) == (0, None)


def test_a_constant_sigma_has_no_rank_correlation():
    generator = DCGANGenerator(16, channels=1, width=4, z_dim=8, noise="riemannian", noise_strength=0.5)
    initialise(generator, 0)
    first, second = premises(generator, samples=4, draws=4)
    assert first.remark == (
        "no noise before this layer moves its features; sigma is the same at all positions"
    )
    assert second.remark == "s_d does not depend on the features; sigma is the same at all positions"
    assert first.image is second.image is second.features is None


@pytest.mark.parametrize("preset", ["seed", "author-cat", "author-church"])
def test_presets_are_told(preset):
    assert {layer.preset for layer in premises(dcgan(preset), samples=2, draws=2)} == {preset}


def test_without_riemannian_noise_there_is_nothing_to_measure():
    assert premises(dcgan(noise="euclidean"), samples=2, draws=2) == ()
    assert premises(lambda z: z, 4) == ()


def test_neither_batch_nor_progress_changes_the_numbers():
    seen = []
    whole = premises(dcgan(), samples=6, draws=4, batch=64, dtype=torch.float64)
    parts = premises(
        dcgan(), samples=6, draws=4, batch=11, dtype=torch.float64,
        progress=lambda *counts: seen.append(counts),
    )  # fmt: skip
    assert seen == [(2, 6), (4, 6), (6, 6)]
    for a, b in zip(whole, parts, strict=True):
        assert a.moved.value == pytest.approx(b.moved.value, rel=1e-8)
        assert a.image.value == pytest.approx(b.image.value, rel=1e-8)


def test_sequences_and_classes_are_measured_too():
    class Sound(nn.Module):
        z_dim, classes = 6, 3

        def __init__(self):
            super().__init__()
            self.noises = nn.Sequential(*(RiemannNoise(preset="paper", norm="rms", r=1.0) for _ in range(2)))

        def forward(self, z, labels):
            return self.noises(z.view(-1, 1, 6) * (1 + labels.view(-1, 1, 1)))

    first, second = premises(Sound(), labels=uniform_labels(3), samples=4, draws=4)
    assert first.shape == (1, 6)
    assert second.moved.value > 0
    assert second.image is not None


def test_a_layer_that_is_called_twice_is_seen_at_its_first_call():
    class Twice(nn.Module):
        z_dim = 16

        def __init__(self):
            super().__init__()
            self.noise = RiemannNoise(preset="paper", r=1.0)

        def forward(self, z):
            return self.noise(nn.functional.interpolate(self.noise(z.view(-1, 1, 4, 4)), scale_factor=2))

    (layer,) = premises(Twice(), samples=4, draws=4)
    assert layer.shape == (1, 4, 4)
    assert layer.moved.value == 0


@pytest.mark.parametrize("level", [0.0, 1000.0])
def test_roundings_are_no_noise(level):
    class Rounded(nn.Module):
        """What BLAS may do: the last bits depend on the place in the batch."""

        z_dim = 16

        def __init__(self):
            super().__init__()
            self.noise = RiemannNoise(4, preset="paper", strength="own", w=0.0)

        def forward(self, z):
            places = 1 + 2e-7 * (torch.arange(len(z)) % 3).view(-1, 1, 1, 1)
            return self.noise((z.view(-1, 1, 4, 4) + level) * places)

    (layer,) = premises(Rounded(), samples=4, draws=4)
    assert layer.moved.value == 0
    assert layer.features is layer.image is None
    assert layer.remark == (
        "no noise before this layer moves its features; the image has no map that varies with the noise"
    )


def test_everything_is_put_back():
    generator = dcgan().train()
    state = torch.get_rng_state()
    premises(generator, samples=2, draws=2)
    assert generator.training
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(layer._forward_pre_hooks for layer in noise_layers(generator).values())


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        ({"samples": 1}, "samples must be at least 2"),
        ({"draws": 1}, "draws must be at least 2"),
        ({"draws": 20, "batch": 16}, "must hold all 20 draws"),
        ({"z_dim": 7}, "z_dim is 7"),
    ],
)
def test_settings_that_do_not_fit_are_refused(arguments, cause):
    with pytest.raises(InputError, match=cause) as caught:
        premises(dcgan(), **arguments)
    assert "\n" not in str(caught.value)


def test_a_layer_that_is_never_called_is_named():
    generator = dcgan()
    generator.add_module("unused", nn.Sequential())
    generator.unused.noise = RiemannNoise(4)
    generator.forward = nn.Sequential(generator.stage4, generator.stage8, generator.to_image).forward
    with pytest.raises(InputError, match=r"'unused.noise' is never called"):
        premises(generator, samples=2, draws=2)

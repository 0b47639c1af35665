"""The variance of images, split among latent, class and noise: known shares, and who shares what."""

import random

import pytest
import torch
from torch import nn

from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.geometry.attribution import FOREIGN, attribution
from riemann_noise_pytorch.models.dcgan import DCGANGenerator
from riemann_noise_pytorch.models.initial import initialise
from riemann_noise_pytorch.noise.control import frozen, noise_layers, off
from riemann_noise_pytorch.noise.layers import EuclideanNoise


class Bilinear(nn.Module):
    """x = a z + b e + c z e + d f at each of 16 places: terms without covariance, of variance a^2 ... d^2."""

    z_dim = 16

    def __init__(self, a=1.0, b=1.0, c=0.0, d=0.0):
        super().__init__()
        self.coefficients = (a, b, c)
        self.first = EuclideanNoise(strength=1.0, dtype=torch.float64)
        self.second = EuclideanNoise(strength=d, dtype=torch.float64)
        self.calls = []

    def forward(self, z):
        a, b, c = self.coefficients
        z = z.double().view(-1, 1, 4, 4)
        e, f = self.first(torch.zeros_like(z)), self.second(torch.zeros_like(z))
        self.calls.append((z, e, f))
        return a * z + b * e + c * z * e + f


def by_name(result):
    return {share.name: share for share in result.groups}


@pytest.mark.parametrize("coefficients", [(1, 1, 0, 0), (2, 1, 1, 0.5), (0.5, 1, 2, 1), (1, 0, 3, 0.1)])
def test_a_bilinear_generator_has_its_closed_form(coefficients):
    a, b, c, d = coefficients
    whole = a**2 + b**2 + c**2 + d**2
    result = attribution(Bilinear(*coefficients), samples=1000, batch=500)
    truth = {"latent": (a**2, a**2 + c**2), "first": (b**2, b**2 + c**2), "second": (d**2, d**2)}
    for name, (first, total) in truth.items():
        share = by_name(result)[name]
        assert abs(share.first - first / whole) <= 4 * share.first_error < 0.15
        assert abs(share.total - total / whole) <= 4 * share.total_error < 0.15
        assert share.first_interval.low <= share.first <= share.first_interval.high
    assert result.variance == pytest.approx(whole, rel=0.1)
    assert result.interaction == pytest.approx(c**2 / whole, abs=0.12)


def test_where_nothing_varies_there_is_no_interaction_either():
    result = attribution(Bilinear(0, 0, 0, 0), samples=32)
    assert [(share.first, share.total) for share in result.groups] == [(0, 0)] * 3
    assert result.interaction == 0


def test_shares_of_inputs_that_add_up_sum_to_one():
    result = attribution(Bilinear(1, 2, 0, 0.5), samples=2000, batch=1000)
    assert sum(share.first for share in result.groups) == pytest.approx(1, abs=0.05)
    assert sum(share.total for share in result.groups) == pytest.approx(1, abs=0.05)
    assert result.interaction == pytest.approx(0, abs=0.05)


def test_members_share_exactly_what_they_should():
    network = Bilinear(1, 1, 1, 1)
    attribution(network, samples=32, batch=32)
    first, second, *swapped = network.calls[-5:]
    for theirs, other in zip(first, second, strict=True):
        assert (theirs - other).abs().min() > 0
    for i, member in enumerate(swapped):
        for j, value in enumerate(member):
            assert torch.equal(value, second[j] if i == j else first[j])


def test_maps_show_where_each_group_acts():
    class Halves(Bilinear):
        def forward(self, z):
            noise = self.first(torch.zeros(len(z), 1, 4, 4, dtype=torch.float64))
            z = z.double().view(-1, 1, 4, 4)
            image = torch.cat([z[..., :2], 0 * noise[..., :1], noise[..., 3:]], dim=-1)
            return torch.cat([image, 2 * image], dim=1)

    result = attribution(Halves(), samples=400, batch=200)
    expected = torch.tensor([[1.0, 1, 0, 0]] * 4, dtype=torch.float64)
    assert torch.allclose(by_name(result)["latent"].maps, expected, atol=0.4)
    assert torch.allclose(by_name(result)["latent"].total_maps, expected, atol=0.4)
    noise = by_name(result)["first"].total_maps
    assert (noise[:, :3] == 0).all()
    assert torch.allclose(noise[:, 3], torch.ones(4, dtype=torch.float64), atol=0.4)
    assert result.variance_map.shape == (4, 4)
    assert (result.variance_map[:, 2] == 0).all()
    assert result.variance_map[:, :2].mean() == pytest.approx(2.5, rel=0.2)


def test_a_layer_of_strength_0_is_ignored_exactly():
    share = by_name(attribution(Bilinear(d=0), samples=64))["second"]
    assert share.ignored
    assert (share.first, share.total, share.first_error, share.total_error) == (0, 0, 0, 0)
    assert not share.maps.any()


def test_a_generator_that_ignores_its_latent_is_named():
    result = attribution(Bilinear(a=0, d=1), samples=64)
    assert result.ignores_latent
    assert by_name(result)["latent"].total == 0
    assert not attribution(Bilinear(a=0.01), samples=64).ignores_latent


def test_without_noise_the_latent_has_everything():
    result = attribution(lambda z: z.view(-1, 1, 4, 4).tanh(), 16, samples=64)
    (share,) = result.groups
    assert (share.name, share.first, share.total, share.first_error) == ("latent", 1, 1, 0)
    assert not share.ignored
    assert (share.maps == 1).all()
    assert result.forwards == 2 * 64 + 64


def test_a_generator_of_one_image_has_shares_of_zero():
    result = attribution(lambda z: torch.full((len(z), 1, 4, 4), 0.3), 16, samples=64)
    assert result.ignores_latent
    assert (result.variance, result.groups[0].total, result.groups[0].ignored) == (0, 0, True)


def test_the_cost_is_what_is_said():
    network = Bilinear()
    result = attribution(network, samples=100, batch=50)
    images = sum(len(z) for z, _, _ in network.calls)
    assert result.forwards == 64 + (3 + 2) * 100
    assert images <= result.forwards + 5 * 8  # the trial


class Drawing(nn.Module):
    """Noise of its own beside a layer of this package."""

    def __init__(self, own=1.0):
        super().__init__()
        self.own = own
        self.noise = EuclideanNoise(strength=1.0)
        self.seen = []

    def forward(self, z):
        z = z.view(-1, 1, 4, 4)
        drawn, noise = torch.randn_like(z), self.noise(torch.zeros_like(z))
        self.seen.append((z, noise, drawn))
        return z + noise + self.own * drawn


def test_noise_of_the_networks_own_is_one_group():
    network = Drawing()
    result = attribution(network, 16, samples=512, batch=512)
    assert [(share.name, share.kind) for share in result.groups] == [
        ("latent", "latent"), ("noise", "layer"), (FOREIGN, "foreign"),
    ]  # fmt: skip
    for share in result.groups:
        assert abs(share.first - 1 / 3) <= 4 * share.first_error
        assert abs(share.total - 1 / 3) <= 4 * share.total_error
    first, second, *swapped = network.seen[-5:]
    for i, member in enumerate(swapped):
        for j, value in enumerate(member):
            assert torch.equal(value, second[j] if i == j else first[j])


def test_own_noise_of_strength_0_is_ignored():
    assert by_name(attribution(Drawing(own=0.0), 16, samples=64))[FOREIGN].ignored


@pytest.mark.parametrize("held", [False, True])
def test_noise_inside_of_a_function_is_of_its_own(held):
    network = Drawing(own=0.0)
    shares = by_name(
        attribution(lambda z: 1.0 * network(z), 16, module=network if held else None, samples=64)
    )
    assert set(shares) == ({"latent", "noise", FOREIGN} if held else {"latent", FOREIGN})
    assert shares[FOREIGN].ignored == held


def test_what_the_caller_froze_or_switched_off_does_not_count():
    plain = attribution(Drawing(), 16, samples=64)
    network = Drawing()
    with frozen(network, 5), off(network, "noise"):
        assert [share.first for share in attribution(network, 16, samples=64).groups] == [
            share.first for share in plain.groups
        ]


class Classes(nn.Module):
    z_dim, classes = 4, 2

    def __init__(self, of_class=1.0):
        super().__init__()
        self.of_class = of_class

    def forward(self, z, labels):
        return z + self.of_class * (2.0 * labels.to(z).unsqueeze(1) - 1)


def test_classes_are_a_group_of_their_own():
    latent, of_class = attribution(Classes(), samples=1000, batch=500).groups
    assert (latent.name, of_class.name, of_class.kind) == ("latent", "class", "class")
    assert abs(of_class.total - 0.5) <= 4 * of_class.total_error
    assert abs(latent.first - 0.5) <= 4 * latent.first_error


def test_given_labels_are_used():
    def ones(first, count):
        return torch.ones(count, dtype=torch.int64)

    assert by_name(attribution(Classes(), labels=ones, samples=64))["class"].ignored
    with pytest.raises(InputError, match=r"return classes, int64 of shape \(8,\)"):
        attribution(Classes(), labels=lambda first, count: torch.ones(count), samples=64)


def test_names_of_layers_are_names_and_no_patterns():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = nn.ModuleDict(
                {"[ab]*?": EuclideanNoise(strength=1.0), "a": EuclideanNoise(strength=2.0)}
            )
            self.latent = EuclideanNoise(strength=0.0)

        def forward(self, z):
            for part in (*self.parts.values(), self.latent):
                z = part(z)
            return z

    result = attribution(Odd(), 8, samples=500, batch=500)
    assert [share.name for share in result.groups] == ["latent", "parts.[ab]*?", "parts.a", "latent"]
    assert [share.kind for share in result.groups] == ["latent", "layer", "layer", "layer"]
    for share, part in zip(result.groups, (1, 1, 4, 0), strict=True):
        assert abs(share.first - part / 6) <= 4 * share.first_error


def dcgan(noise, **settings):
    generator = DCGANGenerator(16, channels=1, width=4, z_dim=8, noise=noise, **settings)
    initialise(generator, 0)
    return generator


@pytest.mark.parametrize("noise", ["euclidean", "riemannian"])
def test_shares_of_a_dcgan(noise):
    generator = dcgan(noise, noise_strength=0.5)
    result = attribution(generator, samples=128, dtype=torch.float64)
    assert [share.name for share in result.groups] == ["latent", *noise_layers(generator)]
    for share in result.groups:
        assert share.maps.shape == (16, 16)
        assert share.first <= share.total + 4 * (share.first_error + share.total_error)
        assert share.total > 0


def test_neither_batch_nor_repetition_changes_the_shares():
    generator = dcgan("riemannian", noise_strength=0.5)
    whole, again, parts = (
        attribution(generator, samples=50, batch=n, dtype=torch.float64) for n in (50, 50, 7)
    )
    for a, b, c in zip(whole.groups, again.groups, parts.groups, strict=True):
        assert (a.first, a.total_interval) == (b.first, b.total_interval)
        assert a.first == pytest.approx(c.first, rel=1e-8)
        assert a.total_error == pytest.approx(c.total_error, rel=1e-8)
        assert torch.allclose(a.maps, c.maps, rtol=1e-6, atol=1e-10)
    assert attribution(generator, samples=50, seed=1).groups[0].first != whole.groups[0].first


def test_everything_is_put_back():
    generator = dcgan("euclidean").train()
    sources, state = [layer.source for layer in noise_layers(generator).values()], torch.get_rng_state()
    statistics = {name: buffer.clone() for name, buffer in generator.named_buffers()}
    attribution(generator, samples=32)
    assert generator.training
    assert [layer.source for layer in noise_layers(generator).values()] == sources
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(buffer, statistics[name]) for name, buffer in generator.named_buffers())


def test_progress_counts_samples():
    seen = []
    attribution(Bilinear(), samples=70, batch=32, progress=lambda *counts: seen.append(counts))
    assert seen == [(32, 70), (64, 70), (70, 70)]


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        ({"samples": 31}, "31 samples are too few"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"z_dim": 7}, "z_dim is 7, but the generator's latents have 16"),
        ({"dtype": torch.float16}, "float16"),
    ],
)
def test_settings_that_do_not_fit_are_refused(arguments, cause):
    with pytest.raises(InputError, match=cause) as caught:
        attribution(Bilinear(), **arguments)
    assert "\n" not in str(caught.value)


def test_generators_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="give z_dim"):
        attribution(lambda z: z)
    with pytest.raises(InputError, match="does not take"):
        attribution(nn.Linear(3, 3), 4)
    with pytest.raises(InputError, match="different images for the same latent"):
        attribution(lambda z: z + random.random(), 4)
    with pytest.raises(InputError, match="too coarse"):
        attribution(dcgan("none").bfloat16())


def test_an_image_that_is_not_finite_is_named():
    def generator(z):
        return torch.where(z[:, :1] > 2.5, torch.nan, z)

    with pytest.raises(NonFiniteError, match=r"the image of sample \d+ has NaN or infinity"):
        attribution(generator, 4, samples=1000)

"""Lemma 2: ranks of layers, where they were planted, and that they never grow along a chain."""

import copy
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
import torch
from torch import nn

from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.geometry.rank import rank_report
from riemann_noise_pytorch.geometry.rank_profile import _spectra, rank_profile
from riemann_noise_pytorch.geometry.spectrum import Columns, spectrum_of
from riemann_noise_pytorch.models.dcgan import DCGANGenerator
from riemann_noise_pytorch.models.stylegan2 import StyleGAN2Generator
from riemann_noise_pytorch.noise.layers import EuclideanNoise
from riemann_noise_pytorch.noise.pairs import counted_normal
from riemann_noise_pytorch.seeds import derive
from tests.geometry import operations
from tests.noise.networks import CASES


def linear(inputs, outputs, rank, seed):
    """A layer of a rank, whose singular values are 1."""
    generator = torch.Generator().manual_seed(seed)
    left, right = (
        torch.linalg.qr(torch.randn(n, rank, generator=generator, dtype=torch.float64)).Q
        for n in (outputs, inputs)
    )
    layer = nn.Linear(inputs, outputs, bias=False, dtype=torch.float64)
    layer.weight.data = left @ right.T
    return layer


def chain(*ranks, sizes):
    layers = zip(pairwise(sizes), ranks, strict=True)
    return nn.Sequential(*(linear(n, m, rank, seed) for seed, ((n, m), rank) in enumerate(layers)))


def ranks(profile):
    return [layer.rank for layer in profile.layers]


def test_lemma2_planted_drops_are_found_where_they_are():
    profile = rank_profile(chain(64, 48, 20, 20, sizes=(64, 80, 64, 100, 120)), 64, num_latents=2)
    assert ranks(profile) == [64, 48, 20, 20]
    assert [layer.name for layer in profile.layers] == ["0", "1", "2", "image"]
    assert not any(layer.ambiguous for layer in profile.layers)
    assert profile.inputs == profile.z_dim == 64
    assert profile.num_latents == len(profile.layers[0].reports) == 2
    assert (profile.mode, profile.remark, profile.sketched) == ("forward", "", False)
    assert profile.tolerance == "max(m, n) roundings of float64 (2.2e-16) of the largest singular value"


@pytest.mark.parametrize("seed", range(3))
def test_lemma2_ranks_never_grow_along_a_chain(seed):
    torch.manual_seed(seed)
    sizes = torch.randint(4, 30, (6,)).tolist()
    layers = [
        part for n, m in zip([12, *sizes], sizes, strict=False) for part in (nn.Linear(n, m), nn.ReLU())
    ]
    found = ranks(rank_profile(nn.Sequential(*layers), 12, num_latents=2))
    assert found == sorted(found, reverse=True)
    assert found[-1] <= min(12, *sizes)


def test_lemma2_a_composition_has_at_most_the_rank_of_either_map():
    inner, outer = linear(10, 12, 7, 0), linear(12, 15, 5, 1)
    (_, both) = ranks(rank_profile(nn.Sequential(inner, outer), 10))
    assert both <= min(rank_report(spectrum_of(layer.weight)).rank for layer in (inner, outer))


def test_a_dcgan_keeps_the_dimensions_of_its_latent():
    torch.manual_seed(0)
    profile = rank_profile(DCGANGenerator(16, channels=1, z_dim=12, width=8), num_latents=2)
    assert ranks(profile) == [12] * len(profile.layers)
    assert all(layer.lowest == layer.highest == 12 for layer in profile.layers)


def test_the_spectrum_of_each_layer_is_that_of_its_jacobian():
    network = chain(6, 5, 4, sizes=(6, 9, 8, 7))
    profile = rank_profile(network, 6)
    matrix = torch.eye(6, dtype=torch.float64)
    for layer, part in zip(profile.layers, network, strict=True):
        matrix = part.weight.detach() @ matrix
        expected = torch.linalg.svdvals(matrix)
        (report, *_) = layer.reports
        torch.testing.assert_close(report.spectrum.values, expected, rtol=1e-12, atol=1e-14)
        assert layer.norm == pytest.approx(float(expected[0]))
        assert layer.stable_rank == pytest.approx(float(expected.square().sum() / expected[0] ** 2))


def test_a_jacobian_in_float32_of_rank_8_has_rank_8():
    network = chain(40, 8, 40, sizes=(40, 40, 60, 60)).float()
    exact = rank_profile(network, 40)
    own = rank_profile(network, 40, dtype=None)
    assert ranks(own) == [40, 8, 8]
    assert own.remark == "in float32, the generator's own"
    assert "float32" in own.tolerance
    # weights that were rounded to float32 have full rank in float64, which the margin tells
    assert ranks(exact)[1] == 40
    within = rank_profile(network, 40, tolerance=1e-5)
    assert ranks(within) == [40, 8, 8]
    assert within.tolerance == "1e-05 of the largest singular value, as given"


def test_latents_noise_and_results_depend_on_the_seed_alone():
    torch.manual_seed(0)
    network = DCGANGenerator(16, channels=1, z_dim=6, width=2, noise="riemannian", noise_strength=0.1)
    one, two = (rank_profile(network, num_latents=n, seed=5) for n in (1, 2))
    for first, second in zip(one.layers, two.layers, strict=True):
        assert torch.equal(first.reports[0].spectrum.values, second.reports[0].spectrum.values)
    other = rank_profile(network, num_latents=1, seed=6)
    assert not torch.equal(
        one.layers[-1].reports[0].spectrum.values, other.layers[-1].reports[0].spectrum.values
    )


class Noisy(nn.Module):
    """A latent of 3 dimensions, 8 after noise, 5 in the end."""

    z_dim = 3

    def __init__(self):
        super().__init__()
        self.start = linear(3, 8, 3, 0)
        self.noise = EuclideanNoise(strength=1.0, planes="per_channel")
        self.end = linear(8, 9, 5, 1)

    def forward(self, z):
        return self.end(self.noise(self.start(z)))


def test_noise_fills_dimensions_that_the_latent_does_not_have():
    assert ranks(rank_profile(Noisy())) == [3, 3, 3]
    profile = rank_profile(Noisy(), joint=True)
    assert ranks(profile) == [3, 8, 5]
    assert (profile.z_dim, profile.inputs) == (3, 11)
    assert ranks(rank_profile(Noisy(), joint="noise")) == [3, 8, 5]


def test_more_noise_than_memory_gives_ranks_that_are_at_least():
    profile = rank_profile(Noisy(), joint=True, memory_mib=8 * (3 + 2) * 25 / 2**20)
    assert profile.inputs == 5
    assert ranks(profile) == [3, 5, 5]
    assert profile.remark == "ranks are at least these: 2 random directions stand for 8 values of noise"


def test_what_does_not_fit_into_memory_is_sketched_with_the_same_ranks():
    network = chain(20, 12, 12, sizes=(20, 400, 600, 50))
    exact, sketch = (rank_profile(network, 20, memory_mib=memory, num_latents=1) for memory in (1024, 0.1))
    assert sketch.sketched
    assert not exact.sketched
    assert ranks(sketch) == ranks(exact) == [20, 12, 12]
    with pytest.raises(InputError, match=r"--memory-mib, in Python memory_mib=.*choose fewer layers"):
        rank_profile(network, 20, memory_mib=0.01)


def rank_by_autograd(network, z, layer):
    """The rank of a layer of a copy in float64, from torch's own Jacobian and rank."""
    network = copy.deepcopy(network).double()
    part = network if layer == "image" else network.get_submodule(layer)
    found = []
    part.register_forward_hook(lambda part, args, result: found.append(result))

    def result(z):
        network(z.unsqueeze(0))
        return found.pop().flatten()

    return int(torch.linalg.matrix_rank(torch.autograd.functional.jacobian(result, z)))


@pytest.mark.parametrize("name", ["sequential", "stages", "1-d", "fully connected"])
def test_foreign_networks_have_the_ranks_of_torchs_own_jacobian(name):
    network = CASES[name].network()
    profile = rank_profile(network, 8, num_latents=1)
    z = counted_normal(derive(0, "rank latents"), 0, (1, 8))[0]
    assert profile.layers[-1].name == "image"
    assert ranks(profile) == [rank_by_autograd(network, z, layer.name) for layer in profile.layers]


@pytest.mark.parametrize("threads", [1, 3])
def test_spectra_depend_neither_on_the_number_of_threads_nor_on_each_other(threads):
    def collectors():
        for size in (2000, 7, 300, 50):
            columns = Columns(size, 40, dtype=torch.float64)
            columns.add(0, torch.randn(40, size, dtype=torch.float64, generator=torch.manual_seed(size)))
            yield columns

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = [columns.spectrum() for columns in collectors()]
        torch.set_num_threads(threads)
        together = _spectra(list(collectors()), torch.device("cpu"), 40)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert [spectrum.shape for spectrum in together] == [(2000, 40), (7, 40), (300, 40), (50, 40)]
    assert all(torch.equal(a.values, b.values) for a, b in zip(alone, together, strict=True))


def test_the_number_of_threads_is_put_back_after_an_error():
    missing = Columns(9, 2, dtype=torch.float64)
    before = torch.get_num_threads()
    with pytest.raises(InputError, match="column 0 of 2 was not added"):
        _spectra([missing, missing], torch.device("cpu"), 2)
    assert torch.get_num_threads() == before
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == before


def test_networks_with_classes_and_functions_have_a_profile():
    torch.manual_seed(0)
    network = StyleGAN2Generator((1, 8, 8), 6, 6, 2, classes=3, channel_max=8)
    profile = rank_profile(network, num_latents=1, layers=["mapping.layers.*", "image"])
    assert [layer.name for layer in profile.layers] == ["mapping.layers.0", "mapping.layers.1", "image"]
    (image,) = rank_profile(lambda z: z[:, :3].sin(), 5).layers
    assert image.rank == 3


@pytest.mark.parametrize(
    ("operation", "mode"),
    [(operations.ReverseOnly.apply, "double reverse"), (operations.Once.apply, "reverse")],
)
def test_other_modes_have_the_same_ranks(operation, mode):
    class Squared(nn.Module):
        def forward(self, x):
            return operation(x)

    network = nn.Sequential(linear(8, 9, 5, 0), Squared(), linear(9, 7, 4, 1))
    profile = rank_profile(network, 8, num_latents=1)
    assert profile.mode == mode
    assert ranks(profile) == [5, 5, 4]


@pytest.mark.parametrize("operation", [torch.square, operations.Once.apply])
def test_progress_counts_columns(operation):
    class Squared(nn.Module):
        def forward(self, x):
            return operation(x)

    seen = []
    network = nn.Sequential(nn.Linear(8, 9), Squared(), nn.Linear(9, 7))
    rank_profile(network, 8, num_latents=3, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (24, 24)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_bad_settings_are_refused_before_anything_is_computed():
    def never(done, total):
        raise AssertionError

    network = chain(6, 6, sizes=(6, 9, 9))
    for settings, cause in (
        ({"num_latents": 0}, "number of latents is 0"),
        ({"num_latents": 1.5}, "number of latents is 1.5; give a whole number"),
        ({"tolerance": 1e-18}, "tolerance must be below 1 and at least"),
        ({"tolerance": 1.0}, "tolerance must be below 1"),
        ({"layers": "2"}, "unknown layer '2'"),
        ({"joint": True}, "no noise layer"),
        ({"dtype": torch.float16}, "torch.float16"),
    ):
        with pytest.raises(InputError, match=cause):
            rank_profile(network, 6, progress=never, **settings)
    nn.init.constant_(network[0].weight, torch.nan)
    with pytest.raises(NonFiniteError, match="layer '0'"):
        rank_profile(network, 6)


def test_layers_that_come_and_go_are_refused():
    class Fickle(nn.Module):
        z_dim = 4

        def __init__(self):
            super().__init__()
            self.one, self.other, self.end = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, z):
            return self.end((self.one if z.sum() > 0 else self.other)(z))

    with pytest.raises(InputError, match="calls other layers for other latents"):
        rank_profile(Fickle(), num_latents=8)
    assert ranks(rank_profile(Fickle(), num_latents=8, layers=["image"])) == [4]

"""Two calls of a pair differ in their input alone, and everything is put back afterwards."""

import pytest
import torch
from torch import nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise.layers import EuclideanNoise
from riemann_noise_pytorch.noise.pairs import counted_normal, full_precision, shared_noise


class Noisy(nn.Module):
    """An image whose noise is seen by mapping, synthesis and forward."""

    def __init__(self):
        super().__init__()
        self.noise = EuclideanNoise(strength=1.0)

    def forward(self, z):
        return self.noise(z.view(-1, 1, 4, 4))

    def synthesis(self, w):
        return self(w)


POINTS = torch.linspace(-1, 1, 96).view(6, 16)


def pair_of(network, points=POINTS, first_sample=0, **settings):
    with shared_noise(network, **settings) as pairs:
        return pairs(points, points, first_sample)


def test_both_calls_see_the_same_noise():
    a, b = pair_of(Noisy())
    assert torch.equal(a, b)
    assert not torch.equal(a, POINTS.view(-1, 1, 4, 4))


def test_noise_belongs_to_the_pair_and_not_to_the_batch():
    whole, _ = pair_of(Noisy())
    part, _ = pair_of(Noisy(), POINTS[4:], first_sample=4)
    assert torch.equal(whole[4:], part)


def test_the_seed_changes_the_noise():
    assert not torch.equal(pair_of(Noisy())[0], pair_of(Noisy(), seed=1)[0])


def test_the_module_of_a_method_is_found():
    a, b = pair_of(Noisy().synthesis)
    assert torch.equal(a, b)
    assert torch.equal(a, pair_of(Noisy())[0])


def test_noise_of_foreign_networks_is_shared():
    inner = Noisy()
    for network in (lambda z: z + torch.randn_like(z), lambda z: 1.0 * inner(z)):
        a, b = pair_of(network)
        assert torch.equal(a, b)


def test_a_foreign_module_sees_one_noise_by_call_and_by_method():
    class Foreign(nn.Module):
        def forward(self, z):
            return z + torch.randn_like(z)

        def synthesis(self, w):
            return self(2 * w)

    network, state = Foreign(), torch.get_rng_state()
    for call in (network, network.synthesis):
        a, b = pair_of(call)
        assert torch.equal(a, b)
    assert torch.equal(torch.get_rng_state(), state)
    assert not network._forward_hooks


def test_noise_that_cannot_be_shared_is_refused():
    generator = torch.Generator().manual_seed(0)
    with pytest.raises(InputError, match="different images for the same latent"):
        pair_of(lambda z: z + 0.01 * torch.randn(z.shape, generator=generator))


def test_random_state_and_sources_are_put_back():
    network = Noisy()
    before, state = network.noise.source, torch.get_rng_state()
    pair_of(network)
    assert network.noise.source is before
    assert torch.equal(torch.get_rng_state(), state)


def test_training_modes_are_put_back_part_by_part():
    network = nn.Sequential(nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, 16))
    network[1].eval()
    with shared_noise(network):
        assert not any(part.training for part in network.modules())
    assert [part.training for part in network.modules()] == [True, True, False, True]


def test_batch_statistics_are_neither_used_nor_changed():
    network = nn.BatchNorm1d(16)
    a, _ = pair_of(network, 5 + POINTS)
    assert torch.equal(a[:1], pair_of(network, 5 + POINTS[:1])[0])
    assert network.num_batches_tracked == 0


def test_everything_is_put_back_after_an_error():
    network = Noisy()
    before = network.noise.source
    with pytest.raises(ZeroDivisionError), shared_noise(network):
        raise ZeroDivisionError
    assert network.training
    assert network.noise.source is before


def test_autocast_and_gradients_are_off():
    layer = nn.Linear(16, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        a, _ = pair_of(layer)
        assert a.dtype == torch.float32
        assert not a.requires_grad
        assert layer(POINTS).dtype == torch.bfloat16


def test_reduced_precision_is_off_inside_and_put_back():
    """TF32 on a GPU and bfloat16 on a CPU both start from these switches."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        convolution = torch.backends.cudnn.allow_tf32
        with full_precision():
            assert torch.get_float32_matmul_precision() == "highest"
            assert not torch.backends.cudnn.allow_tf32
            assert not torch.backends.cuda.matmul.allow_tf32
        assert torch.get_float32_matmul_precision() == "medium"
        assert torch.backends.cudnn.allow_tf32 == convolution
    finally:
        torch.set_float32_matmul_precision(before)


def test_pairs_are_computed_in_full_precision():
    seen = set()

    def network(z):
        seen.add(torch.get_float32_matmul_precision())
        return z

    torch.set_float32_matmul_precision("medium")
    try:
        pair_of(network)
    finally:
        torch.set_float32_matmul_precision("highest")
    assert seen == {"highest"}


def test_float32_products_keep_their_digits_where_bfloat16_was_allowed():
    torch.manual_seed(0)
    layer, x = nn.Linear(256, 256), torch.randn(64, 256)
    exact = layer.double()(x.double())
    layer.float()
    torch.set_float32_matmul_precision("medium")
    try:
        a, _ = pair_of(layer, x)
    finally:
        torch.set_float32_matmul_precision("highest")
    assert (a - exact).abs().max() < 1e-5


@pytest.mark.gpu
def test_float32_products_keep_their_digits_where_tf32_was_allowed():
    torch.manual_seed(0)
    layer, x = nn.Conv2d(64, 64, 3).cuda(), torch.randn(8, 64, 16, 16, device="cuda")
    exact = layer.double()(x.double())
    layer.float()
    torch.set_float32_matmul_precision("high")
    try:
        a, _ = pair_of(layer, x)
    finally:
        torch.set_float32_matmul_precision("highest")
    assert (a - exact).abs().max() < 1e-5


@pytest.mark.gpu
def test_noise_of_foreign_networks_is_shared_on_a_gpu():
    network = nn.Sequential(nn.Linear(16, 16), nn.Flatten()).cuda()
    state = torch.cuda.get_rng_state()
    with shared_noise(lambda z: network(z) + torch.randn_like(z), module=network) as pairs:
        a, b = pairs(POINTS.cuda(), POINTS.cuda(), 0)
    assert torch.equal(a, b)
    assert torch.equal(torch.cuda.get_rng_state(), state)


def test_points_depend_on_their_index_alone():
    whole = counted_normal(3, 0, (50, 2, 4))
    assert torch.equal(whole[20:30], counted_normal(3, 20, (10, 2, 4)))
    assert not torch.equal(whole, counted_normal(4, 0, (50, 2, 4)))


def test_points_are_standard_normal():
    points = counted_normal(0, 0, (20_000, 3))
    assert points.mean(dim=0).abs().max() < 0.03
    assert (torch.cov(points.T) - torch.eye(3)).abs().max() < 0.04


class Failing:
    """Fails in its last call."""

    def __init__(self, calls, error):
        self.left, self.error = calls, error

    def __call__(self, z):
        self.left -= 1
        if self.left < 0:
            raise self.error("no more\nof these")
        return z


def two_batches(network):
    with shared_noise(network) as pairs:
        pairs(POINTS, POINTS, 0)
        pairs(POINTS, POINTS, 6)


@pytest.mark.parametrize("error", [ValueError, KeyError, RuntimeError, AttributeError])
@pytest.mark.parametrize(
    ("calls", "words"), [(0, "does not take one torch.float32"), (4, "on samples 6 to 11")]
)
def test_what_fails_in_a_network_of_others_is_told_in_one_line_with_its_place(error, calls, words):
    with pytest.raises(InputError) as caught:
        two_batches(Failing(calls, error))
    assert words in str(caught.value)
    assert f"({error.__name__} in test_pairs.py line " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_memory_and_faults_of_this_package_are_not_the_users():
    with pytest.raises(MemoryError):
        two_batches(Failing(4, MemoryError))
    layer = EuclideanNoise(strength=1.0)
    with shared_noise(lambda z: 1 / Failing(0, ValueError)(z), module=layer) as pairs:
        pairs._tried = True
        with pytest.raises(ValueError, match="no more"):
            pairs(POINTS, POINTS, 0)


def test_what_cannot_be_float64_is_told_how_to_be_measured():
    layer = nn.Linear(16, 16).double()
    for network in (lambda z: layer(z.float()), lambda z: layer(z).float()):
        with pytest.raises(
            InputError, match="give --precision float32, or in Python leave dtype out"
        ) as caught:
            pair_of(network, module=layer)
        assert "module=" not in str(caught.value)


@pytest.mark.parametrize(
    ("network", "cause"),
    [
        (nn.Linear(3, 3), "does not take one torch.float.. tensor"),
        (lambda a, b: a, "does not take one torch.float.. tensor"),
        (lambda z: z.half(), "returns torch.float16"),
        (lambda z: (z * 127).to(torch.uint8), "returns torch.uint8"),
        (lambda z: (z, z), "returns tuple"),
        (lambda z: z[:1], "returns shape"),
        (lambda z: z.sum(), "returns shape"),
        (nn.Linear(16, 16).bfloat16(), "too coarse"),
    ],
)
def test_networks_that_cannot_be_differenced_are_refused(network, cause):
    with pytest.raises(InputError, match=cause):
        pair_of(network)

import math

import pytest
import torch

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.models.networks import (
    NetworkConfig,
    build_discriminator,
    build_generator,
    initialise,
)
from riemann_noise_pytorch.noise.control import noise_layers
from riemann_noise_pytorch.noise.presets import RIEMANN_PRESETS

SMALL = {"resolution": 32, "channels": 1, "width": 8, "z_dim": 10}


def drawn(seed=0, **options):
    network = build_generator(NetworkConfig(**SMALL, **options))
    initialise(network, seed)
    return network


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("place", ["before", "after"])
def test_arms_agree_exactly_in_all_that_they_share(norm, place):
    plain = drawn(norm=norm).state_dict()
    for kind in ("euclidean", "riemannian"):
        noisy = drawn(norm=norm, noise=kind, noise_place=place).state_dict()
        assert plain.keys() <= noisy.keys()
        assert all(torch.equal(plain[name], noisy[name]) for name in plain)
        assert all(".noise." in name for name in noisy.keys() - plain.keys())


def test_presets_with_the_same_random_maps_share_them_too():
    first = noise_layers(drawn(noise="riemannian", riemann_preset="author-ffhq"))
    second = noise_layers(drawn(noise="riemannian", riemann_preset="author-cat"))
    assert all(torch.equal(first[name].A, second[name].A) for name in first)
    assert first["stage4.noise"].A.std() > 0


@pytest.mark.parametrize("preset", RIEMANN_PRESETS)
def test_presets_keep_their_initial_values(preset):
    settings = RIEMANN_PRESETS[preset]
    for layer in noise_layers(drawn(noise="riemannian", riemann_preset=preset)).values():
        assert layer.alpha.item() == settings.alpha
        assert layer.w is None or layer.w.item() == pytest.approx(settings.w)
        assert layer.A.std() > 0 or settings.map_std == 0


def test_given_strengths_survive():
    layers = noise_layers(drawn(noise="euclidean", noise_strength=0.5)).values()
    assert {float(layer.strength()) for layer in layers} == {0.5}


def test_every_draw_depends_on_the_seed_and_on_nothing_else():
    torch.manual_seed(1)
    first = drawn(seed=3, noise="riemannian", riemann_preset="seed").state_dict()
    torch.manual_seed(2)
    again = drawn(seed=3, noise="riemannian", riemann_preset="seed").state_dict()
    other = drawn(seed=4, noise="riemannian", riemann_preset="seed").state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    differing = {name for name in first if not torch.equal(first[name], other[name])}
    weights = {name for name in first if name.endswith((".weight", ".A", ".b")) and "norm.bias" not in name}
    assert differing == weights


def test_no_two_parameters_share_a_stream():
    named = drawn().named_parameters()
    starts = [
        tuple((p - p.detach().mean().round()).flatten()[:8].tolist()) for n, p in named if "weight" in n
    ]
    assert len(set(starts)) == len(starts)


def test_initial_weights_have_the_standard_moments():
    network = build_discriminator(NetworkConfig(resolution=64, channels=3, width=64))
    initialise(network, 0)
    weight = network.stage8.conv.weight.detach()
    error = 0.02 / math.sqrt(weight.numel())
    assert abs(weight.mean()) < 5 * error
    assert weight.std() == pytest.approx(0.02, abs=5 * error / math.sqrt(2))
    gain = network.stage4.norm.weight.detach()
    assert gain.mean() == pytest.approx(1.0, abs=5 * 0.02 / math.sqrt(gain.numel()))
    assert gain.std() == pytest.approx(0.02, rel=0.2)
    assert network.stage4.norm.bias.abs().max() == 0


def test_initialising_resets_running_statistics_and_biases():
    network = drawn()
    for _ in range(3):
        network(torch.randn(4, 10))
    initialise(network, 0)
    assert torch.equal(network.stage4.norm.running_mean, torch.zeros(32))
    plain = build_generator(NetworkConfig(**SMALL, norm="none"))
    initialise(plain, 0)
    assert plain.stage8.conv.bias.abs().max() == 0


def test_float64_networks_start_from_the_same_numbers():
    network = build_generator(NetworkConfig(**SMALL)).double()
    initialise(network, 0)
    assert torch.equal(network.stage8.conv.weight.float(), drawn().stage8.conv.weight)


def test_unknown_layers_are_not_passed_over():
    with pytest.raises(TypeError, match="'0', a Bilinear"):
        initialise(torch.nn.Sequential(torch.nn.Bilinear(2, 2, 2)), 0)


def test_unknown_architectures_are_met_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'dcgan'"):
        build_generator(NetworkConfig(architecture="dcgna"))
    with pytest.raises(InputError, match="did you mean 'dcgan'"):
        build_discriminator(NetworkConfig(architecture="dcgna"))

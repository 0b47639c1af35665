"""Starts, noise maps and mean latents are functions of seed, target and restart."""

import math

import torch

from riemann_noise_pytorch.inversion.held import held
from riemann_noise_pytorch.inversion.variables import Samples, spread_of, start_maps, start_points
from riemann_noise_pytorch.noise.control import frozen
from tests.inversion.generators import dcgan, stylegan2


def test_random_rows_do_not_depend_on_the_batch_or_the_number_of_restarts():
    whole = Samples(0, 6, 3).normal(5, (2, 4))
    assert torch.equal(whole[6:12], Samples(2, 2, 3).normal(5, (2, 4)))
    assert torch.equal(whole[::3], Samples(0, 6, 1).normal(5, (2, 4)))
    assert len(torch.unique(whole)) == whole.numel()


def test_starts_are_standard_normal_in_z():
    with held(dcgan()) as generator:
        z = start_points(generator, "z", Samples(0, 500, 4), 0, mean=None)
    assert abs(float(z.mean())) < 0.05
    assert abs(float(z.std()) - 1) < 0.05


def test_the_first_restart_begins_at_the_mean_and_the_others_at_w_of_random_z():
    network = stylegan2()
    with held(network) as generator:
        generator.look("w+")
        samples = Samples(0, 3, 2)
        mean = torch.arange(8.0).double()
        w = start_points(generator, "w", samples, 0, mean=mean)
        z = start_points(generator, "z", samples, 0, mean=None)
        rows = start_points(generator, "w+", samples, 0, mean=mean)
    assert torch.equal(w[::2], mean.expand(3, 8))
    assert torch.allclose(w[1::2], network.mapping(z)[1::2])
    assert torch.equal(rows, w[:, None].expand_as(rows))


def test_the_spread_of_w_is_its_formula_and_that_of_z_is_known():
    network = stylegan2()
    with held(network) as generator:
        spread = spread_of(generator, "w", samples=1500, seed=0)
        few = spread_of(generator, "w", samples=300, seed=0)
        known = spread_of(generator, "z", samples=1, seed=0)
    assert known.distance == math.sqrt(8)
    assert torch.equal(known.mean, torch.zeros(8).double())
    rng = torch.Generator().manual_seed(0)
    w = network.mapping(torch.randn(20_000, 8, generator=rng, dtype=torch.float64)).detach()
    distance = float((w - w.mean(dim=0)).square().sum(dim=1).mean().sqrt())
    assert abs(spread.distance / distance - 1) < 0.05
    assert float((spread.mean - w.mean(dim=0)).norm()) < 0.1 * distance
    assert spread.distance != few.distance


def test_noise_maps_are_those_of_a_frozen_network_for_all_restarts():
    network = dcgan("euclidean")
    z = torch.randn(2, 4, generator=torch.Generator().manual_seed(0)).double()
    with held(network) as generator, torch.no_grad():
        generator.look("z")
        assert set(generator.places) == {"stage4.noise", "stage8.noise"}
        maps = start_maps(generator, Samples(3, 2, 2), 7)
        twice = generator.images(z.repeat_interleave(2, dim=0), "z", maps)
    with torch.no_grad(), frozen(network, 7, first_sample=3):
        once = network(z)
    assert torch.allclose(twice[::2], once, atol=1e-12)
    assert torch.allclose(twice[1::2], once, atol=1e-12)

"""Images by index: what is taken from which sample, and what is refused."""

import pytest
import torch
from torch import nn

from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.geometry.indexed_images import indexed_images
from riemann_noise_pytorch.models.networks import NetworkConfig, build_generator
from riemann_noise_pytorch.noise.layers import EuclideanNoise


class Two(nn.Module):
    z_dim = 4

    def __init__(self):
        super().__init__()
        self.a, self.b = EuclideanNoise(strength=1.0), EuclideanNoise(strength=1.0)

    def forward(self, z):
        zero = torch.zeros(len(z), 1, 2, 2)
        return torch.cat([z.view(-1, 1, 2, 2), self.a(zero), self.b(zero)], dim=1)


def test_each_source_is_taken_from_its_own_sample():
    with indexed_images(Two()) as source:
        assert source.layers == ("a", "b")
        plain = source.images(source.latents(0, 5), (), 0)
        later = source.images(source.latents(3, 2), (), 3)
        mixed = source.images(source.latents(3, 1), (), 1, others=["b"], first_of_others=4)
    assert torch.equal(plain[3:], later)
    assert torch.equal(mixed[0], torch.stack([plain[3, 0], plain[1, 1], plain[4, 2]]))


def test_latents_are_normal_and_depend_on_the_seed():
    with indexed_images(Two()) as source, indexed_images(Two(), seed=1) as other:
        z = source.latents(0, 4000)
        assert not torch.equal(z[:4], other.latents(0, 4))
        assert torch.equal(z[7:9], source.latents(7, 2))
    assert z.mean().abs() < 0.05
    assert z.std().item() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize(
    ("network", "own"),
    [
        (nn.Sequential(nn.Linear(4, 4), nn.Dropout()), False),  # silent in eval mode
        (nn.RReLU(), False),
        (Two(), False),
        (lambda z: z, False),
        (lambda z: z + torch.rand(()), True),
    ],
)
def test_noise_of_the_networks_own_is_found_by_running_it(network, own):
    with indexed_images(network, 4) as source:
        assert source.has_foreign is own


def test_a_conditional_generator_is_told_its_classes():
    config = NetworkConfig("stylegan2", 8, 1, z_dim=4, w_dim=4, mapping_layers=1, channel_max=4, classes=3)
    generator = build_generator(config)
    with indexed_images(generator) as source:
        assert source.has_classes
        (classes,) = source.classes(0, 50)
        assert set(classes.tolist()) == {0, 1, 2}
        assert source.images(source.latents(0, 2), source.classes(0, 2), 0).shape == (2, 1, 8, 8)


def test_an_image_that_is_not_finite_is_named():
    with indexed_images(lambda z: z / z.abs().sign(), 2) as source:
        bad = torch.ones(4, 2)
        bad[2, 1] = 0
        with pytest.raises(NonFiniteError, match="sample 12"):
            source.images(bad, (), 10)


def test_integers_are_refused():
    with pytest.raises(InputError, match="the generator returns"), indexed_images(lambda z: z.byte(), 4):
        raise AssertionError

"""Laws of the mixtures: where their centres are, and that the embedding is a rigid motion."""

import math
from typing import get_args

import pytest
import torch
from scipy.spatial.transform import Rotation

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.toy.mixtures import MIXTURES, Mixture, make_mixture
from riemann_noise_pytorch.experiments.toy.options import Data


def _exact(name: str, ambient=3) -> Mixture:
    mixture = make_mixture(name, ambient)
    return Mixture(name, mixture.centres.double(), mixture.std, ambient)


def test_every_name_that_the_options_take_is_a_mixture():
    assert set(MIXTURES) == set(get_args(Data))


@pytest.mark.parametrize(("name", "modes"), [("ring", 7), ("grid25", 25), ("moons", 24), ("spiral", 40)])
def test_the_modes_are_apart_and_within_the_picture(name, modes):
    mixture = _exact(name)
    assert mixture.centres.shape == (modes, 2)
    assert torch.pdist(mixture.centres).min() > 1.9 * mixture.std
    assert mixture.centres.abs().max() <= 1 + 1e-6


def test_the_ring_is_that_of_the_published_example():
    for k, centre in enumerate(_exact("ring").centres):
        angle = 2 * math.pi * k / 7
        torch.testing.assert_close(
            centre, torch.tensor([math.sin(angle), math.cos(angle)], dtype=torch.float64), atol=1e-6, rtol=0
        )


def test_the_embedding_is_the_published_rotation_and_shift():
    mixture, points = _exact("ring"), torch.randn(50, 2, dtype=torch.float64)
    turn = Rotation.from_rotvec(math.pi / 4 * torch.tensor([1.0, -1.0, 0.0]).double().numpy() / math.sqrt(2))
    flat = torch.cat([points, torch.zeros(50, 1)], dim=1).double()
    expected = torch.from_numpy(turn.apply(flat.numpy())) + 1 / math.sqrt(3)
    torch.testing.assert_close(mixture.embed(points), expected)


@pytest.mark.parametrize("ambient", [2, 3])
def test_projection_undoes_the_embedding_and_finds_no_height(ambient):
    mixture, points = _exact("grid25", ambient), torch.randn(4, 50, 2, dtype=torch.float64)
    embedded = mixture.embed(points)
    assert embedded.shape == (4, 50, ambient)
    torch.testing.assert_close(mixture.coordinates(embedded), points)
    assert mixture.height(embedded).max() < 1e-12


def test_height_is_the_distance_from_the_plane():
    mixture = _exact("ring")
    a, b, c = mixture.embed(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64))
    normal = torch.linalg.cross(b - a, c - a)
    points = torch.stack([a + 0.3 * normal, b - 0.7 * normal])
    torch.testing.assert_close(mixture.height(points), torch.tensor([0.3, 0.7], dtype=torch.float64))


def test_samples_have_the_stated_law():
    mixture = _exact("ring")
    points = mixture.coordinates(mixture.sample(70_000, torch.Generator().manual_seed(0)))
    distance, nearest = torch.cdist(points, mixture.centres).min(dim=1)
    assert (nearest.bincount() / 70_000 - 1 / 7).abs().max() < 0.01
    assert distance.square().mean().sqrt().item() == pytest.approx(0.01 * math.sqrt(2), rel=0.02)


def test_an_unknown_mixture_gets_a_suggestion():
    with pytest.raises(InputError, match="did you mean 'ring'"):
        make_mixture("rings")

"""Laws of what is measured: real points score perfectly, lost modes are missed, variances are variances."""

import pytest
import torch

from riemann_noise_pytorch.experiments.toy.measures import REDRAWS, coverage, gradient_noise, is_near, reach
from riemann_noise_pytorch.experiments.toy.mixtures import make_mixture
from riemann_noise_pytorch.experiments.toy.train import Member, Protocol, ToyTraining


def _points(mixture, count=3000):
    return mixture.sample(count, torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", ["ring", "grid25", "moons", "spiral"])
@pytest.mark.parametrize("ambient", [2, 3])
def test_real_points_find_every_mode(name, ambient):
    mixture = make_mixture(name, ambient)
    found = coverage(mixture, _points(mixture)[None])
    assert found.modes.item() == len(mixture.centres)
    assert found.good.item() > 0.98  # 98.9 % of a plane's normal law lie within three deviations
    assert found.height.item() < 1e-6


def test_a_mode_that_is_left_out_is_missed_and_another_member_is_not_touched():
    mixture = make_mixture("ring")
    points = _points(mixture)
    nearest = torch.cdist(points, mixture.embed(mixture.centres)).argmin(dim=1)
    without = points.where((nearest != 3)[:, None], points[nearest == 0][0])
    assert coverage(mixture, torch.stack([points, without])).modes.tolist() == [7, 6]


def test_one_stray_point_finds_no_mode():
    mixture = make_mixture("ring")
    points = mixture.embed(mixture.centres[:1]).expand(700, 3).clone()
    points[:9] = mixture.embed(mixture.centres[1:2])
    assert coverage(mixture, points[None]).modes.item() == 1
    points[:10] = mixture.embed(mixture.centres[1:2])
    assert coverage(mixture, points[None]).modes.item() == 2


@pytest.mark.parametrize(("name", "distance"), [("ring", 0.1085), ("grid25", 0.0625), ("moons", 0.24)])
def test_near_is_an_eighth_of_the_spacing_or_three_deviations(name, distance):
    assert reach(make_mixture(name)) == pytest.approx(distance, abs=1e-4)


def test_a_point_beside_the_plane_is_neither_good_nor_near():
    mixture = make_mixture("ring")
    centre = mixture.embed(mixture.centres[:1])
    a, b, c = mixture.embed(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    normal = torch.linalg.cross(b - a, c - a)
    heights = torch.tensor([0.029, 0.031, 0.108, 0.109])
    points = centre + heights[:, None] * normal
    assert is_near(mixture, points).tolist() == [True, True, True, False]
    found = coverage(mixture, points[:, None])
    assert found.good.tolist() == [1.0, 0.0, 0.0, 0.0]
    torch.testing.assert_close(found.height, heights)


def test_gradient_noise_is_the_trace_of_the_covariance():
    training = ToyTraining(
        make_mixture("ring"), [Member(0, gamma=0.1), Member(1, variance=0.5)], Protocol(batch=8, width=4)
    )
    training.advance()
    found = gradient_noise(training)
    drawn = [training.smoothed_gradients(draw) for draw in range(REDRAWS)]
    for at, trace in enumerate((found.by_noise, found.by_penalty)):
        gradients = torch.stack([pair[at] for pair in drawn]).double()
        torch.testing.assert_close(trace, gradients.var(dim=0).sum(dim=1), rtol=1e-6, atol=0)


def test_instance_noise_adds_variance_that_the_penalty_does_not():
    training = ToyTraining(
        make_mixture("ring"), [Member(seed, gamma=0.1) for seed in range(3)], Protocol(width=32)
    )
    for _ in range(30):
        training.advance()
    found = gradient_noise(training)
    assert (found.by_noise > found.by_penalty).all()

"""Which start stands for an image, with its noise and without, and among the first few."""

import pytest
import torch

from riemann_noise_pytorch.experiments.inversion import arms
from riemann_noise_pytorch.experiments.inversion.arms import Work, both_arms, images_of_first
from riemann_noise_pytorch.experiments.inversion.options import InvertConfig
from riemann_noise_pytorch.experiments.inversion.plan import planned
from riemann_noise_pytorch.experiments.inversion.subject import subject_of
from riemann_noise_pytorch.experiments.inversion.unfinished import Folder
from riemann_noise_pytorch.inversion.objectives import Perceptual
from riemann_noise_pytorch.inversion.reconstruction import reconstruct
from riemann_noise_pytorch.inversion.results import Inversion
from riemann_noise_pytorch.training.signals import StopRequest
from tests.experiments.inversion.subjects import dcgan

INF = torch.inf
LOSSES = [[[3.0, 0.1], [1.0, 0.5], [2.0, 0.3]], [[INF, INF], [3.0, 0.4], [0.5, INF]]]
"""Of two images from three starts: the latents' loss, then that with the noise."""


def made(generator, losses, noisy):
    rng = torch.Generator().manual_seed(0)
    latents = torch.randn(2, 3, 4, generator=rng)
    found = {"stage4.noise": torch.randn(2, 3, 1, 4, 4, generator=rng)} if noisy else {}
    images = [reconstruct(generator, latents[:, r], "z") for r in range(3)]
    return Inversion(
        "made", "z", (), latents, torch.stack(images, dim=1) + noisy, losses,
        torch.zeros_like(losses, dtype=torch.int64), torch.zeros(2, 3, dtype=torch.int64), found,
    )  # fmt: skip


def chosen_of(monkeypatch, tmp_path, losses, **options):
    """Sides, and a function that gives images from fewer starts, where inversions find what is given."""
    target = dcgan()
    inversions = [made(target.generator, *each) for each in losses]
    queue = list(inversions)
    monkeypatch.setattr(arms, "invert", lambda *_, **__: queue.pop(0))
    plan = planned(InvertConfig(restarts=3, **options), subject_of(target), Perceptual())
    work = Work(target, torch.zeros(2, 1, 16, 16), None, None, 0, 8)
    with StopRequest() as stop:
        found = both_arms(work, plan, Folder(tmp_path, stop), None, lambda *_: None, None)
    assert not queue
    return inversions, found, lambda count: images_of_first(work, plan, found, count), target.generator


def test_without_the_noise_the_start_counts_whose_latents_were_best(monkeypatch, tmp_path):
    (one,), found, of_first, generator = chosen_of(monkeypatch, tmp_path, [(torch.tensor(LOSSES), True)])
    assert found.optimised.restarts.tolist() == [0, 1]
    assert found.without.restarts.tolist() == [1, 1]  # the third of the second image did not get to the noise
    assert torch.equal(found.without.latents, one.latents[[0, 1], [1, 1]])
    for count, starts in ((1, [0, 0]), (2, [1, 1]), (3, [1, 1])):
        expected = reconstruct(generator, one.latents[[0, 1], starts], "z")
        assert torch.equal(of_first(count), expected)
    assert torch.equal(of_first(3), found.without.images)


def test_where_the_other_side_is_an_inversion_of_its_own_its_starts_are_told(monkeypatch, tmp_path):
    losses = torch.tensor(LOSSES)
    given = [(losses[..., 1:], True), (losses[..., :1], False)]
    (_, other), found, of_first, _ = chosen_of(monkeypatch, tmp_path, given, noise="optimised")
    assert found.optimised.restarts.tolist() == [0, 1]
    assert found.without.restarts.tolist() == [1, 2]
    for count, starts in ((1, [0, 0]), (2, [1, 1]), (3, [1, 2])):
        assert torch.equal(of_first(count), other.images[[0, 1], starts])


@pytest.mark.parametrize("noise", ["frozen"])
def test_frozen_noise_leaves_one_side(noise, monkeypatch, tmp_path):
    given = [(torch.tensor(LOSSES)[..., :1], False)]
    (one,), found, of_first, _ = chosen_of(monkeypatch, tmp_path, given, noise=noise)
    assert found.optimised is None
    assert torch.equal(of_first(2), one.images[[0, 1], [1, 1]])

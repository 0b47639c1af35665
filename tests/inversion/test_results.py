"""Which restart is the best, and how many targets succeed."""

import pytest
import torch

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.inversion.results import Inversion, success_rate


def inversion(losses, images=None):
    losses = torch.tensor(losses)
    n, r, stages = losses.shape
    images = torch.zeros(n, r, 1, 2, 2) if images is None else images
    latents = torch.arange(n * r).reshape(n, r, 1).double()
    return Inversion(
        recipe="plain",
        space="z",
        objectives=("1 mse",) * stages,
        latents=latents,
        images=images,
        losses=losses,
        steps=torch.zeros(n, r, stages, dtype=torch.int64),
        endings=torch.zeros(n, r, dtype=torch.int64),
    )


def test_the_best_restart_has_the_least_loss_of_the_last_stage():
    found = inversion([[[1.0, 3.0], [2.0, 1.0], [0.0, 2.0]], [[1.0, 1.0], [1.0, 2.0], [1.0, 0.5]]])
    assert found.best().tolist() == [1, 2]
    assert found.best(1).tolist() == [0, 0]
    assert found.chosen(found.latents)[:, 0].tolist() == [1, 5]


def test_restarts_that_did_not_reach_the_last_stage_count_only_where_none_did():
    inf = float("inf")
    found = inversion([[[0.1, inf], [5.0, 9.0]], [[0.4, inf], [0.3, inf]], [[inf, inf], [inf, inf]]])
    assert found.best().tolist() == [1, 1, 0]


def test_the_success_rate_counts_the_best_of_the_first_restarts():
    images = torch.tensor([[0.5, 0.0], [0.5, 0.001]]).reshape(2, 2, 1, 1, 1).expand(2, 2, 1, 2, 2)
    found = inversion([[[0.25], [0.0]], [[0.25], [0.000001]]], images)
    targets = torch.zeros(2, 1, 2, 2)
    assert success_rate(found, targets, 1) == 0
    assert success_rate(found, targets) == 1
    assert success_rate(found, targets, 2, least_db=100) == 0.5


def test_more_restarts_than_there_are_is_refused():
    with pytest.raises(InputError, match="first 3 of 2 restarts"):
        inversion([[[1.0], [2.0]]]).best(3)

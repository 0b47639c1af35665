"""The inception score against its transcription, torch-fidelity and its bounds."""

import pytest
import torch

from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.metrics.inception_score import inception_score
from tests.reference import feature_statistics as literal


def logits(n=120, classes=11, scale=2.0, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return scale * torch.randn(n, classes, generator=rng, dtype=torch.float64)


@pytest.mark.parametrize(("n", "splits"), [(60, 1), (60, 10), (67, 10), (23, 7)])
def test_score_is_the_transcriptions_also_of_unequal_splits(n, splits):
    ours = inception_score(logits(n), splits)
    value, std = literal.inception_score(logits(n).softmax(dim=1).numpy(), splits)
    assert (ours.value, ours.std) == pytest.approx((value, std), rel=1e-11)


@pytest.mark.parametrize(("n", "splits"), [(200, 10), (203, 10), (209, 10), (50, 1)])
def test_score_is_torch_fidelitys_in_the_same_order(n, splits):
    theirs = pytest.importorskip("torch_fidelity.metric_isc")
    x = logits(n, 1008).float()
    truth = theirs.isc_features_to_metric(x, splits=splits, shuffle=False)
    ours = inception_score(x, splits)
    assert ours.value == pytest.approx(truth["inception_score_mean"], rel=1e-10)
    assert ours.std == pytest.approx(truth["inception_score_std"], rel=1e-8, abs=1e-12)


def test_the_score_runs_from_1_to_the_number_of_classes():
    assert inception_score(torch.zeros(40, 8)).value == pytest.approx(1, abs=1e-12)
    sure = 200 * torch.eye(8).repeat(10, 1)
    assert inception_score(sure, splits=5).value == pytest.approx(8, rel=1e-12)
    assert 1 < inception_score(logits()).value < 11


def test_a_constant_added_to_the_logits_of_an_image_changes_nothing():
    shift = 100 * torch.randn(120, 1, generator=torch.Generator().manual_seed(1)).double()
    assert inception_score(logits() + shift).value == pytest.approx(
        inception_score(logits()).value, rel=1e-11
    )


def test_probabilities_that_round_to_0_give_a_score():
    """exp(-2000) is 0 in float64, and 0 times the logarithm of 0 is no number."""
    x = torch.tensor([[0.0, -1.0, -2000.0]]).repeat(20, 1)
    assert inception_score(x, splits=2).value == pytest.approx(1, abs=1e-12)


def test_order_matters_only_between_splits():
    x = logits(100)
    within = torch.cat([part.flip(0) for part in x.split(10)])
    assert inception_score(within).value == pytest.approx(inception_score(x).value, rel=1e-12)
    assert inception_score(x[torch.arange(100).view(10, 10).T.flatten()]).value != inception_score(x).value


def test_too_few_images_are_refused():
    with pytest.raises(InputError, match="19 given images are too few for this statistic; give 20"):
        inception_score(logits(19))
    assert inception_score(logits(20)).splits == 10


@pytest.mark.parametrize("splits", [0, -1])
def test_no_split_is_refused(splits):
    with pytest.raises(InputError, match="10 are usual"):
        inception_score(logits(), splits)


def test_logits_that_are_not_finite_are_named():
    x = logits()
    x[7, 3] = torch.nan
    with pytest.raises(NonFiniteError, match="image 7 of 120"):
        inception_score(x)

"""Moments: the sample covariance, whatever the batches, their order and the distance from the origin."""

import numpy as np
import pytest
import torch

from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.metrics.moments import Moments
from tests.reference import feature_statistics as literal


def features(n=300, d=7, mean=0.0, dtype=torch.float64):
    rng = torch.Generator().manual_seed(n + d)
    mixing = torch.randn(d, d, generator=rng, dtype=torch.float64)
    return (torch.randn(n, d, generator=rng, dtype=torch.float64) @ mixing + mean).to(dtype)


def merged(parts):
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def assert_equal(ours, truth, relative=1e-12):
    assert ours.count == truth.count
    assert (ours.mean - truth.mean).norm() <= relative * truth.mean.norm()
    scale = truth.scatter.diagonal().sqrt()
    assert ((ours.scatter - truth.scatter) / torch.outer(scale, scale)).abs().max() <= relative


def test_covariance_is_the_transcriptions():
    x = features(20, 4)
    np.testing.assert_allclose(Moments.of(x).covariance, literal.covariance(x.numpy()), rtol=1e-12)


def test_the_sample_covariance_is_meant_not_the_populations():
    x = features(5, 3)
    ours = Moments.of(x).covariance
    torch.testing.assert_close(ours, x.T.cov(), rtol=1e-13, atol=0)
    torch.testing.assert_close(ours * 4 / 5, x.T.cov(correction=0), rtol=1e-13, atol=0)


@pytest.mark.parametrize("mean", [0.0, 1e4])
@pytest.mark.parametrize("batch", [1, 7, 64, 299])
def test_batch_size_does_not_matter(batch, mean):
    x = features(mean=mean)
    assert_equal(merged([Moments.of(part) for part in x.split(batch)]), Moments.of(x))


@pytest.mark.parametrize("mean", [0.0, 1e4])
def test_order_of_rows_and_of_batches_does_not_matter(mean):
    x = features(mean=mean)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    parts = [Moments.of(part) for part in x[order].split(41)]
    assert_equal(merged(parts[::-1]), Moments.of(x))


@pytest.mark.parametrize("processes", [2, 3, 8])
def test_number_of_processes_does_not_matter(processes):
    x = features(mean=1e4)
    shares = [merged([Moments.of(b) for b in share.split(16)]) for share in x.tensor_split(processes)]
    assert_equal(merged(shares), Moments.of(x))


def test_a_large_mean_costs_no_digits_of_the_spread():
    """Values of 10 bits about 10,000: the sums of squares about 0 lose what the scatter keeps."""
    exact = (torch.randint(-512, 512, (4000, 5), generator=torch.Generator().manual_seed(0)) / 256).double()
    far = merged([Moments.of(part) for part in (exact + 1e4).split(100)]).covariance
    truth = exact.T.cov()
    assert (far - truth).abs().max() <= 1e-12 * truth.diagonal().max()
    raw = (exact + 1e4).T @ (exact + 1e4)
    mean = (exact + 1e4).mean(dim=0)
    naive = (raw - len(exact) * torch.outer(mean, mean)) / (len(exact) - 1)
    assert (naive - truth).abs().max() > 1e-10 * truth.diagonal().max()


def test_half_precision_features_are_summed_in_float64():
    x = features(5000, 3, mean=100.0, dtype=torch.float16)
    torch.testing.assert_close(Moments.of(x).covariance, x.double().T.cov(), rtol=1e-12, atol=1e-10)


def test_given_features_are_left_as_they_are():
    x = features(10, 3).requires_grad_()
    before = x.detach().clone()
    moments = Moments.of(x)
    assert (moments + moments).count == 20
    assert torch.equal(x, before)
    assert_equal(moments, Moments.of(before), relative=0)
    assert not moments.scatter.requires_grad


def test_features_that_are_not_finite_are_named():
    x = features(50, 3)
    x[31, 2] = torch.nan
    x[40, 0] = torch.inf
    with pytest.raises(NonFiniteError, match=r"given image 31 of 50 have NaN"):
        Moments.of(x)


@pytest.mark.parametrize(
    "bad", [torch.zeros(3), torch.zeros(2, 3).int(), torch.zeros(0, 3), torch.zeros(4, 0)]
)
def test_what_is_no_set_of_vectors_is_refused(bad):
    with pytest.raises(InputError):
        Moments.of(bad)


def test_moments_of_other_dimensions_do_not_merge():
    with pytest.raises(InputError, match="3 and of 4 dimensions"):
        Moments.of(features(5, 3)) + Moments.of(features(5, 4))


def test_one_vector_has_no_covariance():
    with pytest.raises(InputError, match="1 image has no covariance; give 2"):
        _ = Moments.of(features(1, 3)).covariance


@pytest.mark.parametrize(
    ("count", "mean", "scatter"),
    [
        (0, torch.zeros(2).double(), torch.zeros(2, 2).double()),
        (3, torch.zeros(2).double(), torch.zeros(2, 3).double()),
        (3, torch.zeros(2, 1).double(), torch.zeros(2, 2).double()),
        (3, torch.zeros(2), torch.zeros(2, 2)),
    ],
)
def test_parts_that_do_not_fit_are_refused(count, mean, scatter):
    with pytest.raises(InputError, match=r"Moments\.of"):
        Moments(count, mean, scatter)

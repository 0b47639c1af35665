"""The kernel distance against its transcription, torch-fidelity on the same subsets, and its expectation."""

import numpy as np
import pytest
import torch

from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.metrics.kernel_distance import kernel_distance, subset_distances
from tests.reference import feature_statistics as literal


def features(n=80, d=6, seed=0, shift=0.0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=rng, dtype=torch.float64) + shift


def drawn(count, subsets, size, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randperm(count, generator=rng)[:size] for _ in range(subsets)])


def test_discrepancies_are_the_transcriptions():
    fake, real = features(), features(60, seed=1, shift=0.3)
    a, b = drawn(80, 4, 15), drawn(60, 4, 15, seed=1)
    truth = [literal.squared_discrepancy(fake[i].numpy(), real[j].numpy()) for i, j in zip(a, b, strict=True)]
    np.testing.assert_allclose(subset_distances(fake, real, a, b), truth, rtol=1e-10)


def test_distance_is_torch_fidelitys_on_the_same_subsets():
    theirs = pytest.importorskip("torch_fidelity.metric_kid")
    fake, real = features(150, 64).clamp(min=0), features(130, 64, seed=1, shift=0.1).clamp(min=0)
    truth = theirs.kid_features_to_metric(
        fake, real, kid_subsets=12, kid_subset_size=50, rng_seed=2020, verbose=False
    )
    rng = np.random.RandomState(2020)
    pairs = [[rng.choice(n, 50, replace=False) for n in (150, 130)] for _ in range(12)]
    a, b = (torch.from_numpy(np.stack(side)) for side in zip(*pairs, strict=True))
    ours = subset_distances(fake, real, a, b)
    assert float(ours.mean()) == pytest.approx(truth["kernel_inception_distance_mean"], rel=1e-10)
    assert float(ours.std(correction=0)) == pytest.approx(truth["kernel_inception_distance_std"], rel=1e-9)
    float32 = theirs.kid_features_to_metric(
        fake.float(), real.float(), kid_subsets=12, kid_subset_size=50, rng_seed=2020, verbose=False
    )
    assert float(subset_distances(fake.float(), real.float(), a, b).mean()) == pytest.approx(
        float32["kernel_inception_distance_mean"], abs=1e-6
    )


def test_the_estimate_is_unbiased():
    """Over all 225 choices of 2 of 6 and 2 of 6, the mean is exactly the estimate from all."""
    fake, real = features(6), features(6, seed=1, shift=0.5)
    pairs = [(i, j) for i in range(6) for j in range(i)]
    a = torch.tensor([p for p in pairs for _ in pairs])
    b = torch.tensor([q for _ in pairs for q in pairs])
    whole = torch.arange(6).view(1, -1)
    truth = float(subset_distances(fake, real, whole, whole))
    assert float(subset_distances(fake, real, a, b).mean()) == pytest.approx(truth, rel=1e-10)


def test_distance_of_one_distribution_is_around_0_and_of_two_is_not():
    same = [
        kernel_distance(features(200, seed=s), features(200, seed=s + 50), size=50, subsets=8)
        for s in range(12)
    ]
    values = torch.tensor([k.value for k in same])
    assert abs(values.mean()) < 3 * values.std() / 12**0.5
    assert values.min() < 0 < values.max()
    assert kernel_distance(features(200, shift=0.5), features(200, seed=1), size=50).value > 10 * values.std()


def test_float32_features_are_multiplied_in_float64():
    fake, real = features(d=50).float(), features(d=50, seed=1).float()
    a, b = drawn(80, 3, 40), drawn(80, 3, 40, seed=1)
    ours = subset_distances(fake, real, a, b)
    assert ours.dtype == torch.float64
    assert torch.equal(ours, subset_distances(fake.double(), real.double(), a, b))


def test_a_seed_makes_the_distance():
    fake, real = features(), features(seed=1)
    first = kernel_distance(fake, real, subsets=4, size=20, seed=3)
    assert kernel_distance(fake, real, subsets=4, size=20, seed=3) == first
    assert kernel_distance(fake, real, subsets=4, size=20, seed=4) != first
    assert (first.subsets, first.size) == (4, 20)


def test_subsets_that_would_all_be_the_same_are_one():
    fake, real = features(60), features(60, seed=1, shift=0.1)
    whole = torch.arange(60).repeat(3, 1)
    one, other = (kernel_distance(fake, real, subsets=100, size=60, seed=seed) for seed in (0, 1))
    assert (one.subsets, one.std) == (1, 0)
    assert one.value == pytest.approx(other.value, rel=1e-12)
    assert one.value == pytest.approx(float(subset_distances(fake, real, whole, whole).mean()), rel=1e-12)
    assert kernel_distance(fake, features(61), subsets=5, size=60).subsets == 5


def test_fewer_images_than_a_subset_are_refused():
    with pytest.raises(InputError, match="79 generated images are too few for this statistic; give 80"):
        kernel_distance(features(79), features(80), size=80)
    with pytest.raises(InputError, match="60 real images are too few"):
        kernel_distance(features(80), features(60), size=80)


@pytest.mark.parametrize("options", [{"subsets": 0}, {"size": 1}])
def test_subsets_that_measure_nothing_are_refused(options):
    with pytest.raises(InputError, match="100 of 1000 are usual"):
        kernel_distance(features(), features(), **{"size": 20, **options})


def test_other_dimensions_are_refused():
    with pytest.raises(InputError, match="6 dimensions cannot be compared with real ones of 7"):
        kernel_distance(features(), features(d=7), size=20)


def test_features_that_are_not_finite_are_named():
    real = features()
    real[17, 0] = torch.inf
    with pytest.raises(NonFiniteError, match="real image 17 of 80"):
        kernel_distance(features(), real, size=20)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (torch.zeros(2, 3).long(), torch.zeros(2, 4).long(), "equal shape"),
        (torch.zeros(2, 1).long(), torch.zeros(2, 1).long(), "at least 2"),
        (torch.zeros(0, 3).long(), torch.zeros(0, 3).long(), "equal shape"),
        (torch.zeros(2, 3).long(), torch.full((2, 3), 80), "from 0 to 79"),
        (torch.full((2, 3), -1), torch.zeros(2, 3).long(), "from 0 to 79"),
        (torch.zeros(2, 3), torch.zeros(2, 3), "int64"),
    ],
)
def test_positions_that_do_not_fit_are_refused(a, b, message):
    with pytest.raises(InputError, match=message):
        subset_distances(features(), features(), a, b)

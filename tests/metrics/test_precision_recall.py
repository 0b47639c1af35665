"""Precision and recall, exactly those of a transcription and of torch-fidelity, ties and copies included."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.metrics import precision_recall as module
from riemann_noise_pytorch.metrics.precision_recall import precision_recall
from tests.reference import feature_statistics as literal


def features(n=60, d=5, seed=0, scale=1.0):
    rng = torch.Generator().manual_seed(seed)
    return scale * torch.randn(n, d, generator=rng, dtype=torch.float64)


def grid_points(n=60, d=3, seed=0, width=4):
    """Small integers: many ties and copies, and distances without rounding."""
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(0, width, (n, d), generator=rng).float()


def shares(fake, real, k=3):
    result = precision_recall(fake, real, neighbours=k)
    assert result.neighbours == k
    return result.precision, result.recall


def theirs(fake, real, k):
    metric = pytest.importorskip("torch_fidelity.metric_prc")
    options = {"prc_neighborhood": k, "prc_batch_size": 10000, "save_cpu_ram": False, "verbose": False}
    result = metric.prc_features_to_metric(fake, real, **options)
    return round(result["precision"] * len(fake)), round(result["recall"] * len(real))


def counted(fake, real, k=3):
    precision, recall = shares(fake, real, k)
    return round(precision * len(fake)), round(recall * len(real))


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("scale", [0.3, 1.0, 1.5])
def test_shares_are_the_transcriptions(k, scale):
    fake, real = features(40, scale=scale), features(50, seed=1)
    assert shares(fake, real, k) == literal.precision_recall(fake.numpy(), real.numpy(), k)


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("width", [2, 4, 9])
def test_ties_and_copies_are_the_transcriptions(k, width):
    fake, real = grid_points(40, width=width), grid_points(50, seed=1, width=width)
    assert shares(fake, real, k) == literal.precision_recall(fake.double().numpy(), real.double().numpy(), k)


@pytest.mark.parametrize(("n", "d", "scale"), [(300, 64, 1.0), (250, 512, 0.9), (400, 8, 0.7)])
def test_shares_are_torch_fidelitys(n, d, scale):
    fake, real = features(n, d, scale=scale).float(), features(n + 20, d, seed=1).float()
    ours = counted(fake, real)
    assert ours == theirs(fake, real, 3)
    assert 0 < ours[0] <= n


@pytest.mark.parametrize("width", [2, 3, 6])
def test_ties_and_copies_are_torch_fidelitys(width):
    fake, real = grid_points(200, 4, width=width), grid_points(150, 4, seed=1, width=width)
    assert counted(fake, real) == theirs(fake, real, 3)


def test_a_copy_is_a_neighbour_at_distance_0():
    """Four copies have a third neighbour at 0: their ball is a point, which holds an equal vector alone."""
    real = torch.cat([features(1, 64).repeat(4, 1), 100 + 50 * features(8, 64, seed=1)]).float()
    near = real[:1] + 1e-3
    fake = torch.cat([real[:1], near, 1e4 * features(3, 64, seed=2).float()])
    assert precision_recall(fake, real).precision == 1 / 5
    assert precision_recall(fake, real[1:]).precision == 2 / 5
    assert literal.precision_recall(fake.double().numpy(), real.double().numpy(), 3)[0] == 1 / 5


@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_vectors_on_the_surface_lie_inside_in_spite_of_rounding(offset):
    """Fakes mirrored about a real vector are as far from it as what they mirror: exactly a radius."""
    real = (
        torch.randint(-512, 512, (50, 300), generator=torch.Generator().manual_seed(0)) / 64
    ).double() + offset
    distances = torch.cdist(real, real, compute_mode="donot_use_mm_for_euclid_dist")
    third = distances.topk(4, largest=False).indices[:, 3]
    mirrored = 2 * real - real[third]
    assert precision_recall(mirrored, real).precision == 1


def test_sets_exchange_precision_and_recall():
    fake, real = features(40, scale=0.5), features(50, seed=1)
    assert shares(fake, real) == shares(real, fake)[::-1]


def test_a_set_covers_itself():
    x = features(200, 16)
    assert shares(x, x) == (1, 1)


def test_two_sets_of_one_image_cover_each_other():
    """Every distance and every radius is exactly 0."""
    same = torch.full((6, 3), 0.1)
    assert shares(same, same) == (1, 1)


def test_a_collapsed_set_is_precise_and_recalls_nothing():
    real = features(200, 16)
    precision, recall = shares(real[:1].repeat(50, 1), real)
    assert precision == 1
    assert recall == 1 / 200


@pytest.mark.parametrize("make", [features, grid_points])
@pytest.mark.parametrize("block", [1, 7, 25, 59])
def test_blocks_do_not_matter(monkeypatch, make, block):
    fake, real = make(60), make(45, seed=1)
    whole = shares(fake, real)
    monkeypatch.setattr(module, "BLOCK", block)
    assert shares(fake, real) == whole


def test_order_does_not_matter():
    fake, real = grid_points(60), grid_points(45, seed=1)
    rng = torch.Generator().manual_seed(2)
    shuffled = fake[torch.randperm(60, generator=rng)], real[torch.randperm(45, generator=rng)]
    assert shares(*shuffled) == shares(fake, real)


def test_an_outlier_blunts_no_other_comparison():
    fake, real = features(60, scale=0.8), features(50, seed=1)
    far = 1e9 * torch.ones(1, 5).double()
    precision, recall = shares(torch.cat([fake, far]), real)
    truth = literal.precision_recall(torch.cat([fake, far]).numpy(), real.numpy(), 3)
    assert (precision, recall) == truth


def test_given_features_are_left_as_they_are():
    fake, real = features(), features(seed=1)
    before = fake.clone(), real.clone()
    shares(fake, real)
    assert torch.equal(fake, before[0])
    assert torch.equal(real, before[1])


class _Largest(TorchDispatchMode):
    """Remembers the size of the largest tensor made."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        result = operation(*arguments, **(options or {}))
        for tensor in result if isinstance(result, tuple) else (result,):
            if isinstance(tensor, torch.Tensor):
                self.bytes = max(self.bytes, tensor.numel() * tensor.element_size())
        return result


def test_memory_does_not_grow_with_the_number_of_images(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 64)
    monkeypatch.setattr(module, "NUMBERS_AT_ONCE", 64 * 64)
    fake, real = features(1000, 128).float(), features(1000, 128, seed=1).float()
    with _Largest() as largest:
        precision_recall(fake, real)
    assert largest.bytes <= max(8 * 64 * 64, fake.numel() * 4)


def test_every_pair_of_blocks_is_multiplied_once(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 10)
    with FlopCounterMode(display=False) as counter:
        precision_recall(features(30, 5), features(40, 5, seed=1))
    assert counter.get_total_flops() == 2 * 10 * 10 * 5 * (3 * 4 // 2 + 4 * 5 // 2 + 3 * 4)


def test_progress_counts_every_block(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 20)
    seen = []
    precision_recall(features(60), features(45, seed=1), progress=lambda *counts: seen.append(counts))
    assert seen == [(i, 21) for i in range(1, 22)]


@pytest.mark.parametrize("k", [0, -1])
def test_no_neighbour_is_refused(k):
    with pytest.raises(InputError, match="3 is usual"):
        precision_recall(features(), features(), neighbours=k)


def test_too_few_images_are_refused():
    with pytest.raises(InputError, match="3 generated images are too few for this statistic; give 4"):
        precision_recall(features(3), features())
    with pytest.raises(InputError, match="3 real images are too few"):
        precision_recall(features(), features(3))
    assert precision_recall(features(4), features(4)).precision == 1


def test_other_dimensions_are_refused():
    with pytest.raises(InputError, match="5 dimensions cannot be compared with real ones of 6"):
        precision_recall(features(), features(d=6))


def test_features_that_are_not_finite_are_named():
    fake = features()
    fake[59, 1] = torch.nan
    with pytest.raises(NonFiniteError, match="generated image 59 of 60"):
        precision_recall(fake, features())

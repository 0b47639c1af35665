import pytest
import torch

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.models.mapping import Mapping
from tests.reference import stylegan2 as reference


def drawn(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def arrays(network):
    return {f"m.{name}": tensor.numpy() for name, tensor in network.state_dict().items()}


def test_without_classes_it_equals_its_transcription():
    mapping, z = Mapping(5, 7, 3).double(), drawn(4, 5)
    expected = reference.mapping(z.numpy(), None, arrays(mapping), "m", 3)
    torch.testing.assert_close(mapping(z).detach(), torch.from_numpy(expected), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("z_dim", [0, 5])
def test_with_classes_it_equals_its_transcription(z_dim):
    mapping, z, labels = Mapping(z_dim, 7, 3, classes=4).double(), drawn(4, z_dim), torch.tensor([0, 3, 1, 3])
    expected = reference.mapping(z.numpy(), labels.numpy(), arrays(mapping), "m", 3)
    torch.testing.assert_close(
        mapping(z, labels).detach(), torch.from_numpy(expected), rtol=1e-12, atol=1e-12
    )


def test_the_size_of_z_does_not_count():
    mapping, z = Mapping(5, 7, 2).double(), drawn(4, 5)
    torch.testing.assert_close(mapping(1000 * z), mapping(z), rtol=1e-6, atol=1e-6)


def test_labels_change_w():
    mapping, z = Mapping(5, 7, 2, classes=3).double(), drawn(1, 5).expand(3, 5)
    w = mapping(z, torch.arange(3))
    assert torch.pdist(w).min() > 0.01


def test_initial_w_has_the_scale_of_its_input():
    mapping = Mapping(128, 128, 8)
    w = mapping(torch.randn(256, 128))
    assert 0.5 < w.square().mean() < 2


def test_the_average_follows_the_batches():
    mapping = Mapping(5, 7, 2).double()
    assert torch.equal(mapping.w_avg, torch.zeros(7, dtype=torch.float64))
    expected = mapping.w_avg.clone()
    for seed in range(3):
        w = mapping(drawn(4, 5, seed=seed))
        expected = 0.9 * expected + 0.1 * w.detach().mean(dim=0)
        mapping.follow(w, decay=0.9)
    torch.testing.assert_close(mapping.w_avg, expected)
    mapping.reset_parameters()
    assert not mapping.w_avg.any()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "has 3 classes; give labels, int64 of shape"),
        (torch.tensor([0, 1]), r"the labels have shape \(2,\) .* takes int64 of shape \(4,\)"),
        (torch.zeros(4, 1, dtype=torch.int64), r"the labels have shape \(4, 1\)"),
        (torch.zeros(4), "type torch.float32"),
        (torch.zeros(4, dtype=torch.int32), "type torch.int32"),
        (torch.tensor([0, 1, 2, 3]), "lie in 0 to 3, but this network has the classes 0 to 2"),
        (torch.tensor([0, 1, -1, 2]), "lie in -1 to 2"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, message):
    with pytest.raises(InputError, match=message):
        Mapping(5, 7, 2, classes=3)(torch.randn(4, 5), labels)


def test_labels_for_a_network_without_classes_are_refused():
    with pytest.raises(InputError, match="has no classes; leave the labels out"):
        Mapping(5, 7, 2)(torch.randn(4, 5), torch.zeros(4, dtype=torch.int64))


def test_empty_batches_pass():
    assert Mapping(5, 7, 2, classes=3)(torch.randn(0, 5), torch.zeros(0, dtype=torch.int64)).shape == (0, 7)

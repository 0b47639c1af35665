import copy
import pickle

import numpy as np
import pytest
import torch

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.models.stylegan2_discriminator import StyleGAN2Discriminator, minibatch_spread
from tests.reference import stylegan2 as reference


def drawn(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def built(size=(16, 16), channels=3, **options):
    torch.manual_seed(0)
    options = {"channel_base": 64, "channel_max": 6, "label_dim": 5, "mapping_layers": 2, **options}
    network = StyleGAN2Discriminator((channels, *size), **options).double()
    for name, parameter in network.named_parameters():
        if name.endswith(".bias"):
            parameter.data += 0.3 * torch.randn_like(parameter)
    return network


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("resolution", "expected"), [(64, 23_407_361), (128, 23_882_369)])
def test_parameter_counts_are_those_of_the_original_config_e(resolution, expected):
    with torch.device("meta"):
        assert count(StyleGAN2Discriminator((3, resolution, resolution))) == expected


@pytest.mark.parametrize("grouping", ["consecutive", "interleaved"])
@pytest.mark.parametrize(("size", "heights"), [((8, 10), [8]), ((32, 16), [32, 16]), ((12, 12), [12])])
@pytest.mark.parametrize("classes", [0, 3])
def test_logits_equal_their_transcription(size, heights, classes, grouping):
    network = built(size, 2, classes=classes, grouping=grouping, group=2)
    x, labels = drawn(4, 2, *size), torch.tensor([0, 2, 1, 2]) if classes else None
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    numbers = None if labels is None else labels.numpy()
    expected = reference.discriminator(x.numpy(), numbers, weights, heights, 2, grouping, 2)
    found = network(x, labels).detach()
    torch.testing.assert_close(found, torch.from_numpy(expected), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("grouping", ["consecutive", "interleaved"])
@pytest.mark.parametrize(
    ("samples", "group"), [(1, 4), (2, 4), (4, 4), (6, 4), (7, 4), (8, 4), (9, 4), (4, 1)]
)
def test_spread_of_a_minibatch_equals_a_loop(samples, group, grouping):
    x = drawn(samples, 2, 3, 2)
    expected = torch.from_numpy(reference.spread(x.numpy(), group, grouping))
    torch.testing.assert_close(minibatch_spread(x, group, grouping), expected, rtol=1e-12, atol=1e-12)


def test_spread_of_one_image_is_that_of_rounding():
    spread = minibatch_spread(drawn(1, 2, 3, 3), 4)
    torch.testing.assert_close(spread, torch.full((1, 1, 3, 3), 1e-4, dtype=torch.float64))


def test_neighbours_form_the_same_groups_in_one_process_and_in_two():
    network, x = built(), drawn(16, 3, 16, 16)
    halves = torch.cat([network(x[:8]), network(x[8:])])
    torch.testing.assert_close(network(x), halves, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("samples", [0, 1, 3, 5])
def test_batches_of_any_size_pass(samples):
    assert built()(drawn(samples, 3, 16, 16)).shape == (samples,)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [(16, 20), (32, 16), (24, 24)])
def test_images_grey_or_rgba_and_non_square(size, channels):
    assert built(size, channels)(drawn(2, channels, *size)).shape == (2,)


def test_labels_change_the_logit():
    network, x = built(classes=3, group=1), drawn(1, 3, 16, 16)
    logits = network(x.expand(3, -1, -1, -1), torch.arange(3)).tolist()
    assert len({round(logit, 6) for logit in logits}) == 3


def test_copies_and_pickles_give_the_same_logits():
    network, x = built(classes=2), drawn(2, 3, 16, 16)
    labels = torch.tensor([0, 1])
    for other in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert torch.equal(other(x, labels), network(x, labels))


def test_the_whole_forward_compiles_as_one_graph():
    network, x, labels = built((8, 8), classes=2), drawn(4, 3, 8, 8), torch.tensor([0, 1, 1, 0])
    torch._dynamo.reset()
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x, labels), network(x, labels))


def test_features_stay_channels_last_through_every_block():
    network = built((32, 32)).to(memory_format=torch.channels_last)
    wrong = []

    def look(name, result):
        if result.ndim == 4 and not result.is_contiguous(memory_format=torch.channels_last):
            wrong.append(name)

    for name, part in network.named_modules():
        part.register_forward_hook(lambda _m, _a, result, name=name: look(name, result))
    network(drawn(3, 3, 32, 32).contiguous(memory_format=torch.channels_last))
    assert wrong == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (20, 19)}, "images of 20x19 do not fit.* nearest that do are 20x20"),
        ({"channels": 0}, "channels is 0"),
        ({"channel_base": 0}, "channel_base is 0"),
        ({"group": 0}, "group is 0"),
        ({"classes": -1}, "classes is -1"),
        ({"label_dim": 0}, "label_dim is 0"),
        ({"grouping": "consecutiv"}, "did you mean 'consecutive'"),
    ],
)
def test_networks_that_cannot_be_built(options, message):
    with pytest.raises(InputError, match=message):
        built(**options)


def test_images_and_labels_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"this discriminator takes .* shape \(N, 3, 16, 16\)"):
        built()(torch.zeros(2, 3, 16, 20))
    with pytest.raises(InputError, match="has no classes; leave the labels out"):
        built()(drawn(2, 3, 16, 16), torch.tensor([0, 1]))
    with pytest.raises(InputError, match="has 3 classes; give labels"):
        built(classes=3)(drawn(2, 3, 16, 16))
    with pytest.raises(InputError, match="lie in 0 to 3, but this network has the classes 0 to 2"):
        built(classes=3)(drawn(2, 3, 16, 16), torch.tensor([0, 3]))


def test_the_reference_counts_groups_as_the_paper_does():
    x = np.zeros((4, 1, 1, 1))
    x[:, 0, 0, 0] = [0, 2, 10, 14]
    assert np.allclose(reference.spread(x, 2, "consecutive").flatten(), [1, 1, 2, 2])
    assert np.allclose(reference.spread(x, 2, "interleaved").flatten(), [5, 6, 5, 6])

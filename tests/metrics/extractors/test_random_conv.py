"""Random features order what is worse: halves of the real images, blurred, noise; and see lost modes."""

import numpy as np
import pytest
import scipy.linalg
import torch

from riemann_noise_pytorch.data.images import open_images
from riemann_noise_pytorch.metrics.extractors.random_conv import EDGE_FILTERS, RandomConv

BINOMIAL = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16


def frechet(first, second):
    """Heusel et al. 2017, by SciPy's square root of a matrix."""
    first, second = (x.double().numpy() for x in (first, second))
    a, b = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    offset = np.square(first.mean(0) - second.mean(0)).sum()
    return offset + np.trace(a + b - 2 * scipy.linalg.sqrtm(a @ b).real)


def blurred(x):
    channels = x.shape[1]
    kernel = (BINOMIAL[:, None] * BINOMIAL).expand(channels, 1, 5, 5)
    padded = torch.nn.functional.pad(x.float(), (2, 2, 2, 2), mode="reflect")
    return torch.nn.functional.conv2d(padded, kernel, groups=channels).round().to(torch.uint8)


@pytest.fixture(scope="module")
def extractor():
    return RandomConv()


@pytest.fixture(scope="module")
def halves():
    """Two random halves of up to 2000 images by name of the data, with the labels of the second."""

    def split(name):
        images, rng = open_images(name), torch.Generator().manual_seed(0)
        order = torch.randperm(len(images), generator=rng)[:2000]
        first, second = order[::2], order[1::2]
        labels = None if images.labels is None else images.labels[second]
        return images.batch(first), images.batch(second), labels

    return {name: split(name) for name in ("digits", "photos")}


@pytest.mark.parametrize("name", ["digits", "photos"])
def test_halves_are_nearer_than_blurred_ones_than_noise(extractor, halves, name):
    real, held_out, _ = halves[name]
    noise = torch.randint(0, 256, real.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    sets = (held_out, blurred(held_out), noise)
    reference = extractor(real)["features"]
    half, blur, random = (frechet(reference, extractor(x)["features"]) for x in sets)
    assert 1.5 * half < blur
    assert 5 * blur < random


def test_lost_modes_are_seen(extractor, halves):
    real, held_out, labels = halves["digits"]
    reference, features = extractor(real)["features"], extractor(held_out)["features"]
    third = features[labels < 3]
    as_many = features[: len(third)]
    half, few, lost = (frechet(reference, x) for x in (features, as_many, third))
    assert lost > 5 * half
    assert lost > 3 * few


def test_features_are_the_formula(extractor, images):
    x = images(1, 3, 32, 32)
    maps, h = [], (x.double() / 127.5 - 1)[0].numpy()
    *filters, projection = (w.double().numpy() for w in extractor.weights)
    for w in filters:
        pad = w.shape[-1] // 2
        h = np.pad(h, ((0, 0), (pad, pad), (pad, pad)))
        windows = np.lib.stride_tricks.sliding_window_view(h, w.shape[2:], axis=(1, 2))[:, ::2, ::2]
        h = np.maximum(0, np.einsum("chwij,dcij->dhw", windows, w))
        maps.append(h)
    wanted = np.concatenate([maps[0].mean((1, 2)), maps[1].mean((1, 2)), projection @ maps[2].ravel()])
    assert np.allclose(extractor(x)["features"][0].numpy(), wanted, rtol=1e-4, atol=1e-5)


def test_weights_have_the_scale_of_their_inputs_and_edges_no_flat_response(extractor):
    first, second, third, projection = extractor.weights
    assert first[:EDGE_FILTERS].sum(dim=(2, 3)).abs().max() < 1e-5
    for weight, gain in ((second, 2), (third, 2), (projection, 1)):
        assert float(weight.var() * weight[0].numel()) == pytest.approx(gain, rel=0.05)


def test_features_are_the_same_on_every_machine(extractor):
    x = torch.arange(3 * 16 * 16).remainder(251).to(torch.uint8).view(1, 3, 16, 16)
    features = extractor(x)["features"][0]
    assert features[:3].tolist() == pytest.approx([0.2114887, 0.1011341, 0.1181589], rel=1e-4)
    assert float(features.norm()) == pytest.approx(2.982714, rel=1e-4)
    assert extractor.identity == ("random-conv, weights none, bilinear with antialiasing to 32x32, formula 1")


@pytest.mark.parametrize("size", [(8, 8), (13, 40), (128, 128)])
def test_features_of_any_size_do_not_depend_on_the_batch(extractor, images, size):
    x = images(3, 1, *size)
    whole = extractor(x)["features"]
    assert whole.shape == (3, 224)
    one = torch.cat([extractor(x[i : i + 1])["features"] for i in range(3)])
    assert (whole - one).norm() < 1e-6 * whole.norm()
    assert torch.equal(whole, extractor(x.repeat(1, 3, 1, 1))["features"])


def test_building_leaves_random_numbers_alone():
    before = torch.get_rng_state()
    RandomConv()
    assert torch.equal(torch.get_rng_state(), before)

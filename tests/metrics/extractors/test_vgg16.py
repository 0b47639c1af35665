"""VGG16 gives torch-fidelity's features after the second fully connected layer."""

import sys

import pytest
import torch
from torch_fidelity import FeatureExtractorVGG16

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.metrics.extractors.vgg16 import VGG16
from riemann_noise_pytorch.metrics.weights import VGG16 as PUBLISHED
from riemann_noise_pytorch.metrics.weights import file_sha256


@pytest.fixture(scope="module")
def extractor(vgg16_file):
    return VGG16(vgg16_file)


def test_features_are_torch_fidelitys(extractor, vgg16_file, images, monkeypatch):
    for layer in (torch.nn.Linear, torch.nn.Conv2d):  # a start that is overwritten anyway takes seconds
        monkeypatch.setattr(layer, "reset_parameters", lambda _: None)
    for start in ("kaiming_normal_", "normal_", "constant_"):
        monkeypatch.setattr(torch.nn.init, start, lambda tensor, *_, **__: tensor)
    reference = FeatureExtractorVGG16("reference", ["fc2_relu"], str(vgg16_file))
    for size in ((40, 30), (224, 224)):
        x = images(1, 3, *size)
        ours, theirs = extractor(x)["fc2_relu"], reference(x)[0]
        assert ours.shape == (1, extractor.dimensions["fc2_relu"])
        assert torch.equal(ours, theirs)


def test_features_do_not_depend_on_the_batch(extractor, images):
    x = images(2, 1, 16, 16)
    whole, second = extractor(x)["fc2_relu"], extractor(x[1:])["fc2_relu"]
    assert (whole[1:] - second).norm() < 1e-6 * second.norm()


def test_the_name_tells_weights_that_are_not_published(extractor, vgg16_file):
    assert extractor.name == f"VGG16 with weights {file_sha256(vgg16_file)[:8]}"
    assert not extractor.official


def test_missing_weights_say_what_to_download_where_and_its_hash():
    with pytest.raises(InputError) as caught:
        VGG16()
    for part in (PUBLISHED.file, PUBLISHED.sha256, "--vgg16-weights", "RIEMANN_NOISE_VGG16"):
        assert part in str(caught.value)


def test_weights_of_another_network_are_refused(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"no file of torchvision's VGG16: 'features\.0\.weight'"):
        VGG16(tmp_path / "other.pth")


def test_without_torchvision_the_remedy_is_named(vgg16_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(InputError, match=r"VGG16 needs torchvision; pip install .*fidelity"):
        VGG16(vgg16_file)

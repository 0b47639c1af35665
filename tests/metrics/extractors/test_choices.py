"""Extractors by name."""

import pytest
import torch

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.metrics.extractors.choices import EXTRACTORS, make_extractor


def test_every_name_leads_to_its_extractor_or_to_what_it_lacks():
    assert make_extractor("random-conv").key == "random-conv"
    for key, lack in (("inception", "Inception"), ("vgg16", "VGG16"), ("dinov2-vits14", "DINOv2")):
        with pytest.raises(InputError, match=f"^{lack} needs"):
            make_extractor(key)


def test_weights_and_device_are_handed_on(inception_file):
    extractor = make_extractor("inception", inception_file, device=torch.device("cpu"))
    assert extractor.key == "inception"
    assert set(extractor.dimensions) == {"pool3", "logits_unbiased"}


def test_every_extractor_is_explained_in_one_line():
    assert all(0 < len(line) < 110 and "\n" not in line for line in EXTRACTORS.values())


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(InputError, match="unknown extractor 'vgg-16'; did you mean 'vgg16'"):
        make_extractor("vgg-16")


def test_what_an_extractor_does_not_take_is_refused(tmp_path):
    with pytest.raises(InputError, match="random-conv has no weights"):
        make_extractor("random-conv", tmp_path / "weights.pth")
    with pytest.raises(InputError, match="inception takes no repository"):
        make_extractor("inception", tmp_path / "weights.pth", repository=tmp_path)

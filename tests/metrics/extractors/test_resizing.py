"""The resizing of TensorFlow 1, index by index."""

import numpy as np
import pytest
import torch
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from riemann_noise_pytorch.metrics.extractors.resizing import normalise_imagenet, resize_tensorflow1


def literal(image, size):
    height, width = image.shape
    out = np.zeros((size, size))
    for i in range(size):
        for j in range(size):
            y, x = i * height / size, j * width / size
            y0, x0 = int(y), int(x)
            y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
            top = image[y0, x0] + (image[y0, x1] - image[y0, x0]) * (x - x0)
            bottom = image[y1, x0] + (image[y1, x1] - image[y1, x0]) * (x - x0)
            out[i, j] = top + (bottom - top) * (y - y0)
    return out


@pytest.mark.parametrize(("height", "width"), [(5, 8), (13, 13), (40, 21)])
def test_resizing_is_the_transcription(height, width, images):
    image = images(1, 1, height, width).float()
    ours = resize_tensorflow1(image, 13)[0, 0].double().numpy()
    assert np.allclose(ours, literal(image[0, 0].double().numpy(), 13), atol=2e-4)


@pytest.mark.parametrize("size", [(16, 16), (17, 64), (224, 224), (299, 299), (500, 333)])
def test_resizing_is_torch_fidelitys_to_the_last_bit(size, images):
    image = images(2, 3, *size).float()
    for target in (224, 299):
        theirs = interpolate_bilinear_2d_like_tensorflow1x(image, (target, target), align_corners=False)
        assert torch.equal(resize_tensorflow1(image, target), theirs)


def test_images_of_the_wanted_size_are_left_alone(images):
    image = images(1, 3, 32, 32).float()
    assert resize_tensorflow1(image, 32) is image


def test_resizing_leaves_its_input_as_it_was(images):
    image = images(1, 3, 8, 8).float()
    before = image.clone()
    resize_tensorflow1(image, 16)
    assert torch.equal(image, before)


def test_other_filters_give_other_pixels(images):
    image = images(1, 3, 16, 16).float()
    centred = torch.nn.functional.interpolate(image, (64, 64), mode="bilinear", align_corners=False)
    assert (resize_tensorflow1(image, 64) - centred).abs().max() > 10


def test_normalised_imagenet_has_mean_0_and_deviation_1():
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    image = 255 * torch.stack([mean, mean + std])[:, :, None, None]
    wanted = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 3, 1, 1)
    assert torch.allclose(normalise_imagenet(image), wanted, atol=1e-6)

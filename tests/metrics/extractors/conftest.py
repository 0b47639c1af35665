"""Files of weights: the published ones where the environment names them, random ones otherwise."""

import os
import socket
from pathlib import Path

import pytest
import torch

from riemann_noise_pytorch.metrics.weights import INCEPTION
from tests.metrics.extractors.networks import inception_state, vgg16_state

VARIABLES = (
    "RIEMANN_NOISE_INCEPTION",
    "RIEMANN_NOISE_VGG16",
    "RIEMANN_NOISE_DINOV2",
    "RIEMANN_NOISE_DINOV2_REPOSITORY",
)
GIVEN = os.environ.get(INCEPTION.variable)


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """No test may reach the network, or find a file by the variables of whoever runs it."""

    def refuse(*_):
        raise AssertionError("an extractor tried to reach the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def inception_file(tmp_path_factory):
    """Weights of Inception: the file named by RIEMANN_NOISE_INCEPTION, or random ones."""
    if GIVEN:
        return Path(GIVEN)
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    torch.save(inception_state(), path)
    return path


@pytest.fixture(scope="session")
def vgg16_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("vgg16") / "random.pth"
    torch.save(vgg16_state(), path)
    return path


@pytest.fixture
def images():
    """Random uint8 images with structure: coarse blocks under fine noise."""

    def draw(n, channels, height, width, seed=0):
        rng = torch.Generator().manual_seed(seed)
        coarse = 200 * torch.rand(n, channels, 3, 3, generator=rng)
        blocks = torch.nn.functional.interpolate(coarse, (height, width), mode="nearest")
        return (blocks + 55 * torch.rand(blocks.shape, generator=rng)).to(torch.uint8)

    return draw

"""StyleGAN2 gives what rosinality's code gives (MIT licence; random weights, outputs in float64).

``tests/data/golden/rosinality_*.safetensors`` hold the tensors of a narrow 32x32 network of
rosinality/stylegan2-pytorch and what that code computed with them on a CPU.
"""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from riemann_noise_pytorch.models.foreign import from_rosinality
from riemann_noise_pytorch.models.modulation import modulated_conv
from riemann_noise_pytorch.noise.control import given

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
TOLERANCE = 1e-7
"""Relative to the largest value; that code puts the 1e-8 of demodulation elsewhere, which shows at 1e-8."""


@pytest.fixture(scope="module")
def expected():
    return load_file(GOLDEN / "rosinality_io.safetensors")


@pytest.fixture(scope="module")
def networks():
    weights = load_file(GOLDEN / "rosinality_weights.safetensors")
    return from_rosinality({name: tensor.double() for name, tensor in weights.items()})


@pytest.fixture(scope="module")
def generator(networks):
    return networks[0]


@pytest.fixture(scope="module")
def discriminator(networks):
    return networks[1]


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= TOLERANCE * expected.abs().max()


@torch.no_grad()
def test_mapping_and_truncation(generator, expected):
    z = expected["z"].double()
    close(generator.ws(z), expected["ws"])
    close(generator.ws(z, truncation_psi=0.7), expected["ws_psi0.7"])


@torch.no_grad()
def test_images_with_fixed_noise_without_and_truncated(generator, expected):
    z = expected["z"].double()
    close(generator(z, noise_mode="const"), expected["image_const"])
    close(generator(z, noise_mode="none"), expected["image_nonoise"])
    close(generator(z, truncation_psi=0.7, noise_mode="const"), expected["image_psi0.7"])


@torch.no_grad()
def test_given_noise_is_the_fixed_noise(generator, expected):
    places = ["block4.conv1"] + [f"block{r}.conv{k}" for r in (8, 16, 32) for k in (0, 1)]
    maps = {f"synthesis.{p}.noise": expected[f"noise.noise_{i}"].double() for i, p in enumerate(places)}
    with given(generator, maps):
        close(generator(expected["z"].double()), expected["image_const"])


@torch.no_grad()
def test_every_row_of_w_goes_to_its_layer(generator, expected):
    close(generator.synthesis(expected["ws_distinct"].double(), "const"), expected["image_ws_distinct"])


@torch.no_grad()
@pytest.mark.parametrize("fused", [False, True])
def test_doubling_modulated_convolution(generator, expected, fused):
    layer = generator.synthesis.block8.conv0
    x, w = expected["upconv.x"].double(), expected["upconv.w"].double()
    style = layer.affine(w)
    close(style, expected["upconv.style"])
    close(modulated_conv(x, layer.weight, style, up=True, fused=fused), expected["upconv.out_raw"])
    close(layer(x, w, "const"), expected["upconv.out_layer"])


@torch.no_grad()
def test_logits_at_every_batch_size(discriminator, expected):
    const, silent = expected["image_const"].double(), expected["image_nonoise"].double()
    close(discriminator(const), expected["d_logits"].flatten())
    close(discriminator(const[:2]), expected["d_logits_b2"].flatten())
    close(discriminator(torch.cat([const, silent])), expected["d_logits_b8"].flatten())

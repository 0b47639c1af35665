"""Our network gives what lucidrains' code gives (MIT licence; random weights, outputs in float64).

``tests/data/golden/lucidrains_*.safetensors`` hold the tensors of a narrow 32x32 network of
lucidrains/stylegan2-pytorch 1.9.0 and what that code computed with them on a CPU. Its images lie in [0, 1].
"""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from riemann_noise_pytorch.models.foreign import from_lucidrains
from riemann_noise_pytorch.models.lucidrains_layers import blurred, doubled
from riemann_noise_pytorch.noise.control import given, off
from riemann_noise_pytorch.noise.listing import noise_layers

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
TOLERANCE = 1e-12
"""Relative to the largest value."""


@pytest.fixture(scope="module")
def expected():
    return load_file(GOLDEN / "lucidrains_io.safetensors")


@pytest.fixture(scope="module")
def networks():
    weights = load_file(GOLDEN / "lucidrains_weights.safetensors")
    return from_lucidrains({name: tensor.double() for name, tensor in weights.items()})


@pytest.fixture(scope="module")
def generator(networks):
    return networks[0]


@pytest.fixture(scope="module")
def discriminator(networks):
    return networks[1]


@pytest.fixture(scope="module")
def maps(generator, expected):
    return generator.noise_maps(expected["input_noise"].permute(0, 3, 1, 2))


def close(found: torch.Tensor, expected: torch.Tensor, tolerance: float = TOLERANCE) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


def in_unit(images: torch.Tensor) -> torch.Tensor:
    return (images + 1) / 2


@torch.no_grad()
def test_mapping_and_truncation(generator, expected):
    z = expected["z"].double()
    close(generator.ws(z), expected["ws"])
    close(generator.ws(z, truncation_psi=0.7), expected["ws_psi0.7"])


@torch.no_grad()
def test_images_with_a_noise_image_and_truncated(generator, expected, maps):
    z = expected["z"].double()
    with given(generator, maps):
        close(in_unit(generator(z)), expected["image_const"])
        close(in_unit(generator(z, truncation_psi=0.7)), expected["image_psi0.7"])


@torch.no_grad()
def test_no_noise_is_a_noise_image_of_zeros(generator, expected):
    with off(generator):
        close(in_unit(generator(expected["z"].double())), expected["image_nonoise"])


@torch.no_grad()
def test_every_row_of_w_goes_to_its_block(generator, expected, maps):
    with given(generator, {name: image[:2] for name, image in maps.items()}):
        close(in_unit(generator.synthesis(expected["ws_distinct"].double())), expected["image_ws_distinct"])


@torch.no_grad()
def test_every_layer_sees_its_corner_of_the_noise_image_transposed(generator, expected, maps):
    for b in range(4):
        for k in (0, 1):
            name = f"synthesis.block{4 << b}.conv{k}"
            layer = generator.get_submodule(name)
            term = layer.noise.a[None, :, None, None] * maps[f"{name}.noise"][:1] + layer.bias[:, None, None]
            close(term, expected[f"noise.blocks.{b}.to_noise{k + 1}"])
    assert noise_layers(generator).keys() == maps.keys()


@torch.no_grad()
def test_doubling_block(generator, expected, maps):
    block = generator.synthesis.block8
    x, w = expected["upconv.x_before_upsample"].double(), expected["upconv.w"].double()
    close(doubled(x), expected["upconv.x"])
    conv = block.conv0.conv
    close(conv.affine(w), expected["upconv.style"])
    close(conv(expected["upconv.x"], w), expected["upconv.out_raw"])
    own = {name.removeprefix("synthesis.block8."): m for name, m in maps.items() if "block8." in name}
    with given(block, own):
        features, rgb = block(x, expected["upconv.rgb_in"].double(), w)
    close(features, expected["upconv.out_layer"])
    close(rgb, expected["upconv.rgb_out"])


@torch.no_grad()
def test_features_and_logits_at_every_batch_size(discriminator, expected):
    const, silent = (expected[f"image_{name}"] * 2 - 1 for name in ("const", "nonoise"))
    close(discriminator.features(const), expected["d_feat4"])
    close(discriminator(const), expected["d_logits"])
    close(discriminator(const[:2]), expected["d_logits_b2"])
    close(discriminator(torch.cat([const, silent])), expected["d_logits_b8"])


@torch.no_grad()
def test_single_precision_as_that_code_in_single_precision(expected):
    generator, discriminator = from_lucidrains(load_file(GOLDEN / "lucidrains_weights.safetensors"))
    with given(generator, generator.noise_maps(expected["input_noise"].permute(0, 3, 1, 2))):
        images = generator(expected["z"].float())
    close(in_unit(images), expected["f32.image_const"], 2e-6)
    close(discriminator(images), expected["f32.d_logits"], 1e-5)


def test_blur_keeps_constants_up_to_the_border():
    torch.testing.assert_close(blurred(torch.ones(1, 2, 4, 5)), torch.ones(1, 2, 4, 5))

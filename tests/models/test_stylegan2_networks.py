"""StyleGAN2 by configuration, and the initial weights that its arms share."""

import math

import pytest
import torch

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.models.networks import (
    NetworkConfig,
    build_discriminator,
    build_generator,
    initialise,
)
from riemann_noise_pytorch.models.stylegan2 import StyleGAN2Generator
from riemann_noise_pytorch.noise.control import noise_layers

SMALL = {"architecture": "stylegan2", "resolution": 16, "w_dim": 8, "channel_base": 64, "channel_max": 6}
KINDS = ["none", "euclidean", "riemannian"]


def built(**options):
    return build_generator(NetworkConfig(**{**SMALL, "z_dim": 5, "mapping_layers": 2, **options}))


def drawn(seed=0, **options):
    network = built(**options)
    initialise(network, seed)
    return network


def test_configured_networks_have_the_asked_shape():
    options = {"resolution": (16, 20), "channels": 4, "classes": 3, "noise": "riemannian"}
    generator = built(**options)
    discriminator = build_discriminator(NetworkConfig(**{**SMALL, **options}))
    assert generator.image_shape == discriminator.image_shape == (4, 16, 20)
    labels = torch.tensor([0, 2])
    images = generator(torch.randn(2, 5), labels)
    assert discriminator(images, labels).shape == (2,)
    assert discriminator.group == 4
    assert build_discriminator(NetworkConfig(**SMALL, stddev_group=2)).group == 2
    assert generator.z_dim == 5
    assert generator.w_dim == 8
    assert discriminator.logit.weight.shape == (8, 6)
    assert generator.synthesis.block16.conv1.weight.is_contiguous(memory_format=torch.channels_last)


def test_the_defaults_are_those_of_config_e():
    with torch.device("meta"):
        generator = build_generator(NetworkConfig("stylegan2", 64, noise="euclidean"))
        discriminator = build_discriminator(NetworkConfig("stylegan2", 64))
    assert sum(p.numel() for p in generator.parameters()) == 23_819_544
    assert sum(p.numel() for p in discriminator.parameters()) == 23_407_361


def test_latents_have_the_dimension_of_the_paper_by_default():
    assert build_generator(NetworkConfig(**SMALL)).z_dim == 512
    assert build_generator(NetworkConfig(resolution=16, width=2)).z_dim == 100


def test_layers_can_have_noise_of_their_own():
    layers = noise_layers(built(noise="euclidean", noise_layers="block16.*=paper,block16.conv1=none"))
    found = {name.removeprefix("synthesis.").removesuffix(".noise"): n.kind for name, n in layers.items()}
    expected = dict.fromkeys(("block4.conv1", "block8.conv0", "block8.conv1"), "euclidean")
    assert found == expected | {"block16.conv0": "riemannian"}


def test_arms_agree_exactly_in_all_that_they_share():
    arms = {kind: drawn(noise=kind, classes=3).state_dict() for kind in KINDS}
    plain = arms["none"]
    for kind in ("euclidean", "riemannian"):
        assert plain.keys() < arms[kind].keys()
        assert all(torch.equal(plain[name], arms[kind][name]) for name in plain)
        assert all("noise" in name for name in arms[kind].keys() - plain.keys())
    fixed = [name for name in arms["euclidean"] if name.endswith("noise_const")]
    assert len(fixed) == 5
    assert all(torch.equal(arms["euclidean"][name], arms["riemannian"][name]) for name in fixed)


def test_every_draw_depends_on_the_seed_and_on_nothing_else():
    torch.manual_seed(1)
    first = drawn(seed=3, noise="seed", classes=2).state_dict()
    torch.manual_seed(2)
    again = drawn(seed=3, noise="seed", classes=2).state_dict()
    other = drawn(seed=4, noise="seed", classes=2).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    differing = {name for name in first if not torch.equal(first[name], other[name])}
    assert differing == {n for n in first if n.endswith((".weight", ".const", ".noise_const", ".A", ".b"))}


def test_no_two_tensors_share_a_stream():
    state = drawn(noise="euclidean").state_dict() | build_state(0)
    drawn_tensors = [t for n, t in state.items() if n.endswith(("weight", "const"))]
    starts = {tuple((t.flatten()[:4] / t.std()).round(decimals=3).tolist()) for t in drawn_tensors}
    assert len(starts) == len(drawn_tensors)


def build_state(seed):
    network = build_discriminator(NetworkConfig(**SMALL))
    initialise(network, seed)
    return {f"d.{name}": tensor for name, tensor in network.state_dict().items()}


def test_initial_values_are_standard_normal_over_the_multiplier():
    network = StyleGAN2Generator((3, 16, 16), 64, 64, 2, channel_max=64, noise="euclidean")
    initialise(network, 0)
    for name, tensor in network.state_dict().items():
        if name.endswith(("weight", "const")):
            values = tensor * (0.01 if "mapping" in name else 1.0)
            error = 5 / math.sqrt(values.numel())
            assert abs(values.mean()) < error
            assert values.std() == pytest.approx(1.0, abs=error)
        else:
            assert torch.equal(tensor, torch.full_like(tensor, 1.0 if "affine" in name else 0.0))


def test_initialising_forgets_the_average_and_the_training():
    network = drawn(noise="riemannian")
    fresh = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.mapping.follow(network.mapping(torch.randn(4, 5)))
    for parameter in network.parameters():
        parameter.data += 1
    initialise(network, 0)
    assert all(torch.equal(fresh[name], tensor) for name, tensor in network.state_dict().items())
    assert not network.mapping.w_avg.any()


def test_float64_networks_start_from_the_same_numbers():
    network = built().double()
    initialise(network, 0)
    other = drawn().state_dict()
    assert all(
        torch.equal(t.float(), other[name]) for name, t in network.state_dict().items() if "map" not in name
    )


def test_initial_images_have_contrast_and_fit_their_range():
    network = build_generator(NetworkConfig("stylegan2", 32, noise="euclidean", channel_max=64))
    initialise(network, 0)
    images = network(torch.randn(16, 512, generator=torch.Generator().manual_seed(0)))
    assert 0.1 < images.std() < 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": "none"}, "norm has no meaning with architecture stylegan2; .* set architecture to dcgan"),
        ({"d_norm": "none"}, "d_norm has no meaning"),
        ({"width": 32}, "width has no meaning"),
        ({"noise_place": "after"}, "noise_place has no meaning"),
        ({"resolution": 100}, "images of 100x100 do not fit StyleGAN2.* nearest that do are 96x96"),
        ({"resolution": (16, 19)}, "images of 16x19 do not fit StyleGAN2.* nearest that do are 16x20"),
        ({"resolution": (16, 16, 16)}, "resolution is .* must be one side, or height and width"),
        ({"channels": 0}, "channels is 0"),
        ({"noise": "riemanian"}, "did you mean 'riemannian'"),
        ({"noise_layers": "block32.*=paper"}, "unknown layer or pattern 'block32"),
        ({"noise_layers": "block8.*=papier"}, "unknown kind of noise 'papier'; did you mean 'paper'"),
        ({"noise_layers": "block8.*"}, "parts are PATTERN=KIND"),
        ({"noise_layers": "*=paper"}, "set noise instead"),
    ],
)
def test_configurations_that_cannot_be_built(options, message):
    with pytest.raises(InputError, match=message):
        built(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"w_dim": 8},
        {"mapping_layers": 2},
        {"channel_base": 64},
        {"channel_max": 64},
        {"classes": 2},
        {"stddev_group": 2},
        {"noise_layers": "stage8=none"},
    ],
)
def test_dcgan_refuses_the_options_of_stylegan2(options):
    (name,) = options
    for build in (build_generator, build_discriminator):
        with pytest.raises(InputError, match=f"{name} has no meaning with architecture dcgan; leave it out"):
            build(NetworkConfig(resolution=16, width=2, **options))


def test_dcgan_makes_square_images_only():
    assert build_generator(NetworkConfig(resolution=(16, 16), width=2)).image_shape == (3, 16, 16)
    with pytest.raises(InputError, match="images of 16x32 do not fit a DCGAN, which makes square ones"):
        build_generator(NetworkConfig(resolution=(16, 32), width=2))

import pytest
import torch

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.models.dcgan import DCGANDiscriminator, DCGANGenerator
from riemann_noise_pytorch.noise.control import frozen, noise_layers
from tests.reference import dcgan as reference

NORMS = ["batch", "instance", "none"]


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def randomised(module):
    module.double()
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        shape = parameter.shape
        parameter.data = torch.randn(shape, generator=generator, dtype=torch.float64) * 0.3 + (
            parameter.ndim == 1
        )
    return module


def test_parameter_counts_are_those_of_the_pytorch_example():
    assert parameters(DCGANGenerator(64)) == 3_576_704
    assert parameters(DCGANDiscriminator(64)) == 2_765_568


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("resolution", [16, 32])
def test_generator_equals_its_transcription(resolution, norm):
    network = randomised(DCGANGenerator(resolution, channels=3, z_dim=7, width=4, norm=norm))
    z = torch.randn(5, 7, dtype=torch.float64)
    expected = reference.generator(z, dict(network.named_parameters()), resolution, norm)
    torch.testing.assert_close(network(z), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("resolution", [16, 32])
def test_discriminator_equals_its_transcription(resolution, norm):
    network = randomised(DCGANDiscriminator(resolution, channels=2, width=4, norm=norm))
    x = torch.randn(5, 2, resolution, resolution, dtype=torch.float64)
    expected = reference.discriminator(x, dict(network.named_parameters()), resolution, norm)
    torch.testing.assert_close(network(x), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("resolution", [16, 32, 64, 128])
def test_shapes_for_every_resolution_and_number_of_channels(resolution, channels):
    network = DCGANGenerator(resolution, channels, z_dim=6, width=2, noise="riemannian")
    images = network(torch.randn(3, 6))
    assert images.shape == (3, *network.image_shape) == (3, channels, resolution, resolution)
    assert images.abs().max() <= 1
    assert DCGANDiscriminator(resolution, channels, width=2)(images).shape == (3,)


@pytest.mark.parametrize("kind", ["euclidean", "riemannian"])
def test_one_noise_layer_at_every_hidden_stage(kind):
    network = DCGANGenerator(64, width=2, noise=kind)
    assert [*noise_layers(network)] == [f"stage{size}.noise" for size in (4, 8, 16, 32)]
    assert {layer.kind for layer in noise_layers(network).values()} == {kind}


def test_no_noise_leaves_no_child():
    network = DCGANGenerator(16, width=2)
    assert not noise_layers(network)
    assert not hasattr(network.stage4, "noise")


def test_noise_stands_before_the_activation_or_after_it():
    before = DCGANGenerator(16, width=2, noise="euclidean").stage8
    after = DCGANGenerator(16, width=2, noise="euclidean", noise_place="after").stage8
    assert [name for name, _ in before.named_children()] == ["conv", "norm", "noise", "activation"]
    assert [name for name, _ in after.named_children()] == ["conv", "norm", "activation", "noise"]


def test_initial_strength_reaches_every_layer():
    for kind in ("euclidean", "riemannian"):
        network = DCGANGenerator(32, width=2, noise=kind, noise_strength=0.25)
        assert [float(layer.strength()) for layer in noise_layers(network).values()] == [0.25] * 3


@pytest.mark.parametrize("network", [DCGANGenerator, DCGANDiscriminator])
def test_biases_exist_where_there_is_no_norm(network):
    def biased(norm):
        convolutions = [m for m in network(16, width=2, norm=norm).modules() if hasattr(m, "kernel_size")]
        return {m.bias is not None for m in convolutions}

    assert [biased(norm) for norm in NORMS] == [{False}, {False}, {True}]


@pytest.mark.parametrize("norm", ["instance", "none"])
def test_without_batch_statistics_a_sample_does_not_depend_on_its_neighbours(norm):
    network = randomised(DCGANGenerator(16, 1, z_dim=6, width=2, norm=norm, noise="riemannian"))
    z = torch.randn(4, 6, dtype=torch.float64)
    with frozen(network, seed=1):
        together, alone = network(z), network(z[:1])
    torch.testing.assert_close(together[:1], alone, rtol=1e-12, atol=1e-12)


def test_forward_mode_reverse_mode_and_vmap_agree():
    network = randomised(DCGANGenerator(16, 1, z_dim=6, width=2, noise="riemannian")).eval()
    z = torch.randn(1, 6, dtype=torch.float64)
    with frozen(network, seed=1):
        forward = torch.func.jacfwd(network)(z).flatten(0, 3).flatten(1)
        reverse = torch.func.jacrev(network)(z).flatten(0, 3).flatten(1)
    torch.testing.assert_close(forward, reverse, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("resolution", "nearest"), [(20, 16), (30, 32), (100, 128), (1000, 128), (4, 16)])
@pytest.mark.parametrize("network", [DCGANGenerator, DCGANDiscriminator])
def test_a_resolution_that_does_not_fit_names_the_nearest(network, resolution, nearest):
    with pytest.raises(InputError, match=f"resolution {resolution} does not fit.* is {nearest} "):
        network(resolution)


@pytest.mark.parametrize("shape", [(2, 99), (100,), (2, 100, 1, 1)])
def test_a_latent_of_the_wrong_shape_is_told_the_right_one(shape):
    with pytest.raises(InputError, match=r"shape \(N, 100\); draw it with torch.randn"):
        DCGANGenerator(16, width=2)(torch.zeros(shape))


def test_integer_latents_and_images_are_refused():
    with pytest.raises(InputError, match="int64"):
        DCGANGenerator(16, width=2)(torch.zeros(2, 100, dtype=torch.int64))
    with pytest.raises(InputError, match="uint8"):
        DCGANDiscriminator(16, width=2)(torch.zeros(2, 3, 16, 16, dtype=torch.uint8))


@pytest.mark.parametrize("shape", [(2, 1, 16, 16), (2, 3, 32, 32), (3, 16, 16)])
def test_images_of_the_wrong_shape_are_told_the_right_one(shape):
    with pytest.raises(InputError, match=r"of shape \(N, 3, 16, 16\)"):
        DCGANDiscriminator(16, width=2)(torch.zeros(shape))


@pytest.mark.parametrize(
    ("option", "value", "suggestion"),
    [("norm", "bach", "batch"), ("noise_place", "befor", "before"), ("noise", "riemanian", "riemannian")],
)
def test_unknown_names_are_met_with_the_nearest(option, value, suggestion):
    with pytest.raises(InputError, match=f"did you mean '{suggestion}'"):
        DCGANGenerator(16, **{option: value})


def test_unknown_presets_are_met_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'author-ffhq'"):
        DCGANGenerator(16, noise="riemannian", riemann_preset="author-fhq")


@pytest.mark.parametrize("option", ["channels", "z_dim", "width"])
def test_empty_sizes_are_refused(option):
    with pytest.raises(InputError, match=f"{option} is 0"):
        DCGANGenerator(16, **{option: 0})

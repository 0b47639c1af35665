"""The Jacobians of all layers, against those of networks cut off behind each layer."""

import pytest
import torch
from torch import nn
from torch.func import jacrev

from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.geometry.layer_tangents import layer_tangents
from riemann_noise_pytorch.geometry.still import still
from riemann_noise_pytorch.models.dcgan import DCGANGenerator
from riemann_noise_pytorch.models.stylegan2 import StyleGAN2Generator
from riemann_noise_pytorch.noise.layers import EuclideanNoise
from tests.geometry import operations

Z = torch.linspace(-1, 1.5, 6, dtype=torch.float64)


class Apply(nn.Module):
    def __init__(self, operation):
        super().__init__()
        self.operation = operation

    def forward(self, x):
        return self.operation(x)


def chain(operation=torch.tanh):
    torch.manual_seed(1)
    middle = [nn.ReLU(inplace=True), nn.Linear(9, 7), Apply(operation), nn.Unflatten(1, (7, 1, 1))]
    return nn.Sequential(nn.Linear(6, 9), *middle, nn.ConvTranspose2d(7, 2, 3), nn.Sigmoid())


def whole(tangents):
    """Jacobians (m, n) by layer, from the chunks."""
    columns = {layer.name: torch.full((tangents.inputs, layer.size), torch.nan) for layer in tangents.layers}
    columns = {name: each.double() for name, each in columns.items()}
    for first, chunk in tangents.chunks():
        for name, rows in chunk.items():
            columns[name][first : first + len(rows)] = rows
    return {name: each.T for name, each in columns.items()}


@pytest.mark.parametrize(
    ("operation", "mode"),
    [
        (torch.tanh, "forward"),
        (operations.ReverseOnly.apply, "double reverse"),
        (operations.Once.apply, "reverse"),
        (operations.OnceAlone.apply, "reverse"),
    ],
)
@pytest.mark.parametrize("memory_mib", [1e-6, 1024])
def test_definition1_layers_have_the_jacobians_of_networks_cut_off_behind_them(operation, mode, memory_mib):
    network = chain(operation)
    with still(network, 6) as net:
        tangents = layer_tangents(net, Z, memory_mib=memory_mib)
        assert tangents.mode == mode
        assert tangents.reason.startswith("one set" if mode == "forward" else "forward mode fails (")
        found = whole(tangents)
    assert list(found) == ["0", "1", "2", "3", "4", "5", "image"]
    same = chain(torch.tanh if mode == "forward" else torch.square).double()
    same[1] = nn.ReLU()
    for end, jacobian in enumerate(found.values(), start=1):
        expected = jacrev(lambda z, end=end: same[:end](z[None])[0].flatten())(Z)
        torch.testing.assert_close(jacobian, expected, rtol=1e-12, atol=1e-14)


def test_noise_and_classes_are_those_of_the_sample():
    torch.manual_seed(0)
    network = StyleGAN2Generator(
        (1, 8, 8), 6, 6, 2, classes=3, channel_max=4, noise="riemannian", noise_strength=0.5
    )
    with still(network, seed=2) as net:
        one, other = (whole(layer_tangents(net, Z, index, layers="image"))["image"] for index in (0, 1))
        expected = jacrev(lambda z: net.at(1)(z).flatten())(Z)
    assert not torch.allclose(one, other)
    torch.testing.assert_close(other, expected, rtol=1e-11, atol=1e-14)


def test_chunks_fit_the_memory_and_cover_every_column_once():
    with still(chain(), 6) as net:
        tangents = layer_tangents(net, Z, memory_mib=0.0125)
        assert 1 < tangents.chunk < 6
        parts = [(first, len(chunk["image"])) for first, chunk in tangents.chunks()]
        assert sum(count for _, count in parts) == 6
        assert [first for first, _ in parts] == list(range(0, 6, tangents.chunk))


class Linear(nn.Module):
    """An image W z + a epsilon of 3 planes of 4 x 4."""

    z_dim = 6

    def __init__(self, planes="shared"):
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(6, 48)
        self.noise = EuclideanNoise(strength=0.5, planes=planes)

    def forward(self, z):
        return self.noise(self.linear(z).view(-1, 3, 4, 4))


def test_noise_has_columns_behind_those_of_the_latent():
    network = Linear("per_channel")
    with still(network) as net:
        tangents = layer_tangents(net, Z, joint="*")
        assert (tangents.inputs, tangents.noise_size, tangents.noise_directions) == (54, 48, 48)
        found = whole(tangents)
    expected = torch.cat([network.linear.weight.double(), 0.5 * torch.eye(48)], dim=1)
    torch.testing.assert_close(found["image"], expected)
    assert not found["linear"][:, 6:].any()


def test_random_directions_of_noise_are_orthonormal_and_meet_every_value():
    with still(Linear("per_channel")) as net:
        tangents = layer_tangents(net, Z, joint="*", most_inputs=16)
        assert (tangents.inputs, tangents.noise_size, tangents.noise_directions) == (16, 48, 10)
        directions = whole(tangents)["image"][:, 6:] / 0.5
    torch.testing.assert_close(directions.T @ directions, torch.eye(10).double())
    assert ((directions != 0).sum(dim=1) == 1).all()
    assert (directions < 0).any()


@pytest.mark.parametrize("kind", ["euclidean", "riemannian"])
def test_joint_tangents_agree_with_reverse_mode(kind):
    torch.manual_seed(0)
    network = DCGANGenerator(16, channels=1, z_dim=6, width=2, noise=kind, noise_strength=0.3)
    with still(network) as net:
        found = whole(layer_tangents(net, Z, 3, joint="stage4.*", layers=["stage8.conv", "image"]))
        joint = net.joint_at(3, Z, "stage4.*")
        expected = jacrev(lambda v: joint.function(v).flatten())(joint.start)
    assert list(found) == ["stage8.conv", "image"]
    torch.testing.assert_close(found["image"], expected, rtol=1e-10, atol=1e-13)


def test_derivatives_that_are_not_finite_name_the_layer():
    class Root(nn.Module):
        def forward(self, x):
            return (x - x).sqrt()

    with (
        still(nn.Sequential(nn.Linear(6, 3), Root(), nn.Linear(3, 3)), 6) as net,
        pytest.raises(NonFiniteError, match="derivative of layer '1'"),
    ):
        whole(layer_tangents(net, Z))


def test_what_does_not_fit_is_refused():
    with still(chain(), 6) as net:
        with pytest.raises(InputError, match=r"latent has shape \(5,\)"):
            layer_tangents(net, Z[:5])
        with pytest.raises(InputError, match="unknown layer"):
            layer_tangents(net, Z, layers="9")
        with pytest.raises(InputError, match="no noise layer"):
            layer_tangents(net, Z, joint="*")

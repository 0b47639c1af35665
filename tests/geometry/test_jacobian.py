"""Definition 1: the matrix of partial derivatives, in every mode, of any network."""

import math

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.geometry.derivatives import MODES
from riemann_noise_pytorch.geometry.jacobian import jacobian
from riemann_noise_pytorch.geometry.still import still
from riemann_noise_pytorch.models.dcgan import DCGANGenerator
from riemann_noise_pytorch.models.stylegan2 import StyleGAN2Generator
from riemann_noise_pytorch.noise.pairs import counted_normal
from tests.geometry import operations
from tests.noise.networks import CASES

X = torch.tensor([1.5, 0.7], dtype=torch.float64)


def polar(x):
    return torch.stack([x[0] * x[1].cos(), x[0] * x[1].sin(), x[0]])


def literal_eq2(x):
    r, angle = x
    return torch.stack(
        [
            torch.stack([angle.cos(), -r * angle.sin()]),
            torch.stack([angle.sin(), r * angle.cos()]),
            torch.tensor([1.0, 0.0], dtype=x.dtype),
        ]
    )


@pytest.mark.parametrize("mode", [None, *MODES])
def test_eq2_every_mode_gives_the_partial_derivatives_of_a_closed_form(mode):
    matrix = jacobian(polar, X, mode=mode)
    torch.testing.assert_close(matrix.dense(), literal_eq2(X), rtol=1e-14, atol=1e-15)


def test_eq1_a_column_is_the_limit_of_difference_quotients():
    matrix = jacobian(polar, X).dense()
    errors = []
    for h in (1e-3, 1e-4):
        quotients = [(polar(X + h * e) - polar(X)) / h for e in torch.eye(2, dtype=X.dtype)]
        errors.append(float((torch.stack(quotients, dim=1) - matrix).norm()))
    assert errors[0] < 1e-3
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.01)


def test_definition1_the_jacobian_of_a_linear_map_is_its_matrix():
    matrix = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(jacobian(lambda x: matrix @ x, torch.zeros(3, dtype=torch.float64)).dense(), matrix)


NETWORKS = {
    "dcgan": lambda: DCGANGenerator(16, channels=1, z_dim=6, width=2, noise="riemannian", noise_strength=0.1),
    "dcgan, instance": lambda: DCGANGenerator(16, channels=1, z_dim=6, width=2, norm="instance"),
    "stylegan2": lambda: StyleGAN2Generator((1, 8, 8), 6, 6, 2, channel_max=4, noise="riemannian"),
    "classes": lambda: StyleGAN2Generator((1, 8, 8), 6, 6, 2, classes=3, channel_max=4),
    "foreign": lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(inplace=True), CASES["sequential"].network()),
    "residual": lambda: nn.Sequential(
        nn.Linear(6, 108), nn.Unflatten(1, (3, 6, 6)), CASES["resnet"].network(), nn.Dropout()
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_modes_agree_on_networks(name):
    torch.manual_seed(0)
    with still(NETWORKS[name](), 6) as net:
        z = torch.randn(6, dtype=torch.float64)
        forward, double, reverse = (jacobian(net.at(1), z, mode=mode).dense() for mode in MODES)
        chosen = jacobian(net.at(1), z)
        assert chosen.mode == "forward"
        assert chosen.reason == f"6 inputs are fewer than {chosen.shape[0]} outputs"
    scale = float(reverse.abs().max())
    assert scale > 0
    torch.testing.assert_close(forward, reverse, rtol=0, atol=1e-12 * scale)
    torch.testing.assert_close(double, reverse, rtol=0, atol=1e-12 * scale)


class Part(nn.Module):
    """A network between a layer that feeds it and what is taken from its result."""

    def __init__(self, shape, part, take=lambda result: result):
        super().__init__()
        self.start = nn.Sequential(nn.Linear(6, math.prod(shape)), nn.Unflatten(1, shape))
        self.part, self.take = part, take

    def forward(self, z):
        return self.take(self.part(self.start(z)))


class InW(nn.Module):
    """StyleGAN2 from one w for all of its rows."""

    def __init__(self):
        super().__init__()
        self.synthesis = NETWORKS["stylegan2"]().synthesis

    def forward(self, w):
        return self.synthesis(w[:, None].repeat(1, 4, 1))


class Attends(nn.MultiheadAttention):
    def forward(self, x):
        return super().forward(x, x, x)[0]


MORE_NETWORKS = {
    "stylegan2 in w": InW,
    "torchvision resnet": lambda: Part((3, 32, 32), resnet18(num_classes=9)),
    "torchvision segmentation": lambda: Part(
        (3, 32, 32), CASES["torchvision segmentation"].network(), lambda result: result["out"]
    ),
    "attention": lambda: Part((5, 8), Attends(8, 2, batch_first=True)),
    "transformer": lambda: Part(
        (5, 8), nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 12, batch_first=True), 2)
    ),
    "lstm": lambda: Part((5, 4), nn.LSTM(4, 3, batch_first=True), lambda result: result[0]),
    "gru": lambda: Part((5, 4), nn.GRU(4, 3, batch_first=True), lambda result: result[0]),
    "no forward rule": lambda: Part((9,), nn.Tanh(), operations.ReverseOnly.apply),
}

STEP = 1e-5


@pytest.mark.parametrize("name", [*NETWORKS, *MORE_NETWORKS])
def test_eq1_products_are_difference_quotients_of_networks(name):
    torch.manual_seed(0)
    with still((NETWORKS | MORE_NETWORKS)[name](), 6) as net, torch.no_grad():
        assert (net.dtype, net.remark) == (torch.float64, "")
        image = net.at(1)
        for index in range(2):
            z, v = counted_normal(index, 0, (2, 6))
            quotient = (image(z + STEP * v) - image(z - STEP * v)).flatten() / (2 * STEP)
            matrix = jacobian(image, z)
            assert matrix.shape == (len(quotient), 6)
            assert float((matrix.jvp(v) - quotient).norm()) < 1e-6 * float(quotient.norm())
            u = counted_normal(index, 1, (1, len(quotient)))[0]
            assert float(matrix.vjp(u) @ v) == pytest.approx(float(u @ quotient), rel=1e-6)


@pytest.mark.parametrize("mode", [None, *MODES])
def test_products_are_those_with_the_whole_matrix(mode):
    matrix = jacobian(polar, X, mode=mode)
    v = torch.tensor([[1.0, 2], [-1, 0.5], [0, 1]], dtype=torch.float64)
    u = torch.tensor([[1.0, 2, 3], [0, -1, 1]], dtype=torch.float64)
    torch.testing.assert_close(matrix.jvp(v), v @ literal_eq2(X).T)
    torch.testing.assert_close(matrix.vjp(u), u @ literal_eq2(X))
    torch.testing.assert_close(matrix.jvp(v[0]), literal_eq2(X) @ v[0])
    torch.testing.assert_close(matrix.vjp(u[0]), u[0] @ literal_eq2(X))


def test_shapes_count_as_flat():
    x = torch.randn(2, 3, dtype=torch.float64)
    matrix = jacobian(lambda x: x[:, :, None].expand(2, 3, 2).sin(), x)
    assert matrix.shape == (12, 6)
    torch.testing.assert_close(matrix.jvp(torch.ones(6)), x.cos().flatten().repeat_interleave(2))


def test_reverse_mode_is_taken_where_there_are_fewer_outputs():
    matrix = jacobian(lambda x: x.square().sum(), X)
    assert matrix.mode == "reverse"
    assert matrix.reason == "2 inputs are no fewer than 1 outputs"
    torch.testing.assert_close(matrix.dense(), 2 * X[None])
    torch.testing.assert_close(matrix.jvp(X), 2 * X.square().sum().view(1))


@pytest.mark.parametrize(
    ("operation", "mode"),
    [
        (operations.BothModes.apply, "forward"),
        (operations.Unbatched.apply, "forward"),
        (operations.ReverseOnly.apply, "double reverse"),
        (operations.Once.apply, "reverse"),
        (operations.OnceAlone.apply, "reverse"),
    ],
)
def test_operations_without_forward_rules_go_another_way(operation, mode):
    wide = torch.linspace(-1, 1, 6, dtype=torch.float64).view(3, 2)
    matrix = jacobian(lambda x: wide @ operation(x), X)
    assert matrix.mode == mode
    assert matrix.reason
    torch.testing.assert_close(matrix.dense(), wide * 2 * X)
    torch.testing.assert_close(matrix.jvp(X), wide @ (2 * X * X))
    torch.testing.assert_close(matrix.vjp(wide[:, 0]), (wide * 2 * X).T @ wide[:, 0])


@pytest.mark.parametrize("mode", MODES)
def test_the_memory_changes_the_chunk_and_not_the_matrix(mode):
    x = torch.linspace(-1, 1, 7, dtype=torch.float64)

    def function(x):
        return torch.outer(x, x).sin()

    least, whole = jacobian(function, x, mode=mode, memory_mib=1e-6), jacobian(function, x, mode=mode)
    assert (least.chunk, whole.chunk) == (1, 7)
    torch.testing.assert_close(least.dense(), whole.dense(), rtol=1e-14, atol=0)
    torch.testing.assert_close(least.jvp(torch.eye(7)), whole.jvp(torch.eye(7)), rtol=1e-14, atol=1e-16)


WEIGHT = nn.Parameter(torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize("mode", [None, "forward", "reverse"])
@pytest.mark.parametrize("result", [torch.ones(3), WEIGHT.repeat(2), torch.ones(1)])
def test_a_constant_has_the_jacobian_0(result, mode):
    matrix = jacobian(lambda x: result.clone(), X, mode=mode)
    assert torch.equal(matrix.dense(), X.new_zeros((len(result), 2)))
    assert not matrix.jvp(X).any()
    assert not matrix.vjp(torch.ones(len(result))).any()


@pytest.mark.parametrize(
    ("function", "error", "cause"),
    [
        (lambda x: x.detach(), InputError, "no derivative"),
        (lambda x: x.detach() * WEIGHT, InputError, "no derivative"),
        (lambda x: torch.from_numpy(x.detach().numpy()).log(), InputError, "no derivative"),
        (lambda x: x.round().long(), InputError, "gives torch.int64"),
        (lambda x: (x, x), InputError, "gives tuple"),
        (lambda x: x[:0], InputError, "which has no derivative"),
        (lambda x: x.missing, InputError, r"fails at the point \(AttributeError in test_jacobian.py line"),
        (lambda x: x / 0, NonFiniteError, "NaN or infinity"),
    ],
)
def test_functions_without_a_jacobian_are_refused_in_one_line(function, error, cause):
    with pytest.raises(error, match=cause) as caught:
        jacobian(function, X)
    assert "\n" not in str(caught.value)


def test_bad_arguments_are_refused():
    with pytest.raises(InputError, match="did you mean 'forward'"):
        jacobian(polar, X, mode="forwards")
    with pytest.raises(InputError, match="point of floating point"):
        jacobian(polar, torch.ones(2, dtype=torch.int64))
    with pytest.raises(InputError, match="no forward derivative"):
        jacobian(operations.ReverseOnly.apply, X, mode="forward")
    with pytest.raises(InputError, match=r"multiplied by \(2,\) or \(k, 2\) from this side, not by \(3,\)"):
        jacobian(polar, X).jvp(torch.ones(3))
    with pytest.raises(InputError, match=r"multiplied by \(3,\)"):
        jacobian(polar, X).vjp(torch.ones(1, 1, 3))

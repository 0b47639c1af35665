import pytest
import torch

from riemann_noise_pytorch.models.dcgan import DCGANDiscriminator
from riemann_noise_pytorch.training.regularizers import R1
from tests.reference import training as reference


def discriminator(norm):
    torch.manual_seed(0)
    return DCGANDiscriminator(16, 1, width=2, norm=norm).double()


@pytest.mark.parametrize("norm", ["instance", "none"])
def test_r1_equals_the_explicit_jacobian_in_value_and_gradient(norm):
    network = discriminator(norm)
    real = torch.randn(3, 1, 16, 16, dtype=torch.float64)
    ours, literal = R1(gamma=3.0)(network, real), reference.r1(network, real, 3.0)
    torch.testing.assert_close(ours, literal, rtol=1e-12, atol=0)
    # an offset of the last layer moves no gradient, so it has none of the penalty
    weights = [p for name, p in network.named_parameters() if name != "to_logit.bias"]
    for mine, its in zip(
        torch.autograd.grad(ours, weights, allow_unused=True),
        torch.autograd.grad(literal, weights, allow_unused=True),
        strict=True,
    ):
        if its is None:
            assert mine is None
        else:
            torch.testing.assert_close(mine, its, rtol=1e-9, atol=1e-14)


def test_r1_of_a_linear_map_is_half_gamma_times_its_squared_norm():
    slope = torch.randn(1, 2, 4, 4, dtype=torch.float64)
    value = R1(gamma=5.0)(
        lambda x: (x * slope).sum(dim=(1, 2, 3)), torch.randn(7, 2, 4, 4, dtype=torch.float64)
    )
    torch.testing.assert_close(value, 2.5 * slope.square().sum(), rtol=1e-12, atol=0)


def test_r1_passes_gradgradcheck():
    def penalty(images, slope, curvature):
        return R1(gamma=2.0)(lambda x: (torch.tanh(x * slope) + curvature * x**3).sum(dim=(1, 2, 3)), images)

    images, slope, curvature = (torch.randn(1, 1, 2, 2, dtype=torch.float64) for _ in range(3))
    parameters = (slope.requires_grad_(), curvature.requires_grad_())
    assert torch.autograd.gradcheck(lambda *p: penalty(images, *p), parameters)
    assert torch.autograd.gradgradcheck(lambda *p: penalty(images, *p), parameters)


def test_a_lazy_penalty_is_due_once_an_interval():
    r1 = R1(gamma=1.0, interval=4)
    assert [step for step in range(10) if r1.is_due(step)] == [0, 4, 8]
    assert r1.is_lazy
    assert not R1(gamma=1.0, interval=1).is_lazy
    assert not R1(gamma=0.0, interval=4).is_due(0)

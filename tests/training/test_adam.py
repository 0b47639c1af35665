import pytest
import torch

from riemann_noise_pytorch.models.dcgan import DCGANGenerator
from riemann_noise_pytorch.training.adam import adam, generator_groups, lazy_correction
from riemann_noise_pytorch.training.state import TrainState, config_for_images
from tests.reference import training as reference
from tests.training.runs import blobs, small


def test_adam_equals_its_transcription():
    gradients = torch.randn(7, dtype=torch.float64).tolist()
    parameter = torch.nn.Parameter(torch.tensor(0.3, dtype=torch.float64))
    optimizer = adam([parameter], 0.01, (0.5, 0.9))
    for gradient in gradients:
        parameter.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
    assert parameter.item() == pytest.approx(reference.adam(gradients, 0.3, 0.01, 0.5, 0.9), rel=1e-12)


def test_lazy_correction_over_one_interval_equals_the_uncorrected_decay():
    lr, betas = lazy_correction(0.002, (0.5, 0.99), interval=16)
    # k ordinary steps and one extra make k + 1: together they move and forget as k did
    assert 17 * lr == pytest.approx(16 * 0.002)
    assert betas[0] ** 17 == pytest.approx(0.5**16)
    assert betas[1] ** 17 == pytest.approx(0.99**16)


@pytest.mark.parametrize(
    ("options", "corrected"),
    [
        ({"gamma": 1.0, "regularizer_interval": 4}, True),
        ({"gamma": 1.0, "regularizer_interval": 4, "adam_lazy_correction": False}, False),
        ({"gamma": 1.0, "regularizer_interval": 1}, False),
        ({"gamma": 0.0, "regularizer_interval": 4}, False),
    ],
)
def test_the_correction_is_applied_to_the_discriminator_where_r1_is_lazy(options, corrected):
    state = TrainState(config_for_images(small(lr_d=1e-3, **options), blobs()))
    group = state.optimizer_d.param_groups[0]
    expected = lazy_correction(1e-3, (0.5, 0.999), 4) if corrected else (1e-3, (0.5, 0.999))
    assert (group["lr"], group["betas"]) == expected
    assert state.optimizer_g.param_groups[0]["betas"] == (0.5, 0.999)


def test_noise_has_a_learning_rate_of_its_own():
    network = DCGANGenerator(16, width=4, noise="riemannian")
    others, noise = generator_groups(network, 1e-3, 10.0)
    assert (others["lr"], noise["lr"]) == (1e-3, 1e-2)
    assert {id(p) for p in noise["params"]} == {
        id(p) for n, p in network.named_parameters() if ".noise." in n
    }
    assert len(others["params"]) + len(noise["params"]) == len([*network.parameters()])
    assert len(generator_groups(DCGANGenerator(16, width=4), 1e-3, 10.0)) == 1


def test_a_strength_moves_by_its_learning_rate_in_the_first_step():
    network = DCGANGenerator(16, width=4, noise="euclidean")
    optimizer = adam(generator_groups(network, 1e-3, 10.0), 1e-3, (0.5, 0.999))
    network(torch.randn(8, 100)).square().sum().backward()
    optimizer.step()
    assert float(network.stage8.noise.strength()) == pytest.approx(1e-2, rel=1e-3)

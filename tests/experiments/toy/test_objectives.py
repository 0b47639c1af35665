"""The toy regularises as the trainings do."""

import torch

from riemann_noise_pytorch.experiments.toy.networks import StackedNetworks
from riemann_noise_pytorch.experiments.toy.objectives import js_regularizer
from riemann_noise_pytorch.training.batch import Batch
from riemann_noise_pytorch.training.regularizers import JS
from tests.experiments.toy.test_networks import ordinary


def test_each_network_has_the_penalty_of_a_training_and_its_gradient():
    stacked = StackedNetworks("discriminator", (3, 16, 16, 1), seeds=[0, 1, 2]).double()
    with torch.no_grad():
        for weight in stacked.weights:
            weight.mul_(8)  # logits far from 0, where real and generated points weigh differently
    real, fake = torch.randn(2, 3, 20, 3, dtype=torch.float64)
    found = js_regularizer(lambda points: stacked(points).squeeze(2), real, fake)
    gradients = torch.autograd.grad(found.omega.sum(), list(stacked.weights), retain_graph=True)
    for at in range(3):
        single = ordinary(stacked, at)
        expected = JS(1.0).mean(lambda points, net=single: net(points).squeeze(1), Batch(real[at], fake[at]))
        torch.testing.assert_close(found.omega[at], expected, rtol=1e-12, atol=0)
        of_single = torch.autograd.grad(expected, [single[0].weight, single[2].weight, single[4].weight])
        for gradient, other in zip(gradients, of_single, strict=True):
            torch.testing.assert_close(gradient[at], other.T, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(found.real_logits[at], single(real[at]).squeeze(1))
        torch.testing.assert_close(found.fake_logits[at], single(fake[at]).squeeze(1))

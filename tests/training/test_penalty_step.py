"""The gradients with which the discriminator's optimiser steps are those of the formulas, in float64."""

import pytest
import torch
from accelerate import Accelerator
from torch.nn.functional import softplus

from riemann_noise_pytorch.data.imageset import to_float
from riemann_noise_pytorch.training import step as of_step
from riemann_noise_pytorch.training.state import TrainState, config_for_images
from riemann_noise_pytorch.training.step import Trainer
from tests.reference import penalties as reference
from tests.training.runs import blobs, small

FORMULA = {"rtol": 1e-9, "atol": 1e-13}
GAMMA = {"r1": 1e4, "js": 2e4, "wgan-gp": 3.0}
"""Weights with which the penalty's gradient is about as large as that of the loss."""


@pytest.fixture(autouse=True)
def double(monkeypatch):
    """Let a trainer compute in float64 throughout."""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    monkeypatch.setattr(of_step, "to_float", lambda pixels: to_float(pixels).double())
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def _gradient(parameter):
    """A copy of its gradient; an offset of the last layer moves no slope, so it may have none."""
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()


class Spied:
    """A step of a trainer, and what the discriminator's optimiser was given in it.

    Attributes:
        real: The real images.
        fake: The generated ones.
        given: For each of the optimiser's steps, the weights before it and the gradients.
        measures: Of the step.
    """

    def __init__(self, name, first_step=0, **options):
        sizes = {"d_norm": "none", "width": 2, "batch": 3, "kimg": 0.036, "tick_kimg": 0.036}
        given = {"regularizer": name, "gamma": GAMMA[name], **sizes, **options}
        config = config_for_images(small(**given), blobs())
        self.name = name
        self.state = TrainState(config)
        self.state.step = first_step
        trainer = Trainer(config, self.state, Accelerator(cpu=True))
        self.mix = trainer._styles.mix(first_step)
        self.given, made = [], []
        step = self.state.optimizer_d.step
        self.state.optimizer_d.step = lambda *args: self._note() or step(*args)
        self.state.generator.register_forward_hook(lambda *call: made.append(call[-1].detach().clone()))
        self.measures, _ = trainer.step(blobs().batch(torch.arange(3)))
        self.real, self.fake = to_float(blobs().batch(torch.arange(3))).double(), made[0]

    def _note(self):
        weights = self.state.discriminator.named_parameters()
        self.given.append({name: (p.detach().clone(), _gradient(p)) for name, p in weights})

    def gradients(self, number):
        return [gradient for _, gradient in self.given[number].values()]

    def expected(self, number, value):
        """Gradients of a value of the discriminator, at the weights before one of the optimiser's steps."""
        network = self.state.discriminator
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                parameter.copy_(self.given[number][name][0])
        weights = [p.requires_grad_() for p in network.parameters()]
        found = torch.autograd.grad(value(network), weights, allow_unused=True)
        return [torch.zeros_like(w) if g is None else g for w, g in zip(weights, found, strict=True)]

    def loss(self, network):
        return softplus(-network(self.real)).mean() + softplus(network(self.fake)).mean()

    def penalty(self, network):
        """With its full weight."""
        images = (self.real, self.fake)
        return reference.penalty(self.name, network, *images, GAMMA[self.name], self.mix)


def norm(gradients):
    return sum(float(gradient.square().sum()) for gradient in gradients) ** 0.5


def assert_same(found, expected):
    for ours, its in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, its, **FORMULA)


every = pytest.mark.parametrize("name", ["r1", "js", "wgan-gp"])


@every
def test_a_penalty_in_every_step_adds_its_gradient_to_that_of_the_loss(name):
    spied = Spied(name)
    assert len(spied.given) == 1
    of_loss, of_penalty = spied.expected(0, spied.loss), spied.expected(0, spied.penalty)
    assert 0.3 < norm(of_penalty) / norm(of_loss) < 3
    both = [one + other for one, other in zip(of_loss, of_penalty, strict=True)]
    assert_same(spied.gradients(0), both)
    assert spied.measures["grad_norm_d"] == pytest.approx(norm(of_loss), rel=1e-9)
    assert spied.measures["grad_norm_penalty"] == pytest.approx(norm(both), rel=1e-9)


@every
def test_a_lazy_penalty_has_a_step_of_its_own_with_its_gradient_times_the_interval(name):
    spied = Spied(name, regularizer_interval=4)
    assert len(spied.given) == 2
    assert_same(spied.gradients(0), spied.expected(0, spied.loss))
    of_penalty = spied.expected(1, spied.penalty)
    assert norm(of_penalty) > 0
    assert_same(spied.gradients(1), [4 * gradient for gradient in of_penalty])
    assert spied.measures["grad_norm_penalty"] == pytest.approx(4 * norm(of_penalty), rel=1e-9)


def test_between_lazy_penalties_the_loss_is_alone():
    spied = Spied("r1", first_step=3, regularizer_interval=4)
    assert len(spied.given) == 1
    assert_same(spied.gradients(0), spied.expected(0, spied.loss))
    assert "penalty" not in spied.measures


def test_an_annealed_penalty_has_the_weight_of_its_step():
    spied = Spied("r1", first_step=6, anneal=True)
    pairs = zip(spied.expected(0, spied.loss), spied.expected(0, spied.penalty), strict=True)
    assert_same(spied.gradients(0), [one + 0.1 * other for one, other in pairs])  # at 6 of 12 steps

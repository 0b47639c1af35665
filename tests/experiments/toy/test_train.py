"""Laws of the toy's training: batched equals single and its transcription, and resuming changes nothing."""

import math
from dataclasses import replace

import pytest
import torch

from riemann_noise_pytorch.errors import NonFiniteError
from riemann_noise_pytorch.experiments.toy.mixtures import make_mixture
from riemann_noise_pytorch.experiments.toy.train import Member, Protocol, ToyTraining
from riemann_noise_pytorch.seeds import derive
from tests.experiments.toy.test_networks import ordinary
from tests.reference.toy_game import reference_game

RING = make_mixture("ring")
SMALL = Protocol(batch=16, width=8)
MEMBERS = [Member(0), Member(1), Member(0, gamma=0.1), Member(1, gamma=2.0), Member(0, variance=0.1)]


@pytest.fixture
def in_float64():
    """Draws, networks and moments of what is made within are in float64."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def trained(members, steps, protocol=SMALL):
    training = ToyTraining(RING, members, protocol)
    for _ in range(steps):
        training.advance()
    return training


def weights(training):
    return {name: tensor for name, tensor in training.state_dict().items() if tensor.ndim}


@pytest.mark.parametrize("form", ["non-saturating", "minimax"])
def test_many_seeds_and_weights_together_are_what_each_is_alone(form):
    protocol = Protocol(form, batch=16, width=8)
    together = weights(trained(MEMBERS, 10, protocol))
    for at, member in enumerate(MEMBERS):
        for name, alone in weights(trained([member], 10, protocol)).items():
            torch.testing.assert_close(together[name][at], alone[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("form", ["non-saturating", "minimax"])
@pytest.mark.parametrize(
    "member", [*MEMBERS[::2], Member(0, gamma=10.0)], ids=["none", "js", "noise", "js 10"]
)
@pytest.mark.usefixtures("in_float64")
def test_a_training_is_its_literal_transcription(form, member):
    protocol = Protocol(form, batch=8, width=4)
    training = ToyTraining(replace(RING, centres=RING.centres.double()), [member], protocol)
    players = [ordinary(network, 0) for network in (training.generator, training.discriminator)]
    steps = [training._draws(step, noisy=True) for step in range(3)]
    reference_game(*players, steps, form, member.gamma, math.sqrt(member.variance), protocol.lr)
    for _ in range(3):
        training.advance()
    for network, player in zip((training.generator, training.discriminator), players, strict=True):
        for layer, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
            expected = player[2 * layer]
            torch.testing.assert_close(weight[0].T, expected.weight, rtol=0, atol=1e-11)
            torch.testing.assert_close(bias[0, 0], expected.bias, rtol=0, atol=1e-11)


def test_equal_seeds_see_equal_points_with_or_without_noise():
    quiet = ToyTraining(RING, [Member(0), Member(1)], SMALL)._draws(5, noisy=False)
    noisy = ToyTraining(RING, [Member(1, variance=1.0)], SMALL)._draws(5, noisy=True)
    assert torch.equal(quiet.real[1], noisy.real[0])
    assert torch.equal(quiet.latents[1], noisy.latents[0])
    assert torch.equal(quiet.generator_latents[1], noisy.generator_latents[0])
    assert not torch.equal(quiet.real[0], quiet.real[1])


def test_a_stopped_training_goes_on_bit_for_bit():
    whole, first = trained(MEMBERS, 6), trained(MEMBERS, 4)
    second = ToyTraining(RING, MEMBERS, SMALL)
    second.load_state_dict(first.state_dict())
    second.advance()
    second.advance()
    expected = whole.state_dict()
    assert second.step == 6
    assert all(torch.equal(tensor, expected[name]) for name, tensor in second.state_dict().items())


def test_both_smoothings_vanish_with_their_weight():
    training = trained([Member(0, gamma=1e-12)], 3)
    by_noise, by_penalty = training.smoothed_gradients(0)
    torch.testing.assert_close(by_noise, by_penalty, rtol=1e-3, atol=1e-6)


def test_measuring_gradients_leaves_the_training_as_it_is():
    training = trained(MEMBERS, 2)
    before = training.state_dict()
    training.smoothed_gradients(3)
    training.samples(10)
    assert all(torch.equal(tensor, before[name]) for name, tensor in training.state_dict().items())


def test_shown_latents_stay_the_same_and_belong_to_the_seed():
    training = trained([Member(0), Member(3)], 1)
    assert torch.equal(training.samples(5), training.samples(5))
    latents = torch.randn(5, 2, generator=torch.Generator().manual_seed(derive(3, "toy shown")))
    torch.testing.assert_close(training.samples(5)[1], ordinary(training.generator, 1)(latents))


def test_a_network_that_diverged_is_named_by_seed_and_step():
    training = trained([Member(0), Member(8)], 2)
    with torch.no_grad():
        training.generator.weights[0][1] = float("nan")
    with pytest.raises(
        NonFiniteError, match="seed 8 is not finite after 2 steps; lower --gammas, --noise-variances or --lr"
    ):
        training.samples(4)

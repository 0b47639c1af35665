"""Losses of both players against literal formulas, and what the generator's two forms are."""

import math

import pytest
import torch

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.statistics.divergences import DIVERGENCES, variational_objective
from riemann_noise_pytorch.training.losses import LOGISTIC, LOSSES, make_loss
from tests.reference import losses as reference
from tests.reference import training

ONE_FORM = ("hinge", "least-squares", "wasserstein")
F_GANS = tuple(f"f-{key}" for key in DIVERGENCES)
TWO_FORMS = ("logistic", *F_GANS)
FORMS = [(name, "non-saturating") for name in LOSSES] + [(name, "minimax") for name in TWO_FORMS]

every = pytest.mark.parametrize("name", LOSSES)
every_form = pytest.mark.parametrize(("name", "form"), FORMS)


def gradient(function, logits):
    logits = logits.detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(function(logits).sum(), logits)
    return slope


def test_logistic_losses_equal_their_transcription():
    real, fake = torch.randn(2, 6, dtype=torch.float64) * 3
    of_d, of_g = training.logistic(real, fake)
    torch.testing.assert_close(LOGISTIC.of_discriminator(real, fake), of_d, rtol=1e-12, atol=0)
    torch.testing.assert_close(LOGISTIC.of_generator(fake).mean(), of_g, rtol=1e-12, atol=0)


def test_logistic_losses_survive_extreme_logits():
    logits = torch.tensor([-1e4, 1e4], requires_grad=True)
    loss = LOGISTIC.of_discriminator(logits, logits) + LOGISTIC.of_generator(logits).mean()
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_the_generator_does_not_saturate_where_the_discriminator_wins():
    logits = torch.tensor([-20.0], requires_grad=True)
    LOGISTIC.of_generator(logits).mean().backward()
    assert logits.grad.item() < -0.999


def test_the_losses_are_the_usual_four_and_one_for_every_divergence():
    assert tuple(LOSSES) == ("logistic", *ONE_FORM, *F_GANS)
    assert {loss.name: loss for loss in LOSSES.values()} == LOSSES


@every_form
def test_losses_equal_their_transcription(name, form):
    loss = make_loss(name, form)
    real = 3 * torch.randn(7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    fake = 3 * torch.randn(5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    of_d = reference.discriminator(name, real.tolist(), fake.tolist())
    of_g = reference.generator(name, form, fake.tolist())
    assert loss.of_discriminator(real, fake).item() == pytest.approx(of_d, rel=1e-10)
    assert loss.of_generator(fake).mean().item() == pytest.approx(of_g, rel=1e-10)


@every_form
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_losses_and_their_gradients_survive_logits_of_fifty(name, form, dtype):
    loss = make_loss(name, form)
    logits = torch.linspace(-50, 50, 1001, dtype=dtype)
    for part in (loss.on_real, loss.on_fake, loss.of_generator):
        assert part(logits).dtype == dtype
        assert part(logits).isfinite().all()
        assert gradient(part, logits).isfinite().all()


@every_form
def test_the_players_pull_logits_apart_and_the_generator_pulls_its_own_up(name, form):
    loss = make_loss(name, form)
    logits = torch.linspace(-0.9, 0.9, 19, dtype=torch.float64)
    assert (gradient(loss.on_real, logits) < 0).all()
    assert (gradient(loss.of_generator, logits) < 0).all()
    if name == "least-squares":  # whose target for generated images is 0
        logits = logits[logits > 0]
    assert (gradient(loss.on_fake, logits) > 0).all()


@pytest.mark.parametrize("name", TWO_FORMS)
def test_minimax_is_a_game_of_sum_zero_on_generated_images(name):
    loss = make_loss(name, "minimax")
    logits = torch.randn(9, dtype=torch.float64)
    assert torch.equal(loss.of_generator(logits), -loss.on_fake(logits))
    assert loss.on_real is LOSSES[name].on_real
    assert loss.name == name


@pytest.mark.parametrize("name", TWO_FORMS)
def test_the_non_saturating_generator_takes_its_images_for_real(name):
    logits = torch.randn(9, dtype=torch.float64)
    loss = make_loss(name)
    assert torch.equal(loss.of_generator(logits), loss.on_real(logits))


@pytest.mark.parametrize("name", ["logistic", "f-gan", "f-js"])
def test_minimax_saturates_where_the_discriminator_wins_and_the_other_form_does_not(name):
    lost = torch.tensor([-20.0], dtype=torch.float64)
    assert abs(gradient(make_loss(name, "minimax").of_generator, lost).item()) < 1e-8
    assert gradient(make_loss(name).of_generator, lost).item() < -0.999


@pytest.mark.parametrize("name", F_GANS)
def test_the_discriminator_of_an_f_gan_maximises_the_variational_objective(name):
    loss = make_loss(name)
    real, fake = torch.randn(6, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    objective = variational_objective(loss.divergence, real, fake)
    torch.testing.assert_close(loss.of_discriminator(real, fake), -objective)


@pytest.mark.parametrize("form", ["non-saturating", "minimax"])
def test_the_logistic_loss_is_the_f_gan_of_the_first_gan_and_js_differs_by_constants(form):
    logits = torch.linspace(-15, 15, 61, dtype=torch.float64)
    logistic, gan, js = (make_loss(name, form) for name in ("logistic", "f-gan", "f-js"))
    assert logistic.divergence is gan.divergence
    for part in ("on_real", "on_fake", "of_generator"):
        value = getattr(logistic, part)(logits)
        torch.testing.assert_close(getattr(gan, part)(logits), value, rtol=1e-12, atol=1e-12)
        shift = math.log(2) if form == "minimax" and part == "of_generator" else -math.log(2)
        torch.testing.assert_close(getattr(js, part)(logits), value + shift, rtol=1e-12, atol=1e-12)


@every
def test_the_boundary_is_the_best_logit_of_an_image_as_likely_real_as_generated(name):
    loss, logits = LOSSES[name], torch.linspace(-5, 5, 101, dtype=torch.float64)
    both = loss.on_real(logits) + loss.on_fake(logits)
    boundary = torch.tensor([loss.boundary], dtype=torch.float64)
    assert (loss.on_real(boundary) + loss.on_fake(boundary) <= both + 1e-12).all()


@pytest.mark.parametrize("name", ONE_FORM)
def test_losses_with_one_form_refuse_minimax(name):
    with pytest.raises(InputError, match=f"the {name} loss has one form.*leave out") as caught:
        make_loss(name, "minimax")
    assert "\n" not in str(caught.value)


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(InputError, match="unknown loss 'f-hellinger'; did you mean 'f-squared-hellinger'"):
        make_loss("f-hellinger")
    with pytest.raises(InputError, match="unknown form of the generator's loss 'saturating'; did you mean"):
        make_loss("hinge", "saturating")

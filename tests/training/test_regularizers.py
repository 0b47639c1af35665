"""Every penalty of the discriminator against its transcription, and what the switch gives and refuses."""

import math
import re
from pathlib import Path
from typing import get_args

import pytest
import torch
from accelerate import Accelerator

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.models.dcgan import DCGANDiscriminator
from riemann_noise_pytorch.statistics.divergences import DIVERGENCES
from riemann_noise_pytorch.training.batch import Batch
from riemann_noise_pytorch.training.choices import LossName, Regularizer
from riemann_noise_pytorch.training.config import resolve_config
from riemann_noise_pytorch.training.losses import LOSSES, make_loss
from riemann_noise_pytorch.training.penalties import Penalty
from riemann_noise_pytorch.training.regularizers import (
    JS,
    R1,
    R1R2,
    R2,
    FGan,
    WganGP,
    ZeroGP,
    make_penalty,
    penalty_of,
)
from riemann_noise_pytorch.training.state import TrainState, config_for_images
from riemann_noise_pytorch.training.step import Trainer
from riemann_noise_pytorch.training.styles import Styles
from tests.reference import penalties as reference
from tests.reference import training
from tests.training.runs import blobs, equal

ROOT = Path(__file__).parents[2]
NAMES = get_args(Regularizer)
HALVED = ("r1", "r2", "r1-r2", "js", "f-gan")
WEIGHED = [key for key in DIVERGENCES if key != "total-variation"]
CASES = [(name, "gan") for name in NAMES] + [("f-gan", key) for key in WEIGHED if key != "gan"]

every = pytest.mark.parametrize("name", NAMES)
every_case = pytest.mark.parametrize(("name", "key"), CASES)


def doubles(*shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pair(*shape):
    """Real and generated images, and the shares of their mixtures."""
    mix = torch.rand(shape[0], generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return Batch(doubles(*shape, seed=1), doubles(*shape, seed=2), mix=mix)


def discriminator(norm):
    torch.manual_seed(0)
    return DCGANDiscriminator(16, 1, width=2, norm=norm).double()


def penalty(name, key="gan", gamma=3.0):
    return make_penalty(name, gamma, 1, loss=make_loss(f"f-{key}"))


def gradients(value, network):
    """Gradients of all weights; an offset of the last layer moves no slope, so it may have none."""
    weights = list(network.parameters())
    found = torch.autograd.grad(value, weights, allow_unused=True)
    return [torch.zeros_like(w) if g is None else g for w, g in zip(weights, found, strict=True)]


@every_case
@pytest.mark.parametrize("norm", ["instance", "none", "batch"])
def test_a_penalty_equals_the_explicit_jacobian_in_value_and_gradient(name, key, norm):
    network, batch = discriminator(norm), pair(3, 1, 16, 16)
    ours = penalty(name, key)(network, batch)
    literal = reference.penalty(name, network, batch.real, batch.fake, 3.0, batch.mix, key)
    torch.testing.assert_close(ours, literal, rtol=1e-11, atol=0)
    for mine, its in zip(gradients(ours, network), gradients(literal, network), strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-9, atol=1e-13)


def test_r1_is_bit_for_bit_the_formula_it_always_was():
    for norm in ("batch", "none"):
        network, batch = discriminator(norm).float(), pair(8, 1, 16, 16)
        images = batch.real.float().requires_grad_(True)
        (gradient,) = torch.autograd.grad(network(images).sum(), images, create_graph=True)
        before = gradient.square().sum(dim=(1, 2, 3)).mean() * (0.7 / 2)
        now = R1(gamma=0.7)(network, batch._replace(real=batch.real.float()))
        assert torch.equal(now, before)
        pairs = zip(gradients(now, network), gradients(before, network), strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)


def test_r1_equals_its_transcription_by_single_samples():
    network, batch = discriminator("instance"), pair(3, 1, 16, 16)
    literal = training.r1(network, batch.real, 3.0)
    torch.testing.assert_close(R1(gamma=3.0)(network, batch), literal, rtol=1e-12, atol=0)


@every_case
def test_a_penalty_passes_gradgradcheck(name, key):
    batch = pair(2, 1, 2, 2)

    def value(slope, curvature):
        def network(x):
            return (torch.tanh(x * slope) + curvature * x**3).sum(dim=(1, 2, 3))

        return penalty(name, key)(network, batch)

    parameters = tuple(doubles(1, 2, 2, seed=seed).requires_grad_() for seed in (4, 5))
    assert torch.autograd.gradcheck(value, parameters)
    assert torch.autograd.gradgradcheck(value, parameters)


@every
def test_a_linear_discriminator_shows_whether_the_weight_has_the_factor_one_half(name):
    slope = doubles(1, 2, 4, 4, seed=7) / 3
    square = slope.square().sum()

    def network(x):
        return (x * slope).sum(dim=(1, 2, 3))

    batch = pair(7, 2, 4, 4)
    real, fake = torch.sigmoid(network(batch.real)), torch.sigmoid(network(batch.fake))
    expected = {
        "r1": 2.5 * square,
        "r2": 2.5 * square,
        "r1-r2": 5 * square,
        "js": 2.5 * square * ((1 - real).square().mean() + fake.square().mean()),
        "f-gan": 2.5 * square * fake.mean(),
        "wgan-gp": 5 * (square.sqrt() - 1) ** 2,
        "zero-gp": 5 * square,
    }[name]
    torch.testing.assert_close(penalty(name, gamma=5.0)(network, batch), expected, rtol=1e-12, atol=0)
    assert penalty(name).has_half == (name in HALVED)
    assert penalty(name, gamma=5.0).factor() == (2.5 if name in HALVED else 5.0)


def test_where_the_discriminator_cannot_tell_js_is_a_quarter_of_both_and_f_gan_half_of_r2():
    batch = Batch(*(each - each.mean(dim=(1, 2, 3), keepdim=True) for each in pair(5, 2, 4, 4)[:2]))

    def at_a_loss(x):
        return x.sum(dim=(1, 2, 3)) * x.square().mean().detach()

    both = at_a_loss(batch.real), at_a_loss(batch.fake)
    torch.testing.assert_close(torch.cat(both), torch.zeros(10, dtype=torch.float64), rtol=0, atol=1e-13)
    for ours, expected in ((JS(2.0), R1R2(0.5)), (penalty("f-gan", gamma=2.0), R2(1.0))):
        torch.testing.assert_close(ours(at_a_loss, batch), expected(at_a_loss, batch), rtol=1e-12, atol=0)


def normal_batch(count=200_001):
    """Points of N(0, 1) and of N(1.5, 1.2^2) at evenly spaced quantiles, whose means are expectations."""
    shares = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    normal = torch.special.ndtri(shares).unsqueeze(1)
    return Batch(normal, 1.5 + 1.2 * normal)


def test_at_the_best_discriminator_both_forms_agree_and_give_the_known_number():
    def best_logit(x):
        return (math.log(1.2) - x**2 / 2 + ((x - 1.5) / 1.2) ** 2 / 2).squeeze(1)

    batch = normal_batch()
    for form in (JS(2.0), FGan(2.0, divergence=DIVERGENCES["js"]), FGan(2.0, divergence=DIVERGENCES["gan"])):
        assert form(best_logit, batch).item() == pytest.approx(0.525448, abs=1e-4)


def test_mixtures_lie_between_the_images_each_by_its_own_share():
    seen = []

    def network(x):
        seen.append(x.detach())
        return x.sum(dim=(1, 2, 3))

    batch = pair(4, 1, 2, 2)._replace(mix=torch.tensor([0.0, 1.0, 0.5, 0.25], dtype=torch.float64))
    ZeroGP(1.0)(network, batch)
    assert torch.equal(seen[0][0], batch.fake[0])
    assert torch.equal(seen[0][1], batch.real[1])
    torch.testing.assert_close(seen[0][2], (batch.real[2] + batch.fake[2]) / 2, rtol=1e-15, atol=0)
    torch.testing.assert_close(seen[0][3], batch.real[3] / 4 + 3 * batch.fake[3] / 4, rtol=1e-15, atol=1e-16)
    with pytest.raises(ValueError, match=r"needs Batch\.mix"):
        WganGP(1.0)(network, batch._replace(mix=None))


def test_a_discriminator_without_a_slope_is_no_fault():
    scale = torch.zeros((), dtype=torch.float64, requires_grad=True)
    value = WganGP(10.0)(lambda x: (x * scale).sum(dim=(1, 2, 3)), pair(3, 1, 2, 2))
    assert value.item() == 10.0
    value.backward()
    assert scale.grad.item() == 0.0


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("r1", ["real"]),
        ("r2", ["fake"]),
        ("r1-r2", ["real", "fake"]),
        ("js", ["real", "fake"]),
        ("f-gan", ["fake"]),
        ("wgan-gp", ["real"]),
        ("zero-gp", ["real"]),
    ],
)
def test_images_are_judged_with_their_own_classes_and_mixtures_with_the_real_ones(name, labels):
    seen = []
    batch = pair(4, 1, 2, 2)._replace(real_labels=torch.arange(4), fake_labels=torch.arange(4) + 10)

    def network(x, classes):
        seen.append("fake" if torch.equal(classes, batch.fake_labels) else "real")
        return x.square().sum(dim=(1, 2, 3)) * classes

    penalty(name)(network, batch)
    assert seen == labels


@every
def test_images_get_no_gradient(name):
    batch, network = pair(2, 1, 16, 16), discriminator("none")
    fake = batch.fake.requires_grad_(True)
    penalty(name)(network, batch._replace(fake=fake * 1)).backward()
    assert fake.grad is None


def test_a_lazy_penalty_is_due_once_an_interval():
    r1 = R1(gamma=1.0, interval=4)
    assert [step for step in range(10) if r1.is_due(step)] == [0, 4, 8]
    assert r1.is_lazy
    assert not R1(gamma=1.0, interval=1).is_lazy
    assert not R1(gamma=0.0, interval=4).is_due(0)


@every
def test_an_annealed_weight_falls_to_a_hundredth_by_equal_ratios(name):
    annealed = make_penalty(name, 2.0, anneal_steps=200)
    first = annealed.factor(0)
    assert first == make_penalty(name, 2.0).factor(10**6)
    assert [annealed.factor(step) / first for step in (50, 100, 200)] == pytest.approx(
        [0.01**0.25, 0.1, 0.01], rel=1e-12
    )
    batch, network = pair(2, 1, 16, 16), discriminator("none")
    at_end = annealed(network, batch, 200)
    torch.testing.assert_close(at_end, annealed(network, batch, 0) / 100, rtol=1e-12, atol=0)


def test_names_give_their_penalties_and_every_loss_has_its_name_among_the_options():
    kinds = {"r1": R1, "r2": R2, "r1-r2": R1R2, "js": JS, "f-gan": FGan, "wgan-gp": WganGP, "zero-gp": ZeroGP}
    assert {name: type(make_penalty(name, 1.0)) for name in NAMES} == kinds
    assert get_args(LossName) == tuple(LOSSES)


@pytest.mark.parametrize("loss", LOSSES)
def test_js_and_f_gan_want_a_loss_that_they_fit(loss):
    is_f = loss == "logistic" or loss.startswith("f-")
    fits = {"js": loss in ("logistic", "f-js", "f-gan"), "f-gan": is_f and loss != "f-total-variation"}
    for name in NAMES:
        if fits.get(name, True):
            assert make_penalty(name, 1.0, loss=LOSSES[loss]).gamma == 1.0
        else:
            with pytest.raises(InputError, match=f"regularizer {name} .* loss {loss}.*; take ") as caught:
                make_penalty(name, 1.0, loss=LOSSES[loss])
            assert "\n" not in str(caught.value)


def test_the_document_has_a_row_for_every_penalty_with_its_weight():
    text = (ROOT / "docs" / "stabilisation.md").read_text()
    rows = dict(re.findall(r"^\| `([\w-]+)`[^|]*\|[^|]*\|[^|]*\| (gamma(?:/2)?) \|", text, re.MULTILINE))
    assert rows == {name: "gamma/2" if name in HALVED else "gamma" for name in NAMES}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"gamma": -1.0}, "gamma is -1.0, but must be a finite number, zero or more"),
        ({"gamma": math.nan}, "gamma is nan"),
        ({"gamma": math.inf}, "gamma is inf"),
        ({"interval": 0}, "interval is 0, but must be a whole number of steps, 1 or more"),
        ({"interval": -3}, "interval is -3"),
        ({"interval": 2.5}, "interval is 2.5"),
        ({"anneal_steps": 0}, "anneal_steps is 0"),
        ({"anneal_steps": -7}, "anneal_steps is -7"),
    ],
)
@every
def test_numbers_that_no_penalty_has_are_refused(name, options, told):
    with pytest.raises(InputError, match=f"{told}.*; change it$") as caught:
        make_penalty(name, **{"gamma": 1.0, **options})
    assert "\n" not in str(caught.value)


def test_the_penalty_of_a_run_is_that_of_its_options():
    options = {"regularizer": "wgan-gp", "gamma": 3.0, "regularizer_interval": 4, "kimg": 8.0, "batch": 64}
    config = resolve_config("dcgan", {**options, "anneal": True})
    assert config.steps == 125
    assert penalty_of(config) == WganGP(gamma=3.0, interval=4, anneal_steps=config.steps)
    assert penalty_of(resolve_config("dcgan", options)) == WganGP(gamma=3.0, interval=4)
    of_loss = penalty_of(resolve_config("dcgan", {"regularizer": "f-gan", "gamma": 1.0, "loss": "f-kl"}))
    assert of_loss == FGan(1.0, divergence=DIVERGENCES["kl"])


def test_an_unknown_regularizer_is_met_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'wgan-gp'"):
        make_penalty("wgan-pg", 1.0)


def complete(preset="dcgan", **options):
    tiny = {
        "dcgan": {"width": 4, "d_norm": "none"},
        "stylegan2-rni": {"channel_base": 64, "channel_max": 4, "w_dim": 8, "mapping_layers": 1},
    }[preset]
    given = {"z_dim": 8, "batch": 4, "gamma": 1.0, "gamma_rule": "given", "device": "cpu"}
    return config_for_images(resolve_config(preset, given | tiny | options), blobs())


def steps(trainer, first, last):
    return [trainer.step(blobs().batch(torch.arange(4) + 4 * i))[0] for i in range(first, last)]


def trainer_of(config):
    return Trainer(config, TrainState(config), Accelerator(cpu=True))


@every
@pytest.mark.parametrize("preset", ["dcgan", "stylegan2-rni"])
@pytest.mark.parametrize("interval", [1, 2])
def test_every_penalty_trains_every_discriminator(name, preset, interval, monkeypatch):
    seen, original = [], Penalty.__call__

    def spy(self, network, batch, step):
        seen.append((batch, step))
        return original(self, network, batch, step)

    monkeypatch.setattr(Penalty, "__call__", spy)
    trainer = trainer_of(complete(preset, regularizer=name, regularizer_interval=interval, anneal=True))
    measures = steps(trainer, 0, 2)
    assert ["penalty" in each for each in measures] == [True, interval == 1]
    assert all(math.isfinite(value) for each in measures for value in each.values())
    assert measures[0]["grad_norm_penalty"] > 0
    assert [step for _, step in seen] == [0, 1][: 3 - interval]
    assert not seen[0][0].fake.requires_grad
    assert (seen[0][0].mix is not None) == (name in ("wgan-gp", "zero-gp"))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("preset", ["dcgan", "stylegan2-rni"])
def test_every_loss_trains_both_architectures(loss, preset):
    forms = ("non-saturating", "minimax") if LOSSES[loss].divergence else ("non-saturating",)
    for form in forms:
        trainer = trainer_of(complete(preset, loss=loss, generator_loss=form))
        assert all(math.isfinite(value) for value in steps(trainer, 0, 1)[0].values())
        assert trainer.loss.name == loss


def test_a_resumed_run_draws_the_mixtures_and_weights_of_an_uninterrupted_one():
    options = {"regularizer": "wgan-gp", "loss": "wasserstein", "anneal": True, "regularizer_interval": 2}
    whole = trainer_of(complete(**options))
    steps(whole, 0, 4)
    half = trainer_of(complete(**options))
    steps(half, 0, 3)
    other = trainer_of(complete(**options))
    other.state.load(half.state.tensors(), 3, "here")
    steps(other, 3, 4)
    assert equal(whole.state.tensors(), other.state.tensors())


def test_the_shares_of_mixtures_are_drawn_anew_at_every_step_and_shared_among_processes():
    class Second:
        num_processes, process_index, device = 2, 1, torch.device("cpu")

    config = complete(batch=8)
    alone, second = Styles(config, Accelerator(cpu=True), None), Styles(config, Second(), None)
    assert alone.mix(0).shape == (8,)
    assert torch.equal(alone.mix(3)[4:], second.mix(3))
    assert not torch.equal(alone.mix(3), alone.mix(4))
    assert len(alone.mix(3).unique()) == 8

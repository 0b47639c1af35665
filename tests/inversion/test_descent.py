"""What happens in a step: noise on w, who leaves, how averaged noise is judged, and states with holes."""

import pytest
import torch
from safetensors.torch import load, save

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.inversion.descent import JUDGING_DRAWS
from riemann_noise_pytorch.inversion.held import HeldGenerator, held
from riemann_noise_pytorch.inversion.objectives import PixelError, Term
from riemann_noise_pytorch.inversion.projector import invert
from riemann_noise_pytorch.inversion.recipes import RECIPES, Recipe, Stage
from riemann_noise_pytorch.inversion.variables import Samples, spread_of
from riemann_noise_pytorch.noise.control import frozen
from riemann_noise_pytorch.seeds import derive
from tests.inversion.generators import dcgan, images, stylegan2

PIXELS = (Term(PixelError()),)


@pytest.fixture
def points(monkeypatch):
    """The points of every call of the generator, in order."""
    seen, plain = [], HeldGenerator.images

    def spy(self, points, space, noise, labels=None):
        seen.append(points.detach().clone())
        return plain(self, points, space, noise, labels)

    monkeypatch.setattr(HeldGenerator, "images", spy)
    return seen


def seen_at_steps(points, *arguments, **options):
    """An inversion, and the points of its steps."""
    of_steps = []
    found = invert(*arguments, on_step=lambda info: of_steps.append(points[-1]), **options)
    return found, of_steps


@pytest.mark.parametrize("space", ["w", "w+"])
def test_noise_on_w_is_normal_in_deviations_of_w_alike_in_all_rows_and_gone_after_three_quarters(
    space, points
):
    generator, steps = stylegan2(), 16
    targets, _ = images(generator, 2)
    recipe = RECIPES["stylegan2-projector"].changed(
        space=space, noise="frozen", objectives=PIXELS, steps=steps, lr=1e-12, mean_samples=60
    )
    _, of_steps = seen_at_steps(points, generator, targets, recipe, seed=5)
    with held(generator) as still:
        spread = spread_of(still, "w", samples=60, seed=5)
    z = torch.randn(4000, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    w = generator.mapping(z).detach()
    assert spread.distance == pytest.approx(float(w.var(dim=0).sum().sqrt()), rel=0.3)
    assert not 0.5 < spread.distance < 1.5  # so that noise without it is seen
    for step, found in enumerate(of_steps):
        normal = Samples(0, 2, 1).normal(derive(5, "noise on latents", 0, step), (8,))
        strength = 0.05 * max(0.0, 1 - step / (0.75 * steps)) ** 2
        expected = spread.mean + strength * spread.distance * normal
        if space == "w+":
            expected = expected[:, None].expand_as(found)
        assert torch.allclose(found, expected, rtol=0, atol=1e-9), step
    assert (of_steps[0] - spread.mean).abs().max() > 1e-3
    assert all(torch.allclose(each, spread.mean.expand_as(each), atol=1e-9) for each in of_steps[12:])


@pytest.mark.parametrize("gain", [0.0, 0.02, 0.3])
def test_a_sample_leaves_when_its_loss_has_not_fallen_by_the_gain_for_so_many_steps(gain):
    generator = dcgan()
    targets, z = images(generator, 1)
    recipe = Recipe("plain", (Stage(steps=40, lr=0.05, objectives=PIXELS),), start="sampled")
    losses = []
    invert(generator, targets, recipe, start=-z[:, None], on_step=lambda info: losses.append(info.losses[0]))
    mark, marked_at, left = torch.inf, 0, 40
    for step, loss in enumerate(losses):
        if loss < mark * (1 - gain):
            mark, marked_at = loss, step
        if step - marked_at >= 3:
            left = step
            break
    found = invert(generator, targets, recipe.changed(patience=3, gain=gain), start=-z[:, None])
    assert found.steps.item() == left
    assert (left == 40) == (gain == 0)


def judged(generator, latents, targets, draws=JUDGING_DRAWS, number=0):
    """Mean loss over the draws that points are judged by."""
    found = []
    for k in range(draws):
        with torch.no_grad(), frozen(generator, derive(3, "judging draw", number, k)):
            found.append((generator(latents) - targets).square().mean(dim=(1, 2, 3)))
    return torch.stack(found).mean(dim=0)


def test_averaged_noise_keeps_the_better_of_two_points_by_draws_that_all_starts_share(points):
    generator = dcgan("euclidean")
    targets, z = images(generator, 3)
    stage = Stage(noise="averaged", draws=1, steps=12, lr=0.05, objectives=PIXELS)
    start = torch.stack([z, z + 0.5], dim=1)
    losses, of_steps = [], []
    found = invert(
        generator,
        targets,
        Recipe("averaged", (stage,), start="sampled"),
        start=start,
        restarts=2,
        seed=3,
        on_step=lambda info: (losses.append(info.losses), of_steps.append(points[-1])),
    )
    luckiest = torch.stack(losses).argmin(dim=0)
    kept = torch.stack(of_steps)[luckiest, torch.arange(6)]
    last = of_steps[-1]
    both = torch.stack(
        [
            torch.stack([judged(generator, each.view(3, 2, -1)[:, r], targets) for r in (0, 1)], dim=1)
            for each in (kept, last)
        ]
    )
    assert torch.allclose(found.losses[..., 0], both.amin(dim=0), rtol=1e-9)
    is_last = both[1] < both[0]
    assert is_last.any()
    assert not is_last.all()
    expected = torch.where(is_last[..., None], last.view(3, 2, -1), kept.view(3, 2, -1))
    assert torch.equal(found.latents, expected)
    assert (found.losses[..., 0].flatten() > torch.stack(losses).amin(dim=0)).all()


def test_twice_a_stages_own_draws_judge_it_where_they_are_more():
    generator = dcgan("euclidean")
    targets, z = images(generator, 1)
    stage = Stage(noise="averaged", draws=40, steps=1, objectives=PIXELS)
    found = invert(generator, targets, Recipe("averaged", (stage,)), start=z[:, None], seed=3)
    assert float(found.losses) == pytest.approx(float(judged(generator, found.latents[:, 0], targets, 80)))


def test_the_last_points_of_those_that_left_are_kept_over_a_stop():
    generator = dcgan("euclidean")
    targets, z = images(generator, 3)
    stage = Stage(noise="averaged", draws=1, steps=14, lr=0.1, patience=3, gain=0.05, objectives=PIXELS)
    options = {"start": torch.stack([z, -z], dim=1), "restarts": 2, "batch": 4, "seed": 3}
    recipe = Recipe("averaged", (stage, Stage(steps=2, objectives=PIXELS)))
    states = []
    whole = invert(generator, targets, recipe, **options, on_step=lambda info: states.append(info.state()))
    assert len(whole.steps[..., 0].unique()) > 1
    for state in states[2::6]:
        again = invert(generator, targets, recipe, **options, state=load(save(state)))
        assert torch.equal(again.latents, whole.latents)
        assert torch.equal(again.losses, whole.losses)


def test_a_state_with_anything_missing_is_refused_in_one_line():
    generator = stylegan2()
    targets, _ = images(generator, 1)
    recipe = RECIPES["stylegan2-projector"].changed(steps=3, mean_samples=20)
    states = []
    invert(generator, targets, recipe, on_step=lambda info: states.append(info.state()))
    names = [name for name in states[1] if name != "fingerprint"]
    assert {name.partition("/")[0] for name in names} == {"found", "live", "position"}
    for name in names:
        holed = {key: tensor for key, tensor in states[1].items() if key != name}
        with pytest.raises(InputError, match=r"the state lacks '.*; begin anew") as caught:
            invert(generator, targets, recipe, state=holed)
        assert "\n" not in str(caught.value)
        assert name.partition("/")[2] in str(caught.value)

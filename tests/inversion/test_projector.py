"""Inversions: images are found again, together as alone, after a stop as without, and what fails is told."""

import copy
import dataclasses
import itertools

import pytest
import torch
from safetensors.torch import load, save

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.inversion.descent import ENDINGS
from riemann_noise_pytorch.inversion.objectives import PixelError, PullToMean, Term
from riemann_noise_pytorch.inversion.projector import invert
from riemann_noise_pytorch.inversion.quality import psnr
from riemann_noise_pytorch.inversion.recipes import RECIPES, Recipe, Stage
from riemann_noise_pytorch.inversion.reconstruction import reconstruct
from riemann_noise_pytorch.noise.control import frozen
from tests.inversion.generators import Cliff, dcgan, images, stylegan2

PIXELS = (Term(PixelError()),)


@pytest.fixture(scope="module")
def dcgan_plain():
    return dcgan()


@pytest.fixture(scope="module")
def style():
    return stylegan2()


def best_psnr(found, targets, restarts=None):
    return psnr(found.chosen(found.images, restarts), targets)


def same(first, second, tolerance=0.0):
    for each in dataclasses.fields(first):
        a, b = getattr(first, each.name), getattr(second, each.name)
        if isinstance(a, torch.Tensor):
            assert torch.allclose(a, b, rtol=0, atol=tolerance), each.name
        elif each.name == "noise":
            assert list(a) == list(b)
            assert all(torch.allclose(a[name], b[name], rtol=0, atol=tolerance) for name in a)
        else:
            assert a == b


def joined(parts):
    return {
        name: torch.cat([getattr(part, name) for part in parts])
        for name in ("latents", "images", "losses", "steps", "endings")
    }


def test_images_of_a_generator_without_w_are_found_again_by_restarts(dcgan_plain):
    targets, _ = images(dcgan_plain, 4)
    recipe = RECIPES["z-restarts"].changed(steps=150)
    found = invert(dcgan_plain, targets, recipe, restarts=8)
    assert (best_psnr(found, targets) > 30).all()
    assert (best_psnr(found, targets) >= best_psnr(found, targets, 1) - 1e-9).all()
    assert found.noise == {}


def test_images_of_a_stylegan2_are_found_again_in_w_with_their_noise_frozen(style):
    targets, _ = images(style, 3)
    recipe = RECIPES["stylegan2-projector"].changed(noise="frozen", steps=200)
    found = invert(style, targets, recipe, restarts=2)
    assert (best_psnr(found, targets) > 30).all()
    other = reconstruct(style, found.chosen(found.latents), "w", seed=1)
    assert (psnr(other, targets) < best_psnr(found, targets)).all()


def test_the_sequential_recipe_never_loses_by_optimising_the_noise(style):
    with torch.no_grad(), frozen(style, 5):
        targets = style(torch.randn(3, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64))
    recipe = RECIPES["image2stylegan++"].changed(steps=40)
    both = invert(style, targets, recipe)
    first = invert(style, targets, dataclasses.replace(recipe, stages=recipe.stages[:1]))
    assert torch.equal(both.latents, first.latents)
    assert torch.equal(both.losses[..., :1], first.losses)
    assert (best_psnr(both, targets) > best_psnr(first, targets)).all()
    assert both.noise.keys() == {
        "synthesis.block4.conv1.noise",
        *(f"synthesis.block{size}.conv{i}.noise" for size in (8, 16) for i in (0, 1)),
    }


@pytest.mark.parametrize("kind", ["euclidean", "riemannian"])
def test_the_noise_of_a_generator_without_w_is_found_from_the_known_latents(kind):
    generator = dcgan(kind)
    _, z = images(generator, 2)
    with torch.no_grad(), frozen(generator, 5):
        targets = generator(z)
    stage = Stage(latent=False, noise="optimised", steps=60, lr=0.1, objectives=PIXELS)
    found = invert(generator, targets, Recipe("noise alone", (stage,)), start=z[:, None])
    before = psnr(reconstruct(generator, z, "z"), targets)
    assert torch.equal(found.latents[:, 0], z)
    assert (best_psnr(found, targets) > before + 10).all()


def test_a_noise_step_far_too_long_still_loses_nothing(style):
    targets, _ = images(style, 2)
    recipe = RECIPES["image2stylegan++"].changed(steps=5).changed(stage=1, lr=1e4)
    both = invert(style, targets, recipe)
    first = invert(style, targets, dataclasses.replace(recipe, stages=recipe.stages[:1]))
    assert (best_psnr(both, targets) >= best_psnr(first, targets)).all()


@pytest.mark.parametrize("name", RECIPES)
def test_a_batch_gives_what_single_images_give(name, style):
    targets, _ = images(style, 3)
    recipe = RECIPES[name].changed(steps=12, mean_samples=50).changed(latent_noise=0.05)
    if name == "image2stylegan++":
        recipe = recipe.changed(stage=1, lr=0.1)
    batched = invert(style, targets, recipe, restarts=2)
    single = [invert(style, targets[i : i + 1], recipe, restarts=2, first=i) for i in range(3)]
    for field, alone in joined(single).items():
        assert torch.allclose(getattr(batched, field), alone, rtol=0, atol=1e-5), field
    for layer, maps in batched.noise.items():
        assert torch.allclose(maps, torch.cat([one.noise[layer] for one in single]), rtol=0, atol=1e-5)
    same(batched, invert(style, targets, recipe, restarts=2, batch=4), 1e-5)


def test_more_restarts_leave_the_first_ones_as_they_are(dcgan_plain):
    targets, _ = images(dcgan_plain, 2)
    recipe = RECIPES["z-restarts"].changed(steps=10)
    few, many = (invert(dcgan_plain, targets, recipe, restarts=count) for count in (2, 4))
    assert torch.allclose(few.latents, many.latents[:, :2], rtol=0, atol=1e-8)
    assert torch.equal(few.best(), many.best(2))


def test_with_averaged_noise_the_loss_is_the_mean_over_draws():
    generator = dcgan("euclidean")
    targets, z = images(generator, 2)
    stage = Stage(noise="averaged", draws=3, steps=2, objectives=PIXELS)
    recipe = Recipe("averaged", (stage,), start="sampled")
    seen = []
    invert(generator, targets, recipe, start=z[:, None], on_step=lambda info: seen.append(info.losses))
    again = []
    batch = invert(
        generator, targets, recipe, start=z[:, None], on_step=lambda info: again.append(info.losses)
    )
    assert all(torch.equal(a, b) for a, b in zip(seen, again, strict=True))
    assert (seen[0] > 0).all()
    alone = invert(generator, targets[1:], recipe, start=z[1:, None], first=1)
    assert torch.allclose(batch.latents[1:], alone.latents, atol=1e-8)
    with torch.no_grad():
        frozen_images = reconstruct(generator, batch.latents[:, 0], "z")
    assert torch.allclose(frozen_images, batch.images[:, 0], atol=1e-10)
    many = Recipe("averaged", (dataclasses.replace(stage, draws=400, steps=1),), start="sampled")
    mean = []
    invert(generator, targets, many, start=z[:, None], on_step=lambda info: mean.append(info.losses))
    draws = []
    for seed in range(400):
        with torch.no_grad(), frozen(generator, 1000 + seed):
            draws.append((generator(z) - targets).square().mean(dim=(1, 2, 3)))
    expected = torch.stack(draws)
    error = expected.std(dim=0) * (2 / 400) ** 0.5
    assert ((mean[0] - expected.mean(dim=0)).abs() < 4 * error).all()


def test_a_resumed_inversion_equals_an_uninterrupted_one(style):
    targets, _ = images(style, 3)
    recipe = RECIPES["image2stylegan++"].changed(steps=4, mean_samples=20, patience=3, gain=0.02)
    options = {"restarts": 2, "batch": 4, "seed": 0}
    states = []
    whole = invert(style, targets, recipe, **options, on_step=lambda info: states.append(info.state()))
    assert len(states) >= 12
    for state in states[::3]:
        assert all(isinstance(value, torch.Tensor) for value in state.values())
        same(whole, invert(style, targets, recipe, **options, state=load(save(state))))


def test_a_stop_keeps_what_was_given_to_on_step(dcgan_plain):
    targets, _ = images(dcgan_plain, 2)
    recipe = RECIPES["z-restarts"].changed(steps=6)
    kept = []

    def stop(info):
        kept.append(info.state())
        if info.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        invert(dcgan_plain, targets, recipe, on_step=stop)
    same(invert(dcgan_plain, targets, recipe), invert(dcgan_plain, targets, recipe, state=kept[-1]))


def test_a_state_of_another_inversion_is_refused(dcgan_plain):
    targets, _ = images(dcgan_plain, 2)
    recipe = RECIPES["z-restarts"].changed(steps=2)
    states = []
    invert(dcgan_plain, targets, recipe, on_step=lambda info: states.append(info.state()))
    for changes in (
        {"recipe": recipe.changed(lr=0.2)},
        {"targets": targets + 0.1},
        {"seed": 1},
        {"restarts": 2},
        {"masks": torch.ones(2, 1, 16, 16)},
    ):
        arguments = {"targets": targets, "recipe": recipe, **changes}
        with pytest.raises(InputError, match="another inversion"):
            invert(dcgan_plain, state=states[0], **arguments)
    with pytest.raises(InputError, match="another inversion"):
        invert(dcgan_plain, targets, recipe, state={})


def test_progress_counts_every_step_of_every_stage_and_batch(style):
    targets, _ = images(style, 3)
    recipe = RECIPES["image2stylegan++"].changed(steps=3, mean_samples=20)
    seen = []
    invert(style, targets, recipe, batch=2, on_step=seen.append)
    assert [info.step for info in seen] == [1, 2, 3, 3, 4, 5, 6, 6, 7, 8, 9, 9, 10, 11, 12, 12]
    assert {info.steps for info in seen} == {12}
    assert [info.stage for info in seen] == [0, 0, 0, 0, 1, 1, 1, 1] * 2
    assert [info.samples.tolist() for info in seen[::8]] == [[0, 1], [2]]
    assert all(info.images.shape == (len(info.losses), 1, 16, 16) for info in seen)


def test_a_sample_that_is_good_enough_leaves_and_the_others_go_on(dcgan_plain):
    targets, z = images(dcgan_plain, 2)
    start = torch.stack([z[0] + 1e-3, -z[1]])[:, None]
    recipe = Recipe("plain", (Stage(steps=20, objectives=PIXELS),), start="sampled")
    full = invert(dcgan_plain, targets, recipe, start=start)
    early = invert(dcgan_plain, targets, recipe.changed(enough=1e-4), start=start)
    assert early.told_endings == [["enough"], ["all steps"]]
    assert early.steps[:, 0, 0].tolist() == [0, 20]
    assert float(early.losses[0]) <= 1e-4
    assert torch.allclose(early.latents[1], full.latents[1], atol=1e-8)


def test_a_sample_whose_loss_no_longer_falls_leaves(dcgan_plain):
    targets, z = images(dcgan_plain, 2)
    start = torch.stack([z[0], -z[1]])[:, None]
    recipe = Recipe("plain", (Stage(steps=20, patience=4, gain=1e-3, objectives=PIXELS),), start="sampled")
    found = invert(dcgan_plain, targets, recipe, start=start)
    assert found.told_endings[0] == ["no longer falling"]
    assert found.steps[:, 0, 0].tolist()[0] == 4
    assert torch.equal(found.latents[0, 0], z[0])


def test_a_sample_that_diverges_stops_at_its_best_and_the_others_are_untouched():
    generator = Cliff(limit=1.0)
    wanted = torch.tensor([[2.0, 0, 0], [0.3, 1, -1]], dtype=torch.float64)
    targets = (wanted @ generator.basis).reshape(-1, 1, 8, 8)
    start = torch.zeros(2, 1, 3, dtype=torch.float64)
    recipe = Recipe("plain", (Stage(steps=300, lr=0.05, objectives=PIXELS),), start="sampled")
    losses = {0: [], 1: []}

    def keep(info):
        for sample, loss in zip(info.samples.tolist(), info.losses.tolist(), strict=True):
            losses[sample].append(loss)

    found = invert(generator, targets, recipe, start=start, on_step=keep)
    assert found.told_endings == [["diverged"], ["all steps"]]
    assert 10 < int(found.steps[0, 0, 0]) < 40
    finite = [loss for loss in losses[0] if loss == loss]
    assert float(found.losses[0]) == min(finite)
    assert float(found.latents[0, 0, 0]) <= 1.0
    assert found.images.isfinite().all()
    alone = invert(generator, targets[1:], recipe, start=start[1:], first=1)
    assert torch.allclose(found.latents[1], alone.latents[0], atol=1e-10)
    assert torch.allclose(found.latents[1, 0], wanted[1], atol=1e-3)


def test_a_sample_that_diverges_at_once_keeps_its_start_and_is_never_the_best():
    generator = Cliff(limit=1.0)
    targets = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
    start = torch.tensor([[[2.0, 0, 0], [0.5, 0, 0]]], dtype=torch.float64)
    recipe = Recipe("plain", (Stage(steps=5, objectives=PIXELS), Stage(steps=5, objectives=PIXELS)))
    found = invert(generator, targets, recipe, start=start, restarts=2)
    assert found.told_endings == [["diverged", "all steps"]]
    assert found.best().tolist() == [1]
    assert found.losses[0, 0].isinf().all()
    assert torch.equal(found.latents[0, 0], start[0, 0])
    hopeless = invert(generator, targets, recipe, start=start[:, :1])
    assert hopeless.told_endings == [["diverged"]]


def test_the_kept_loss_is_that_of_the_kept_latents(style):
    targets, _ = images(style, 3)
    recipe = RECIPES["stylegan2-projector"].changed(noise="frozen", steps=10, latent_noise=0.5, lr=0.5)
    recipe = recipe.changed(objectives=PIXELS, mean_samples=100)
    found = invert(style, targets, recipe)
    again = (found.images[:, 0] - targets).square().mean(dim=(1, 2, 3))
    assert torch.allclose(found.losses[:, 0, 0], again, rtol=1e-9)


def test_hidden_parts_of_a_target_do_not_matter(style):
    targets, _ = images(style, 2)
    masks = torch.ones(2, 1, 16, 16)
    masks[:, :, 4:10, 4:12] = 0
    other = torch.where(masks == 0, torch.zeros_like(targets), targets)
    recipe = RECIPES["image2stylegan"].changed(steps=8, mean_samples=20)
    first, second = (invert(style, each, recipe, masks=masks) for each in (targets, other))
    assert torch.equal(first.latents, second.latents)
    assert not torch.equal(first.latents, invert(style, other, recipe).latents)


def test_the_pull_brings_latents_nearer_to_the_mean(style):
    targets, _ = images(style, 2)
    recipe = RECIPES["image2stylegan"].changed(steps=30, mean_samples=200, start="sampled", lr=0.05)
    pulled = recipe.changed(objectives=(Term(PixelError()), Term(PullToMean(), 10.0)))
    z = torch.randn(200, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mean = style.mapping(z).mean(dim=0).detach()
    free, near = (invert(style, targets, each).latents - mean for each in (recipe, pulled))
    assert (near.flatten(2).norm(dim=2) < free.flatten(2).norm(dim=2)).all()


def test_stages_can_climb_from_z_to_w_to_rows_of_w(style):
    targets, _ = images(style, 2)
    stages = tuple(Stage(space=space, steps=5, lr=0.02, objectives=PIXELS) for space in ("z", "w", "w+"))
    found = invert(style, targets, Recipe("climb", stages, start="sampled", mean_samples=20))
    assert found.space == "w+"
    assert found.latents.shape == (2, 1, style.synthesis.num_ws, 8)
    losses = found.losses[:, 0]
    assert (losses[:, 1:] <= losses[:, :-1] + 1e-12).all()


def test_renormalised_noise_has_mean_0_and_mean_square_1(style):
    targets, _ = images(style, 2)
    recipe = RECIPES["stylegan2-projector"].changed(steps=5, mean_samples=20, ramp_up=0)
    for maps in invert(style, targets, recipe).noise.values():
        assert torch.allclose(maps.mean(dim=(3, 4)), torch.zeros(2, 1, 1).double(), atol=1e-9)
        assert torch.allclose(maps.square().mean(dim=(3, 4)), torch.ones(2, 1, 1).double(), atol=1e-9)


def test_the_generator_is_left_as_it_was(style):
    generator = stylegan2().train()
    generator.synthesis.block4.conv1.weight.requires_grad_(False)
    before = copy.deepcopy(generator.state_dict())
    targets, _ = images(generator, 2)
    with torch.no_grad():
        invert(generator, targets, RECIPES["stylegan2-projector"].changed(steps=2, mean_samples=20))
    assert all(part.training for part in generator.modules())
    learning = [name for name, p in generator.named_parameters() if not p.requires_grad]
    assert learning == ["synthesis.block4.conv1.weight"]
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())
    assert all(p.grad is None for p in generator.parameters())


def test_another_precision_is_that_of_a_copy(dcgan_plain):
    generator = copy.deepcopy(dcgan_plain).float()
    targets = images(dcgan_plain, 1)[0].float()
    recipe = RECIPES["z-restarts"].changed(steps=2)
    assert invert(generator, targets, recipe).latents.dtype == torch.float32
    assert invert(generator, targets, recipe, dtype=torch.float64).latents.dtype == torch.float64
    assert next(generator.parameters()).dtype == torch.float32
    with pytest.raises(InputError, match="not inverted in"):
        invert(generator, targets, recipe, dtype=torch.float16)


def test_a_function_is_inverted_in_z():
    basis = torch.randn(3, 64, generator=torch.Generator().manual_seed(0))
    targets = (torch.tensor([[0.3, -0.4, 0.5]]) @ basis).reshape(1, 1, 8, 8)
    recipe = RECIPES["z-restarts"].changed(steps=100)
    found = invert(lambda z: (z @ basis).reshape(-1, 1, 8, 8), targets, recipe, z_dim=3)
    assert torch.allclose(found.latents, torch.tensor([[[0.3, -0.4, 0.5]]]), atol=1e-2)


def test_endings_have_words():
    assert len(ENDINGS) == 4


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.9)])
def test_one_sample_goes_the_way_of_torchs_adam(betas, dcgan_plain):
    targets, z = images(dcgan_plain, 1)
    start = z + 0.5
    losses, wanted = [], []
    stage = Stage(steps=10, lr=0.1, betas=betas, schedule="ramped", objectives=PIXELS)
    recipe = Recipe("plain", (stage,), start="sampled")
    keep = losses.append
    invert(dcgan_plain, targets, recipe, start=start[:, None], on_step=lambda info: keep(info.losses[0]))
    latent = torch.nn.Parameter(start.clone())
    optimiser = torch.optim.Adam([latent], betas=betas, foreach=False)
    for step in range(11):
        loss = (dcgan_plain(latent) - targets).square().mean()
        wanted.append(loss.detach())
        optimiser.param_groups[0]["lr"] = recipe.stages[0].lr_at(step) if step < 10 else 0
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    dcgan_plain.zero_grad()
    assert torch.allclose(torch.stack(losses), torch.stack(wanted), rtol=1e-9)


def test_a_gradient_that_is_not_finite_stops_a_sample_where_its_loss_still_is():
    generator = Cliff(limit=1.0)
    start = torch.tensor([[[1.0, 0, 0]]], dtype=torch.float64)
    recipe = Recipe("plain", (Stage(steps=5, objectives=PIXELS),))
    found = invert(generator, torch.zeros(1, 1, 8, 8, dtype=torch.float64), recipe, start=start)
    assert found.told_endings == [["diverged"]]
    assert found.steps.item() == 0
    assert found.losses.isfinite().all()
    assert torch.equal(found.latents, start)


def test_every_step_takes_new_draws_of_averaged_noise():
    generator = dcgan("euclidean")
    targets, z = images(generator, 1)
    recipe = Recipe("averaged", (Stage(noise="averaged", steps=2, lr=1e-12, objectives=PIXELS),))
    losses = []
    invert(
        generator, targets, recipe, start=z[:, None], on_step=lambda info: losses.append(info.losses.item())
    )
    assert all(abs(a / b - 1) > 1e-4 for a, b in itertools.combinations(losses, 2))


def test_a_generator_in_training_mode_is_inverted_as_in_evaluation(dcgan_plain):
    generator = copy.deepcopy(dcgan_plain).train()
    targets, _ = images(dcgan_plain, 2)
    recipe = RECIPES["z-restarts"].changed(steps=3)
    same(invert(generator, targets, recipe), invert(dcgan_plain, targets, recipe))
    assert generator.stage4.norm.training
    assert torch.equal(generator.stage4.norm.running_mean, dcgan_plain.stage4.norm.running_mean)

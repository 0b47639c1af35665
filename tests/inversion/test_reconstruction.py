"""Images of what was found are those of the inversion, and other noise gives other images."""

import torch

from riemann_noise_pytorch.inversion.projector import invert
from riemann_noise_pytorch.inversion.recipes import RECIPES
from riemann_noise_pytorch.inversion.reconstruction import reconstruct
from riemann_noise_pytorch.noise.control import frozen
from tests.inversion.generators import images, stylegan2


def test_latents_and_noise_that_were_found_give_the_images_of_the_inversion():
    generator = stylegan2()
    targets, _ = images(generator, 3)
    recipe = RECIPES["stylegan2-projector"].changed(steps=3, mean_samples=20)
    found = invert(generator, targets, recipe, first=4, seed=2)
    latents = found.chosen(found.latents)
    noise = {name: found.chosen(maps) for name, maps in found.noise.items()}
    wanted = found.chosen(found.images)
    assert torch.allclose(reconstruct(generator, latents, "w", noise=noise, batch=2), wanted, atol=1e-10)
    fresh = reconstruct(generator, latents, "w", seed=2, first=4)
    assert not torch.allclose(fresh, wanted, atol=1e-3)
    some = dict(list(noise.items())[:2])
    assert not torch.allclose(reconstruct(generator, latents, "w", noise=some), wanted, atol=1e-3)


def test_frozen_noise_is_that_of_the_samples_whatever_the_batch():
    generator = stylegan2()
    _, z = images(generator, 3)
    with torch.no_grad(), frozen(generator, 9, first_sample=5):
        wanted = generator(z)
    assert torch.allclose(reconstruct(generator, z, "z", seed=9, first=5, batch=2), wanted, atol=1e-10)

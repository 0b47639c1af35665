"""What cannot be inverted is refused in one line, before anything is computed."""

import pytest
import torch
from torch import nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.inversion.projector import invert
from riemann_noise_pytorch.inversion.recipes import RECIPES
from riemann_noise_pytorch.inversion.reconstruction import reconstruct
from riemann_noise_pytorch.models.stylegan2 import StyleGAN2Generator
from tests.inversion.generators import dcgan, images, stylegan2

Z = RECIPES["z-restarts"].changed(steps=1)
W = RECIPES["image2stylegan"].changed(steps=1, mean_samples=4)


@pytest.fixture(scope="module")
def plain():
    return dcgan()


@pytest.fixture(scope="module")
def targets(plain):
    return images(plain, 2)[0]


def refused(match, *arguments, **options):
    with pytest.raises(InputError, match=match) as caught:
        invert(*arguments, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["image2stylegan", "stylegan2-projector", "image2stylegan++"])
def test_a_generator_without_w(name, plain, targets):
    refused("no mapping and synthesis, hence no space w", plain, targets, name)


def test_noise_to_optimise_where_there_is_none(targets):
    generator = stylegan2("none")
    refused("no noise map of this package's layers", generator, targets, "stylegan2-projector")
    assert (
        invert(
            generator,
            targets,
            RECIPES["stylegan2-projector"].changed(noise="frozen", steps=1, mean_samples=4),
        ).noise
        == {}
    )


def test_an_unknown_recipe(plain, targets):
    refused("unknown recipe 'z-restart'; did you mean 'z-restarts'", plain, targets, "z-restart")


def test_targets_of_another_shape_or_kind(plain, targets):
    refused("targets are \\(1, 8, 8\\); resize", plain, targets[..., :8, :8], Z)
    refused("torch.uint8 of shape", plain, torch.zeros(2, 1, 16, 16, dtype=torch.uint8), Z)
    refused("at least one image", plain, targets[:0], Z)
    refused("NaN or infinity", plain, targets * torch.nan, Z)


def test_masks_that_do_not_fit(plain, targets):
    refused("masks have shape", plain, targets, Z, masks=torch.ones(2, 3, 16, 16))
    refused("leave \\[0, 1\\]", plain, targets, Z, masks=torch.full((2, 1, 16, 16), 2.0))
    mask = torch.ones(2, 1, 16, 16)
    mask[1] = 0
    refused("mask of target 1 hides all", plain, targets, Z, masks=mask)


def test_counts_out_of_range(plain, targets):
    refused("restarts is 0", plain, targets, Z, restarts=0)
    refused("batch is 0", plain, targets, Z, batch=0)
    refused("first is -1", plain, targets, Z, first=-1)


def test_starts_that_do_not_fit(plain, targets):
    refused("start has shape", plain, targets, Z, start=torch.zeros(2, 2, 4))
    refused(
        "latents of shape \\(5,\\), but points of z have \\(4,\\)",
        plain,
        targets,
        Z,
        start=torch.zeros(2, 1, 5),
    )


def test_images_without_gradient(targets):
    refused("no gradient", lambda z: torch.zeros(len(z), 1, 16, 16), targets.float(), Z, z_dim=2)


def test_images_that_change_from_call_to_call(targets):
    refused("changes from call to call", Drawing(), targets.float(), Z)


def test_images_that_depend_on_their_batch(targets):
    refused("rest of its batch", lambda z: Drawing.picture(z - z.mean(dim=0)), targets.float(), Z, z_dim=4)


def test_callables_that_take_or_give_something_else(targets):
    refused("does not take .* in space z", nn.Linear(3, 3).double(), targets, Z, z_dim=4)
    refused("returns tuple", lambda z: (z, z), targets, Z, z_dim=4)
    refused("return floating-point images", lambda z: z * 1, targets, Z, z_dim=4)
    refused("give z_dim", lambda z: z, targets, Z)


def test_half_precision(targets):
    refused("torch.float16, too coarse", nn.Linear(4, 256).half(), targets, Z, z_dim=4)


def test_classes_without_labels():
    generator = StyleGAN2Generator((1, 8, 8), 8, 8, 1, 3, channel_max=4)
    refused("3 classes", generator, torch.zeros(1, 1, 8, 8), W)
    refused("labels are torch.float32", generator, torch.zeros(1, 1, 8, 8), W, labels=torch.zeros(1))
    labels = torch.tensor([2])
    found = invert(generator, torch.zeros(1, 1, 8, 8), W, labels=labels)
    assert found.latents.shape == (1, 1, 4, 8)
    found = invert(generator, torch.zeros(1, 1, 8, 8), Z, labels=labels)
    again = reconstruct(generator, found.latents[:, 0], "z", labels=labels)
    assert torch.allclose(again, found.images[:, 0], atol=1e-6)


def test_maps_of_unknown_layers(plain):
    with pytest.raises(InputError, match="no noise layer 'stage9'"):
        reconstruct(plain, torch.zeros(1, 4).double(), "z", noise={"stage9": torch.zeros(1)})


class Drawing(nn.Module):
    z_dim = 4

    @staticmethod
    def picture(z):
        return z.repeat(1, 64).reshape(-1, 1, 16, 16)

    def forward(self, z):
        return self.picture(z) + torch.randn(len(z), 1, 16, 16)

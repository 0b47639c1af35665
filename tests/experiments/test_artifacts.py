"""Laws of what a page shows of a generator."""

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from riemann_noise_pytorch.experiments.artifacts import NOISE_DRAWS, latents, sample, write_artifacts
from riemann_noise_pytorch.models.dcgan import DCGANGenerator
from riemann_noise_pytorch.models.interfaces import Generator
from riemann_noise_pytorch.noise.layers import EuclideanNoise


class Flat(Generator):
    """A grey image per latent, with noise of a known strength."""

    z_dim, w_dim, image_shape = 3, None, (1, 8, 8)

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.1))
        self.noise = EuclideanNoise(strength=0.05)

    def forward(self, z: Tensor) -> Tensor:
        return self.noise((self.weight * z.sum(dim=1)).view(-1, 1, 1, 1).expand(-1, 1, 8, 8))


def test_the_deviation_map_is_that_of_the_injected_noise(tmp_path):
    write_artifacts(tmp_path / "a.safetensors", Flat(), seed=0)
    tensors = load_file(tmp_path / "a.safetensors")
    deviation = tensors["noise_std"]
    assert deviation.shape == (8, 8, 8)
    assert abs(deviation.mean() / 0.05 - 1) < 5 / (2 * NOISE_DRAWS * deviation.numel()) ** 0.5 + 0.01
    still = tensors["noise_std_images"]
    assert (still.flatten(1).float().std(dim=1) == 0).all()


def test_sigma_maps_follow_the_riemannian_layers(tmp_path):
    generator = DCGANGenerator(16, 1, width=8, noise="riemannian", noise_strength=0.1).eval()
    write_artifacts(tmp_path / "a.safetensors", generator, seed=0)
    tensors = load_file(tmp_path / "a.safetensors")
    assert tensors["samples"].shape == (64, 1, 16, 16)
    assert tensors["sigma/stage4.noise"].shape == (8, 4, 4)
    torch.testing.assert_close(tensors["sigma/stage8.noise"], torch.ones(8, 8, 8))
    assert not any(module._forward_pre_hooks for module in generator.modules())


def test_a_generator_without_noise_has_samples_alone(tmp_path):
    write_artifacts(tmp_path / "a.safetensors", DCGANGenerator(16, 1, width=8).eval(), seed=0)
    assert set(load_file(tmp_path / "a.safetensors")) == {"samples"}


def test_samples_do_not_depend_on_how_many_are_drawn_at_once():
    generator = Flat()
    long, short = sample(generator, 300, seed=1), sample(generator, 130, seed=1)
    assert latents(generator, 300, 1).shape == (300, 3)
    torch.testing.assert_close(long[:128], short[:128])

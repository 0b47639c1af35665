"""Path length against torch-fidelity's: straight paths in z, their beginning, images resized to 64 pixels."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from riemann_noise_pytorch.metrics.distances import VGG_CHANNELS, Distance, LPIPSDistance
from riemann_noise_pytorch.metrics.perceptual_path import perceptual_path_length
from riemann_noise_pytorch.models.dcgan import DCGANGenerator
from riemann_noise_pytorch.models.initial import initialise
from riemann_noise_pytorch.models.stylegan2 import StyleGAN2Generator

fidelity = pytest.importorskip("torch_fidelity.metric_ppl")
lpips = pytest.importorskip("torch_fidelity.sample_similarity_lpips")
utils = pytest.importorskip("torch_fidelity.utils")
wrapper = pytest.importorskip("torch_fidelity.generative_model_modulewrapper")
vgg = pytest.importorskip("torchvision.models.vgg")

SIZE = 64
SEED = 2020


class Features(Distance):
    """Squares of differences of random features, of images resized as torch-fidelity resizes them."""

    name = "random features at 64 pixels"

    def __init__(self):
        super().__init__()
        rng = torch.Generator().manual_seed(0)
        self.register_buffer("kernel", torch.randn(8, 3, 5, 5, generator=rng) / 8)

    def forward(self, first, second):
        a, b = (functional.conv2d(resized(x), self.kernel).tanh() for x in (first, second))
        return (a - b).square().mean(dim=(1, 2, 3))


class AtSize(Distance):
    """Another distance, of images resized as torch-fidelity resizes them."""

    name = "LPIPS-VGG16 at 64 pixels"

    def __init__(self, distance):
        super().__init__()
        self.distance = distance

    def forward(self, first, second):
        return self.distance(resized(first), resized(second))


def resized(images):
    if min(images.shape[2:]) > SIZE:
        return functional.interpolate(images, (SIZE, SIZE), mode="area")
    return functional.interpolate(images, (SIZE, SIZE), mode="bilinear", align_corners=False)


class In255(nn.Module):
    """A generator whose images torch-fidelity takes: float32 in [0, 255]."""

    def __init__(self, generator):
        super().__init__()
        self.generator = generator

    def forward(self, z, *labels):
        return (self.generator(z, *labels) + 1) * 127.5


@pytest.fixture
def register(monkeypatch):
    def add(similarity):
        monkeypatch.setitem(utils.SAMPLE_SIMILARITY_REGISTRY, "registered", similarity)

    return add


def theirs(generator, count, *, classes=0, percentiles=(None, None)):
    model = wrapper.GenerativeModelModuleWrapper(generator, generator.z_dim, "normal", classes)
    result = fidelity.calculate_ppl(
        1, input1=model, input1_model_num_samples=count, input1_model_num_classes=classes,
        ppl_sample_similarity="registered", ppl_sample_similarity_resize=SIZE,
        ppl_sample_similarity_dtype="float32", ppl_reduction="none", ppl_z_interp_mode="lerp",
        ppl_discard_percentile_lower=percentiles[0], ppl_discard_percentile_higher=percentiles[1],
        batch_size=50, rng_seed=SEED, cuda=False, verbose=False,
    )  # fmt: skip
    return result["perceptual_path_length_raw"], result["perceptual_path_length_mean"]


def ours(generator, count, distance, **settings):
    rng = np.random.RandomState(SEED)
    latents = tuple(torch.from_numpy(rng.randn(count, generator.z_dim)).float() for _ in range(2))
    labels = torch.from_numpy(rng.randint(0, max(getattr(generator, "classes", 0), 1), (count,)))
    if getattr(generator, "classes", 0):
        settings["labels"] = lambda first, n: labels[first : first + n]
    return perceptual_path_length(
        generator, distance=distance, latents=latents, sampling="end", interpolation="lerp",
        **{"percentiles": (0.0, 100.0), "batch": 50, **settings},
    )  # fmt: skip


def registered(distance):
    """A distance as torch-fidelity builds its own."""

    class Similarity(nn.Module):
        def __init__(self, name, **options):
            super().__init__()
            self.distance = distance

        def forward(self, first, second):
            return self.distance(first, second)

    return Similarity


def small_dcgan(noise="none"):
    generator = DCGANGenerator(32, channels=3, width=8, z_dim=24, noise=noise)
    initialise(generator, 1)
    return generator


def small_stylegan2(side, classes=0):
    generator = StyleGAN2Generator((3, side, side), 16, 16, 2, classes, channel_max=8)
    initialise(generator, 1)
    return generator


@pytest.mark.parametrize(
    "generator",
    [small_dcgan(), small_stylegan2(80), small_stylegan2(16, classes=5)],
    ids=["dcgan enlarged", "stylegan2 reduced", "stylegan2 with classes"],
)
def test_the_path_length_without_noise_is_torch_fidelitys(register, generator):
    register(registered(Features()))
    raw, mean = theirs(generator.eval(), 100, classes=getattr(generator, "classes", 0))
    result = ours(generator, 100, Features())
    assert result.value == pytest.approx(mean, rel=1e-4)
    assert np.allclose(result.values.numpy(), raw, rtol=0.05)


def test_the_kept_values_are_torch_fidelitys_in_any_numpy(register, monkeypatch):
    """NumPy 2.4 has no ``interpolation=`` any more, so torch-fidelity's own filter is handed ``method=``."""
    percentile = np.percentile
    monkeypatch.setattr(np, "percentile", lambda x, q, interpolation: percentile(x, q, method=interpolation))
    register(registered(Features()))
    generator = small_dcgan().eval()
    raw, mean = theirs(generator, 250, percentiles=(1, 99))
    result = ours(generator, 250, Features(), percentiles=(1.0, 99.0))
    assert result.kept == len(raw) < 250
    assert result.value == pytest.approx(mean, rel=1e-4)


def random_vgg_and_heads():
    rng = torch.Generator().manual_seed(0)
    features = vgg.make_layers(vgg.cfgs["D"])
    for parameter in features.parameters():
        scale = (2 / parameter[0].numel()) ** 0.5 if parameter.ndim > 1 else 0.1
        parameter.data = scale * torch.randn(parameter.shape, generator=rng)
    heads = {
        f"lin{i}.model.1.weight": torch.rand(1, c, 1, 1, generator=rng) for i, c in enumerate(VGG_CHANNELS)
    }
    return features, heads


def test_lpips_path_length_is_torch_fidelitys_with_the_same_weights(register, monkeypatch, tmp_path):
    features, heads = random_vgg_and_heads()
    backbone = {f"features.{name}": value for name, value in features.state_dict().items()}
    save_file(backbone, tmp_path / "vgg16.safetensors")
    torch.save(heads, tmp_path / "vgg.pth")
    monkeypatch.setattr(lpips, "load_state_dict_from_url", lambda *_, **__: heads)
    monkeypatch.setattr(
        lpips, "torchvision_load_pretrained_vgg16", lambda: SimpleNamespace(features=features)
    )
    monkeypatch.setattr(
        lpips.SampleSimilarityLPIPS, "load_state_dict",
        lambda self, state: nn.Module.load_state_dict(self, state, strict=False),
    )  # fmt: skip
    register(lpips.SampleSimilarityLPIPS)
    generator = small_stylegan2(32).eval()
    wrapped = In255(generator)
    wrapped.z_dim = generator.z_dim
    _, mean = theirs(wrapped, 8)
    distance = AtSize(LPIPSDistance(tmp_path / "vgg16.safetensors", tmp_path / "vgg.pth"))
    assert ours(generator, 8, distance).value == pytest.approx(mean, rel=1e-4)


def test_torch_fidelity_gives_the_two_ends_other_noise_and_we_do_not(register):
    register(registered(Features()))
    generator = small_dcgan("euclidean").eval()
    for name, parameter in generator.named_parameters():
        if name.endswith("noise.a"):
            parameter.data.fill_(0.01)
    _, mean = theirs(generator, 100)
    noisy, quiet = ours(generator, 100, Features()), ours(small_dcgan(), 100, Features())
    assert mean > 1000 * noisy.value
    assert noisy.value == pytest.approx(quiet.value, rel=0.2)

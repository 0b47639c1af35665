"""Each objective by its transcription, its gradient, and blind to what a mask hides."""

import pytest
import torch

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.inversion.noise_penalty import autocorrelation
from riemann_noise_pytorch.inversion.objectives import (
    Guess,
    NoiseAutocorrelation,
    Perceptual,
    PixelError,
    PullToMean,
    Term,
    at_most,
    total_loss,
)
from riemann_noise_pytorch.inversion.vgg_features import VGGFeatures
from riemann_noise_pytorch.metrics.distances import LPIPSDistance, PyramidDistance
from tests.inversion.weights import save_random
from tests.reference import inversion as literal


def images(n=2, channels=3, size=16, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(n, channels, size, size, generator=rng, dtype=torch.float64) * 2 - 1


def masks(n=2, size=16):
    mask = torch.ones(n, 1, size, size, dtype=torch.float64)
    mask[:, :, 3:9, 5:] = 0
    mask[0, :, :, :2] = 0
    return mask


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def vgg(folder):
    return save_random(folder)


@pytest.fixture(scope="module")
def features(folder, vgg):
    return VGGFeatures(folder / "vgg16.safetensors").placed(images())


@pytest.fixture(scope="module")
def lpips(folder, vgg):
    distance = LPIPSDistance(folder / "vgg16.safetensors", folder / "heads.safetensors")
    return Perceptual(distance).placed(images())


def test_pixel_error_is_its_transcription_with_and_without_mask():
    x, y = images(), images(seed=1)
    whole = PixelError()(Guess(x, y))
    part = PixelError()(Guess(x, y, masks()))
    for i in range(2):
        ones = torch.ones(16, 16).tolist()
        assert float(whole[i]) == pytest.approx(literal.pixel_error(x[i].tolist(), y[i].tolist(), ones))
        seen = masks()[i, 0].tolist()
        assert float(part[i]) == pytest.approx(literal.pixel_error(x[i].tolist(), y[i].tolist(), seen))


def test_perceptual_is_its_distance_of_the_seen_parts():
    x, y = images(), images(seed=1)
    distance = PyramidDistance()
    assert torch.equal(Perceptual()(Guess(x, y)), distance(x, y))
    found = Perceptual()(Guess(x, y, masks()))
    for i in range(2):
        m = masks()[i : i + 1]
        alone = distance(x[i : i + 1] * m, y[i : i + 1] * m) / m.mean()
        assert float(found[i]) == pytest.approx(float(alone))
    assert Perceptual().name == "pyramid distance"


def test_vgg_features_are_their_transcription(features, vgg):
    x, y = images(), images(seed=1)
    found = features(Guess(x, y))
    for i in range(2):
        assert float(found[i]) == pytest.approx(literal.vgg_loss(x[i], y[i], vgg), rel=1e-10)
    assert features.name.startswith("VGG16 features with weights ")


def test_grey_images_are_repeated_to_three_channels(features):
    x, y = images(channels=1), images(channels=1, seed=1)
    rgb = features(Guess(x.repeat(1, 3, 1, 1), y.repeat(1, 3, 1, 1)))
    assert torch.allclose(features(Guess(x, y)), rgb)


def test_the_penalty_sums_over_layers():
    rng = torch.Generator().manual_seed(0)
    noise = {name: torch.randn(2, 1, size, size, generator=rng) for name, size in (("a", 8), ("b", 16))}
    found = NoiseAutocorrelation()(Guess(images(), images(), noise=noise))
    assert torch.allclose(found, (autocorrelation(noise["a"]) + autocorrelation(noise["b"])).double())
    assert torch.equal(NoiseAutocorrelation()(Guess(images(), images())), torch.zeros(2, dtype=torch.float64))


def test_the_pull_is_the_mean_square_from_the_centre():
    latents, centre = images(2, 3, 4)[:, 0], images(1, 1, 4, seed=1)[0, 0, 0]
    found = PullToMean()(Guess(images(), images(), latents=latents, centre=centre))
    for i in range(2):
        values = [(latents[i, r, d] - centre[d]) ** 2 for r in range(4) for d in range(4)]
        assert float(found[i]) == pytest.approx(float(sum(values)) / 16)
    with pytest.raises(InputError, match="no latents"):
        PullToMean()(Guess(images(), images()))


@pytest.mark.parametrize("hidden", [False, True])
def test_objectives_of_images_pass_gradcheck(hidden, features, lpips):
    y, mask = images(1, seed=1), masks(1) if hidden else None
    for objective in (PixelError(), Perceptual(), features, lpips):
        check = torch.autograd.gradcheck(
            lambda x, objective=objective: objective(Guess(x, y, mask)),
            (images(1).requires_grad_(),),
            fast_mode=True,
        )
        assert check, objective.name


def test_objectives_of_latents_and_noise_pass_gradcheck():
    x = images(2, 1, 4)
    centre = x[0, 0, 0]
    assert torch.autograd.gradcheck(
        lambda w: PullToMean()(Guess(x, x, latents=w, centre=centre)), (x[:, 0].clone().requires_grad_(),)
    )
    assert torch.autograd.gradcheck(
        lambda n: NoiseAutocorrelation()(Guess(x, x, noise={"a": n, "b": n[..., ::2]})),
        (images(2, 1, 16).requires_grad_(),),
        fast_mode=True,
    )


def test_what_is_under_a_mask_does_not_matter(features, lpips):
    x, y, mask = images(), images(seed=1), masks()
    other = torch.where(mask == 0, images(seed=2), y)
    for objective in (PixelError(), Perceptual(), features, lpips):
        assert torch.equal(objective(Guess(x, y, mask)), objective(Guess(x, other, mask))), objective.name


def test_losses_of_a_batch_do_not_mix(features, lpips):
    x, y, mask = images(), images(seed=1), masks()
    for objective in (PixelError(), Perceptual(), features, lpips):
        alone = objective(Guess(x[1:], y[1:], mask[1:]))
        assert torch.allclose(objective(Guess(x, y, mask))[1:], alone, rtol=1e-10)


def test_terms_add_up_with_their_weights():
    guess = Guess(images(), images(seed=1))
    total = total_loss((Term(PixelError(), 0.5), Term(Perceptual(), 2.0)), guess)
    assert torch.allclose(total, 0.5 * PixelError()(guess) + 2 * Perceptual()(guess))


def test_large_images_are_averaged_down_before_features(features):
    x = images(1, 3, 512)
    assert torch.allclose(at_most(x, 256), x.unflatten(3, (256, 2)).unflatten(2, (256, 2)).mean(dim=(3, 5)))
    assert at_most(x, None) is x
    assert at_most(x, 512) is x


def test_images_that_features_cannot_see_are_refused(features):
    with pytest.raises(InputError, match="grey or RGB images of 8 pixels"):
        features(Guess(images(channels=2), images(channels=2)))
    with pytest.raises(InputError, match="grey or RGB images of 8 pixels"):
        features(Guess(images(size=4), images(size=4)))


def test_missing_weights_are_told(tmp_path, monkeypatch):
    monkeypatch.delenv("RIEMANN_NOISE_VGG16", raising=False)
    with pytest.raises(InputError, match=r"download vgg16-397923af\.pth"):
        VGGFeatures()
    with pytest.raises(InputError, match="no weights at"):
        VGGFeatures(tmp_path / "none.pth")

"""The weight-free distance by its formula, LPIPS by a transcription on random weights."""

import hashlib
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.metrics import distances
from riemann_noise_pytorch.metrics.distances import VGG_CHANNELS, LPIPSDistance, PyramidDistance
from riemann_noise_pytorch.metrics.weights import LPIPS_HEADS, VGG16
from tests.reference import lpips as literal_lpips
from tests.reference import sliced_wasserstein as literal

VGG_LAYERS = (
    *((0, 3, 64), (2, 64, 64), (5, 64, 128), (7, 128, 128), (10, 128, 256), (12, 256, 256), (14, 256, 256)),
    *((17, 256, 512), (19, 512, 512), (21, 512, 512), (24, 512, 512), (26, 512, 512), (28, 512, 512)),
)


def images(n=3, channels=3, size=16, seed=0, dtype=torch.float64):
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(n, channels, size, size, generator=rng, dtype=dtype) * 2 - 1


def test_pyramid_distance_is_its_formula():
    x, y = images(), images(seed=1)
    ours = PyramidDistance()(x, y)
    for i in range(3):
        levels = [[], []]
        for c in range(3):
            a, b = literal.pyramid(x[i, c].numpy()), literal.pyramid(y[i, c].numpy())
            for level in range(2):
                levels[level].extend(((a[level] - b[level]) ** 2).ravel())
        assert float(ours[i]) == pytest.approx(sum(sum(v) / len(v) for v in levels) / 2, rel=1e-12)


def test_pyramid_distance_is_quadratic_and_symmetric():
    x, y = images(), images(seed=1)
    d = PyramidDistance()
    assert torch.allclose(d(x, x + 1e-4 * y) / 1e-8, d(x, x + y), rtol=1e-9)
    assert torch.equal(d(x, y), d(y, x))
    assert torch.equal(d(x, x), torch.zeros(3, dtype=torch.float64))


def test_pyramid_distance_has_gradients():
    x, y = images(1, 1, 16).requires_grad_(), images(1, 1, 16, seed=1)
    assert torch.autograd.gradcheck(PyramidDistance(), (x, y), fast_mode=True)
    assert torch.autograd.gradgradcheck(PyramidDistance(), (x, y), fast_mode=True)


def test_pyramid_distance_of_small_images_is_the_mean_square():
    x, y = images(size=4), images(size=4, seed=1)
    assert torch.allclose(PyramidDistance()(x, y), (x - y).square().mean(dim=(1, 2, 3)))


def test_shapes_that_differ_are_refused():
    with pytest.raises(InputError, match="equal shape"):
        PyramidDistance()(images(), images(size=8))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Random weights in the files' formats: VGG16 as safetensors with its classifier, heads by torch.save."""
    folder, rng = tmp_path_factory.mktemp("weights"), torch.Generator().manual_seed(0)
    vgg = {"classifier.6.bias": torch.zeros(1000)}
    for layer, inputs, outputs in VGG_LAYERS:
        scale = (2 / (9 * inputs)) ** 0.5
        vgg[f"features.{layer}.weight"] = scale * torch.randn(outputs, inputs, 3, 3, generator=rng)
        vgg[f"features.{layer}.bias"] = 0.1 * torch.randn(outputs, generator=rng)
    heads = {
        f"lin{i}.model.1.weight": torch.rand(1, c, 1, 1, generator=rng) for i, c in enumerate(VGG_CHANNELS)
    }
    save_file(vgg, folder / "vgg16.safetensors")
    torch.save(heads, folder / "vgg.pth")
    return folder, vgg, heads


@pytest.fixture(scope="module")
def lpips(weights):
    folder, _, _ = weights
    return LPIPSDistance(folder / "vgg16.safetensors", folder / "vgg.pth")


def test_lpips_is_the_transcription(lpips, weights):
    _, vgg, heads = weights
    x, y = images(2, size=19), images(2, size=19, seed=1)
    vgg, heads = ({k: v.double() for k, v in state.items()} for state in (vgg, heads))
    ours = lpips.double()(x, y)
    lpips.float()
    for i in range(2):
        assert float(ours[i]) == pytest.approx(literal_lpips.distance(x[i], y[i], vgg, heads), rel=1e-6)


def test_lpips_is_quadratic_for_small_differences(lpips):
    x, y = images(2), images(2, seed=1)
    lpips.double()
    near, nearer = lpips(x, x + 1e-4 * y), lpips(x, x + 1e-5 * y)
    lpips.float()
    assert torch.allclose(near / 1e-8, nearer / 1e-10, rtol=0.05)


def test_lpips_repeats_grey_images(lpips):
    x, y = images(2, 1, dtype=torch.float32), images(2, 1, seed=1, dtype=torch.float32)
    assert torch.allclose(lpips(x, y), lpips(x.expand(-1, 3, -1, -1), y.expand(-1, 3, -1, -1)), rtol=1e-5)


def test_lpips_has_gradients_for_images_alone(lpips):
    x = images(1, dtype=torch.float32).requires_grad_()
    lpips(x, torch.zeros_like(x)).sum().backward()
    assert x.grad.isfinite().all()
    assert x.grad.abs().max() > 0
    assert not any(parameter.requires_grad for parameter in lpips.parameters())


def test_lpips_of_equal_images_is_0_with_a_finite_gradient(lpips):
    x = torch.zeros(1, 3, 16, 16, requires_grad=True)
    value = lpips(x, x.detach())
    value.sum().backward()
    assert value.item() == 0
    assert x.grad.isfinite().all()


def test_the_names_say_which_distance_is_used(lpips, weights, monkeypatch):
    folder, _, _ = weights
    files = folder / "vgg16.safetensors", folder / "vgg.pth"
    first, second = (hashlib.sha256(file.read_bytes()).hexdigest() for file in files)
    assert PyramidDistance().name == "pyramid distance"
    assert not PyramidDistance().official
    assert lpips.name == f"LPIPS-VGG16 with weights {first[:8]} and {second[:8]}"
    assert not lpips.official
    monkeypatch.setattr(distances, "VGG16", replace(VGG16, sha256=first))
    assert LPIPSDistance(*files).name == lpips.name
    monkeypatch.setattr(distances, "LPIPS_HEADS", replace(LPIPS_HEADS, sha256=second))
    published = LPIPSDistance(*files)
    assert published.name == "LPIPS-VGG16"
    assert published.official


@pytest.mark.parametrize(("channels", "size"), [(3, 15), (2, 16), (4, 32)])
def test_lpips_refuses_images_it_cannot_take(lpips, channels, size):
    with pytest.raises(InputError, match="16 pixels or more"):
        lpips(*[images(1, channels, size, dtype=torch.float32)] * 2)


def test_hashes_are_checked(weights):
    folder, _, _ = weights
    backbone, heads = folder / "vgg16.safetensors", folder / "vgg.pth"
    right = hashlib.sha256(heads.read_bytes()).hexdigest()
    LPIPSDistance(backbone, heads, heads_sha256=right.upper())
    with pytest.raises(InputError, match="has the hash"):
        LPIPSDistance(backbone, heads, heads_sha256="0" * 64)
    with pytest.raises(InputError, match="has the hash"):
        LPIPSDistance(backbone, heads, backbone_sha256=right)


def test_missing_weights_are_named(weights, tmp_path):
    folder, _, _ = weights
    with pytest.raises(InputError, match=r"no weights at .*absent\.pth; download"):
        LPIPSDistance(tmp_path / "absent.pth", folder / "vgg.pth")


def test_exchanged_files_are_refused(weights):
    folder, _, _ = weights
    with pytest.raises(InputError, match="no file of torchvision's VGG16"):
        LPIPSDistance(folder / "vgg.pth", folder / "vgg.pth")
    with pytest.raises(InputError, match=r"no file of LPIPS heads.*lin0\.model\.1\.weight"):
        LPIPSDistance(folder / "vgg16.safetensors", folder / "vgg16.safetensors")


def test_weights_of_another_shape_are_refused(weights, tmp_path):
    folder, _, heads = weights
    torch.save(heads | {"lin2.model.1.weight": torch.zeros(1, 7, 1, 1)}, tmp_path / "heads.pth")
    with pytest.raises(InputError, match=r"should have shape \(1, 256, 1, 1\)"):
        LPIPSDistance(folder / "vgg16.safetensors", tmp_path / "heads.pth")


@pytest.mark.parametrize("name", ["broken.pth", "broken.safetensors"])
def test_damaged_files_are_refused(weights, tmp_path, name):
    folder, _, _ = weights
    (tmp_path / name).write_bytes(b"not weights at all")
    with pytest.raises(InputError, match="cannot read weights"):
        LPIPSDistance(folder / "vgg16.safetensors", tmp_path / name)


class Harmful:
    """Runs code when a pickle of it is loaded."""

    def __reduce__(self):
        return print, ("executed",)


def test_pickles_are_not_executed(weights, tmp_path, capsys):
    folder, _, _ = weights
    torch.save({"a": Harmful()}, tmp_path / "harmful.pth")
    with pytest.raises(InputError, match="cannot read weights"):
        LPIPSDistance(tmp_path / "harmful.pth", folder / "vgg.pth")
    assert "executed" not in capsys.readouterr().out


def test_a_file_of_other_things_is_refused(weights, tmp_path):
    folder, _, _ = weights
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(InputError, match="no state dict"):
        LPIPSDistance(folder / "vgg16.safetensors", tmp_path / "list.pth")


def test_without_torchvision_the_remedy_is_named(weights, monkeypatch):
    folder, _, _ = weights
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(InputError, match=r"LPIPS needs torchvision; pip install .*perceptual"):
        LPIPSDistance(folder / "vgg16.safetensors", folder / "vgg.pth")

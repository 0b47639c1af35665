"""DINOv2 through torch.hub's local path, with a small stand-in for the repository.

The published repository and weights are not at hand here: what is tested is the way to them.
"""

import os

import pytest
import torch

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.metrics.extractors.dinov2 import DINOv2
from riemann_noise_pytorch.metrics.weights import DINOV2_S

HUBCONF = """
import os

import torch

dependencies = ["torch"]


class Patches(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.embed = torch.nn.Conv2d(3, width, 14, stride=14)

    def forward(self, x):
        return self.embed(x).mean(dim=(2, 3))


def dinov2_vits14(*, pretrained=True, **kwargs):
    assert not pretrained, "would download"
    assert os.environ["XFORMERS_DISABLED"] == "1"
    return Patches(384)
"""


@pytest.fixture
def clone(tmp_path):
    folder = tmp_path / "dinov2"
    folder.mkdir()
    (folder / "hubconf.py").write_text(HUBCONF)
    return folder


@pytest.fixture
def weights(tmp_path):
    rng = torch.Generator().manual_seed(0)
    state = {"embed.weight": torch.randn(384, 3, 14, 14, generator=rng), "embed.bias": torch.ones(384)}
    torch.save(state, tmp_path / "vits14.pth")
    return tmp_path / "vits14.pth"


def test_features_are_those_of_the_clone_on_normalised_images(clone, weights, images):
    before, environment = torch.get_rng_state(), dict(os.environ)
    extractor = DINOv2("dinov2-vits14", weights, repository=clone)
    assert torch.equal(torch.get_rng_state(), before)
    assert dict(os.environ) == environment
    x, state = images(2, 3, 50, 60), torch.load(weights)
    resized = torch.nn.functional.interpolate(x.double(), (224, 224), mode="bicubic", antialias=True)
    mean = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float64).view(3, 1, 1)
    patches = ((resized / 255 - mean) / std).unfold(2, 14, 14).unfold(3, 14, 14)
    wanted = torch.einsum("nchwij,dcij->ndhw", patches, state["embed.weight"].double()).mean(dim=(2, 3)) + 1
    ours = extractor(x)["class_token"]
    assert ours.dtype == torch.float32
    assert (ours - wanted).norm() < 1e-5 * wanted.norm()
    assert extractor.name.startswith("DINOv2 ViT-S/14 with weights ")
    assert extractor.key in extractor.identity


def test_the_variables_name_clone_and_weights(clone, weights, monkeypatch):
    monkeypatch.setenv("RIEMANN_NOISE_DINOV2", str(weights))
    monkeypatch.setenv("RIEMANN_NOISE_DINOV2_REPOSITORY", str(clone))
    assert DINOv2("dinov2-vits14").dimensions == {"class_token": 384}


def test_a_missing_clone_or_file_is_named(clone, weights, tmp_path):
    with pytest.raises(InputError, match=r"git clone facebookresearch/dinov2 .*--dinov2-repository"):
        DINOv2("dinov2-vits14", weights)
    with pytest.raises(InputError, match=r"no clone of .*no hubconf\.py in it"):
        DINOv2("dinov2-vits14", weights, repository=tmp_path)
    with pytest.raises(InputError, match=f"download {DINOV2_S.file} .*{DINOV2_S.sha256}"):
        DINOv2("dinov2-vits14", repository=clone)


def test_a_clone_that_fails_is_refused_in_one_line(clone, weights):
    published = weights.with_name("large.pth")
    torch.save(torch.load(weights), published)
    with pytest.raises(InputError, match="does not give 'dinov2_vitl14'") as caught:
        DINOv2("dinov2-vitl14", published, repository=clone)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("return Patches(384)", "return 3", "gives no network"),
        ("import os", "import nowhere_to_be_found", "does not give"),
        (".mean(dim=(2, 3))", "", r"gives \(1, 384, 16, 16\), not \(1, 384\)"),
    ],
)
def test_a_clone_of_something_else_is_refused(clone, weights, images, old, new, message):
    (clone / "hubconf.py").write_text(HUBCONF.replace(old, new))
    with pytest.raises(InputError, match=message):
        DINOv2("dinov2-vits14", weights, repository=clone)(images(1, 3, 16, 16))


def test_weights_of_another_size_are_refused(clone, weights, tmp_path):
    torch.save({"embed.weight": torch.zeros(1024, 3, 14, 14)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"no file of DINOv2 ViT-S/14: 'embed\.weight'"):
        DINOv2("dinov2-vits14", tmp_path / "other.pth", repository=clone)


def test_unknown_sizes_are_refused(clone, weights):
    with pytest.raises(InputError, match="unknown size of DINOv2 'dinov2-vitb14'; did you mean"):
        DINOv2("dinov2-vitb14", weights, repository=clone)

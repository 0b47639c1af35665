"""Inception gives torch-fidelity's features, whatever the batch, the switches and the file's format."""

import pickle
import sys
from dataclasses import replace

import pytest
import torch
from pytorch_fid import inception as pytorch_fid
from safetensors.torch import save_file
from torch_fidelity import FeatureExtractorInceptionV3

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.metrics.extractors import inception as module
from riemann_noise_pytorch.metrics.extractors.inception import Inception
from riemann_noise_pytorch.metrics.extractors.resizing import resize_tensorflow1
from riemann_noise_pytorch.metrics.weights import INCEPTION, file_sha256, read_weights
from tests.metrics.extractors.networks import inception_state

OUTPUTS = {"pool3": "2048", "logits_unbiased": "logits_unbiased"}


def relative(ours, theirs):
    return float(((ours - theirs).norm(dim=1) / theirs.norm(dim=1)).max())


@pytest.fixture(scope="module")
def extractor(inception_file):
    return Inception(inception_file)


@pytest.fixture(scope="module")
def reference(inception_file):
    return FeatureExtractorInceptionV3("reference", list(OUTPUTS.values()), str(inception_file))


@pytest.mark.parametrize("size", [(16, 24), (299, 299), (350, 310)])
def test_features_are_torch_fidelitys(extractor, reference, images, size):
    x = images(2, 3, *size)
    ours, theirs = extractor(x), dict(zip(OUTPUTS, reference(x), strict=True))
    for name, d in extractor.dimensions.items():
        assert ours[name].shape == (2, d)
        assert ours[name].dtype == torch.float32
        assert relative(ours[name], theirs[name]) < 1e-6


def test_folding_and_layout_are_as_exact_as_torch_fidelitys_float32(images, tmp_path):
    """Batch norms fitted to images make a random network amplify roundings: a hard case for both."""
    path = tmp_path / "fitted.pth"
    torch.save(inception_state(), path)
    theirs = FeatureExtractorInceptionV3("reference", ["2048"], str(path))
    for norm in (part for part in theirs.modules() if isinstance(part, torch.nn.BatchNorm2d)):
        norm.momentum = 1.0
        norm.train()
    theirs(images(2, 3, 32, 32))
    theirs.eval()
    torch.save(theirs.state_dict(), path)
    x = images(1, 3, 32, 32, seed=1)
    ours, float32 = Inception(path)(x)["pool3"], theirs(x)[0]
    float64 = (resize_tensorflow1(x.float(), 299).double() - 128) / 128
    for stage in module.STAGES:
        float64 = theirs.double().get_submodule(stage)(float64)
    float64 = float64.flatten(1)
    assert relative(ours, float64) < max(1e-6, 2 * relative(float32, float64))


def test_features_do_not_depend_on_the_batch(extractor, images):
    x = images(4, 3, 32, 32)
    whole, one_by_one = extractor(x), [extractor(x[i : i + 1]) for i in range(4)]
    for name in extractor.dimensions:
        assert relative(torch.cat([one[name] for one in one_by_one]), whole[name]) < 1e-6


def test_features_of_299_pixels_are_pytorch_fids(extractor, inception_file, images, monkeypatch):
    state = read_weights(inception_file)
    monkeypatch.setattr(pytorch_fid, "load_state_dict_from_url", lambda *_, **__: state)
    theirs = pytorch_fid.InceptionV3(normalize_input=False).eval()
    x = images(2, 3, 299, 299)
    wanted = theirs((x.float() - 128) / 128)[0].flatten(1)
    assert relative(extractor(x)["pool3"], wanted) < 1e-6
    its_own_scale = theirs(2 * (x.float() / 255) - 1)[0].flatten(1)  # x / 127.5 - 1 is not (x - 128) / 128
    assert 1e-4 < relative(its_own_scale, wanted) < 0.1


def test_grey_images_are_repeated(extractor, images):
    x = images(2, 1, 20, 20)
    assert torch.equal(extractor(x)["pool3"], extractor(x.repeat(1, 3, 1, 1))["pool3"])


def test_precision_switches_change_nothing(extractor, images):
    x = images(1, 3, 32, 32)
    before = extractor(x)["pool3"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(extractor(x)["pool3"], before)
    conv = torch.backends.mkldnn.conv
    saved = conv.fp32_precision
    conv.fp32_precision = "bf16"
    try:
        assert torch.equal(extractor(x)["pool3"], before)
    finally:
        conv.fp32_precision = saved


def test_a_safetensors_file_of_the_same_tensors_serves(extractor, inception_file, images, tmp_path):
    path = tmp_path / "inception.safetensors"
    save_file({name: value.contiguous() for name, value in read_weights(inception_file).items()}, path)
    x = images(1, 3, 32, 32)
    assert torch.equal(Inception(path)(x)["pool3"], extractor(x)["pool3"])


def test_the_name_claims_the_published_weights_for_them_alone(extractor, inception_file, monkeypatch):
    found = file_sha256(inception_file)
    monkeypatch.setattr(module, "INCEPTION", replace(INCEPTION, sha256=found))
    published = Inception(inception_file)
    assert (published.name, published.official) == ("Inception-2015", True)
    if found != INCEPTION.sha256:
        assert (extractor.name, extractor.official) == (f"Inception with weights {found[:8]}", False)
    assert found in extractor.identity
    assert "bilinear to 299x299" in extractor.identity


def test_an_extractor_stays_in_eval_mode_without_gradients(extractor, images):
    extractor.train()
    assert not extractor.training
    assert not any(parameter.requires_grad for parameter in extractor.parameters())
    assert not extractor(images(1, 3, 16, 16))["pool3"].requires_grad


def test_the_variable_names_the_file_and_random_numbers_are_left_alone(
    inception_file, monkeypatch, extractor
):
    monkeypatch.setenv("RIEMANN_NOISE_INCEPTION", str(inception_file))
    before = torch.get_rng_state()
    assert Inception().weights_sha256 == extractor.weights_sha256
    assert torch.equal(torch.get_rng_state(), before)


def test_missing_weights_say_what_to_download_where_and_its_hash(tmp_path):
    with pytest.raises(InputError) as caught:
        Inception()
    for part in (INCEPTION.file, INCEPTION.sha256, "--inception-weights", "RIEMANN_NOISE_INCEPTION"):
        assert part in str(caught.value)
    with pytest.raises(InputError, match=rf"no weights at .*absent; download {INCEPTION.file}"):
        Inception(tmp_path / "absent")


def test_weights_of_another_network_are_refused(tmp_path):
    save_file({"Conv2d_1a_3x3.conv.weight": torch.zeros(32, 3, 5, 5)}, tmp_path / "a.safetensors")
    with pytest.raises(
        InputError, match=r"no file of Inception of 2015: 'Conv2d_1a_3x3\.conv\.weight' should"
    ):
        Inception(tmp_path / "a.safetensors")


def test_a_truncated_file_is_refused(inception_file, tmp_path):
    content = inception_file.read_bytes()
    (tmp_path / "short.pth").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"cannot read weights from .*download it again"):
        Inception(tmp_path / "short.pth")
    (tmp_path / INCEPTION.file).write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=f"has the hash .* not {INCEPTION.sha256}; download it again"):
        Inception(tmp_path / INCEPTION.file)


def test_weights_that_are_not_finite_are_refused(inception_file, tmp_path):
    state = read_weights(inception_file)
    state["fc.weight"] = torch.full_like(state["fc.weight"], torch.nan)
    torch.save(state, tmp_path / "nan.pth")
    with pytest.raises(InputError, match=r"NaN or infinity in 'fc\.weight'"):
        Inception(tmp_path / "nan.pth")


class Harmful:
    """Runs code when a pickle of it is loaded."""

    def __reduce__(self):
        return print, ("executed",)


def test_pickles_are_not_executed(tmp_path, capsys):
    torch.save({"fc.weight": Harmful()}, tmp_path / "zip.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Harmful(), protocol=2))
    for name in ("zip.pth", "plain.pth"):
        with pytest.raises(InputError, match="cannot read weights") as caught:
            Inception(tmp_path / name)
        assert "\n" not in str(caught.value)
    assert "executed" not in capsys.readouterr().out


def test_without_torch_fidelity_the_remedy_is_named(inception_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(InputError, match=r"pip install 'riemann-noise-pytorch\[fidelity\]'"):
        Inception(inception_file)

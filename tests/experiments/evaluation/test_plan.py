"""What cannot be measured is refused in one line, before the first image is looked at."""

import pytest
import torch

from riemann_noise_pytorch.data.imageset import TensorImages
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.evaluation.evaluate import evaluate
from riemann_noise_pytorch.experiments.evaluation.options import EvaluateConfig
from riemann_noise_pytorch.experiments.evaluation.reference import reference_images
from riemann_noise_pytorch.experiments.targets import Target, open_target
from riemann_noise_pytorch.metrics.extractors.random_conv import RandomConv
from riemann_noise_pytorch.models.stylegan2 import StyleGAN2Generator
from tests.experiments.evaluation.networks import Classes, Mapped, Tiny, target_of
from tests.training.runs import blobs

DIGITS = Target("digits", "images")


def refused(target, images=None, **options):
    with pytest.raises(InputError) as caught:
        evaluate(target, EvaluateConfig(**options), images=images)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(autouse=True)
def nothing_is_extracted(monkeypatch):
    def features_of(*_):
        raise AssertionError("work was done")

    monkeypatch.setattr(RandomConv, "features_of", features_of)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"metrics": ""}, "no metric is named"),
        ({"metrics": "fid50kfull"}, "did you mean 'fid50k_full'?"),
        ({"metrics": "quick,fdi5k"}, "unknown metric 'fdi5k'; did you mean 'f"),
        ({"metrics": "fd100"}, "fd100 needs at least 225 generated images"),
        ({"metrics": "kd500"}, "needs at least 1,000 generated images"),
        ({"metrics": "fd240,kd2k"}, "kd2k needs at least 1,000 real images for subsets of 1,000, not 256"),
        ({"metrics": "is5k"}, "Inception needs weights: download weights-inception-2015-12-05-6726825d.pth"),
        ({"metrics": "fid50k"}, "(releases of torch-fidelity; sha256 6726825d"),
        ({"metrics": "pr50k3"}, "VGG16 needs weights"),
        ({"metrics": "fd240", "extractor": "dinov2-vits14"}, "--dinov2-repository"),
        (
            {"metrics": "fd240", "extractor": "random"},
            "unknown extractor 'random'; did you mean 'random-conv'",
        ),
        ({"metrics": "cs500"}, "Inception needs weights"),
        ({"metrics": "fd240", "resize_filter": "foo"}, "unknown resize filter 'foo'"),
        ({"metrics": "ppl_wend"}, "tiny has no mapping and synthesis, hence no w for ppl_wend; measure in z"),
        ({"metrics": "mc50k_w"}, "no w for mc50k_w"),
        ({"metrics": "paper-table2"}, "no w for mc50k_w+"),
        ({"metrics": "fd240", "truncation_psi": 0.7}, "tiny has no w for truncation"),
        ({"metrics": "mc100_z", "truncation_psi": 0.7}, "mc100_z is measured without truncation"),
        ({"metrics": "fd240", "redraws": 0}, "redraws 0 and batch 64"),
        ({"metrics": "fd240", "batch": -1}, "batch -1"),
        ({"metrics": "fd240", "seed": -1}, "seed is -1"),
        ({"metrics": "fd240", "resolution": 0}, "resolution is 0"),
        ({"metrics": "fd240", "channels": -3}, "channels is -3"),
    ],
)
def test_what_cannot_be_measured_is_refused(options, words):
    assert words in refused(target_of(Tiny()), blobs(), **options)


def test_the_papers_tables_ask_for_weights_before_any_work():
    words = refused(target_of(Mapped()), blobs(), metrics="paper-table1")
    assert "Inception needs weights" in words
    assert "set RIEMANN_NOISE_INCEPTION to its path (or, in riemann-noise evaluate, give --inception" in words
    assert "Inception needs weights" in refused(target_of(Tiny()), blobs(), metrics="paper-table1-dcgan")


def test_weights_that_are_not_what_they_should_be_are_refused(tmp_path):
    (tmp_path / "weights.pth").write_bytes(b"no weights")
    target, given = target_of(Tiny()), {"inception_weights": tmp_path / "weights.pth"}
    assert "cannot read weights from" in refused(target, blobs(), metrics="fid5k", **given)
    given = {"inception_weights": tmp_path / "nowhere.pth"}
    assert "no weights at" in refused(target, blobs(), metrics="fid5k", **given)
    heads = {"lpips_heads": tmp_path / "weights.pth", "vgg16_weights": tmp_path / "weights.pth"}
    assert "cannot read weights from" in refused(target, blobs(), metrics="ppl2_100_zfull", **heads)
    assert "VGG16 needs weights" in refused(
        target, blobs(), metrics="ppl2_100_zfull", lpips_heads=tmp_path / "weights.pth"
    )


def test_what_only_path_lengths_need_is_not_asked_of_others(tmp_path, monkeypatch):
    monkeypatch.undo()
    config = EvaluateConfig(metrics="swd100", lpips_heads=tmp_path / "nowhere.pth", redraws=1)
    assert evaluate(target_of(Tiny()), config, images=blobs())


def test_a_set_of_images_has_no_path_length():
    assert "digits is a set of images, and mc100_z needs a generator" in refused(DIGITS, metrics="mc100_z")
    assert "needs a generator" in refused(DIGITS, data="digits", metrics="paper-table2")
    assert "needs a generator" in refused(DIGITS, data="digits", metrics="quick,mc1k_z")
    assert "no w for truncation" in refused(DIGITS, data="digits", metrics="swd100", truncation_psi=0.5)


def test_nobody_tells_the_real_images():
    assert "digits does not tell its real images; give --data" in refused(DIGITS, metrics="fd240")
    assert "tiny does not tell its real images" in refused(target_of(Tiny()), metrics="swd100")
    assert "nowhere" in refused(target_of(Tiny()), metrics="swd100", data="nowhere")


@pytest.mark.parametrize("metrics", ["fd240", "swd100"])
def test_images_of_another_size_or_colour_are_refused(metrics):
    large = TensorImages(torch.zeros(256, 1, 32, 32, dtype=torch.uint8), name="large")
    words = refused(target_of(Tiny()), large, metrics=metrics)
    assert "images of tiny are (1, 16, 16), but those of large are (1, 32, 32); give --resolution 16" in words
    colours = TensorImages(torch.zeros(256, 3, 16, 16, dtype=torch.uint8), name="colours")
    assert "--channels 1" in refused(target_of(Tiny()), colours, metrics=metrics)


def test_classes_come_from_the_data_and_must_fit():
    target = target_of(Classes())
    assert "tiny has 3 classes; give --data with classes" in refused(target, metrics="mc100_z")
    assert "give --data with classes" in refused(target, blobs(), metrics="mc100_z")
    many = TensorImages(blobs().pixels, name="many", labels=torch.arange(256) % 10)
    assert "many has 10 classes, but tiny has 3" in refused(target, many, metrics="mc100_z")


def test_a_stylegan2_is_truncated_and_told_its_classes(monkeypatch):
    monkeypatch.undo()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        generator = StyleGAN2Generator((1, 16, 16), 8, 8, 1, channel_max=4, classes=3).eval()
    images = TensorImages(blobs().pixels, name="blobs", labels=torch.arange(256) % 3)
    target = target_of(generator, z_dim=8)
    found = {}
    for psi in (1.0, 0.5):
        config = EvaluateConfig(metrics="swd100", redraws=1, truncation_psi=psi)
        (each,) = evaluate(target, config, images=images)
        assert each.protocol["truncation_psi"] == psi
        found[psi] = each.results["swd100"]
    assert found[1.0] != found[0.5]
    words = refused(target, images, metrics="swd100,mc100_w", truncation_psi=0.5)
    assert "mc100_w is measured without truncation; leave --truncation-psi out" in words
    config = EvaluateConfig(metrics="mc100_w,ppl2_100_wend,mc100_z", precision="float32")
    assert len(evaluate(target, config, images=images)) == 3


def test_the_real_images_are_those_of_the_run_unless_others_are_given(measured_run):
    target = open_target(str(measured_run[0]))
    assert reference_images(target, EvaluateConfig()).image_shape == (1, 16, 16)
    other = reference_images(target, EvaluateConfig(data="photos"))
    assert (other.image_shape, other.name) == ((1, 16, 16), "photos")
    assert reference_images(target, EvaluateConfig(resolution=8, channels=3)).image_shape == (3, 8, 8)

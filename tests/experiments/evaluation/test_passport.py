"""A record holds all that another laboratory needs, and survives its file."""

import hashlib
import json

import pytest
import torch

import riemann_noise_pytorch
from riemann_noise_pytorch.data.imageset import TensorImages
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.evaluation import plan as plan_module
from riemann_noise_pytorch.experiments.evaluation.evaluate import evaluate
from riemann_noise_pytorch.experiments.evaluation.metric_files import metric_path, read_evaluations
from riemann_noise_pytorch.experiments.evaluation.options import EvaluateConfig
from riemann_noise_pytorch.experiments.targets import Target, open_target
from riemann_noise_pytorch.metrics.distances import PyramidDistance
from riemann_noise_pytorch.metrics.extractors.random_conv import RandomConv
from tests.data.pictures import write_folder
from tests.experiments.evaluation.networks import Classes, Foreign, Tiny, target_of
from tests.experiments.evaluation.test_evaluate import Small
from tests.metrics.stand_ins import in_processes
from tests.training.runs import blobs


@pytest.fixture
def of_run(measured_run, tmp_path):
    target = open_target(str(measured_run[0]))
    config = EvaluateConfig(metrics="fd240,mc100_z", seed=5, redraws=2, batch=40)
    return evaluate(target, config, images=blobs(), out=tmp_path), tmp_path


def test_a_record_survives_its_file(of_run):
    found, folder = of_run
    assert read_evaluations(folder) == found
    for each in found:
        line = json.loads(metric_path(folder, each.metric).read_text())
        assert line["timestamp"][:2] == "20"
        assert line["results"] == each.results


def test_the_target_is_known_by_its_weights_and_its_run(of_run, measured_run):
    target = of_run[0][0].target
    assert target["sha256"] == open_target(str(measured_run[0])).sha256
    assert (target["kind"], target["snapshot"], target["images_seen"]) == ("run", "00000096.safetensors", 96)
    assert (target["weights"], target["noise"], target["architecture"], target["preset"]) == (
        "ema",
        "riemannian",
        "dcgan",
        "dcgan-rni",
    )


def test_the_protocol_holds_what_a_number_depends_on(of_run):
    fd, condition = (each.protocol for each in of_run[0])
    assert (fd["measured"], fd["real"], fd["redraws"], fd["seed"], fd["batch"]) == (240, 240, 2, 5, 40)
    assert fd["data"] == {
        "name": "blobs",
        "sha256": blobs().content_hash(),
        "count": 256,
        "image_shape": [1, 16, 16],
        "resize_filter": "lanczos",
    }
    assert fd["extractor"]["name"] == "random-conv"
    assert "bilinear" in fd["extractor"]["resize_filter"]
    assert (fd["precision"], fd["truncation_psi"], fd["processes"]) == ("float32", 1.0, 1)
    assert fd["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert fd["versions"]["riemann-noise-pytorch"] == riemann_noise_pytorch.__version__
    assert set(fd["environment"]) >= {"python", "cpu", "gpu", "threads"}
    assert "commit" in fd
    assert (condition["precision"], condition["redraws"], condition["data"]) == ("float64", 1, None)
    assert condition["extractor"] is None
    assert (fd["extractor"]["output"], fd["extractor"]["formula"]) == ("features", RandomConv.formula)
    assert (fd["noise"], fd["classes"], fd["distance_sha256"]) == ("of seed and index", None, None)
    assert of_run[0][0].name == "fd240 (random-conv, 240 generated, 240 real, mean of 2 draws)"
    assert "draws" not in of_run[0][1].name


def test_noise_classes_and_precision_are_told_as_they_are():
    def protocol(target, **options):
        config = EvaluateConfig(redraws=1, **{"metrics": "ipr100_3", **options})
        return evaluate(target, config, images=images)[0].protocol

    images = TensorImages(blobs().pixels, name="blobs", labels=torch.arange(256) % 3)
    foreign = protocol(target_of(Foreign(0.0).forward))
    assert (foreign["noise"], foreign["precision"]) == (
        "its own, of seed and first index of each batch",
        "its own",
    )
    told = protocol(target_of(Classes().double()))
    assert (told["classes"], told["precision"]) == ("drawn as often as in the data", "float64")
    for precision, recorded in (("float64", "float64"), ("float32", "float32")):
        assert protocol(target_of(Tiny()), metrics="mc100_z", precision=precision)["precision"] == recorded
    assert protocol(target_of(Tiny()))["precision"] == "float32"
    digits = protocol(Target("digits", "images"), resolution=16)
    assert (digits["noise"], digits["precision"]) == (None, None)


def test_lpips_is_known_by_the_hashes_of_its_files(tmp_path, monkeypatch):
    for name in ("backbone", "heads"):
        (tmp_path / name).write_text(name)
    monkeypatch.setenv("RIEMANN_NOISE_VGG16", str(tmp_path / "backbone"))
    monkeypatch.setenv("RIEMANN_NOISE_LPIPS", str(tmp_path / "heads"))
    given = []
    monkeypatch.setattr(plan_module, "LPIPSDistance", lambda *files: given.append(files) or PyramidDistance())
    (found,) = evaluate(target_of(Tiny()), EvaluateConfig(metrics="ppl2_100_zfull"), images=blobs())
    assert given == [(tmp_path / "backbone", tmp_path / "heads")]
    assert found.protocol["distance_sha256"] == {
        name: hashlib.sha256(name.encode()).hexdigest() for name in ("backbone", "heads")
    }


def test_an_extractor_is_known_by_its_weights(monkeypatch):
    monkeypatch.setattr(plan_module, "make_extractor", lambda *_, **__: Small())
    (found,) = evaluate(target_of(Tiny()), EvaluateConfig(metrics="fid240", redraws=1), images=blobs())
    assert (found.metric, found.protocol["extractor"]["weights_sha256"]) == ("fd240", "1a2b3c4d" * 8)
    assert found.name == "fd240 (Inception with weights 1a2b3c4d, 240 generated, 240 real)"


def test_a_path_length_names_its_distance_and_precision():
    config = EvaluateConfig(metrics="ppl2_100_zfull", precision="float32")
    (found,) = evaluate(target_of(Tiny()), config, images=blobs())
    assert (found.protocol["distance"], found.protocol["precision"]) == ("pyramid distance", "float32")
    assert "pyramid distance" in found.name


def test_a_callable_is_known_by_its_first_images():
    (found,) = evaluate(target_of(Tiny()), EvaluateConfig(metrics="swd100", redraws=1), images=blobs())
    assert len(found.target["images_sha256"]) == 64
    assert "weights" not in found.target


def test_a_set_is_known_by_its_content_and_its_filter(tmp_path):
    write_folder(tmp_path / "large", [f"{i:03d}.png" for i in range(110)], height=32, width=32, channels=1)
    hashes = set()
    for resize_filter in ("box", "nearest"):
        config = EvaluateConfig(metrics="ipr100_3", resolution=16, resize_filter=resize_filter, data="digits")
        (found,) = evaluate(open_target(str(tmp_path / "large")), config)
        hashes.add(found.target["data"]["sha256"])
        assert (found.target["data"]["count"], found.target["sha256"]) == (110, "")
        assert (
            found.target["data"]["resize_filter"] == found.protocol["data"]["resize_filter"] == resize_filter
        )
    assert len(hashes) == 2


class Counted(TensorImages):
    """Blobs that count how often they are hashed."""

    hashed = 0

    def content_hash(self):
        self.hashed += 1
        if self.hashed > 9:
            raise InputError("image 7 is damaged")
        return super().content_hash()


def test_the_first_process_alone_reads_all_real_images_for_their_hash():
    sets = [Counted(blobs().pixels, name="blobs") for _ in range(3)]
    config = EvaluateConfig(metrics="swd100", redraws=1)

    def work(processes):
        images = sets[processes.rank]
        return evaluate(target_of(Tiny()), config, images=images, processes=processes)[0].protocol["data"]

    assert [record["sha256"] for record in in_processes(3, work)] == [blobs().content_hash()] * 3
    assert [images.hashed for images in sets] == [1, 0, 0]
    sets[0].hashed = 9
    errors = in_processes(3, work)
    assert str(errors[0]) == "image 7 is damaged"
    assert {str(error) for error in errors[1:]} == {"process 0 cannot read blobs; its own message says why"}

"""Metrics without extractors: what their names say is what is measured, and no name claims more."""

import pytest
import torch

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.evaluation.evaluate import evaluate
from riemann_noise_pytorch.experiments.evaluation.options import EvaluateConfig
from riemann_noise_pytorch.geometry import condition
from riemann_noise_pytorch.geometry.condition import condition_numbers
from riemann_noise_pytorch.metrics import requirements
from riemann_noise_pytorch.metrics.distances import PyramidDistance
from riemann_noise_pytorch.metrics.perceptual_path import perceptual_path_length
from tests.experiments.evaluation.networks import Mapped, Tiny, target_of
from tests.training.runs import blobs

SAME = {"num_pairs": 100, "dtype": torch.float64, "seed": 0}


def measure(generator, metrics):
    config = EvaluateConfig(metrics=metrics, redraws=1)
    found = evaluate(target_of(generator), config, images=blobs())
    assert all(each.name.startswith((f"{each.metric} (", f"{each.metric}: ", "MC (")) for each in found)
    return {name: value for each in found for name, value in each.results.items()}


def test_a_2_in_a_path_lengths_name_stands_for_whole_images():
    generator, distance = Mapped(), PyramidDistance()
    found = measure(generator, "ppl100_zfull,ppl2_100_zfull,ppl100_wend,pl2_100_wend,ppl2_100_dcgan")
    end = {"space": "w", "sampling": "end"}
    protocols = {
        "pl100_zfull": {"crop": True},
        "pl2_100_zfull": {"crop": False},
        "pl100_wend": {"crop": True, **end},
        "pl2_100_wend": {"crop": False, **end},
        "pl2_100_dcgan": {"crop": False, "interpolation": "lerp"},
    }
    assert found == {
        key: perceptual_path_length(generator, distance=distance, **protocol, **SAME).value
        for key, protocol in protocols.items()
    }


def test_a_path_length_by_official_lpips_bears_the_name_asked_for(monkeypatch):
    monkeypatch.setattr(PyramidDistance, "official", True)
    names = ["ppl100_zfull", "ppl2_100_zfull", "pl2_100_zfull"]
    assert list(measure(Tiny(), ",".join(names))) == names


def test_condition_numbers_of_the_face_have_names_of_their_own():
    generator = Mapped()
    found = measure(generator, "mc100_w,mc100_w_crop")
    whole, face = (condition_numbers(generator, space="w", crop=crop, **SAME) for crop in (False, True))
    assert found == {
        "mc100_w": whole.mc.value,
        "mc100_w_top2": whole.ttmc.value,
        "mc100_w_crop": face.mc.value,
        "mc100_w_crop_top2": face.ttmc.value,
    }


def test_the_tail_is_ttmc_over_the_papers_number_of_pairs(monkeypatch):
    monkeypatch.setattr(condition, "PAPER_PAIRS", 100)
    monkeypatch.setattr(condition, "PAPER_TOP", 2)
    assert set(measure(Tiny(), "mc100_z,mc101_z")) == {"mc100_z", "ttmc100_z", "mc101_z", "mc101_z_top2"}


@pytest.mark.parametrize(
    ("metrics", "key"), [("ppl100_zfull,pl100_zfull", "pl100_zfull"), ("swd300,swd400", "swd256")]
)
def test_two_numbers_of_one_name_are_refused(metrics, key):
    with pytest.raises(
        InputError, match=f"{' and '.join(metrics.split(','))} would both be called {key} here"
    ):
        measure(Tiny(), metrics)


def test_a_score_is_by_inception_unless_asked_otherwise():
    with pytest.raises(InputError, match="Inception needs weights"):
        measure(Tiny(), "cs500")


def test_a_sliced_distance_beyond_memory_is_refused_before_any_work(monkeypatch):
    monkeypatch.setattr(requirements, "patch_bytes", lambda image_shape: 2**25)
    with pytest.raises(InputError, match=r"of 256 images .* take 8.0 GiB a side, .* ask for swd128 or fewer"):
        measure(Tiny(), "swd2k")
    assert measure(Tiny(), "swd128")

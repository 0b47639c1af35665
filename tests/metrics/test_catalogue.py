"""Every name stands for one protocol, is spelled in one way, and a wrong one is answered with the nearest."""

import re

import pytest

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.metrics.catalogue import GROUPS, explain, parse_metrics


def one(name):
    (metric,) = parse_metrics(name)
    return metric


@pytest.mark.parametrize(
    ("name", "family", "count", "full", "extractor"),
    [
        ("fid50k", "fid", 50_000, False, "inception"),
        ("fid50k_full", "fid", 50_000, True, "inception"),
        ("fid5k_full", "fid", 5_000, True, "inception"),
        ("fd2k", "fd", 2_000, False, None),
        ("is50k", "is", 50_000, False, "inception"),
        ("cs500", "cs", 500, False, "inception"),
        ("kid50k_full", "kid", 50_000, True, "inception"),
        ("kd2k", "kd", 2_000, False, None),
        ("pr50k3", "pr", 50_000, False, "vgg16"),
        ("pr50k3_full", "pr", 50_000, True, "vgg16"),
        ("pr500_3", "pr", 500, False, "vgg16"),
        ("ipr2k3_full", "ipr", 2_000, True, None),
        ("swd2k", "swd", 2_000, False, None),
        ("mc50k_w", "mc", 50_000, False, None),
    ],
)
def test_a_name_is_its_protocol(name, family, count, full, extractor):
    metric = one(name)
    assert (metric.name, metric.family, metric.count, metric.full) == (name, family, count, full)
    assert metric.extractor == extractor
    assert not metric.crop
    assert metric.uses_features == (family not in ("swd", "mc"))
    assert metric.neighbours == (3 if family in ("pr", "ipr") else 0)


@pytest.mark.parametrize("family", ["ppl", "pl"])
@pytest.mark.parametrize(
    ("place", "space", "sampling", "interpolation"),
    [
        ("zfull", "z", "full", "slerp"),
        ("zend", "z", "end", "slerp"),
        ("wfull", "w", "full", "lerp"),
        ("wend", "w", "end", "lerp"),
        ("dcgan", "z", "full", "lerp"),
    ],
)
def test_a_path_length_is_its_protocol_and_a_2_says_that_images_are_whole(
    family, place, space, sampling, interpolation
):
    cases = (("", 50_000, True), ("5k", 5_000, True), ("500", 500, True), ("2k", 2_000, True))
    whole = (("2", 50_000, False), ("2_5k", 5_000, False), ("2_500", 500, False))
    for mark, count, crop in cases + whole:
        metric = one(f"{family}{mark}_{place}")
        assert (metric.name, metric.family) == (f"{family}{mark}_{place}", family)
        assert (metric.count, metric.crop) == (count, crop)
        assert (metric.space, metric.sampling, metric.interpolation) == (space, sampling, interpolation)
        assert not metric.uses_features


@pytest.mark.parametrize("space", ["z", "w", "w+"])
def test_condition_numbers_say_that_images_are_cropped(space):
    whole, crop = one(f"mc50k_{space}"), one(f"mc50k_{space}_crop")
    assert (whole.space, whole.crop) == (space, False)
    assert (crop.space, crop.crop) == (space, True)
    assert crop.name == f"mc50k_{space}_crop"


@pytest.mark.parametrize(
    ("given", "usual"),
    [
        ("fid50000_full", "fid50k_full"),
        ("fid1500", "fid1500"),
        ("FID50K_full", "fid50k_full"),
        ("ppl50k_zfull", "ppl_zfull"),
        ("ppl2_50k_wend", "ppl2_wend"),
        ("PL2_1000_zfull", "pl2_1k_zfull"),
        ("mc50000_w+_crop", "mc50k_w+_crop"),
        ("pr5k_3", "pr5k3"),
        ("mc1000_z", "mc1k_z"),
    ],
)
def test_a_name_is_spelled_in_one_way(given, usual):
    assert one(given) == one(usual)
    assert one(given).name == usual


def test_a_list_keeps_its_order_and_names_each_metric_once():
    names = [metric.name for metric in parse_metrics(" mc1k_z , fid50k_full,quick,fid50000_full,,swd2k")]
    assert names == ["mc1k_z", "fid50k_full", "swd2k", "fd2k", "ppl2_1k_zfull"]


def test_groups_are_lists_of_usual_names():
    for name, (members, _) in GROUPS.items():
        assert [metric.name for metric in parse_metrics(name)] == members.split(",")


def test_the_quick_group_needs_no_weights():
    assert all(metric.extractor is None for metric in parse_metrics("quick"))


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("fid50k_ful", "fid50k_full"),
        ("fid5k_ful", "fid5k_full"),
        ("fid", "fid50k"),
        ("fid05k", "fid5k"),
        ("fid50k_mirror", "fid50k"),
        ("ppl_wend_crop", "ppl_wend"),
        ("ppl5_zend", "ppl_zend"),
        ("pl2_wen", "pl2_wend"),
        ("mc_w+_crop", "mc50k_w+_crop"),
        ("swd", "swd2k"),
        ("mc_w", "mc50k_w"),
        ("pr500", "pr500_3"),
        ("quik", "quick"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest(wrong, nearest):
    with pytest.raises(InputError, match=re.escape(f"unknown metric '{wrong}'; did you mean '{nearest}'")):
        parse_metrics(f"swd2k,{wrong}")


@pytest.mark.parametrize("text", ["", " , "])
def test_an_empty_list_is_refused(text):
    with pytest.raises(InputError, match="no metric is named"):
        parse_metrics(text)


def test_every_metric_and_group_is_explained_in_one_line():
    lines = explain()
    shown = [name for names, _ in lines for name in names.split(", ")]
    assert {one(name).family for name in shown if name not in GROUPS} == {
        *("fid", "fd", "is", "cs", "kid", "kd", "pr", "ipr", "swd", "ppl", "pl", "mc")
    }
    assert set(GROUPS) <= set(shown)
    for name in shown:
        assert name in GROUPS or one(name).name == name
    assert all(line and "\n" not in line and len(line) <= 90 for _, line in lines)

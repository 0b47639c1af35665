"""Every name stands for one protocol, is spelled in one way, and a wrong one is answered with the nearest."""

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
        ("cs500", "cs", 500, False, None),
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
    assert metric.uses_features == (family not in ("swd", "mc"))
    assert metric.neighbours == (3 if family in ("pr", "ipr") else 0)


@pytest.mark.parametrize(
    ("name", "count", "space", "sampling", "interpolation", "crop"),
    [
        ("ppl_zfull", 50_000, "z", "full", "slerp", False),
        ("ppl_zend", 50_000, "z", "end", "slerp", False),
        ("ppl_wfull", 50_000, "w", "full", "lerp", False),
        ("ppl_wend", 50_000, "w", "end", "lerp", True),
        ("ppl2_wend", 50_000, "w", "end", "lerp", False),
        ("ppl_dcgan", 50_000, "z", "full", "lerp", False),
        ("ppl_zfull_crop", 50_000, "z", "full", "slerp", True),
        ("ppl5k_zfull", 5_000, "z", "full", "slerp", False),
        ("ppl5k_wend", 5_000, "w", "end", "lerp", True),
        ("ppl2_5k_wend", 5_000, "w", "end", "lerp", False),
        ("ppl500_dcgan", 500, "z", "full", "lerp", False),
    ],
)
def test_a_path_length_is_its_protocol(name, count, space, sampling, interpolation, crop):
    metric = one(name)
    assert (metric.name, metric.family, metric.count) == (name, "ppl", count)
    assert (metric.space, metric.sampling) == (space, sampling)
    assert (metric.interpolation, metric.crop) == (interpolation, crop)


@pytest.mark.parametrize(
    ("given", "usual"),
    [
        ("fid50000_full", "fid50k_full"),
        ("fid1500", "fid1500"),
        ("FID50K_full", "fid50k_full"),
        ("ppl50k_zfull", "ppl_zfull"),
        ("ppl2_50k_wend", "ppl2_wend"),
        ("pr5k_3", "pr5k3"),
        ("mc1000_z", "mc1k_z"),
    ],
)
def test_a_name_is_spelled_in_one_way(given, usual):
    assert one(given) == one(usual)
    assert one(given).name == usual


def test_a_list_keeps_its_order_and_names_each_metric_once():
    names = [metric.name for metric in parse_metrics(" mc1k_z , fid50k_full,quick,fid50000_full,,swd2k")]
    assert names == ["mc1k_z", "fid50k_full", "swd2k", "fd2k", "ppl1k_zfull"]


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
        ("ppl2_zfull", "ppl_zfull"),
        ("ppl_wend_crop", "ppl_wend"),
        ("mc_w", "mc50k_w"),
        ("pr500", "pr500_3"),
        ("quik", "quick"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest(wrong, nearest):
    with pytest.raises(InputError, match=f"unknown metric '{wrong}'; did you mean '{nearest}'"):
        parse_metrics(f"swd2k,{wrong}")


@pytest.mark.parametrize("text", ["", " , "])
def test_an_empty_list_is_refused(text):
    with pytest.raises(InputError, match="no metric is named"):
        parse_metrics(text)


def test_every_metric_and_group_is_explained_in_one_line():
    lines = explain()
    shown = [name for names, _ in lines for name in names.split(", ")]
    assert {one(name).family for name in shown if name not in GROUPS} == {
        *("fid", "fd", "is", "cs", "kid", "kd", "pr", "ipr", "swd", "ppl", "mc")
    }
    assert set(GROUPS) <= set(shown)
    for name in shown:
        assert name in GROUPS or one(name).name == name
    assert all(line and "\n" not in line and len(line) <= 90 for _, line in lines)

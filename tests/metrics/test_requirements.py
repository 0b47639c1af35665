"""A metric is refused below what its statistic needs, and its printed name claims what was computed."""

from types import MappingProxyType

import pytest

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.metrics.catalogue import parse_metrics
from riemann_noise_pytorch.metrics.distances import Distance, PyramidDistance
from riemann_noise_pytorch.metrics.feature_sets import Wanted
from riemann_noise_pytorch.metrics.requirements import (
    check_keys,
    check_memory,
    check_sides,
    output_of,
    printed_key,
    printed_name,
    sides,
    wanted,
)
from tests.metrics.stand_ins import PixelSums


class Inception(PixelSums):
    key, name = "inception", "Inception-2015"
    dimensions = MappingProxyType({"pool3": 2048, "logits_unbiased": 1008})


class VGG16(PixelSums):
    key, name = "vgg16", "VGG16"
    dimensions = MappingProxyType({"fc2_relu": 4096})


class RandomConv(PixelSums):
    key, name = "random-conv", "random-conv"
    dimensions = MappingProxyType({"features": 128})


class Perceptual(Distance):
    name, official = "LPIPS-VGG16", True

    def forward(self, first, second):
        return (first - second).square().flatten(1).sum(dim=1)


class OwnWeights(Inception):
    name, official = "Inception with weights 1a2b3c4d", False


def one(name):
    (metric,) = parse_metrics(name)
    return metric


def test_each_metric_looks_at_its_output():
    assert output_of(one("fid50k"), Inception()) == "pool3"
    assert output_of(one("kid50k"), Inception()) == "pool3"
    assert output_of(one("is50k"), Inception()) == "logits_unbiased"
    assert output_of(one("cs50k"), OwnWeights()) == "logits_unbiased"
    assert output_of(one("pr50k3"), VGG16()) == "fc2_relu"
    assert output_of(one("ipr50k3"), Inception()) == "pool3"
    assert output_of(one("fd2k"), RandomConv()) == "features"


def test_a_score_needs_a_classifier():
    with pytest.raises(InputError, match="cs50k needs a classifier, and random-conv is none"):
        output_of(one("cs50k"), RandomConv())


def test_frechet_distances_keep_moments_and_the_others_rows():
    metrics = parse_metrics("fid50k,fid50k_full")
    pool, logits = frozenset({"pool3"}), frozenset({"logits_unbiased"})
    assert wanted(metrics, Inception(), real=False) == wanted(metrics, Inception(), real=True) == Wanted(pool)
    metrics = parse_metrics("fid50k_full,is50k,kid50k_full")
    assert wanted(metrics, Inception(), real=False) == Wanted(pool, pool | logits)
    assert wanted(metrics, Inception(), real=True) == Wanted(pool, pool)
    assert not wanted(parse_metrics("is50k"), Inception(), real=True)
    assert wanted(parse_metrics("pr50k3"), VGG16(), real=True) == Wanted(rows=frozenset({"fc2_relu"}))


@pytest.mark.parametrize(
    ("name", "available", "expected"),
    [
        ("fid50k", 70_000, (50_000, 50_000)),
        ("fid50k_full", 70_000, (50_000, 70_000)),
        ("fid50k_full", 30_000, (50_000, 30_000)),
        ("fid50k", 30_000, (50_000, 30_000)),
        ("is50k", 70_000, (50_000, 0)),
        ("pr50k3_full", 70_000, (50_000, 70_000)),
        ("swd2k", 70_000, (2_000, 2_000)),
        ("swd2k", 1_797, (1_797, 1_797)),
        ("ppl_zfull", 70_000, (50_000, 0)),
        ("mc50k_w", 0, (50_000, 0)),
    ],
)
def test_sides(name, available, expected):
    assert sides(one(name), available) == expected


@pytest.mark.parametrize(
    ("name", "extractor", "needed", "remedy"),
    [
        ("fid2k", Inception(), 2049, "fid3k or more"),
        ("fid2k_full", Inception(), 2049, "fid3k_full or more"),
        ("fd100", RandomConv(), 129, "fd1k or more"),
        ("kid500", Inception(), 1000, "kid1k or more"),
        ("kd500_full", RandomConv(), 1000, "kd1k_full or more"),
    ],
)
def test_too_few_generated_images_are_refused_with_the_number_and_the_remedy(name, extractor, needed, remedy):
    metric = one(name)
    with pytest.raises(
        InputError, match=f"{name} needs at least {needed:,} generated images .* ask for {remedy}"
    ):
        check_sides(metric, metric.count, 70_000, extractor)
    check_sides(metric, needed, needed, extractor)
    check_sides(one(remedy.split()[0]), *sides(one(remedy.split()[0]), 70_000), extractor)


@pytest.mark.parametrize(
    ("name", "extractor", "needed"),
    [
        ("fid50k_full", Inception(), 2049),
        ("fd2k", RandomConv(), 129),
        ("kid50k", Inception(), 1000),
        ("pr50k3_full", VGG16(), 4),
        ("ipr50k9", RandomConv(), 10),
        ("swd2k", None, 2),
    ],
)
def test_too_few_real_images_are_refused_with_the_number_and_the_remedy(name, extractor, needed):
    metric = one(name)
    with pytest.raises(InputError, match=f"{name} needs at least {needed:,} real .* take a larger set"):
        check_sides(metric, metric.count, needed - 1, extractor)
    check_sides(metric, metric.count, needed, extractor)


@pytest.mark.parametrize(
    ("name", "needed"), [("is50k", 20), ("cs50k", 20), ("ppl_zfull", 100), ("mc50k_z", 100)]
)
def test_metrics_without_reals_need_generated_ones(name, needed):
    check_sides(one(name), needed, 0, Inception())
    with pytest.raises(InputError, match=f"needs at least {needed}"):
        check_sides(one(name), needed - 1, 0, Inception())


@pytest.mark.parametrize(
    ("name", "extractor", "fakes", "reals", "available", "printed"),
    [
        ("fid50k_full", Inception(), 50_000, 70_000, 70_000, "fid50k_full"),
        ("fid50k_full", OwnWeights(), 50_000, 70_000, 70_000, "fd50k_full"),
        ("fid50k_full", RandomConv(), 50_000, 70_000, 70_000, "fd50k_full"),
        ("fid50k_full", Inception(), 50_000, 60_000, 70_000, "fid50k"),
        ("fid50k_full", Inception(), 20_000, 70_000, 70_000, "fid20k_full"),
        ("fd50k", Inception(), 50_000, 50_000, 70_000, "fd50k"),
        ("is50k", Inception(), 50_000, 0, 0, "is50k"),
        ("is50k", OwnWeights(), 50_000, 0, 0, "cs50k"),
        ("kid5k", OwnWeights(), 5_000, 5_000, 70_000, "kd5k"),
        ("pr50k3_full", VGG16(), 50_000, 70_000, 70_000, "pr50k3_full"),
        ("pr50k3_full", Inception(), 50_000, 70_000, 70_000, "ipr50k3_full"),
        ("pr50k3", VGG16(), 1_500, 1_500, 70_000, "pr1500_3"),
        ("swd2k", None, 1_797, 1_797, 1_797, "swd1797"),
        ("mc50k_w", None, 1_000, 0, 0, "mc1k_w"),
        ("mc50k_w+_crop", None, 50_000, 0, 0, "mc50k_w+_crop"),
        ("cs50k", Inception(), 50_000, 0, 0, "cs50k"),
    ],
)
def test_the_printed_name_never_claims_more_than_was_computed(
    name, extractor, fakes, reals, available, printed
):
    found = printed_key(one(name), fakes=fakes, reals=reals, available=available, extractor=extractor)
    assert found == printed
    assert one(printed).name == printed


@pytest.mark.parametrize(
    ("name", "pairs", "lpips", "other"),
    [
        ("ppl_wend", 50_000, "ppl_wend", "pl_wend"),
        ("ppl_wend", 5_000, "ppl5k_wend", "pl5k_wend"),
        ("ppl2_wend", 50_000, "ppl2_wend", "pl2_wend"),
        ("ppl2_1k_zfull", 1_000, "ppl2_1k_zfull", "pl2_1k_zfull"),
        ("ppl_dcgan", 50_000, "ppl_dcgan", "pl_dcgan"),
        ("ppl2_dcgan", 500, "ppl2_500_dcgan", "pl2_500_dcgan"),
        ("pl2_zend", 50_000, "pl2_zend", "pl2_zend"),
    ],
)
def test_a_path_length_is_perceptual_by_official_lpips_alone(name, pairs, lpips, other):
    assert printed_key(one(name), fakes=pairs, distance=Perceptual()) == lpips
    changed = Perceptual()
    changed.official = False
    for distance in (PyramidDistance(), changed, None):
        assert printed_key(one(name), fakes=pairs, distance=distance) == other
    for key in (lpips, other):
        found = one(key)
        assert (found.name, found.space, found.crop) == (key, one(name).space, one(name).crop)


@pytest.mark.parametrize(
    "keys",
    [
        {"fid5k": "fd5k", "swd2k": "swd2k", "fd5k": "fd5k"},
        {"ppl_zfull": "pl_zfull", "pl_zfull": "pl_zfull"},
        {"swd2k": "swd1797", "swd5k": "swd1797"},
    ],
)
def test_two_metrics_of_one_name_are_refused(keys):
    first, *_, second = keys
    with pytest.raises(InputError, match=f"{first} and {second} would both be called {keys[first]} here"):
        check_keys(keys)
    check_keys({name: key for name, key in keys.items() if name != first})


def test_a_sliced_distance_that_would_not_fit_is_refused_with_the_number_and_the_remedy():
    each = (128 + 100 + 4) * 3 * 49 * 4
    most = 4 * 2**30 // each
    check_memory(one("swd50k"), most, (3, 32, 32))
    with pytest.raises(
        InputError,
        match=r"50,000 images of \(3, 32, 32\) take 6.4 GiB a side, more than 4; ask for swd31k or fewer",
    ):
        check_memory(one("swd50k"), 50_000, (3, 32, 32))
    with pytest.raises(InputError, match="a side, more than 4"):
        check_memory(one("swd50k"), most + 1, (3, 32, 32))
    check_memory(one("swd31k"), 31_000, (3, 32, 32))
    check_memory(one("fd50k"), 50_000, (3, 1024, 1024))


def test_the_protocol_is_printed_with_the_name():
    full = one("fid50k_full")
    sizes = {"fakes": 50_000, "reals": 70_000, "available": 70_000}
    assert printed_name(full, Inception(), **sizes) == (
        "fid50k_full (Inception-2015, 50,000 generated, 70,000 real)"
    )
    assert printed_name(full, OwnWeights(), **sizes) == (
        "fd50k_full (Inception with weights 1a2b3c4d, 50,000 generated, 70,000 real)"
    )
    assert printed_name(one("is50k"), Inception(), fakes=50_000) == (
        "is50k (Inception-2015, 50,000 generated, 10 splits)"
    )
    for reals, subsets in ((1_797, "100 subsets of 1,000"), (1_000, "one subset of all 1,000")):
        assert printed_name(one("kd1k"), RandomConv(), fakes=1_000, reals=reals, available=reals) == (
            f"kd1k (random-conv, 1,000 generated, {reals:,} real, {subsets})"
        )

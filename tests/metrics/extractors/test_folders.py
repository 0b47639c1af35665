"""Folders of images, one file of weights: the numbers of torch-fidelity itself, and of pytorch-fid."""

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_fid.fid_score import calculate_frechet_distance
from torch_fidelity import calculate_metrics
from torch_fidelity.metric_fid import fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

from riemann_noise_pytorch.data.images import open_images
from riemann_noise_pytorch.metrics.extractors.choices import make_extractor
from riemann_noise_pytorch.metrics.feature_sets import Wanted, collect, stored
from riemann_noise_pytorch.metrics.frechet import frechet_distance
from riemann_noise_pytorch.metrics.inception_score import inception_score
from riemann_noise_pytorch.metrics.kernel_distance import subset_distances
from riemann_noise_pytorch.metrics.precision_recall import precision_recall

SPLITS, SUBSETS, SIZE, SEED = 3, 4, 8, 2020


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two folders of real digits in RGB, zeros to fours and fives to nines."""
    digits = open_images("digits", resolution=32, channels=3)
    root = tmp_path_factory.mktemp("folders")
    for name, classes, count in (("low", range(5), 12), ("high", range(5, 10), 14)):
        (root / name).mkdir()
        chosen = torch.isin(digits.labels, torch.tensor([*classes])).nonzero().flatten()[:count]
        for number, index in enumerate(chosen.tolist()):
            pixels = digits.image(index).permute(1, 2, 0).numpy()
            Image.fromarray(np.ascontiguousarray(pixels)).save(root / name / f"{number:03d}.png")
    return root / "low", root / "high"


def kept(folder, extractor, wanted):
    images = open_images(folder)
    return collect(extractor, stored(images), len(images), wanted, batch=8)


def their_subsets(first, second):
    """The subsets that torch-fidelity draws."""
    random = np.random.RandomState(SEED)
    draws = [
        [torch.from_numpy(random.choice(n, SIZE, replace=False)) for n in (first, second)]
        for _ in range(SUBSETS)
    ]
    return [torch.stack(side) for side in zip(*draws, strict=True)]


def in_their_span(*sides):
    """Torch-fidelity's distance in a basis of the few features there are.

    In all 2048 directions its trace gains the root of a rounding for each that is empty, 1e-8 of the traces.
    """
    basis = torch.linalg.svd(torch.cat(sides).double(), full_matrices=False).Vh
    statistics = [
        {"mu": np.mean(x, axis=0), "sigma": np.cov(x, rowvar=False)}
        for x in ((side.double() @ basis.T).numpy() for side in sides)
    ]
    return fid_statistics_to_metric(*statistics, False)["frechet_inception_distance"]


def test_fid_is_and_kid_of_folders_are_torch_fidelitys(folders, inception_file):
    theirs = calculate_metrics(
        input1=str(folders[0]), input2=str(folders[1]), fid=True, isc=True, kid=True, cuda=False,
        feature_extractor_weights_path=str(inception_file), batch_size=8, cache=False, verbose=False,
        isc_splits=SPLITS, kid_subsets=SUBSETS, kid_subset_size=SIZE, samples_shuffle=False, rng_seed=SEED,
        save_cpu_ram=True,
    )  # fmt: skip
    extractor = make_extractor("inception", inception_file)
    wanted = Wanted(moments=frozenset({"pool3"}), rows=frozenset({"pool3", "logits_unbiased"}))
    low, high = (kept(folder, extractor, wanted) for folder in folders)
    first, second = low.moments["pool3"], high.moments["pool3"]
    traces = float(first.covariance.trace() + second.covariance.trace())
    fid = frechet_distance(first, second)
    assert abs(fid - in_their_span(low.rows["pool3"], high.rows["pool3"])) < 1e-6 * traces
    assert abs(fid - theirs["frechet_inception_distance"]) < 1e-5 * traces
    score = inception_score(low.rows["logits_unbiased"], SPLITS)
    assert score.value == pytest.approx(theirs["inception_score_mean"], rel=1e-6)
    assert score.std == pytest.approx(theirs["inception_score_std"], rel=1e-4, abs=1e-9)
    subsets = their_subsets(low.count, high.count)
    kid = float(subset_distances(low.rows["pool3"], high.rows["pool3"], *subsets).mean())
    kernels = (low.rows["pool3"] @ high.rows["pool3"].T / 2048 + 1) ** 3
    assert abs(kid - theirs["kernel_inception_distance_mean"]) < 1e-6 * float(kernels.mean())
    same = {"kid_subsets": SUBSETS, "kid_subset_size": SIZE, "rng_seed": SEED, "verbose": False}
    double = kid_features_to_metric(low.rows["pool3"].double(), high.rows["pool3"].double(), **same)
    assert kid == pytest.approx(double["kernel_inception_distance_mean"], rel=1e-6)


@pytest.mark.slow
def test_precision_and_recall_of_folders_are_torch_fidelitys(folders, vgg16_file):
    theirs = calculate_metrics(
        input1=str(folders[0]), input2=str(folders[1]), prc=True, cuda=False, prc_neighborhood=3,
        feature_extractor="vgg16", feature_extractor_weights_path=str(vgg16_file), batch_size=8,
        cache=False, verbose=False, save_cpu_ram=True,
    )  # fmt: skip
    extractor = make_extractor("vgg16", vgg16_file)
    low, high = (kept(folder, extractor, Wanted(rows=frozenset({"fc2_relu"}))) for folder in folders)
    ours = precision_recall(low.rows["fc2_relu"], high.rows["fc2_relu"], neighbours=3)
    assert torch.tensor([ours.precision, ours.recall]).tolist() == [theirs["precision"], theirs["recall"]]


@pytest.mark.slow
def test_fid_of_folders_with_more_images_than_features_is_torch_fidelitys_and_pytorch_fids(
    tmp_path, inception_file
):
    photos = open_images("photos", resolution=32, mirror=True)
    order = torch.randperm(len(photos), generator=torch.Generator().manual_seed(0))
    sides = order[:2100], order[-2060:]
    for name, chosen in zip(("one", "two"), sides, strict=True):
        (tmp_path / name).mkdir()
        for index in chosen.tolist():
            pixels = photos.image(index).permute(1, 2, 0).numpy()
            Image.fromarray(np.ascontiguousarray(pixels)).save(tmp_path / name / f"{index:05d}.png")
    folders = tmp_path / "one", tmp_path / "two"
    theirs = calculate_metrics(
        input1=str(folders[0]), input2=str(folders[1]), fid=True, cuda=False, batch_size=32, cache=False,
        feature_extractor_weights_path=str(inception_file), verbose=False, save_cpu_ram=True,
    )  # fmt: skip
    extractor = make_extractor("inception", inception_file)
    first, second = (
        kept(folder, extractor, Wanted(moments=frozenset({"pool3"}))).moments["pool3"] for folder in folders
    )
    traces = float(first.covariance.trace() + second.covariance.trace())
    fid = frechet_distance(first, second)
    assert abs(fid - theirs["frechet_inception_distance"]) < 1e-6 * traces
    parts = (part.numpy() for moments in (first, second) for part in (moments.mean, moments.covariance))
    assert abs(fid - calculate_frechet_distance(*parts)) < 1e-6 * traces

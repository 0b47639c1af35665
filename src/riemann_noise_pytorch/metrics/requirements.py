"""What a metric needs of images and extractors, and what may be printed with its number."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.metrics import inception_score, kernel_distance
from riemann_noise_pytorch.metrics.catalogue import LOGITS, OF_GENERATORS, STANDARDS, Metric, spelled_key
from riemann_noise_pytorch.metrics.distances import Distance
from riemann_noise_pytorch.metrics.extractors.interfaces import Extractor
from riemann_noise_pytorch.metrics.feature_sets import Wanted
from riemann_noise_pytorch.metrics.sliced_wasserstein import patch_bytes

FEWEST_PAIRS: Final = 100
"""Path lengths and condition numbers look at the highest 1 or 2 % of their pairs."""
PATCHES_GIB: Final = 4
"""Largest memory for the patches of one side of a sliced Wasserstein distance; both sides have such."""


def output_of(metric: Metric, extractor: Extractor) -> str:
    """Name the output of an extractor that a metric looks at.

    Args:
        metric: A metric of features.
        extractor: The extractor it is measured with.

    Raises:
        InputError: A score is asked of an extractor that is no classifier.
    """
    standard = STANDARDS.get(metric.family)
    if standard and standard.output in extractor.dimensions:
        return standard.output
    if metric.family not in ("is", "cs"):
        return next(iter(extractor.dimensions))
    if LOGITS not in extractor.dimensions:
        raise InputError(f"{metric.name} needs a classifier, and {extractor.name} is none; choose inception")
    return LOGITS


def wanted(metrics: Iterable[Metric], extractor: Extractor, *, real: bool) -> Wanted:
    """Say what must be kept of the features of one side.

    Args:
        metrics: The metrics measured with this extractor on the same images.
        extractor: The extractor.
        real: Whether the side is that of the real images, of which a score needs none.

    Raises:
        InputError: As :func:`output_of`.
    """
    total = Wanted()
    for metric in metrics:
        output = frozenset({output_of(metric, extractor)})
        if metric.family in ("fid", "fd"):
            total |= Wanted(moments=output)
        elif not (real and metric.family in ("is", "cs")):
            total |= Wanted(rows=output)
    return total


def sides(metric: Metric, available: int) -> tuple[int, int]:
    """Count the images a metric takes.

    Args:
        metric: The metric.
        available: Number of real images, without mirror images.

    Returns:
        How many generated ones (or pairs), and how many real ones. The sliced Wasserstein distance takes
        equal numbers, hence fewer of both where there are too few real ones.

    Example:
        >>> from riemann_noise_pytorch.metrics.catalogue import parse_metrics
        >>> fid, full, swd = parse_metrics("fid5k,fid5k_full,swd2k")
        >>> sides(fid, 1797), sides(full, 60000), sides(swd, 1797)
        ((5000, 1797), (5000, 60000), (1797, 1797))
    """
    if metric.family in ("is", "cs", *OF_GENERATORS):
        return metric.count, 0
    if metric.family == "swd":
        return (min(metric.count, available),) * 2
    return metric.count, available if metric.full else min(metric.count, available)


def check_sides(metric: Metric, fakes: int, reals: int, extractor: Extractor | None = None) -> None:
    """Refuse fewer images than the statistic needs.

    Args:
        metric: The metric.
        fakes: Number of generated images, or of pairs.
        reals: Number of real images.
        extractor: The extractor it is measured with, for a metric of features.

    Raises:
        InputError: There are too few; the message tells the number, the reason and the remedy.
    """
    needed, reason = _needed(metric, extractor)
    if fakes < needed:
        more = 1000 * -(-needed // 1000)
        what = "pairs" if metric.family in OF_GENERATORS else "generated images"
        raise InputError(
            f"{metric.name} needs at least {needed:,} {what} {reason}, not {fakes:,}; "
            f"ask for {spelled_key(metric, metric.family, more, metric.full)} or more"
        )
    if reals < needed and sides(metric, needed)[1]:
        other = ", or an extractor with fewer features for fd" if metric.family in ("fid", "fd") else ""
        raise InputError(
            f"{metric.name} needs at least {needed:,} real images {reason}, not {reals:,}; "
            f"take a larger set{other}"
        )


def check_memory(metric: Metric, images: int, image_shape: Sequence[int]) -> None:
    """Refuse more images than memory has room for; every other metric looks at a batch at a time.

    Args:
        metric: The metric.
        images: Number of images of either side.
        image_shape: (C, H, W).

    Raises:
        InputError: The patches of a sliced Wasserstein distance would take too much.
    """
    if metric.family != "swd":
        return
    each, bound = patch_bytes(image_shape), PATCHES_GIB * 2**30
    if images * each > bound:
        most = bound // each
        most = most // 1000 * 1000 if most >= 1000 else most
        remedy = spelled_key(metric, "swd", most, full=False)
        raise InputError(
            f"the patches of {images:,} images of {tuple(image_shape)} take {images * each / 2**30:.1f} GiB "
            f"a side, more than {PATCHES_GIB}; ask for {remedy} or fewer"
        )


def check_keys(keys: Mapping[str, str]) -> None:
    """Refuse two metrics whose numbers would bear one name.

    Args:
        keys: The names printed, by the names asked for.

    Raises:
        InputError: Two are alike, such as ``fid5k`` with own weights, which is ``fd5k``, beside ``fd5k``.
    """
    asked: dict[str, str] = {}
    for name, key in keys.items():
        if key in asked:
            raise InputError(
                f"{asked[key]} and {name} would both be called {key} here, by what is really measured; "
                "leave one of them out, or measure them into different folders"
            )
        asked[key] = name


def printed_key(
    metric: Metric,
    *,
    fakes: int,
    reals: int = 0,
    available: int = 0,
    extractor: Extractor | None = None,
    distance: Distance | None = None,
) -> str:
    """Give the name that a number deserves by what was really used.

    Args:
        metric: The metric asked for.
        fakes: Number of generated images, or of pairs, that were measured.
        reals: Number of real images that were used.
        available: Number of real images there are.
        extractor: The extractor that was used, for a metric of features.
        distance: The distance of images that was used, for a path length.

    Returns:
        The metric's own name, or a more modest one: the twin's with other weights, another extractor or
        another distance, with the true count, and without ``_full`` where real images were left out.

    Example:
        >>> from riemann_noise_pytorch.metrics.catalogue import parse_metrics
        >>> swd, = parse_metrics("swd2k")
        >>> printed_key(swd, fakes=1797, reals=1797, available=1797)
        'swd1797'
    """
    family, standard = metric.family, STANDARDS.get(metric.family)
    if standard and not (extractor and extractor.official and extractor.key == standard.extractor):
        family = standard.twin
    if family == "ppl" and not (distance and distance.official):
        family = "pl"
    return spelled_key(metric, family, fakes, metric.full and reals == available)


def printed_name(
    metric: Metric,
    extractor: Extractor,
    *,
    fakes: int,
    reals: int = 0,
    available: int = 0,
) -> str:
    """Give the whole protocol of a metric of features, as printed with its number.

    Path lengths, condition numbers and sliced Wasserstein distances name themselves.

    Args:
        metric: The metric asked for.
        extractor: The extractor that was used.
        fakes: Number of generated images.
        reals: Number of real images that were used.
        available: Number of real images there are.

    Returns:
        Such as ``kid50k_full (Inception-2015, 50,000 generated, 70,000 real, 100 subsets of 1,000)``.
    """
    key = printed_key(metric, fakes=fakes, reals=reals, available=available, extractor=extractor)
    parts = [extractor.name, f"{fakes:,} generated"]
    if reals:
        parts.append(f"{reals:,} real")
    if metric.family in ("is", "cs"):
        parts.append(f"{inception_score.SPLITS} splits")
    if metric.family in ("kid", "kd"):
        subsets = kernel_distance.different_subsets(fakes, reals)
        size = f"{kernel_distance.SIZE:,}"
        parts.append(f"{subsets} subsets of {size}" if subsets > 1 else f"one subset of all {size}")
    return f"{key} ({', '.join(parts)})"


def _needed(metric: Metric, extractor: Extractor | None) -> tuple[int, str]:
    if metric.family in ("fid", "fd"):
        assert extractor is not None, f"{metric.name} is measured with an extractor"
        size = extractor.dimensions[output_of(metric, extractor)]
        return size + 1, f"for a covariance of full rank of {size:,} features"
    if metric.family in ("kid", "kd"):
        return kernel_distance.SIZE, f"for subsets of {kernel_distance.SIZE:,}"
    if metric.family in ("is", "cs"):
        splits = inception_score.SPLITS
        return splits * inception_score.SMALLEST, f"for {splits} splits"
    if metric.family in ("pr", "ipr"):
        return metric.neighbours + 1, f"for {metric.neighbours} neighbours"
    if metric.family == "swd":
        return 2, "for a distance"
    return FEWEST_PAIRS, "for the highest of them"

"""The names of metrics: what each stands for, what it needs, and what may be printed with its number.

A name is a protocol, as in StyleGAN2's tables: ``fid50k_full`` is the Frechet distance of 50,000 generated
images from all real ones, by the published Inception network. Five families have such a network by right, and
a plainer twin for any other network or other weights:

========  ====================================  =======================  ======
standard  network and output                    statistic                twin
========  ====================================  =======================  ======
``fid``   Inception, pool3                      Frechet distance         ``fd``
``is``    Inception, logits without their bias  exp of the mean KL       ``cs``
``kid``   Inception, pool3                      kernel distance          ``kd``
``pr``    VGG16, fc2 after ReLU                 precision and recall     ``ipr``
``ppl``   VGG16 with the linear layers: LPIPS   path length              ``pl``
========  ====================================  =======================  ======

Whoever asks for ``fid5k`` with other weights gets a number under the name ``fd5k``, with the name of the
weights: see :func:`~riemann_noise_pytorch.metrics.requirements.printed_key`. The twins are called as in the
literature: a classifier score where the classifier is not Inception, improved precision and recall in any
space of features. A path length is perceptual by LPIPS.

``ppl_wend`` and its kin crop images to the face, ``ppl2_wend`` and its kin take whole images, as in
StyleGAN2's tables.

References:
    Heusel et al., GANs trained by a two time-scale update rule, 2017 (FID). Salimans et al., Improved
    techniques for training GANs, 2016 (IS). Binkowski et al., Demystifying MMD GANs, 2018 (KID).
    Kynkaanniemi et al., Improved precision and recall metric, 2019. Karras et al., Analyzing and improving
    the image quality of StyleGAN, 2020 (names of path lengths).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, cast

from riemann_noise_pytorch.errors import InputError, unknown_name

Family = Literal["fid", "fd", "is", "cs", "kid", "kd", "pr", "ipr", "swd", "ppl", "pl", "mc"]
PathFamily = Literal["ppl", "pl"]
USUAL_COUNT: Final = 50_000
DEFAULT_EXTRACTOR: Final = "random-conv"
"""For the families that leave the extractor open: it needs no weights."""
CLASSIFIER: Final = "inception"
"""The one extractor that has classes, hence that of every score, with whatever weights."""
PATHS: Final = ("ppl", "pl")
"""Families of path lengths."""
OF_GENERATORS: Final = (*PATHS, "mc")
"""Families that need a generator: images alone do not do."""
LOGITS: Final = "logits_unbiased"


class Standard(NamedTuple):
    """The network that a family stands for, its output, and the family's name with any other."""

    extractor: str
    output: str
    twin: Family


STANDARDS: Final[Mapping[str, Standard]] = MappingProxyType(
    {
        "fid": Standard("inception", "pool3", "fd"),
        "is": Standard("inception", LOGITS, "cs"),
        "kid": Standard("inception", "pool3", "kd"),
        "pr": Standard("vgg16", "fc2_relu", "ipr"),
    }
)
GROUPS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "quick": ("swd2k,fd2k,ppl2_1k_zfull,mc1k_z", "offline, on small data, in minutes"),
        "paper-table1": ("fid50k,ppl_wend,ppl2_wend", "StyleGAN2's rows: path length with and without crop"),
        "paper-table1-dcgan": ("fid50k,ppl_dcgan,ppl2_dcgan", "DCGAN's rows, likewise"),
        "paper-table2": ("mc50k_w+_crop,mc50k_w+,mc50k_z", "MC and TTMC, as its code may have measured them"),
    }
)
"""Names of several metrics, with a line of help.

The paper names no protocol. Its public code measures ``fid50k`` and ``ppl_wend`` unless told otherwise, with
50,000 real images; for the condition numbers it perturbs w, each layer by a step of its own, and crops to the
face by default. The crop has no meaning where there are no faces, so the whole image stands beside it;
either may be the paper's.
"""


@dataclass(frozen=True)
class Metric:
    """One metric by its name.

    Attributes:
        name: As written in lists and names of files, such as ``fid50k_full``.
        family: What is computed.
        count: Number of generated images, or of pairs.
        full: Whether all real images count, whatever their number; otherwise at most ``count`` of them.
        neighbours: The k of precision and recall; 0 elsewhere.
        space: Of paths and condition numbers: ``z`` or ``w``; empty elsewhere.
        sampling: Of paths: ``full`` or ``end``.
        interpolation: Of paths: ``slerp`` or ``lerp``.
        crop: Of paths and condition numbers: whether only the face's region counts.
    """

    name: str
    family: Family
    count: int
    full: bool = False
    neighbours: int = 0
    space: str = ""
    sampling: str = ""
    interpolation: str = ""
    crop: bool = False

    @property
    def extractor(self) -> str | None:
        """The extractor the name stands for; None where it is left open or none is needed."""
        if self.family == "cs":
            return CLASSIFIER
        return STANDARDS[self.family].extractor if self.family in STANDARDS else None

    @property
    def uses_features(self) -> bool:
        """Whether there is an extractor at all."""
        return self.family not in ("swd", *OF_GENERATORS)


_COUNT = r"(?P<count>[1-9]\d{0,3}k|[1-9]\d{2,5})"
_PLACE = r"(?:dcgan|(?P<space>[zw])(?P<sampling>full|end))"
_GRAMMAR = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?P<family>fid|fd|kid|kd){_COUNT}(?P<full>_full)?",
        rf"(?P<family>is|cs|swd){_COUNT}",
        r"(?P<family>pr|ipr)(?P<count>[1-9]\d{0,3}k|[1-9]\d{2,5}(?=_))_?(?P<neighbours>[1-9]\d?)(?P<full>_full)?",
        rf"(?P<family>mc){_COUNT}_(?P<space>z|w\+?)(?P<crop>_crop)?",
        rf"(?P<family>ppl|pl)(?:{_COUNT})?_{_PLACE}",
        rf"(?P<family>ppl|pl)(?P<whole>2)(?:_{_COUNT})?_{_PLACE}",
    )
)
_HELP = (
    ("fid{n}", "fid{n}_full", "Frechet distance by Inception, from as many real images; _full: from all"),
    ("fd{n}", "fd{n}_full", "Frechet distance by any extractor, which is printed; offline by random-conv"),
    ("is{n}", "Inception score over 10 splits"),
    ("cs{n}", "the same with other weights of Inception, which are printed"),
    ("kid{n}", "kid{n}_full", "kernel distance by Inception, 100 subsets of 1,000; unbiased on small sets"),
    ("kd{n}", "kd{n}_full", "the same by any extractor, which is printed"),
    ("pr{p}3", "pr{p}3_full", "precision (fakes among reals) and recall (the converse), VGG16, 3 neighbours"),
    ("ipr{p}3", "ipr{p}3_full", "the same by any extractor, which is printed"),
    ("swd{s}", "sliced Wasserstein distance between equal numbers of images; no weights"),
    (
        "ppl{m}_zfull",
        "ppl{m}_zend",
        "perceptual path length (LPIPS) in z, anywhere or at its ends; of the face",
    ),
    ("ppl{m}_wfull", "ppl{m}_wend", "the same in w; ppl_wend is usual for FFHQ"),
    ("ppl{m}_dcgan", "the same in z along straight lines, the authors' habit with DCGAN"),
    ("ppl2{o}_zfull", "ppl2{o}_zend", "perceptual path length (LPIPS) in z of the whole image"),
    ("ppl2{o}_wfull", "ppl2{o}_wend", "the same in w; ppl2_wend is usual for LSUN"),
    ("ppl2{o}_dcgan", "the same in z along straight lines"),
    (
        "pl{m}_zfull",
        "pl2{o}_zfull",
        "each ppl by any distance, which is printed; offline by the pyramid distance",
    ),
    ("mc{n}_z", "mc{n}_w", "condition numbers: mean (MC), and mean of the largest 2 % (TTMC at 50k)"),
    ("mc{n}_w+", "the same with a step of its own in each layer, as in the paper's code"),
    ("mc{n}_z_crop", "mc{n}_w_crop", "mc{n}_w+_crop", "the same of the face alone, that code's default"),
)


def parse_metrics(text: str) -> tuple[Metric, ...]:
    """Read names of metrics and groups.

    Args:
        text: Names separated by commas; spaces and capitals are ignored.

    Returns:
        The metrics in the order of the list, each once.

    Raises:
        InputError: The list is empty, or a name is unknown; the nearest is suggested.

    Example:
        >>> [metric.name for metric in parse_metrics("fid5000,quick,fd2k")]
        ['fid5k', 'swd2k', 'fd2k', 'ppl2_1k_zfull', 'mc1k_z']
    """
    names = [name for part in text.split(",") if (name := part.strip().lower())]
    if not names:
        raise InputError("no metric is named; give names separated by commas, such as fid50k_full or quick")
    members = [member for name in names for member in GROUPS.get(name, (name,))[0].split(",")]
    found = [_parse(member) for member in members]
    return tuple({metric.name: metric for metric in found}.values())


def explain() -> list[tuple[str, str]]:
    """Tell every metric and every group in a line: its names, and what it is.

    Example:
        >>> explain()[0][0]
        'fid50k, fid50k_full'
    """
    lines = [(", ".join(_spelled(*names, count="50k")), line) for *names, line in _HELP]
    return [*lines, *((name, f"{members}: {line}") for name, (members, line) in GROUPS.items())]


def spelled_key(metric: Metric, family: Family, count: int, full: bool) -> str:
    """Spell a name in its one usual way.

    Args:
        metric: What the name shares with this metric: its path, its space, its neighbours.
        family: The family named.
        count: The number of images or pairs named.
        full: Whether the name claims all real images.
    """
    number, ending = _count_text(count), "_full" if full else ""
    if family in PATHS:
        straight = metric.space == "z" and metric.interpolation == "lerp"
        place = "dcgan" if straight else metric.space + metric.sampling
        number = "" if count == USUAL_COUNT else number
        return path_key(family, place, crop=metric.crop, number=number)
    if family == "mc":
        return f"mc{number}_{metric.space}{'_crop' if metric.crop else ''}"
    if family in ("pr", "ipr"):
        return f"{family}{number}{'' if number.endswith('k') else '_'}{metric.neighbours}{ending}"
    return f"{family}{number}{ending}"


def path_key(family: PathFamily, place: str, *, crop: bool, number: str = "") -> str:
    """Spell the name of a path length.

    Args:
        family: ``ppl`` by LPIPS with its published weights, ``pl`` by any other distance.
        place: Where the path runs, such as ``wend``.
        crop: Whether only the face's region counts; the 2 in the name says that it does not.
        number: How many pairs; empty for the usual number.

    Example:
        >>> path_key("ppl", "wend", crop=True), path_key("pl", "zfull", crop=False, number="5k")
        ('ppl_wend', 'pl2_5k_zfull')
    """
    whole = "" if crop else "2"
    return f"{family}{whole}{'_' if whole and number else ''}{number}_{place}"


def _parse(name: str) -> Metric:
    match = next(filter(None, (pattern.fullmatch(name) for pattern in _GRAMMAR)), None)
    if match is None:
        raise _unknown(name)
    given = {key: value or "" for key, value in match.groupdict().items()}
    family, count = cast("Family", given["family"]), _read_count(given["count"])
    space, sampling, path = given.get("space", ""), given.get("sampling", ""), ""
    if family in PATHS:
        path = "slerp" if space == "z" else "lerp"
        space, sampling = space or "z", sampling or "full"
    metric = Metric(
        name,
        family,
        count,
        full=bool(given.get("full")),
        neighbours=int(given.get("neighbours") or 0),
        space=space,
        sampling=sampling,
        interpolation=path,
        crop=bool(given.get("crop")) or (family in PATHS and "whole" not in given),
    )
    return replace(metric, name=spelled_key(metric, family, count, metric.full))


def _count_text(count: int) -> str:
    return str(count) if count % 1000 else f"{count // 1000}k"


def _read_count(text: str) -> int:
    return 1000 * int(text[:-1]) if text.endswith("k") else int(text or USUAL_COUNT)


def _spelled(*templates: str, count: str) -> list[str]:
    usual = count == _count_text(USUAL_COUNT)
    parts = {
        "p": count if count.endswith("k") else f"{count}_",
        "s": "2k" if usual else count,
        "m": "" if usual else count,
        "o": "" if usual else f"_{count}",
    }
    return [template.format(n=count, **parts) for template in templates]


def _unknown(name: str) -> InputError:
    """Suggest the nearest name with the same count."""
    given = re.search(r"[1-9]\d{0,3}k|[1-9]\d{2,5}", name)
    count = given.group() if given else _count_text(USUAL_COUNT)
    valid = [name for *names, _ in _HELP for name in _spelled(*names, count=count)]
    twins = [name.removeprefix("p") for name in valid if name.startswith("ppl")]
    return unknown_name("metric", name, [*dict.fromkeys([*valid, *twins]), *GROUPS])

r"""The inception score: how sure a classifier is of each image, and how many classes it is sure of.

.. math:: \mathrm{IS} = \exp \operatorname{mean}_x \mathrm{KL}\bigl(p(y \mid x) \,\Vert\, p(y)\bigr),
          \qquad p(y) = \operatorname{mean}_x p(y \mid x)

The images are cut into splits in the order given, each with its own :math:`p(y)`; the score is the mean
over the splits. It compares with no real images. The standard deviation over the splits, which papers
print, is no interval of the score: it shrinks and grows with the size of a split, and a split is biased
low. Draw new images several times and use
:func:`~riemann_noise_pytorch.statistics.intervals.redraw_interval`.

References:
    Salimans, Goodfellow, Zaremba, Cheung, Radford and Chen, Improved techniques for training GANs, NeurIPS
    2016.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.metrics.feature_rows import check_rows

SMALLEST = 2
"""Images in a split: of one image the score is 1, whatever it shows."""
SPLITS = 10
"""Salimans et al.: ten splits of 5,000 images."""


@dataclass(frozen=True)
class InceptionScore:
    """An inception score.

    Attributes:
        value: Mean over the splits, between 1 and the number of classes.
        std: Population standard deviation over the splits, as reference codes print it.
        splits: The number of splits.
    """

    value: float
    std: float
    splits: int


def inception_score(logits: Tensor, splits: int = SPLITS) -> InceptionScore:
    """Compute the inception score of images from a classifier's outputs before the softmax.

    Split i takes images floor(i N / splits) to floor((i + 1) N / splits) - 1, so lengths differ by one at
    most.

    Args:
        logits: (N, classes), floating point, in random order of images; at least 2 a split.
        splits: The number of splits, at least 1.

    Returns:
        The score, computed in float64.

    Raises:
        InputError: Too few images, a wrong shape, or no split.
        NonFiniteError: A logit is NaN or infinite; the message names the first image.

    Example:
        >>> sure = 100 * torch.eye(4).repeat(6, 1)
        >>> score = inception_score(sure, splits=2)
        >>> f"{score.value:.6f}", score.splits
        ('4.000000', 2)
    """
    if splits < 1:
        raise InputError(f"{splits} splits give no score; {SPLITS} are usual")
    check_rows(logits, "given", SMALLEST * splits)
    n = len(logits)
    bounds = [i * n // splits for i in range(splits + 1)]
    scores = torch.stack([_score(logits[a:b]) for a, b in pairwise(bounds)])
    return InceptionScore(float(scores.mean()), float(scores.std(correction=0)), splits)


def _score(logits: Tensor) -> Tensor:
    log_p = logits.detach().to("cpu", torch.float64).log_softmax(dim=1)
    log_mean = log_p.logsumexp(dim=0) - math.log(len(log_p))  # finite even where every p rounds to 0
    return (log_p.exp() * (log_p - log_mean)).sum(dim=1).mean().exp()

"""What every statistic demands of rows of features: one vector an image, finite, and enough of them."""

from torch import Tensor

from riemann_noise_pytorch.errors import InputError, NonFiniteError

ROWS_AT_ONCE = 4096
"""Rows looked at together: the check of 50,000 x 4096 needs megabytes, not a copy of all."""


def check_rows(features: Tensor, what: str, least: int) -> None:
    """Refuse what is no set of feature vectors.

    Args:
        features: One vector an image, (N, d), floating point.
        what: Whose features they are, for messages, such as ``generated``.
        least: The number of images below which the statistic does not exist.

    Raises:
        InputError: The shape or the dtype is another, or the images are too few.
        NonFiniteError: A feature is NaN or infinite; the message names the first image.

    Example:
        >>> import torch
        >>> check_rows(torch.zeros(3, 8), "real", 2)
    """
    if features.ndim != 2 or not features.is_floating_point() or features.shape[1] == 0:
        raise InputError(
            f"{what} features must be floating point, (images, d), not {features.dtype} of shape "
            f"{tuple(features.shape)}; flatten them to one vector an image"
        )
    if len(features) < least:
        raise InputError(
            f"{len(features)} {what} images are too few for this statistic; give {least} or more"
        )
    for first in range(0, len(features), ROWS_AT_ONCE):
        finite = features[first : first + ROWS_AT_ONCE].isfinite().all(dim=1)
        if not finite.all():
            bad = first + int((~finite).nonzero()[0])
            raise NonFiniteError(
                f"the features of {what} image {bad} of {len(features):,} have NaN or infinite values; "
                "check the weights of the extractor and of the generator"
            )


def check_pair(fake: Tensor, real: Tensor, least: int) -> None:
    """Refuse two sets of feature vectors that cannot be compared.

    Args:
        fake: Features of generated images, (N, d).
        real: Features of real images, (M, d).
        least: The smallest number of images on either side.

    Raises:
        InputError: Shapes or dtypes do not fit, or images are too few.
        NonFiniteError: A feature is NaN or infinite.
    """
    check_rows(fake, "generated", least)
    check_rows(real, "real", least)
    if fake.shape[1] != real.shape[1]:
        raise InputError(
            f"generated features of {fake.shape[1]} dimensions cannot be compared with real ones of "
            f"{real.shape[1]}; take both from one output of one extractor"
        )

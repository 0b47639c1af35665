"""The real images that a target is measured against: for a run, those it was trained on."""

from typing import Protocol

from riemann_noise_pytorch.data.holdout import split
from riemann_noise_pytorch.data.images import open_images
from riemann_noise_pytorch.data.imageset import ImageSet
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.targets import Target
from riemann_noise_pytorch.metrics.feature_sets import originals


class RealImages(Protocol):
    """Options that say which real images are meant; those of a run fill what is None."""

    @property
    def data(self) -> str | None:
        """A built-in name, or the path of a folder or a ZIP."""

    @property
    def resolution(self) -> int | None:
        """Height and width."""

    @property
    def channels(self) -> int | None:
        """1 or 3."""

    @property
    def resize_filter(self) -> str:
        """Name of the filter."""


def reference_images(target: Target, config: RealImages) -> ImageSet:
    """Open the real images, without mirror images.

    Args:
        target: Its run may tell which.
        config: The options, which come first.

    Raises:
        InputError: Nobody tells which, or they cannot be used.

    Example:
        >>> from riemann_noise_pytorch.experiments.evaluation.options import EvaluateConfig
        >>> reference_images(Target("digits", "images"), EvaluateConfig(data="digits")).image_shape
        (1, 16, 16)
    """
    run = target.config
    data = config.data or (run.data if run else None)
    if data is None:
        raise InputError(
            f"{target.name} does not tell its real images; give --data, or metrics without (is, ppl, mc)"
        )
    is_of_run = _is_of_run(target, config)
    images = open_images(
        data,
        resolution=config.resolution or (run.image_size if run else None),
        channels=config.channels or (run.channels if run else None),
        resize_filter=resize_filter_of(target, config),
        skip_bad_images=bool(run and run.skip_bad_images and is_of_run),
    )
    return originals(split(images, run.holdout)[0] if run and run.holdout and is_of_run else images)


def resize_filter_of(target: Target, config: RealImages) -> str:
    """Name the filter of the real images: that of the run for its own, that of the options for others."""
    run = target.config
    return run.resize_filter if run and _is_of_run(target, config) else config.resize_filter


def _is_of_run(target: Target, config: RealImages) -> bool:
    return target.config is not None and config.data in (None, target.config.data)

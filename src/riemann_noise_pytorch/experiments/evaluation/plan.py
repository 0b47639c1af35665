"""What is measured with what, and everything that can be refused before the first image is drawn."""

from dataclasses import asdict
from typing import Any, Literal, final

import torch

from riemann_noise_pytorch.data.images import open_images
from riemann_noise_pytorch.data.imageset import ImageSet
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.evaluation.drawing import labels_like
from riemann_noise_pytorch.experiments.evaluation.feature_metrics import Sides
from riemann_noise_pytorch.experiments.evaluation.options import EvaluateConfig
from riemann_noise_pytorch.experiments.evaluation.passport import (
    data_record,
    extractor_record,
    settings_record,
    target_record,
)
from riemann_noise_pytorch.experiments.evaluation.reference import reference_images, resize_filter_of
from riemann_noise_pytorch.experiments.evaluation.subject import Say, Subject
from riemann_noise_pytorch.experiments.evaluation.targets import Target
from riemann_noise_pytorch.metrics.catalogue import Metric, parse_metrics
from riemann_noise_pytorch.metrics.distances import Distance, LPIPSDistance, PyramidDistance
from riemann_noise_pytorch.metrics.extractors.choices import make_extractor
from riemann_noise_pytorch.metrics.extractors.interfaces import Extractor
from riemann_noise_pytorch.metrics.feature_sets import originals
from riemann_noise_pytorch.metrics.requirements import check_sides, printed_key, sides
from riemann_noise_pytorch.metrics.weights import VGG16
from riemann_noise_pytorch.models.latent_space import Labels
from riemann_noise_pytorch.seeds import derive
from riemann_noise_pytorch.statistics.sampling import Processes

OF_GENERATORS = ("ppl", "mc")
WITHOUT_REAL = ("is", "cs", *OF_GENERATORS)


@final
class Plan:
    """An evaluation before it begins.

    Args:
        target: What is measured.
        config: The options.
        images: The real images; opened as the options and the target say if None.
        device: Where the target's generator is.
        processes: Which of several processes this is.
        say: Called with a line where something is to be known.

    Attributes:
        metrics: In the order asked for.
        images: The real images, without mirror images; None where none are needed.
        labels: Classes by index, for a generator that has any.
        subject: The measured side.
        sides: Numbers of images, by the metric's name as asked for.
        keys: The honest names, by the same.
        distance: Of images, for path lengths.

    Raises:
        InputError: A metric cannot be measured on this target, or options do not fit.
    """

    def __init__(
        self,
        target: Target,
        config: EvaluateConfig,
        images: ImageSet | None,
        device: torch.device | str,
        processes: Processes,
        say: Say,
    ) -> None:
        config.validate()
        self.target, self.config, self.device, self.processes = target, config, device, processes
        self.metrics = parse_metrics(config.metrics)
        _check_target(target, config, self.metrics)
        needs_real = any(metric.family not in WITHOUT_REAL for metric in self.metrics)
        if images is None and (needs_real or (target.classes and target.config is not None)):
            images = reference_images(target, config)
        self.images = None if images is None else originals(images)
        self.labels = self._labels()
        self.subject = self._subject(say)
        self.distance = self._distance()
        self._extractors: dict[str, Extractor] = {}
        self.sides = {metric.name: self._sides(metric) for metric in self.metrics}
        self.keys = {metric.name: self._key(metric) for metric in self.metrics}
        if needs_real and self.images is not None:
            _check_shapes(self.subject.image_shape, self.images, target)
        self._tell_of_few(say)
        self._target_record: dict[str, Any] | None = None
        self._data_record: dict[str, Any] | None = None
        self._settings = settings_record(config, processes.world_size)

    @property
    def target_record(self) -> dict[str, Any]:
        """What was measured; for a set of images, all of them are read once, for their hash."""
        if self._target_record is None:
            subject = self.subject
            data = data_record(subject.images, self.config.resize_filter, self.device, self.processes)
            self._target_record = target_record(self.target, self.config, subject, data)
        return self._target_record

    @property
    def _data(self) -> dict[str, Any] | None:
        if self._data_record is None:
            resize_filter = resize_filter_of(self.target, self.config)
            self._data_record = data_record(self.images, resize_filter, self.device, self.processes)
        return self._data_record

    @property
    def redraws(self) -> int:
        """Independent sets of images of the measured side."""
        return 1 if self.subject.is_set else self.config.redraws

    @property
    def dtype(self) -> torch.dtype | None:
        """Precision of path lengths and condition numbers; None for the generator's own."""
        return torch.float64 if self._precision == "float64" else None

    def extractor(self, metric: Metric) -> Extractor | None:
        """What a metric is measured with, built once; None for one that needs no features."""
        if not metric.uses_features:
            return None
        key = metric.extractor or self.config.extractor
        if key not in self._extractors:
            weights, repository = self.config.weights_of(key), self.config.dinov2_repository
            self._extractors[key] = make_extractor(key, weights, device=self.device, repository=repository)
        return self._extractors[key]

    def protocol(self, metric: Metric) -> dict[str, Any]:
        """Everything that a number of this metric depends on, but the target."""
        each, of_pairs = self.sides[metric.name], metric.family in OF_GENERATORS
        needs_data = metric.family not in WITHOUT_REAL or self.labels is not None
        return {
            "metric": asdict(metric),
            "measured": each.fakes,
            "real": each.reals,
            "redraws": 1 if of_pairs else self.redraws,
            "extractor": extractor_record(self.extractor(metric)),
            "distance": self.distance.name if metric.family == "ppl" else None,
            "data": self._data if needs_data else None,
            "precision": self._precision if of_pairs else "float32",
            **self._settings,
        }

    @property
    def _precision(self) -> Literal["float32", "float64", "its own"]:
        return self.config.precision if self.target.module is not None else "its own"

    def _labels(self) -> Labels | None:
        classes, images = self.target.classes, self.images
        if not classes:
            return None
        if images is None or images.labels is None:
            raise InputError(
                f"{self.target.name} has {classes} classes; give --data with classes, to draw them alike"
            )
        if images.num_classes > classes:
            raise InputError(
                f"{images.name} has {images.num_classes} classes, but {self.target.name} has {classes}; "
                "give the data it was trained on"
            )
        return labels_like(images.labels, derive(self.config.seed, "classes"))

    def _subject(self, say: Say) -> Subject:
        config, target, measured = self.config, self.target, None
        if target.kind == "images":
            shape = None if self.images is None else self.images.image_shape
            measured = open_images(
                target.name,
                resolution=config.resolution or (shape and shape[1:]),
                channels=config.channels or (shape and shape[0]),
                resize_filter=config.resize_filter,
            )
        return Subject(
            target,
            measured and originals(measured),
            seed=config.seed,
            device=self.device,
            data_labels=None if self.labels is None or self.images is None else self.images.labels,
            options={} if config.truncation_psi == 1 else {"truncation_psi": config.truncation_psi},
            say=say,
        )

    def _distance(self) -> Distance:
        heads = self.config.lpips_heads
        if heads is None or all(metric.family != "ppl" for metric in self.metrics):
            return PyramidDistance()
        return LPIPSDistance(VGG16.locate(self.config.vgg16_weights), heads)

    def _sides(self, metric: Metric) -> Sides:
        fakes, reals = sides(metric, 0 if self.images is None else len(self.images))
        if metric.family not in OF_GENERATORS:
            fakes = self.subject.available(fakes)
        if metric.family == "swd":
            fakes = reals = min(fakes, reals)
        check_sides(metric, fakes, reals, self.extractor(metric))
        return Sides(metric, fakes, reals)

    def _tell_of_few(self, say: Say) -> None:
        images = self.images
        if images is None:
            return
        with_real = [m for m in self.metrics if self.sides[m.name].reals and not m.full]
        wanting = ", ".join(metric.name for metric in with_real if metric.count > len(images))
        if wanting:
            say(f"{images.name} has {len(images):,} images, fewer than {wanting} would take; all are taken")

    def _key(self, metric: Metric) -> str:
        each, available = self.sides[metric.name], 0 if self.images is None else len(self.images)
        return printed_key(
            metric,
            fakes=each.fakes,
            reals=each.reals,
            available=available,
            extractor=self.extractor(metric),
        )


def _check_target(target: Target, config: EvaluateConfig, metrics: tuple[Metric, ...]) -> None:
    of_generator = [metric.name for metric in metrics if metric.family in OF_GENERATORS]
    if target.kind == "images" and of_generator:
        raise InputError(
            f"{target.name} is a set of images, and {of_generator[0]} needs a generator; leave it out"
        )
    in_w = [metric.name for metric in metrics if metric.space not in ("", "z")]
    parts = ("mapping", "synthesis")
    if in_w and not all(hasattr(target.generator, part) for part in parts):
        raise InputError(
            f"{target.name} has no mapping and synthesis, hence no w for {in_w[0]}; measure in z"
        )
    if config.truncation_psi != 1 and (of_generator or not hasattr(target.generator, "ws")):
        why = f"{of_generator[0]} is measured without" if of_generator else f"{target.name} has no w for"
        raise InputError(f"{why} truncation; leave --truncation-psi out")


def _check_shapes(measured: tuple[int, ...], images: ImageSet, target: Target) -> None:
    if measured != tuple(images.image_shape):
        raise InputError(
            f"images of {target.name} are {measured}, but those of {images.name} are {images.image_shape}; "
            f"give --resolution {measured[1]} --channels {measured[0]}, or other data"
        )

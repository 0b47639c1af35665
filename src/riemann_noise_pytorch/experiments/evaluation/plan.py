"""What is measured with what, and everything that can be refused before the first image is drawn."""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, final

import torch

from riemann_noise_pytorch.data.images import open_images
from riemann_noise_pytorch.data.imageset import ImageSet
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.evaluation.drawing import home_of, labels_like
from riemann_noise_pytorch.experiments.evaluation.feature_metrics import Sides
from riemann_noise_pytorch.experiments.evaluation.options import EvaluateConfig
from riemann_noise_pytorch.experiments.evaluation.passport import (
    data_record,
    extractor_record,
    noise_record,
    settings_record,
    target_record,
)
from riemann_noise_pytorch.experiments.evaluation.reference import reference_images, resize_filter_of
from riemann_noise_pytorch.experiments.evaluation.subject import Say, Subject
from riemann_noise_pytorch.experiments.evaluation.suitability import (
    WITHOUT_REAL,
    check_shapes,
    check_target,
    metrics_for,
)
from riemann_noise_pytorch.experiments.targets import Target
from riemann_noise_pytorch.metrics.catalogue import OF_GENERATORS, PATHS, Metric
from riemann_noise_pytorch.metrics.distances import Distance, LPIPSDistance, PyramidDistance
from riemann_noise_pytorch.metrics.extractors.choices import make_extractor
from riemann_noise_pytorch.metrics.extractors.interfaces import Extractor
from riemann_noise_pytorch.metrics.feature_sets import originals
from riemann_noise_pytorch.metrics.requirements import (
    check_keys,
    check_memory,
    check_sides,
    output_of,
    printed_key,
    sides,
)
from riemann_noise_pytorch.metrics.weights import LPIPS_HEADS, VGG16, file_sha256
from riemann_noise_pytorch.models.latent_space import Labels
from riemann_noise_pytorch.seeds import derive
from riemann_noise_pytorch.statistics.sampling import Processes


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
        check: Called before each batch is drawn.

    Attributes:
        metrics: In the order asked for; of a group, those that can be measured on the target.
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
        check: Callable[[], object] | None = None,
    ) -> None:
        config.validate()
        self.target, self.config, self.device, self.processes = target, config, device, processes
        self._say = say
        self.metrics = metrics_for(target, config.metrics, say)
        check_target(target, config, self.metrics)
        needs_real = any(metric.family not in WITHOUT_REAL for metric in self.metrics)
        if images is None and (needs_real or (target.classes and target.config is not None)):
            images = reference_images(target, config)
        self.images = None if images is None else originals(images)
        self.labels = self._labels()
        self.subject = self._subject(check)
        self._distance_files: dict[str, Path] = {}
        self.distance = self._distance()
        self._extractors: dict[str, Extractor] = {}
        self.sides = {metric.name: self._sides(metric) for metric in self.metrics}
        self.keys = {metric.name: self._key(metric) for metric in self.metrics}
        check_keys(self.keys)
        if needs_real and self.images is not None:
            check_shapes(self.subject.image_shape, self.images, target)
        self._tell_of_few()
        self._tell_of_idle_weights()
        self._needs_real = needs_real
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
            if data and self._needs_real and self._data and data["sha256"] == self._data["sha256"]:
                self._say(f"{self.target.name} and {self._data['name']} hold the very same images")
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
        wide = self.target.module is not None and self.config.precision == "float64"
        return torch.float64 if wide else None

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
        extractor, is_path = self.extractor(metric), metric.family in PATHS
        return {
            "metric": asdict(metric),
            "measured": each.fakes,
            "real": each.reals,
            "redraws": 1 if of_pairs else self.redraws,
            "extractor": extractor_record(extractor, output_of(metric, extractor) if extractor else ""),
            "distance": self.distance.name if is_path else None,
            "distance_sha256": self._distance_hashes if is_path else None,
            "data": self._data if needs_data else None,
            "classes": None if self.labels is None else "drawn as often as in the data",
            "noise": noise_record(self.target),
            "precision": "float64" if of_pairs and self.dtype else self._own_precision,
            **self._settings,
        }

    def remarked(self, metric: Metric, name: str) -> str:
        """Add to a printed protocol what the metric cannot know: the draws, and what was resized."""
        remarks = []
        if self.redraws > 1 and metric.family not in OF_GENERATORS:
            remarks.append(f"mean of {self.redraws} draws")
        if self.subject.is_set and self.config.resolution:
            _, height, width = self.subject.image_shape
            who = "images" if metric.family in WITHOUT_REAL else "both sides"
            remarks.append(f"{who} resized to {height}x{width} by {self.config.resize_filter}")
        if not remarks:
            return name
        opening, ending = (name[:-1], ")") if name.endswith(")") else (name, "")
        return f"{', '.join([opening, *remarks])}{ending}"

    @property
    def _own_precision(self) -> str | None:
        if self.target.generator is None:
            return None
        dtype = home_of(self.target)[1]
        return str(dtype).removeprefix("torch.") if self.target.module is not None else "its own"

    @cached_property
    def _distance_hashes(self) -> dict[str, str]:
        return {what: file_sha256(path) for what, path in self._distance_files.items()}

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

    def _subject(self, check: Callable[[], object] | None) -> Subject:
        config, target, measured = self.config, self.target, None
        if target.kind == "images":
            measured = open_images(
                target.name,
                resolution=config.resolution,
                channels=config.channels,
                resize_filter=config.resize_filter,
            )
        return Subject(
            target,
            measured and originals(measured),
            seed=config.seed,
            device=self.device,
            data_labels=None if self.labels is None or self.images is None else self.images.labels,
            options={} if config.truncation_psi == 1 else {"truncation_psi": config.truncation_psi},
            say=self._say,
            check=check,
        )

    def _distance(self) -> Distance:
        heads = LPIPS_HEADS.given(self.config.lpips_heads)
        if heads is None or all(metric.family not in PATHS for metric in self.metrics):
            return PyramidDistance()
        backbone = VGG16.locate(self.config.vgg16_weights)
        self._distance_files = {"backbone": backbone, "heads": heads}
        return LPIPSDistance(backbone, heads)

    def _sides(self, metric: Metric) -> Sides:
        fakes, reals = sides(metric, 0 if self.images is None else len(self.images))
        if metric.family not in OF_GENERATORS:
            fakes = self.subject.available(fakes)
        if metric.family == "swd":
            fakes = reals = min(fakes, reals)
        check_sides(metric, fakes, reals, self.extractor(metric))
        if self.images is not None:
            check_memory(metric, reals, self.images.image_shape)
        return Sides(metric, fakes, reals)

    def _tell_of_few(self) -> None:
        if self.images is not None:
            with_real = [m for m in self.metrics if self.sides[m.name].reals and not m.full]
            self._tell_if_few(f"{self.images.name} has", self.images, with_real)
        if self.subject.images is not None:
            opening = f"{self.target.name}, which is measured, has"
            self._tell_if_few(opening, self.subject.images, self.metrics)

    def _tell_if_few(self, opening: str, images: ImageSet, metrics: Iterable[Metric]) -> None:
        wanting = ", ".join(metric.name for metric in metrics if metric.count > len(images))
        if wanting:
            self._say(f"{opening} {len(images):,} images, fewer than {wanting} would take; all are taken")

    def _tell_of_idle_weights(self) -> None:
        config = self.config
        taken = {each.key for metric in self.metrics if (each := self.extractor(metric))}
        by_paths = any(metric.family in PATHS for metric in self.metrics)
        idle = {
            "--inception-weights": config.inception_weights and "inception" not in taken,
            "--vgg16-weights": config.vgg16_weights and "vgg16" not in taken and not self._distance_files,
            "--lpips-heads": config.lpips_heads and not by_paths,
            "--dinov2-weights": config.dinov2_weights and not any(key.startswith("dinov2") for key in taken),
        }
        for option in (name for name, is_idle in idle.items() if is_idle):
            more = "; path lengths take it where --lpips-heads is given too" if by_paths else ""
            self._say(f"{option} is given, but no metric asked for takes it{more}")

    def _key(self, metric: Metric) -> str:
        each, available = self.sides[metric.name], 0 if self.images is None else len(self.images)
        return printed_key(
            metric,
            fakes=each.fakes,
            reals=each.reals,
            available=available,
            extractor=self.extractor(metric),
            distance=self.distance,
        )

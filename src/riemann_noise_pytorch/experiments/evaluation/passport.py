"""What must be known to compare a number with another laboratory's."""

import hashlib
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from riemann_noise_pytorch.data.imageset import ImageSet
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.evaluation.options import EvaluateConfig
from riemann_noise_pytorch.experiments.evaluation.subject import Subject
from riemann_noise_pytorch.experiments.records import commit, environment
from riemann_noise_pytorch.experiments.targets import Target
from riemann_noise_pytorch.metrics.extractors.interfaces import Extractor
from riemann_noise_pytorch.noise.control import noise_layers
from riemann_noise_pytorch.statistics.sampling import Processes

FIRST_IMAGES = 4
HASH_BYTES = 32
PACKAGES = ("riemann-noise-pytorch", "torch", "torch-fidelity", "torchvision", "numpy")


def target_record(
    target: Target, config: EvaluateConfig, subject: Subject, data: dict[str, Any] | None
) -> dict[str, Any]:
    """Say what was measured.

    Of a run of this package, also the kind of noise; of a set of images, the hash of their content; of a
    callable, the hash of its first images, since its source may not tell all that it does.

    Args:
        target: The target.
        config: The options.
        subject: Its images.
        data: The record of a set of images; None for a generator.
    """
    record: dict[str, Any] = {
        "name": target.name,
        "kind": target.kind,
        "sha256": target.sha256,
        "snapshot": target.snapshot,
        "images_seen": target.images_seen,
    }
    if target.config is not None:
        options = asdict(target.config)
        record |= {name: options[name] for name in ("preset", "architecture", "noise", "seed")}
        record["weights"] = config.which
    if target.kind == "images":
        record["data"] = data
    if target.kind == "callable":
        first = subject.source(0, FIRST_IMAGES)(0, FIRST_IMAGES).cpu().contiguous()
        record["images_sha256"] = hashlib.sha256(first.numpy().data).hexdigest()
    return record


def data_record(
    images: ImageSet | None, resize_filter: str, device: torch.device | str, processes: Processes
) -> dict[str, Any] | None:
    """Say which images there were, and what brought them to their size; None for none.

    Args:
        images: The set; it may tell by itself that nothing was resized.
        resize_filter: The filter it was opened with.
        device: Where processes exchange what they computed.
        processes: Which process this is; the first alone reads the whole set.
    """
    if images is None:
        return None
    return {
        "name": images.name,
        "sha256": _hash_of_first(images, device, processes),
        "count": len(images),
        "image_shape": list(images.image_shape),
        "resize_filter": getattr(images, "resize_filter", resize_filter),
    }


def extractor_record(extractor: Extractor | None, output: str) -> dict[str, Any] | None:
    """Say what turned images into features; None for nothing.

    Args:
        extractor: The extractor.
        output: Which of its outputs the metric looks at.
    """
    if extractor is None:
        return None
    return {
        "name": extractor.name,
        "key": extractor.key,
        "output": output,
        "formula": extractor.formula,
        "weights_sha256": extractor.weights_sha256,
        "resize_filter": extractor.resize,
    }


def noise_record(target: Target) -> str | None:
    """Say where a generator's noise comes from; None for a set of images, or a run without noise."""
    if target.module is not None and noise_layers(target.module):
        return "of seed and index"
    return "its own, of seed and first index of each batch" if target.kind == "callable" else None


def settings_record(config: EvaluateConfig, processes: int) -> dict[str, Any]:
    """Say with which seeds, precision and versions it was measured."""
    return {
        "seed": config.seed,
        "truncation_psi": config.truncation_psi,
        "batch": config.batch,
        "processes": processes,
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
        "environment": environment(torch.get_num_threads()),
        "commit": commit(),
    }


def _hash_of_first(images: ImageSet, device: torch.device | str, processes: Processes) -> str:
    digest, failure = torch.zeros(1 + HASH_BYTES, dtype=torch.uint8), None
    if processes.rank == 0:
        try:
            digest = torch.tensor([1, *bytes.fromhex(images.content_hash())], dtype=torch.uint8)
        except Exception as error:  # the other processes wait for this one, and must learn of it
            failure = error
    is_known, *content = processes.gathered(digest.to(device))[: 1 + HASH_BYTES].tolist()
    if failure is not None:
        raise failure
    if not is_known:
        raise InputError(f"process 0 cannot read {images.name}; its own message says why")
    return bytes(content).hex()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None

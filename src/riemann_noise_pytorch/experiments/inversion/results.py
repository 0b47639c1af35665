"""What an inversion leaves in its folder.

``inversion.jsonl`` has the records: ``setup``, one ``image`` for each, ``summary``.

``inversion.safetensors``:

=====================  ======================================================================================
``latents``            (N, ...): of the best start, with the noise where it was optimised
``latents/without``    (N, ...): of the best start without
``noise/LAYER``        (N, P, H, W): the noise that was optimised, where it was
``losses``             (N, R, stages): the best loss of every start in every stage
``labels``, ``masks``  (N,) and (N, 1, H, W): classes, and what counts, where there are any
=====================  ======================================================================================

The metadata ``inversion`` has recipe, space and seed in JSON.

``pictures.safetensors``, for the page, images in uint8:

==============================  ==============================================================================
``targets``, ``without``        (N, C, H, W)
``with``                        (N, C, H, W): where noise was optimised
``masks``                       uint8 (N, H, W): 255 where the images count, where masks were given
``fresh``                       (N, k, C, H, W): under fresh draws of the noise, where the generator has any
``noise/LAYER``                 float16 (N, H, W): the first plane of what was optimised
``frames``, ``frames/steps``    (F, n, C, H, W) of the first n images, and their steps (F,), from 1
``interpolation/frozen``        (points, C, H, W): from the first image to the second, under the first's noise
``interpolation/interpolated``  (points, C, H, W): with the noise on the way as well
``curve/steps``                 (K,): steps over all stages, from 1
``curve/stages``                (K,): the stage of each step, from 0
``curve/median``, ``.../best``  (K,): over the images, the median and the least of the best loss so far
==============================  ==============================================================================

``reconstructions/NAME.png`` are the images themselves, with the noise where it was optimised.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from riemann_noise_pytorch.data.imageset import to_uint8
from riemann_noise_pytorch.experiments.inversion.arms import Arms, Work
from riemann_noise_pytorch.experiments.inversion.film import Film
from riemann_noise_pytorch.experiments.inversion.fresh import FreshDraws
from riemann_noise_pytorch.experiments.inversion.quality import Quality, finite
from riemann_noise_pytorch.experiments.inversion.subject import Subject
from riemann_noise_pytorch.experiments.records import Record
from riemann_noise_pytorch.files import atomic_write

RECORDS, TENSORS, PICTURES, PAGE = (
    "inversion.jsonl",
    "inversion.safetensors",
    "pictures.safetensors",
    "inversion.html",
)
RECONSTRUCTIONS = "reconstructions"
ABOUT = "inversion"


def image_records(
    names: Sequence[str], arms: Arms, without: Quality, optimised: Quality | None, fresh: FreshDraws | None
) -> list[Record]:
    """One record for each image.

    Args:
        names: Of the images.
        arms: What was found.
        without: How near the images without the noise are.
        optimised: How near those with it are; None where it was not optimised.
        fresh: Under fresh draws; None for a generator without noise.
    """
    endings, best = arms.found.told_endings, arms.best.restarts.tolist()
    chosen, rms = arms.found.best().tolist(), _noise_rms(arms)
    return [
        {
            "record": "image",
            "index": i,
            "name": name,
            "restart": best[i],
            "restart_without": int(arms.without.restarts[i]),
            "ending": endings[i][chosen[i]],
            "steps": arms.found.steps[i, chosen[i]].tolist(),
            "losses": [[finite(loss) for loss in start] for start in arms.found.losses[i]],
            "without": without.record(i),
            "with": None if optimised is None else optimised.record(i),
            "fresh": None if fresh is None else fresh.record(i),
            "noise_rms": None if rms is None else finite(rms[i]),
        }
        for i, name in enumerate(names)
    ]


def _noise_rms(arms: Arms) -> Tensor | None:
    """Root mean square of the noise maps optimised for each image, (N,), where that of drawn noise is 1."""
    if arms.optimised is None:
        return None
    maps = [each.flatten(1).double() for each in arms.optimised.noise.values() if each.ndim == 4]
    return torch.cat(maps, dim=1).square().mean(dim=1).sqrt()


def tensors(arms: Arms, work: Work) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Latents, noise and losses, and in the metadata what is needed to make the images of them again."""
    found = arms.found
    named = {"latents": arms.best.latents, "latents/without": arms.without.latents, "losses": found.losses}
    named |= {f"noise/{layer}": maps for layer, maps in arms.best.noise.items()}
    optional = {"labels": work.labels, "masks": work.masks}
    named |= {name: tensor for name, tensor in optional.items() if tensor is not None}
    about = {"recipe": found.recipe, "space": found.space, "seed": work.seed}
    return named, {ABOUT: json.dumps(about)}  # one key, for the order of several is not kept


def pictures(
    targets: Tensor,
    arms: Arms,
    fresh: FreshDraws | None,
    subject: Subject,
    film: Film,
    ways: Mapping[str, Tensor],
    masks: Tensor | None,
) -> dict[str, Tensor]:
    """What the page shows."""
    best = _shown(arms.best.images)
    named = {
        "targets": to_uint8(targets),
        "without": _shown(arms.without.images),
        **film.frames(best),
    }
    if arms.optimised is not None:
        named["with"] = best
        named |= {f"noise/{n}": m[:, 0].half() for n, m in arms.optimised.noise.items() if n in subject.maps}
    if fresh is not None:
        named["fresh"] = _shown(fresh.images)
    if masks is not None:
        named["masks"] = (255 * masks[:, 0]).round().to(torch.uint8)
    named |= {f"interpolation/{name}": _shown(images) for name, images in ways.items()}
    named |= {f"curve/{name}": tensor for name, tensor in film.curve().items()}
    return named


def write_tensors(path: Path, named: Mapping[str, Tensor], about: Mapping[str, str] | None = None) -> None:
    """Write tensors, at once or not at all.

    Raises:
        InputError: The file cannot be written.
    """
    with atomic_write(path) as temporary:
        save_file({n: t.contiguous().clone() for n, t in named.items()}, temporary, dict(about or {}))


def write_images(folder: Path, names: Sequence[str], images: Tensor) -> None:
    """Write images (N, C, H, W) as PNG files, each whole or not at all.

    Raises:
        InputError: A file cannot be written.
    """
    for name, image in zip(names, _shown(images), strict=True):
        picture = image[0] if len(image) == 1 else image.permute(1, 2, 0)
        with atomic_write(folder / f"{name}.png") as temporary:
            Image.fromarray(np.ascontiguousarray(picture.numpy())).save(temporary, format="PNG")


def _shown(images: Tensor) -> Tensor:
    """Images as pixels; what is not finite is grey."""
    floats: Tensor = images.float().nan_to_num(0.0, posinf=1.0, neginf=-1.0)
    return to_uint8(floats)

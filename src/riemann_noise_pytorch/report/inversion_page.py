"""The page of an inversion: what is seen, then every image beside its reconstruction, then how it was found.

One self-contained file; see :mod:`riemann_noise_pytorch.report.page`. The animation lies beside it as well.
"""

from functools import partial
from pathlib import Path

from riemann_noise_pytorch.report.inversion_animation import (
    animation_alt,
    last_frame,
    write_inversion_animation,
)
from riemann_noise_pytorch.report.inversion_figures import (
    gain_alt,
    gain_panel,
    has_curve,
    loss_alt,
    loss_panel,
)
from riemann_noise_pytorch.report.inversion_pictures import gallery, ways
from riemann_noise_pytorch.report.inversion_records import FRAMES, InversionRecords, read_inversion
from riemann_noise_pytorch.report.inversion_tables import (
    about,
    ending_table,
    layer_table,
    median_table,
    score_table,
)
from riemann_noise_pytorch.report.page import View, data_uri, diagram, flat, grouped, write_page

PAGE, ANIMATION = "inversion.html", "animation.png"
_CHANGES = {
    "resized": "cropped and resized to the generator’s size",
    "enlarged": "smaller than the generator’s",
    "converted": "turned from grey to colours, or back",
}


def write_inversion_page(folder: Path) -> Path:
    """Write ``inversion.html`` and ``animation.png`` beside the records of an inversion.

    Args:
        folder: Written by ``riemann-noise invert``: ``inversion.jsonl``, ``pictures.safetensors``.

    Returns:
        The page's path. Equal folders give equal pages, byte for byte.

    Raises:
        InputError: Records or pictures are missing or damaged, or a file cannot be written. A page from
            before stays as it was.
    """
    records = read_inversion(Path(folder))
    return write_page("inversion.html", _view(records), records.folder / PAGE)


def _view(records: InversionRecords) -> View:
    """Everything that the template prints."""
    setup = records.setup
    count = len(records.images)
    return {
        "name": setup.name,
        "about": about(records),
        "headline": records.headline,
        "findings": records.summary.sentences[1:],
        "median": grouped(median_table(records)),
        "notes": median_table(records).notes,
        "gallery": gallery(records),
        "rest": count - len(gallery(records).images),
        "count": count,
        "has_noise": records.has_noise,
        "diagrams": _diagrams(records),
        "animation": _animation(records),
        "ways": ways(records),
        "scores": grouped(score_table(records)) if count > 1 else None,
        "endings": ending_table(records),
        "layers": layer_table(records),
        "protocol": protocol(records),
        "environment": flat({"package": setup.version, "commit": setup.commit} | dict(setup.environment)),
        "target": flat(setup.target),
        "source": flat(setup.images),
        "given": flat(setup.options),
    }


def protocol(records: InversionRecords) -> list[str]:
    """How the images were inverted and compared, a line each.

    Args:
        records: Of one inversion.
    """
    setup = records.setup
    draws = next((image.fresh.get("draws") for image in records.images if image.fresh), None)
    lines = [
        f"Recipe {setup.recipe}, latents in {setup.space}.",
        *stage_lines(records),
        f"Of {records.restarts} starts of each image the one that ends with the least loss is shown."
        if records.restarts > 1
        else "",
        _noise_line(records),
        f"Fresh draws: {draws:.0f} in place of the noise; the latents stay. Change: of the pixels, from the "
        "image before, root mean square."
        if draws
        else "",
        *(
            f"{count:,} of {len(records.images):,} images were {what}."
            for key, what in _CHANGES.items()
            if isinstance(count := setup.images.get(key), int) and count
        ),
        "Masks hide parts of the images: these count in no loss and in no number, but they are drawn."
        if setup.options.get("mask")
        else "",
        f"Distance: {setup.distance}.",
    ]
    return [line for line in lines if line]


def stage_lines(records: InversionRecords) -> list[str]:
    """What each stage did, a line each.

    Args:
        records: Of one inversion.
    """
    setup = records.setup
    lines = []
    for i, objective in enumerate(setup.objectives):
        facts = setup.stages[i] if i < len(setup.stages) else {}
        what = "latents and noise" if facts.get("latent") else "the noise alone"
        if facts.get("noise") != "optimised":
            what = f"latents, noise {facts.get('noise', 'frozen')}"
        adam = f", at most {facts['steps']} steps of Adam" if "steps" in facts else ""
        rate = f", rate {facts['lr']} {facts.get('schedule', '')}".rstrip() if "lr" in facts else ""
        lines.append(f"Stage {i + 1}: {what}{adam}{rate}; made small: {objective}.")
    return lines


def _noise_line(records: InversionRecords) -> str:
    """What "frozen" and "optimised" mean here."""
    setup = records.setup
    if not setup.noisy:
        return "The generator has no noise: there is one reconstruction of each image."
    if not setup.layers:
        return "The noise of the generator has no maps that could be optimised; it is frozen."
    if not records.has_noise:
        return "The noise was not optimised; the reconstructions are under frozen noise."
    if setup.sequential:
        return (
            "Frozen and optimised: the same latents, under frozen noise and under noise optimised afterwards."
        )
    return (
        "Frozen and optimised: two inversions with equal steps for the latents, one under frozen noise, "
        "one with the noise optimised together with them."
    )


def _diagrams(records: InversionRecords) -> list[View]:
    """The panels, each for light and for dark."""
    views = []
    if has_curve(records):
        views.append(diagram(partial(loss_panel, records), loss_alt(records)))
    if records.has_noise and len(records.images) > 1:
        views.append(diagram(partial(gain_panel, records), gain_alt(records)))
    return views


def _animation(records: InversionRecords) -> View | None:
    """The animation, and its end for those who want nothing to move."""
    if FRAMES not in records.tensors:
        return None
    still = last_frame(records)
    moving = write_inversion_animation(records, records.folder / ANIMATION)
    return {
        "moving": data_uri(moving.read_bytes(), "png"),
        "still": still,
        "alt": animation_alt(records),
    }

"""The page of the study of inversion: what became of the paper's claim, the numbers, then the images.

One self-contained file; see :mod:`riemann_noise_pytorch.report.page`.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from riemann_noise_pytorch.report.inversion_study import AGAIN, InversionStudy, read_inversion_study
from riemann_noise_pytorch.report.inversion_study_figures import SCORES, score_alt, score_panel
from riemann_noise_pytorch.report.inversion_study_tables import how, tables
from riemann_noise_pytorch.report.page import View, diagram, flat, grouped, write_page
from riemann_noise_pytorch.report.pixels import Maps, Picture, strip, tile_size
from riemann_noise_pytorch.report.tables import arm_label
from riemann_noise_pytorch.report.tensors import Form, Tensor, read_tensors

PAGE = "report.html"
OWN = "targets"
"""In the pictures of a generator: targets that are its own samples."""
ROWS = {"frozen": "noise frozen", "optimised": "noise optimised"}
SHOWN = 8
_IMAGES = Form(4, "u")
_TILE, _GAP = 64, 4


def write_inversion_study_page(folder: Path) -> Path:
    """Write ``report.html`` beside the records of a study.

    Args:
        folder: Written by ``riemann-noise inversion-study``: ``records.jsonl`` and ``artifacts/``.

    Returns:
        The page's path. Equal folders give equal pages, byte for byte.

    Raises:
        InputError: Records or pictures are missing or damaged, or the page cannot be written. A page from
            before stays as it was.
    """
    return write_page("inversion_study.html", _view(read_inversion_study(folder)), Path(folder) / PAGE)


def _view(study: InversionStudy) -> View:
    """Everything that the template prints."""
    setup = study.setup
    trained = setup.comparison.get("config")
    return {
        "about": " · ".join(
            [
                f"{setup.options.get('images')} targets of each kind",
                "×".join(map(str, setup.image_shape)),
                f"{len(setup.arms)} kinds of noise",
                f"{len(setup.seeds)} seed{'s' if len(setup.seeds) != 1 else ''}",
                f"latents in {setup.space}",
            ]
        ),
        "sentences": study.sentences,
        "kinds": setup.kinds,
        "how": how(study),
        "tables": [grouped(table) for table in tables(study)],
        "diagrams": [
            diagram(partial(score_panel, study, score), score_alt(study, score)) for score in SCORES
        ],
        "arms": [{"arm": arm, "label": arm_label(arm)} for arm in setup.arms],
        "seed": setup.seeds[0],
        "pictures": list(_pictures(study)),
        "given": flat(setup.options),
        "trained": flat(trained if isinstance(trained, dict) else {}),
        "environment": flat({"package": setup.version, "commit": setup.commit} | dict(setup.environment)),
    }


def _pictures(study: InversionStudy) -> Iterator[View]:
    """For each kind of target the images of the first seed: targets, and what each arm makes of them."""
    arms, seed = study.setup.arms, study.setup.seeds[0]
    shared = _read(study, "targets", study.kinds)
    for kind in study.kinds:
        found = {arm: _read(study, f"{arm}-seed{seed}-{kind}", [*ROWS, OWN]) for arm in arms}
        rows = [{"arm": None, "label": "targets", "picture": _strip(shared[kind])}] if kind in shared else []
        for arm, pictures in found.items():
            own = {OWN: "its own samples"} if kind not in shared else {}
            rows += [
                {"arm": arm, "label": f"{arm_label(arm)}, {label}", "picture": _strip(pictures[name])}
                for name, label in {**own, **ROWS}.items()
                if name in pictures
            ]
        yield {"kind": kind, "told": study.setup.kinds[kind], "rows": rows}


def _read(study: InversionStudy, name: str, tensors: list[str]) -> dict[str, Tensor]:
    path = study.folder / "artifacts" / f"{name}.safetensors"
    return read_tensors(path, dict.fromkeys(tensors, _IMAGES), AGAIN)


def _strip(images: Maps) -> Picture:
    shown = images[:SHOWN]
    return strip(shown, tile_size(shown.shape[2], shown.shape[3], _TILE), _GAP)

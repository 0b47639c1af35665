"""The page of the toy: one self-contained HTML file, what is seen first; figure and animation beside it."""

from functools import partial
from pathlib import Path

from riemann_noise_pytorch.report.page import View, data_uri, diagram, flat, grouped, write_page
from riemann_noise_pytorch.report.toy_animation import write_animation
from riemann_noise_pytorch.report.toy_course import good_panel, modes_strips
from riemann_noise_pytorch.report.toy_figure import points_figure, write_figure
from riemann_noise_pytorch.report.toy_records import ToyRecords, read_toy
from riemann_noise_pytorch.report.toy_tables import toy_table


def write_toy_report(folder: Path) -> Path:
    """Write ``report.html``, ``figure.png`` and ``animation.png`` into a folder of the toy.

    Args:
        folder: Written by ``riemann-noise toy``: ``records.jsonl`` and ``artifacts/``.

    Returns:
        The page's path. Equal folders give equal pages, byte for byte.

    Raises:
        InputError: Records or points are missing or damaged, or a file cannot be written.
    """
    records = read_toy(Path(folder))
    write_figure(records, records.folder / "figure.png")
    animation = write_animation(records, records.folder / "animation.png")
    return write_page("toy.html", _view(records, animation), records.folder / "report.html")


def _view(records: ToyRecords, animation: Path) -> View:
    """Everything that the template prints."""
    setup = records.setup
    losses = list(dict.fromkeys(arm.generator_loss for arm in records.arms))
    figures = [
        diagram(partial(points_figure, records, place), f"Generated points over training, seed {seed}.")
        for place, seed in enumerate(setup.seeds)
    ]
    panels = [
        diagram(partial(good_panel, records, loss), f"Share of good points over training, {loss} loss.")
        for loss in losses
    ]
    return {
        "sentences": [_unbroken(sentence) for sentence in records.sentences],
        "mixture": setup.mixture,
        "modes": len(records.centres),
        "seeds": list(setup.seeds),
        "steps": setup.steps[-1],
        "table_view": grouped(toy_table(records)),
        "figures": figures,
        "strips": diagram(partial(modes_strips, records), "Modes found over training, by arm and seed."),
        "panel_list": panels,
        "animation": data_uri(animation.read_bytes(), "png"),
        "option_lines": flat(setup.options),
        "environment": flat({"package": setup.version, "commit": setup.commit} | dict(setup.environment)),
    }


def _unbroken(sentence: str) -> str:
    """Keep the parts of a number with its deviation on one line."""
    return sentence.replace(" ± ", "\u00a0±\u00a0").replace(" %", "\u00a0%")

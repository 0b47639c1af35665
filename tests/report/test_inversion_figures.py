"""The diagrams of an inversion show what was recorded, and say it in words."""

from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.collections import LineCollection

from riemann_noise_pytorch.report.inversion_figures import (
    gain_alt,
    gain_panel,
    has_curve,
    loss_alt,
    loss_panel,
    stage_starts,
)
from riemann_noise_pytorch.report.inversion_records import read_inversion
from riemann_noise_pytorch.report.themes import DARK, LIGHT, to_svg
from tests.report.inversion_folder import Folder, fabricate


@pytest.fixture(autouse=True)
def _plain_text():
    with mpl.rc_context({"text.parse_math": False}):
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return fabricate(tmp_path / "out")


def test_the_loss_is_drawn_over_the_steps_with_the_place_of_the_second_stage(folder: Folder) -> None:
    records = read_inversion(folder.path)
    axes = loss_panel(records, LIGHT).axes[0]
    best, median, stage = axes.lines
    for line, name in ((best, "curve/best"), (median, "curve/median")):
        drawn = line.get_ydata()
        assert np.flatnonzero(np.isnan(drawn)).tolist() == [30]
        assert np.allclose(drawn[~np.isnan(drawn)], folder.tensors[name])
    assert stage.get_xdata()[0] == 30
    assert stage_starts(records) == [30]
    assert axes.get_yscale() == "log"
    assert {"median", "best"} <= {text.get_text() for text in axes.texts}


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_a_loss_that_is_zero_endless_or_of_one_step_is_drawn(folder: Folder, theme) -> None:
    for name in ("curve/median", "curve/best"):
        folder.tensors[name][:3] = (0.0, np.inf, np.nan)
    records = read_inversion(folder.write().path)
    ElementTree.fromstring(to_svg(partial(loss_panel, records), theme))
    folder.tensors |= {name: folder.tensors[name][:1] for name in folder.tensors if name.startswith("curve/")}
    records = read_inversion(folder.write().path)
    ElementTree.fromstring(to_svg(partial(loss_panel, records), theme))
    folder.tensors["curve/best"][:] = np.nan
    assert "best –" in loss_alt(read_inversion(folder.write().path))


def test_without_its_curve_there_is_no_loss_to_draw(folder: Folder) -> None:
    assert has_curve(read_inversion(folder.path))
    del folder.tensors["curve/median"], folder.tensors["curve/stages"]
    records = read_inversion(folder.write().path)
    assert not has_curve(records)
    assert stage_starts(records) == []


def test_the_hardest_image_stands_on_top_of_the_gains(folder: Folder) -> None:
    axes = gain_panel(read_inversion(folder.path), LIGHT).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()][-1] == "face 00.png"
    lengths = [line[1, 0] - line[0, 0] for line in _segments(axes)]
    assert lengths == pytest.approx([7.5] * 3)


def test_images_without_a_psnr_have_no_line(folder: Folder) -> None:
    folder.of("image")[0]["with"]["psnr"] = None
    assert len(_segments(gain_panel(read_inversion(folder.write().path), LIGHT).axes[0])) == 2
    for image in folder.of("image"):
        image["with"]["psnr"] = None
    assert _segments(gain_panel(read_inversion(folder.write().path), LIGHT).axes[0]) == []


def test_many_images_have_no_names_and_a_figure_that_stays_on_the_page(tmp_path: Path) -> None:
    records = read_inversion(fabricate(tmp_path / "out", images=150, size=4).path)
    figure = gain_panel(records, LIGHT)
    assert not figure.axes[0].get_yticklabels()
    assert 72 * figure.get_size_inches()[1] < 1100
    assert "150 images" in gain_alt(records)


def test_what_the_pictures_show_is_told_in_words(folder: Folder) -> None:
    records = read_inversion(folder.path)
    assert loss_alt(records) == (
        "Loss over 39 steps, at the end median 0.0231 and best 0.00314; a new stage at step 30."
    )
    assert gain_alt(records).startswith(
        "PSNR in dB without and with the noise: median +7.31 dB, 95 % interval 6.50 to 8.00; face 00.png "
        "20.00 to 27.50;"
    )


def _segments(axes):
    return [
        segment
        for collection in axes.collections
        if isinstance(collection, LineCollection)
        for segment in collection.get_segments()
    ]

from functools import partial
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import same_color, to_rgb

from riemann_noise_pytorch.report.diagnosis_figures import depth_colours, depth_panel, spectra_panel
from riemann_noise_pytorch.report.diagnosis_records import read_diagnosis
from riemann_noise_pytorch.report.themes import DARK, LIGHT, to_svg
from tests.report.diagnosis_folder import LAYERS, TOLERANCE, fabricate


@pytest.fixture(autouse=True)
def _plain_text():
    with mpl.rc_context({"text.parse_math": False}):
        yield


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return read_diagnosis(fabricate(tmp_path_factory.mktemp("figures")).path)


@pytest.fixture
def folder(tmp_path):
    return fabricate(tmp_path / "out", layers=LAYERS[-3:], joint=False)


def _texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_each_layer_has_one_line_of_its_relative_singular_values(records):
    (axes,) = spectra_panel(records, joint=False, theme=LIGHT).axes
    layers = records.depth()
    lines = axes.lines[: len(layers)]
    for line, layer in zip(lines, layers, strict=True):
        values = records.spectrum(layer)
        relative = values / values[:, :1]
        drawn = np.asarray(line.get_ydata())
        kept = relative.min(0) > TOLERANCE
        np.testing.assert_allclose(drawn[kept], np.exp(np.log(relative).mean(0))[kept])
        assert kept.sum() == min(layer.rank) or layer.name == "stage4"


def test_the_scale_of_the_spectra_ends_below_the_tolerance_where_ranks_are_lost(records):
    (axes,) = spectra_panel(records, joint=False, theme=LIGHT).axes
    assert axes.get_yscale() == "log"
    assert axes.get_ylim()[0] == pytest.approx(TOLERANCE / 100)
    assert "tolerance" in _texts(axes.figure)


def test_the_scale_of_full_ranks_shows_the_values_and_names_the_tolerance(folder):
    for name in list(folder.tensors):
        if name.startswith("spectrum/"):
            folder.tensors[name] = np.tile(np.geomspace(4.0, 0.04, 64), (4, 1))
    figure = spectra_panel(read_diagnosis(folder.write().path), joint=False, theme=LIGHT)
    low, high = figure.axes[0].get_ylim()
    assert 1e-3 < low < 0.01
    assert high == 2.0
    assert "tolerance 2e-13, below this scale" in _texts(figure)


def test_spectra_without_a_tolerance_or_of_zero_are_drawn(folder):
    for record in folder.of("layer"):
        del record["tolerance"]
    folder.tensors["spectrum/z/image"] = np.zeros((4, 64))
    svg = to_svg(partial(spectra_panel, read_diagnosis(folder.write().path), False), LIGHT)
    assert ElementTree.fromstring(svg).tag.endswith("svg")


def test_the_last_layer_has_the_colour_of_the_text_and_the_others_differ():
    for theme in (LIGHT, DARK):
        colours = depth_colours(9, theme)
        assert len(set(colours)) == 9
        assert same_color(colours[-1], theme.ink)
        assert depth_colours(1, theme) == [theme.ink]
        paper = np.array(to_rgb(theme.paper))
        assert all(np.abs(np.array(to_rgb(colour)) - paper).max() > 0.3 for colour in colours)


def test_the_rank_is_a_step_line_at_the_median(records):
    (axes,) = depth_panel(records, joint=False, theme=LIGHT).axes
    ranks = [rank for _, _, rank in LAYERS]
    assert list(axes.lines[0].get_ydata()) == list(np.repeat(ranks, 2))
    assert [label.get_text() for label in axes.get_xticklabels()] == [name for name, _, _ in LAYERS]


def test_ambiguous_ranks_are_marked(records):
    (axes,) = depth_panel(records, joint=False, theme=LIGHT).axes
    (hollow,) = [line for line in axes.lines if line.get_linestyle() == "None"]
    assert (list(hollow.get_xdata()), list(hollow.get_ydata())) == ([3], [63.0])


def test_the_dimension_of_the_data_is_a_band_where_it_is_known(records, folder):
    assert "data" in _texts(depth_panel(records, joint=False, theme=LIGHT))
    folder.drop("dimension", what="data")
    assert "data" not in _texts(depth_panel(read_diagnosis(folder.write().path), joint=False, theme=LIGHT))


def test_everything_drawn_by_depth_lies_within_the_scale(records):
    for joint in (False, True):
        (axes,) = depth_panel(records, joint=joint, theme=LIGHT).axes
        low, high = axes.get_ylim()
        layers = records.depth(joint=joint)
        assert low <= min(min(layer.stable_rank) for layer in layers)
        assert high >= max(max(layer.rank) for layer in layers)


def test_ranks_in_the_latent_stand_on_zero(records):
    (axes,) = depth_panel(records, joint=False, theme=LIGHT).axes
    assert axes.get_yscale() == "linear"
    assert axes.get_ylim()[0] == 0
    assert axes.get_ylim()[1] > 64


def test_joint_ranks_of_many_decades_take_a_logarithmic_scale(records):
    assert depth_panel(records, joint=True, theme=LIGHT).axes[0].get_yscale() == "log"


def test_names_at_the_right_never_overlap(records):
    for draw in (depth_panel, spectra_panel):
        (axes,) = draw(records, joint=False, theme=LIGHT).axes
        heights = sorted(text.get_position()[1] for text in axes.texts if text.get_position()[0] == 1.02)
        assert len(heights) >= 5
        assert min(np.diff(heights)) > 0.06
        assert heights[-1] <= 1 + 1e-9


@pytest.mark.parametrize("count", [1, 2, 40, 150])
def test_any_number_of_layers_fits(tmp_path, count):
    layers = [(f"synthesis.block{i}.conv0.activation", (8, 4, 4), 60 - i // 4) for i in range(count)]
    records = read_diagnosis(fabricate(tmp_path, layers=layers, joint=False).path)
    figure = depth_panel(records, joint=False, theme=LIGHT)
    width, height = 72 * figure.get_size_inches()
    assert width <= max(1080, 130 + 12 * count)
    assert height < 500
    names = [text for text in _texts(spectra_panel(records, joint=False, theme=LIGHT)) if "conv0" in text]
    assert 1 <= len(names) <= 14


@pytest.mark.parametrize("name", ["$x^{", "<script>alert(1)</script>", "\x00\x1b", "a & b", ""])
def test_any_layer_name_gives_a_sound_picture(tmp_path, name):
    records = read_diagnosis(fabricate(tmp_path, layers=[("first", (4,), 4), (name, (4,), 4)]).path)
    for draw in (depth_panel, spectra_panel):
        svg = to_svg(partial(draw, records, False), LIGHT)
        assert ElementTree.fromstring(svg).tag.endswith("svg")
        assert "<script" not in svg

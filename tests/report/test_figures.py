import re
from functools import partial
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import same_color

from riemann_noise_pytorch.report.figures import loss_panel, metric_panel, noisy_arms, strength_panel
from riemann_noise_pytorch.report.records import read_comparison
from riemann_noise_pytorch.report.themes import LIGHT, arm_colour, to_svg
from tests.report.compare_folder import ARMS, LAYERS, METRICS, fabricate


@pytest.fixture(autouse=True)
def _plain_text():
    with mpl.rc_context({"text.parse_math": False}):
        yield


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    return read_comparison(fabricate(tmp_path_factory.mktemp("figures")).path)


@pytest.fixture
def folder(tmp_path):
    return fabricate(tmp_path / "out", seeds=(0, 1), images=4)


def _texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def _coloured(lines, arm):
    return [line for line in lines if same_color(line.get_color(), arm_colour(arm))]


@pytest.mark.parametrize("metric", METRICS)
def test_each_seed_has_its_dot_at_its_value(comparison, metric):
    (axes,) = metric_panel(comparison, metric, LIGHT).axes
    for place, arm in enumerate(ARMS):
        dots = sorted(_coloured(axes.lines, arm), key=lambda line: float(line.get_xdata()[0]))
        rows = [row for row in comparison.measurements if (row.metric, row.arm) == (metric, arm)]
        assert [float(dot.get_ydata()[0]) for dot in dots] == [row.value for row in rows]
        assert all(abs(float(dot.get_xdata()[0]) - place) < 0.4 for dot in dots)


def test_the_floor_is_drawn_where_there_is_one(comparison):
    assert "floor" in _texts(metric_panel(comparison, "swd", LIGHT))
    assert "floor" not in _texts(metric_panel(comparison, "mc_z", LIGHT))


@pytest.mark.parametrize(
    ("low", "scale"), [(50.0, "linear"), (1.0, "log"), (0.0, "linear"), (-3.0, "linear")]
)
def test_the_scale_is_logarithmic_for_wide_positive_values_alone(folder, low, scale):
    for record in folder.of("measurement", metric="mc_z"):
        record.update(value=low, low=low, high=60.0)
    (axes,) = metric_panel(read_comparison(folder.write().path), "mc_z", LIGHT).axes
    assert axes.get_yscale() == scale


def test_everything_drawn_lies_within_the_scale(comparison):
    for metric in METRICS:
        (axes,) = metric_panel(comparison, metric, LIGHT).axes
        low, high = axes.get_ylim()
        rows = [row for row in comparison.measurements if row.metric == metric]
        assert low < min(row.low for row in rows)
        assert high > max(row.high for row in rows)


def test_values_that_are_not_finite_are_left_out(folder):
    folder.of("measurement", metric="swd", arm="none", seed=0)[0].update(value=float("nan"), low=float("inf"))
    folder.of("run", arm="none", seed=0)[0]["stats"][3]["loss_g"] = float("nan")
    comparison = read_comparison(folder.write().path)
    (axes,) = metric_panel(comparison, "swd", LIGHT).axes
    assert len(_coloured(axes.lines, "none")) == 1
    assert np.isfinite(axes.get_ylim()).all()
    assert np.isfinite(loss_panel(comparison, "none", LIGHT).axes[0].get_ylim()).all()


@pytest.mark.parametrize("arm", ARMS)
def test_each_seed_has_one_line_in_each_loss_panel(comparison, arm):
    for axes, key in zip(loss_panel(comparison, arm, LIGHT).axes, ("loss_g", "loss_d"), strict=True):
        runs = [run for run in comparison.runs if run.arm == arm]
        drawn = [list(map(float, line.get_ydata())) for line in axes.lines]
        assert drawn == [[entry[key] for entry in run.stats] for run in runs]


def test_loss_panels_of_all_arms_share_their_scale(comparison):
    limits = {arm: [axes.get_ylim() for axes in loss_panel(comparison, arm, LIGHT).axes] for arm in ARMS}
    assert limits["none"] == limits["euclidean"] == limits["riemannian"]


def test_only_arms_with_noise_have_strengths(comparison):
    assert noisy_arms(comparison) == ["euclidean", "riemannian"]


def test_strengths_have_one_line_for_each_layer_and_seed(comparison):
    figure = strength_panel(comparison, "riemannian", LIGHT)
    assert len(figure.axes[0].lines) == 3 * len(LAYERS)
    run = next(run for run in comparison.runs if run.arm == "riemannian")
    first = [entry["noise_strengths"]["stage4.noise"] for entry in run.stats]
    assert list(map(float, figure.axes[0].lines[0].get_ydata())) == first
    assert {"stage4", "stage8", "stage16"} <= set(_texts(figure))


def test_final_strengths_alone_are_dots(folder):
    for record in folder.of("run"):
        for entry in record["stats"]:
            del entry["noise_strengths"]
    figure = strength_panel(read_comparison(folder.write().path), "euclidean", LIGHT)
    assert [line.get_marker() for line in figure.axes[0].lines] == ["o"] * (2 * len(LAYERS))


def test_names_of_layers_never_overlap(folder):
    for record in folder.of("run", arm="euclidean"):
        record["strengths"] = {f"layer{i}": 0.1 for i in range(11)}
        record["stats"] = []
    figure = strength_panel(read_comparison(folder.write().path), "euclidean", LIGHT)
    heights = sorted(text.get_position()[1] for text in figure.axes[0].texts if "layer" in text.get_text())
    assert len(heights) == 11
    assert min(np.diff(heights)) > 0.08
    assert heights[-1] <= 1 + 1e-9


@pytest.mark.parametrize("name", ["$x^{", "<script>alert(1)</script>", "\x00\x1b\ud800", "a & b"])
def test_any_layer_name_gives_a_sound_picture(folder, name):
    for record in folder.of("run", arm="euclidean"):
        record["strengths"] = {name: 0.1}
    comparison = read_comparison(folder.write().path)
    svg = to_svg(partial(strength_panel, comparison, "euclidean"), LIGHT)
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert "<script" not in svg


def test_pictures_ask_nothing_of_the_network(comparison):
    svg = to_svg(partial(metric_panel, comparison, "swd"), LIGHT)
    assert not re.findall(r"(?:href|src)=\"(?!#)|url\((?!#)|@import", svg)


def test_a_metric_that_one_arm_lacks_is_drawn_for_the_others(folder):
    folder.drop("measurement", metric="swd", arm="euclidean")
    folder.drop("summary", metric="swd", arm="euclidean")
    (axes,) = metric_panel(read_comparison(folder.write().path), "swd", LIGHT).axes
    assert [len(_coloured(axes.lines, arm)) for arm in ARMS] == [2, 0, 2]
    assert len(axes.get_xticks()) == 3

import matplotlib as mpl
import numpy as np
import pytest

from riemann_noise_pytorch.report.diagnosis_numbers import (
    condition_alt,
    condition_panel,
    share_alt,
    share_panel,
)
from riemann_noise_pytorch.report.diagnosis_records import read_diagnosis
from riemann_noise_pytorch.report.themes import LIGHT
from tests.report.diagnosis_folder import GROUPS, LAYERS, fabricate


@pytest.fixture(autouse=True)
def _plain_text():
    with mpl.rc_context({"text.parse_math": False}):
        yield


@pytest.fixture
def folder(tmp_path):
    return fabricate(tmp_path / "out", layers=LAYERS[-1:], joint=False)


def _texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_every_pair_is_counted_once(folder):
    records = read_diagnosis(folder.path)
    for condition in records.conditions:
        (axes,) = condition_panel(records, condition, LIGHT).axes
        (stairs,) = axes.patches
        assert stairs.get_data().values.sum() == 5000
        assert axes.get_xscale() == "log"


def test_mean_and_tail_are_marked_and_exact_values_stand_on_the_floor(folder):
    records = read_diagnosis(folder.path)
    figure = condition_panel(records, records.conditions[0], LIGHT)
    words = " ".join(_texts(figure))
    assert "MC 0.6" in words
    assert "tail 1.38" in words
    floor = next(line for line in figure.axes[0].lines if line.get_marker() == "|")
    assert sorted(floor.get_xdata()) == [8.4, 9.1, 9.9, 11.0]
    assert figure.axes[0].get_xlim()[1] > 11


def test_the_tail_is_called_ttmc_where_it_is_the_papers(folder):
    folder.of("condition", space="z")[0]["ttmc_name"] = "TTMC (z, 50,000 pairs, std 0.0001)"
    records = read_diagnosis(folder.write().path)
    assert "TTMC 1.38" in _texts(condition_panel(records, records.conditions[0], LIGHT))


@pytest.mark.parametrize("values", [[0.0, 0.0], [1.0], [np.inf, np.nan, 2.0]])
def test_odd_values_are_drawn(folder, values):
    folder.tensors["condition/z"] = np.array(values)
    folder.of("condition", space="z")[0].update(mc=float("nan"), ttmc=None, local=[])
    records = read_diagnosis(folder.write().path)
    (axes,) = condition_panel(records, records.conditions[0], LIGHT).axes
    assert np.isfinite(axes.get_xlim()).all()


def test_each_group_has_a_bar_for_itself_and_one_with_others(folder):
    records = read_diagnosis(folder.path)
    (axes,) = share_panel(records, LIGHT).axes
    widths = [patch.get_width() for patch in axes.patches]
    assert widths == [value for pair in GROUPS.values() for value in pair]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(GROUPS)


def test_errors_of_shares_lie_within_the_scale(folder):
    folder.of("share", group="latent")[0].update(first=-0.1, first_error=0.05, total=1.2, total_error=0.1)
    (axes,) = share_panel(read_diagnosis(folder.write().path), LIGHT).axes
    low, high = axes.get_xlim()
    assert low < -0.15
    assert high > 1.3


def test_shares_without_errors_or_values_are_drawn(folder):
    folder.of("share", group="latent")[0].update(first=float("nan"), first_error=None, total_error=None)
    (axes,) = share_panel(read_diagnosis(folder.write().path), LIGHT).axes
    assert axes.patches[0].get_width() == 0


def test_pictures_have_their_numbers_in_words(folder):
    records = read_diagnosis(folder.path)
    assert condition_alt(records.conditions[0]).startswith("Condition numbers in z: mean 0.6")
    assert "latent 0.710 alone, 0.860 in all" in share_alt(records.shares)

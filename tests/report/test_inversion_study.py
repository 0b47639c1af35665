"""Records of the study of inversion are read whole or refused; tables, figure and page show all of them."""

import json

import pytest

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.inversion_study.targets import KINDS
from riemann_noise_pytorch.report.inversion_study import read_inversion_study
from riemann_noise_pytorch.report.inversion_study_figures import write_study_figure
from riemann_noise_pytorch.report.inversion_study_page import write_inversion_study_page
from riemann_noise_pytorch.report.inversion_study_tables import (
    difference_table,
    hidden_table,
    noise_table,
    score_table,
    tables,
)
from riemann_noise_pytorch.report.tables import plain
from tests.report.inversion_study_folder import records, write_folder
from tests.report.parsed_page import HOSTILE, Page, assert_whole_and_alone


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("study") / "out")


def test_the_tables_hold_every_arm_and_kind(folder):
    study = read_inversion_study(folder)
    table = score_table(study)
    assert [row[0] for row in table.rows] == [kind for kind in KINDS for _ in range(3)]
    assert table.rows[0][:2] == ["plain", "no noise"]
    assert float(table.rows[0][3]) == pytest.approx(20, rel=0.01)
    assert len(difference_table(study).rows) == 4 * 2 * 3
    assert {row[-1] for row in difference_table(study).rows} >= {"lower", "no difference shown"}
    noise = noise_table(study)
    assert [row[1] for row in noise.rows[:2]] == ["Euclidean", "Riemannian"]
    assert {row[4] for row in noise.rows} == {"+1.00"}
    hidden = hidden_table(study)
    assert [row[1] for row in hidden.rows] == ["no noise", "Euclidean", "Riemannian"]
    assert hidden.rows[0][4:] == ["–", "–"]
    assert all(plain(each) for each in tables(study))


def test_one_seed_has_no_table_of_differences(tmp_path):
    study = read_inversion_study(write_folder(tmp_path, records(seeds=(0,))))
    assert "Differences, paired by seed, noise frozen" not in [table.title for table in tables(study)]
    assert score_table(study).rows[0][4] == "–"
    write_inversion_study_page(tmp_path)
    write_study_figure(study, tmp_path)


def test_the_figure_shows_both_scores_and_every_kind(folder, tmp_path):
    svg = write_study_figure(read_inversion_study(folder), tmp_path).read_text()
    assert svg.startswith("<svg")
    for words in ("Squared error x1e3", "Pyramid distance x1e3", "Riemannian", *KINDS):
        assert words in svg


def test_the_page_is_whole_and_begins_with_what_became_of_the_claim(folder):
    text = write_inversion_study_page(folder).read_text()
    assert_whole_and_alone(text)
    page = Page(text)
    assert page.text.index("The paper's claim at this scale") < page.text.index("How near")
    assert len([image for image in page.all("img") if "plain:" in image["alt"]]) == 1 + 1 + 2 + 2
    assert len([image for image in page.all("img") if "self:" in image["alt"]]) == 2 + 3 + 3
    assert write_inversion_study_page(folder).read_text() == text


def test_what_a_page_prints_is_escaped(tmp_path):
    told = dict.fromkeys(KINDS, HOSTILE)
    assert_whole_and_alone(write_inversion_study_page(write_folder(tmp_path, records(told=told))).read_text())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda every: every[1:], "no record of type setup; run riemann-noise inversion-study again"),
        (lambda every: [r for r in every if r["record"] != "scores"], "no record of type scores"),
        (lambda every: [every[0] | {"arms": ["none"]}, *every[1:]], "which its setup lacks"),
        (
            lambda every: [every[0] | {"held_out": "yes"}, *every[1:]],
            "'held_out' of a setup has a wrong type",
        ),
        (
            lambda every: [every[0], {k: v for k, v in every[1].items() if k != "frozen"}],
            "a scores record lacks 'frozen'",
        ),
    ],
)
def test_records_that_cannot_be_used_are_refused(tmp_path, change, words):
    (tmp_path / "records.jsonl").write_text("".join(json.dumps(r) + "\n" for r in change(records())))
    with pytest.raises(InputError, match=words):
        read_inversion_study(tmp_path)


def test_a_missing_picture_is_refused_and_the_page_stays(tmp_path):
    page = write_inversion_study_page(write_folder(tmp_path))
    before = page.read_text()
    (tmp_path / "artifacts" / "none-seed0-off.safetensors").unlink()
    with pytest.raises(InputError, match=r"none-seed0-off\.safetensors is missing; restore it, or run"):
        write_inversion_study_page(tmp_path)
    assert page.read_text() == before

"""The page of the experiments on the theory."""

import json
import re
from dataclasses import replace

import pytest

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.report.tables import plain
from riemann_noise_pytorch.report.themes import LIGHT, to_svg
from riemann_noise_pytorch.report.theory_figures import shown_points, statement_panel
from riemann_noise_pytorch.report.theory_page import headline, theory_table, write_theory_page
from riemann_noise_pytorch.report.theory_records import CurveRecord, read_theory

SETUP = {"record": "setup", "version": "0.1.0", "environment": {"torch": "2"}, "options": {"seed": 0}}


def statement(name="Theorem 3", holds=True, **changes):
    return {
        "record": "statement", "name": name, "statement": "It is so.", "experiment": "it was tried",
        "measured": "order 2.00", "expected": "order 2", "holds": holds, "x_label": "r", "y_label": "error",
        "log_x": True, "log_y": True, "remark": "A remark.", "seconds": 1.5,
    } | changes  # fmt: skip


def curve(name="Theorem 3", label="sphere", kind="points", x=(0.1, 1.0), y=(0.01, 1.0)):
    return {"record": "curve", "statement": name, "label": label, "x": list(x), "y": list(y), "kind": kind}


def write(folder, *records):
    folder.mkdir(exist_ok=True)
    (folder / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


@pytest.fixture
def folder(tmp_path):
    return write(
        tmp_path / "theory",
        SETUP,
        statement(),
        curve(),
        curve(label="slope 2", kind="guide"),
        statement("Lemma 2", False, log_x=False, log_y=False),
        curve("Lemma 2", "chain", x=(0, 1), y=(64, 20)),
        statement("Eq. 15", None, remark=""),
    )


def test_records_are_read_with_their_curves(folder):
    records = read_theory(folder)
    assert [one.name for one in records.statements] == ["Theorem 3", "Lemma 2", "Eq. 15"]
    assert [one.label for one in records.curves_of("Theorem 3")] == ["sphere", "slope 2"]
    assert records.curves_of("Eq. 15") == []


def test_the_page_tells_every_outcome_and_holds_its_pictures(folder):
    page = write_theory_page(folder).read_text()
    assert "1 of 2 statements hold where they were tried; Lemma 2 does not." in page
    for words in ("holds", "does not hold", "measured"):
        assert re.search(rf">\s*{words}\s*<", page)
    assert page.count("data:image/svg+xml;base64,") == 4
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "<script" not in page


def test_equal_folders_give_equal_pages(folder):
    assert write_theory_page(folder).read_bytes() == write_theory_page(folder).read_bytes()


def test_text_of_records_is_escaped(tmp_path):
    folder = write(tmp_path, SETUP, statement(statement="a < b <script>"), curve(label="<i>"))
    assert "<script" not in write_theory_page(folder).read_text()


@pytest.mark.parametrize(
    ("outcomes", "words"),
    [
        ([True, True, None], "All 2 statements hold where they were tried."),
        ([False, False], "None of 2 statements hold where they were tried; S0, S1 do not."),
    ],
)
def test_the_headline_counts(tmp_path, outcomes, words):
    folder = write(tmp_path, SETUP, *(statement(f"S{i}", holds) for i, holds in enumerate(outcomes)))
    assert headline(read_theory(folder)) == words


def test_the_table_names_outcomes(folder):
    text = plain(theory_table(read_theory(folder)))
    assert "does not hold" in text
    assert "order 2.00" in text


def test_logarithmic_axes_leave_out_what_they_cannot_show(folder):
    logarithmic, linear, _ = read_theory(folder).statements
    one = CurveRecord("s", "c", [2.0, 1.0, 0.0, 3.0], [1.0, 5.0, 1.0, -1.0])
    assert shown_points(one, logarithmic) == [(1.0, 5.0), (2.0, 1.0)]
    assert shown_points(one, replace(logarithmic, log_y=False)) == [(1.0, 5.0), (2.0, 1.0), (3.0, -1.0)]
    assert len(shown_points(one, linear)) == 4


def test_a_statement_without_points_has_an_empty_panel(folder):
    one = read_theory(folder).statements[0]
    assert "<svg" in to_svg(lambda theme: statement_panel(one, [], theme), LIGHT)


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "holds no statement"),
        ([SETUP], "holds no statement"),
        ([SETUP, statement(holds="yes")], "'holds' of a statement has a wrong type"),
        ([SETUP, statement(), curve(x=(1.0,))], "a curve of Theorem 3 is damaged"),
        ([SETUP, statement(), curve(kind="blob")], "a curve of Theorem 3 is damaged"),
    ],
)
def test_damaged_records_are_refused_in_one_line(tmp_path, records, message):
    with pytest.raises(InputError, match=message) as caught:
        read_theory(write(tmp_path, *records))
    assert "\n" not in str(caught.value)


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds no records\.jsonl"):
        write_theory_page(tmp_path)

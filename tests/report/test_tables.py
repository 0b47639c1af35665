import re

import pytest

from riemann_noise_pytorch.report.records import read_comparison
from riemann_noise_pytorch.report.tables import (
    DIFFERENCE_COLUMNS,
    SUMMARY_COLUMNS,
    difference_table,
    markdown,
    number,
    plain,
    summary_table,
)
from tests.report.compare_folder import ARMS, METRICS, fabricate


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    return read_comparison(fabricate(tmp_path_factory.mktemp("tables")).path)


def _heading(table, heading):
    return [column.heading for column in table.columns].index(heading)


def test_the_two_spreads_stand_in_separate_columns(comparison):
    table = summary_table(comparison)
    within, between = _heading(table, "± within"), _heading(table, "SD between")
    one = next(row for row in comparison.summaries if (row.metric, row.arm) == ("swd", "none"))
    assert table.rows[0][within] == f"{one.within:.1f}"
    assert table.rows[0][between] == f"{one.between:.1f}"
    assert table.rows[0][within] != table.rows[0][between]


def test_rows_run_metric_by_metric_with_the_arms_in_order(comparison):
    table = summary_table(comparison)
    assert [column.heading for column in table.columns] == [column.heading for column in SUMMARY_COLUMNS]
    assert list(table.arms) == list(ARMS) * len(METRICS)
    assert [row[1] for row in table.rows[:3]] == ["no noise", "Euclidean", "Riemannian"]


def test_references_stand_beside_the_values(comparison):
    table = summary_table(comparison)
    untrained, floor = _heading(table, "untrained"), _heading(table, "floor")
    assert [row[floor] for row in table.rows] == ["22.0"] * 3 + ["–"] * 12
    assert table.rows[0][untrained] == "390.0"


def test_a_reference_that_nothing_has_takes_no_column(tmp_path):
    folder = fabricate(tmp_path / "out", seeds=(0,), metrics=("mc_z",))
    table = summary_table(read_comparison(folder.path))
    assert "floor" not in [column.heading for column in table.columns]
    assert {len(row) for row in table.rows} == {len(table.columns)}


def test_a_single_seed_has_no_spread_between_seeds_and_no_test(tmp_path):
    comparison = read_comparison(fabricate(tmp_path / "out", seeds=(0,), metrics=("swd",), images=4).path)
    table = summary_table(comparison)
    assert {row[_heading(table, "SD between")] for row in table.rows} == {"–"}
    differences = difference_table(comparison)
    assert {row[_heading(differences, "interval")] for row in differences.rows} == {"–"}
    assert {row[_heading(differences, "outcome")] for row in differences.rows} == {"not tested"}


def test_the_outcome_is_that_of_the_verdict(comparison):
    table = difference_table(comparison)
    assert len(table.rows) == len(comparison.differences) == 15
    words = [row[_heading(table, "outcome")] for row in table.rows]
    said = [row.verdict for row in comparison.differences]
    for word, key in (
        ("no difference shown", "no difference shown"),
        ("lower", "is lower"),
        ("higher", "is higher"),
    ):
        assert words.count(word) == sum(key in sentence for sentence in said)
    assert len(set(words)) > 1


def test_differences_carry_a_sign_and_their_interval(comparison):
    table = difference_table(comparison)
    assert [column.heading for column in table.columns] == [column.heading for column in DIFFERENCE_COLUMNS]
    for row in table.rows:
        assert row[_heading(table, "difference")][0] in "+-"
        assert re.fullmatch(r"[+-][\d.,]+ to [+-][\d.,]+", row[_heading(table, "interval")])


def test_markdown_is_a_table_whatever_the_cells_hold(tmp_path):
    folder = fabricate(tmp_path / "out", seeds=(0,), metrics=("swd",), images=4)
    for record in folder.records:
        if record.get("metric") == "swd":
            record["metric"] = "a|b\nc<script>\\"
        if record.get("name"):
            record["name"] = "a|b\nc<script>\\"
    table, notes = markdown(summary_table(read_comparison(folder.write().path))).split("\n\n")
    assert notes == r"- a\|b c&lt;script>\\"
    lines = table.splitlines()
    assert len(lines) == 2 + 3
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {9}
    assert "<script>" not in "".join(lines)
    assert re.fullmatch(r"\|( -+:? \|)+", lines[1])


def test_plain_text_aligns_and_names_each_metric_once(comparison):
    table, notes = plain(summary_table(comparison)).split("\n\n")
    assert len(notes.splitlines()) == len(METRICS)
    lines = table.splitlines()
    assert len(lines) == 2 + 15
    assert len({len(line) for line in lines}) == 1
    assert sum("sliced Wasserstein" in line for line in lines) == 1


def test_plain_text_holds_no_control_characters(tmp_path):
    folder = fabricate(tmp_path / "out", seeds=(0,), metrics=("swd",), images=4)
    for record in folder.records:
        if record.get("metric") == "swd":
            record["metric"] = record["name"] = "\x1b[31mred\x07"
    text = plain(summary_table(read_comparison(folder.write().path)))
    assert "\x1b" not in text
    assert "\x07" not in text


@pytest.mark.parametrize(
    ("value", "places", "written"),
    [
        (0.0, 1, "0.0"),
        (-3.25, 1, "-3.2"),
        (0.04, 1, "<0.1"),
        (float("nan"), 2, "not finite"),
        (float("inf"), 2, "not finite"),
        (2.5e9, 1, "2.500e+09"),
        (None, 0, "–"),
    ],
)
def test_numbers_are_written_for_a_reader(value, places, written):
    assert number(value, places) == written

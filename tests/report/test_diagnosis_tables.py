import math
from dataclasses import replace

import pytest

from riemann_noise_pytorch.report.diagnosis_records import Profile, read_diagnosis
from riemann_noise_pytorch.report.diagnosis_tables import (
    layer_rows,
    layer_table,
    least_margin,
    notes,
    number_table,
    protocol,
    rank_text,
    three_digits,
)
from riemann_noise_pytorch.report.tables import plain
from tests.report.diagnosis_folder import GROUPS, LAYERS, fabricate


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return read_diagnosis(fabricate(tmp_path_factory.mktemp("tables")).path)


def _column(table, heading):
    place = [column.heading for column in table.columns].index(heading)
    return [row[place] for row in table.rows]


def test_there_is_one_row_for_each_layer_in_order(records):
    table = layer_table(records)
    assert _column(table, "layer") == [name for name, _, _ in LAYERS]
    assert _column(table, "shape")[0] == "64x4x4"
    assert _column(table, "rank")[4:6] == ["48", "48"]


def test_ranks_that_differ_over_latents_show_their_range_and_ambiguous_ones_a_mark(records):
    assert _column(layer_table(records), "rank")[3] == "63 (60–63)?"
    assert any(note.startswith("?: ") for note in layer_table(records).notes)


def test_bars_are_the_share_of_the_inputs(records):
    assert [row.share for row in layer_rows(records)] == [pytest.approx(rank / 64) for _, _, rank in LAYERS]


def test_a_diagnosis_without_noise_has_no_column_for_it(tmp_path):
    folder = fabricate(tmp_path, joint=False, layers=LAYERS[-2:])
    headings = [column.heading for column in layer_table(read_diagnosis(folder.path)).columns]
    assert "with noise" not in headings
    assert "with noise" in [c.heading for c in layer_table(read_diagnosis(fabricate(tmp_path).path)).columns]


def test_the_margin_is_the_smallest_on_either_side_and_may_have_no_end(records):
    layer = records.depth()[0]
    assert least_margin(replace(layer, margin_kept=[30.0, 4.0], margin_lost=[None, 7.0])) == 4.0
    assert least_margin(replace(layer, margin_kept=[None], margin_lost=[None])) == math.inf


def test_of_an_even_number_of_latents_the_lower_median_is_shown(records):
    layer = replace(records.depth()[0], rank=[60, 61, 62, 64], ambiguous=False)
    assert rank_text(layer) == "61 (60–64)"


def test_all_other_numbers_stand_with_their_interval_and_protocol(records):
    table = number_table(records)
    named = {row[0]: row[1:] for row in table.rows}
    assert named["dimension of the data"] == ["31.5", "30.9 to 32.1", "MLE, k = 20, 5,000 images"]
    assert named["mean condition, z"][2] == "MC (z, 5,000 pairs, std 0.0001)"
    assert named["log cond(J^T J), z"][1] == "12.8 to inf"
    assert named["variance by latent alone"][:2] == ["0.710", "± 0.012"]
    assert named["variance by stage16.noise in all"][2] == "total Sobol index, ignored"
    assert sum(name.startswith("variance by") for name in named) == 2 * len(GROUPS)


def test_a_diagnosis_of_ranks_alone_has_no_other_numbers(tmp_path):
    folder = fabricate(tmp_path, layers=LAYERS[-1:])
    for kind in ("condition", "share", "dimension"):
        folder.drop(kind)
    assert number_table(read_diagnosis(folder.write().path)).rows == []


def test_the_protocol_says_mode_reason_tolerance_and_what_was_cut_short(records):
    lines = notes(records)
    assert lines[0] == (
        "Jacobians in the latent: 64 inputs, at 4 latents, forward mode (fewer inputs than outputs); "
        "counted as zero: max(m, n) eps of float64, of the largest"
    )
    assert lines[1].startswith("Jacobians in latent and noise: 1,408 inputs")
    assert lines[-1] == "To end in time: 13,049 of 50,000 pairs."


def test_what_was_left_out_is_told_with_its_reason(tmp_path):
    folder = fabricate(tmp_path)
    why = "the joint rank of latent and noise is left out: it cannot be followed"
    with folder.write().path.joinpath("diagnosis.jsonl").open("a") as file:
        file.write(f'{{"record": "remark", "text": "{why}"}}\n')
    assert notes(read_diagnosis(folder.path))[-1] == why


def test_a_sketch_and_a_remark_are_told():
    text = protocol(Profile(8, False, "reverse", "", "in float32", "1e-5", sketched=True, num_latents=1))
    assert text == (
        "Jacobians in the latent: 8 inputs, at 1 latent, reverse mode; counted as zero: 1e-5; "
        "singular values from a sketch of J; in float32"
    )


def test_the_plain_table_is_aligned(records):
    lines = plain(layer_table(records)).splitlines()
    assert len({len(line) for line in lines[: 2 + len(LAYERS)]}) == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.00"),
        (-0.5, "-0.500"),
        (1e6, "1.0e6"),
        (9.994e-5, "1.0e-4"),
        (1e12, "1.0e12"),
        (math.nan, "nan"),
    ],
)
def test_three_digits(value, text):
    assert three_digits(value) == text

"""Published numbers are rebuilt from committed records, and the demo keeps its promises."""

import json
import runpy
import statistics
from pathlib import Path

import pytest

from riemann_noise_pytorch.report import difference_table, markdown, read_comparison, summary_table
from riemann_noise_pytorch.report.inversion_study import read_inversion_study
from riemann_noise_pytorch.report.inversion_study_tables import difference_table as inversion_differences
from riemann_noise_pytorch.report.inversion_study_tables import noise_table, score_table
from riemann_noise_pytorch.report.rescue import read_rescue, rescue_tables
from riemann_noise_pytorch.report.theory_records import read_theory
from riemann_noise_pytorch.report.toy_records import read_toy
from riemann_noise_pytorch.report.toy_tables import toy_table
from riemann_noise_pytorch.report.trap import read_trap, trap_table

ROOT = Path(__file__).parents[2]
TABLES = [
    ("README.md", "demo", summary_table),
    ("results/README.md", "presets-digits", summary_table),
    ("results/README.md", "stylegan2-digits", summary_table),
    ("results/README.md", "stylegan2-photos", summary_table),
    ("results/README.md", "stylegan2-batch4", summary_table),
]


@pytest.mark.parametrize(("document", "folder", "table"), TABLES)
def test_a_published_table_is_that_of_its_record(document, folder, table):
    text = (ROOT / document).read_text()
    assert markdown(table(read_comparison(ROOT / "results" / folder))) in text


def test_the_published_differences_are_those_of_the_record():
    text = (ROOT / "results" / "README.md").read_text()
    assert markdown(difference_table(read_comparison(ROOT / "results" / "presets-digits"))) in text


def test_the_published_table_of_the_toy_is_that_of_the_record():
    text = (ROOT / "results" / "README.md").read_text()
    toy = read_toy(ROOT / "results" / "toy")
    assert markdown(toy_table(toy)).strip() in text
    assert toy.setup.steps[-1] >= 30_000


def test_the_published_statements_of_the_paper_are_those_of_the_record():
    text = (ROOT / "results" / "README.md").read_text()
    statements = read_theory(ROOT / "results" / "theory").statements
    outcomes = {True: "yes", False: "no"}
    assert all(f"| {each.name} | {outcomes[each.holds]} | {each.measured} |" in text for each in statements)
    assert [each.name for each in statements if not each.holds] == ["Eq. 15"]
    assert len(statements) == 9
    assert "Eight of nine hold" in text


def test_the_published_tables_of_the_inversion_study_are_those_of_the_record():
    text = (ROOT / "results" / "README.md").read_text()
    study = read_inversion_study(ROOT / "results" / "inversion-study")
    for table in (score_table, inversion_differences, noise_table):
        assert markdown(table(study)).strip() in text


def test_the_published_tables_of_the_inversion_rates_are_those_of_the_record(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    text = (ROOT / "results" / "README.md").read_text()
    lines = (ROOT / "results" / "inversion-rates" / "records.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    tables = runpy.run_path(str(ROOT / "benchmarks" / "inversion_rates.py"))["tables"](records[1:])
    assert all(markdown(table).strip() in text for table in tables)
    assert all(sentence in text for sentence in records[-1]["sentences"])
    guide = " ".join((ROOT / "docs" / "inversion.md").read_text().split())
    (found,) = (r for r in records if r["record"] == "gain" and r["generator"] == "stylegan2-eni")
    frozen, optimised = (statistics.median(found[side]) for side in ("without", "with"))
    assert f"a median of {frozen:.1f} dB under frozen noise and {optimised:.1f} dB with it" in guide
    assert f"in {found['s']:.0f} s" in guide


def test_the_published_tables_of_the_rescue_study_are_those_of_the_record():
    text = " ".join((ROOT / "results" / "README.md").read_text().split())
    rescue = read_rescue(ROOT / "results" / "rescue-digits")
    for table in rescue_tables(rescue)[:2]:
        assert " ".join(markdown(table).split()) in text
    assert len(rescue.runs) == 198


def test_the_published_table_of_the_trap_is_that_of_the_record():
    text = (ROOT / "results" / "README.md").read_text()
    trap = read_trap(ROOT / "results" / "dimension-trap")
    assert markdown(trap_table(trap)).strip() in text
    assert min(layer.margin_kept for layer in trap.arms) > 3e11


def test_the_published_bias_of_dimensions_is_that_of_the_record():
    text = (ROOT / "results" / "README.md").read_text()
    lines = (ROOT / "results" / "dimension-bias" / "records.jsonl").read_text().splitlines()
    records = [record for line in lines if (record := json.loads(line))["record"] == "bias"]
    assert [record["dimension"] for record in records] == list(range(1, 33))
    for record in records:
        cells = [
            f"{each['value']:.2f} ({each['low']:.2f} to {each['high']:.2f})"
            for each in (record["mle"], record["twonn"])
        ]
        assert f"| {record['dimension']} | {cells[0]} | {cells[1]} |" in text


def test_the_published_time_of_the_neighbour_search_is_that_of_the_record():
    text = " ".join((ROOT / "results" / "README.md").read_text().split())
    lines = (ROOT / "results" / "neighbour-search" / "records.jsonl").read_text().splitlines()
    (search,) = (record for line in lines if (record := json.loads(line))["record"] == "search")
    seconds, ratio = search["seconds"], search["seconds"] / search["products_s"]
    assert f"{search['points']:,} points of {search['size']:,} values" in text
    assert f"take {seconds:.0f} s on 2 threads, {ratio:.2f} times the matrix products" in text


def test_every_trained_arm_of_the_demo_is_near_the_real_images():
    comparison = read_comparison(ROOT / "results" / "demo")
    (reference,) = (r for r in comparison.references if r.metric == "swd")
    distances = {(m.arm, m.seed): m.value for m in comparison.measurements if m.metric == "swd"}
    assert len(distances) == 9
    for (arm, _), distance in distances.items():
        assert distance < reference.untrained[arm] / 3
        assert distance < 6 * reference.floor
    assert all(run.sample_std >= run.real_std / 2 for run in comparison.runs)


def test_records_tell_their_origin_and_no_place_of_the_machine():
    for path in (ROOT / "results").rglob("records.jsonl"):
        text = path.read_text()
        setup = json.loads(text.splitlines()[0])
        assert setup["commit"] is not None
        assert "dirty" not in setup["commit"]
        assert {"torch", "cpu", "cores", "threads"} <= set(setup["environment"])
        assert "/home/" not in text
        assert "/tmp/" not in text


def test_no_placeholder_is_left_in_the_documents():
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("results/*.md")):
        assert not any(mark in path.read_text() for mark in ("_TIME", "_TABLE", "TODO", "TBD"))

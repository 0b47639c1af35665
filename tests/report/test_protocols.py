import pytest

from riemann_noise_pytorch.experiments.metric_names import METRIC_LABELS, metric_label
from riemann_noise_pytorch.geometry import condition
from riemann_noise_pytorch.geometry.condition import condition_numbers
from riemann_noise_pytorch.metrics.distances import PyramidDistance
from riemann_noise_pytorch.metrics.perceptual_path import perceptual_path_length
from riemann_noise_pytorch.report import difference_table, markdown, plain, read_comparison, summary_table
from riemann_noise_pytorch.report.protocols import label, protocols
from tests.report.compare_folder import METRICS, Folder, fabricate


@pytest.fixture
def folder(tmp_path) -> Folder:
    return fabricate(tmp_path / "out", seeds=(0, 1), images=4)


def _rename(folder, metric, name, **where):
    for kind in ("measurement", "summary"):
        for record in folder.of(kind, metric=metric, **where):
            record["name"] = name
    return read_comparison(folder.write().path)


@pytest.mark.parametrize("sampling", ["full", "end"])
def test_a_path_length_names_its_distance_as_it_was_measured(sampling):
    length = perceptual_path_length(
        lambda z: z.view(-1, 1, 4, 4), distance=PyramidDistance(), z_dim=16, sampling=sampling, num_pairs=100
    )
    assert metric_label(length.key, length.name) == f"path length in z, {sampling} (pyramid distance)"


def test_the_tail_is_called_ttmc_where_it_has_the_papers_number_of_pairs_alone(monkeypatch):
    other = condition_numbers(lambda z: 3 * z, 2, num_pairs=100).ttmc_name
    monkeypatch.setattr(condition, "PAPER_PAIRS", 100)
    monkeypatch.setattr(condition, "PAPER_TOP", 2)
    papers = condition_numbers(lambda z: 3 * z, 2, num_pairs=100).ttmc_name
    for key in ("mc_z_top2", "ttmc_z"):
        assert metric_label(key, other) == "mean of the top 2 % of conditions, z"
    assert metric_label("ttmc_z", papers) == "TTMC, z"


def test_a_label_needs_no_protocol_and_a_metric_no_label():
    assert {metric: metric_label(metric) for metric in METRIC_LABELS} == METRIC_LABELS
    assert metric_label("own", "own (this, that)") == "own"


def test_tables_take_their_labels_from_the_records(folder):
    for record in (each for each in folder.records if each.get("metric") == "mc_z_top2"):
        record["metric"] = "ttmc_z"
    comparison = _rename(folder, "ttmc_z", "TTMC (z, 50,000 pairs, std 0.0001)")
    for table in (summary_table(comparison), difference_table(comparison)):
        names = {row[0] for row in table.rows}
        assert {"TTMC, z", "path length in z, full (pyramid distance)"} <= names


def test_records_with_older_keys_have_the_same_labels_and_stay_as_they_were_named(folder):
    new = read_comparison(folder.path)
    older = {"pl2_zfull": "ppl_zfull", "pl2_zend": "ppl_zend", "mc_z_top2": "ttmc_z"}
    for record in folder.records:
        if record.get("metric") in older:
            key = record["metric"]
            record["metric"] = older[key]
            record["name"] = record.get("name", "").replace(key, older[key])
    old = read_comparison(folder.write().path)
    assert [label(old, metric) for metric in old.metrics] == [label(new, metric) for metric in new.metrics]
    assert protocols(old)[1].endswith("ppl_zfull (pyramid distance, 2,000 pairs, slerp, eps 1e-4)")
    for make in (summary_table, difference_table):
        assert [row[0] for row in make(old).rows] == [row[0] for row in make(new).rows]


def test_a_path_length_by_lpips_is_labelled_alike():
    name = "ppl2_zend (LPIPS-VGG16, 10,000 pairs, slerp, eps 1e-4, whole image)"
    assert metric_label("ppl2_zend", name) == "path length in z, end (LPIPS-VGG16)"


def test_every_metric_has_one_line_with_its_label_and_its_whole_protocol(folder):
    comparison = read_comparison(folder.path)
    lines = protocols(comparison)
    assert len(lines) == len(METRICS)
    for line, (metric, (name, *_)) in zip(lines, METRICS.items(), strict=True):
        assert line.startswith(label(comparison, metric))
        assert line.endswith(name)
    assert lines[0] == METRICS["swd"][0]


@pytest.mark.parametrize("render", [plain, markdown])
@pytest.mark.parametrize("make", [summary_table, difference_table])
def test_protocols_stand_below_every_printed_table(folder, render, make):
    comparison = read_comparison(folder.path)
    below = render(make(comparison)).split("\n\n")[1]
    assert below.splitlines() == [f"- {line}" for line in protocols(comparison)]


def test_several_protocols_of_one_metric_are_all_named_and_none_claims_the_label(folder):
    other = "pl2_zend (LPIPS-VGG16 with weights 1a2b3c4d and 5e6f7a8b, 2,000 pairs, slerp, eps 1e-4)"
    comparison = _rename(folder, "pl2_zend", other, arm="none")
    assert label(comparison, "pl2_zend") == "path length in z, end"
    line = protocols(comparison)[list(METRICS).index("pl2_zend")]
    assert line == f"path length in z, end: {other}; {METRICS['pl2_zend'][0]}"

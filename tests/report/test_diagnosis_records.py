import json
from pathlib import Path

import numpy as np
import pytest

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.report.diagnosis_records import read_diagnosis
from tests.report.diagnosis_folder import GROUPS, INPUTS, LATENTS, LAYERS, Folder, fabricate


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return fabricate(tmp_path / "out", layers=LAYERS[-3:])


def _line(folder: Folder) -> str:
    """The one-line message that reading this folder ends with."""
    with pytest.raises(InputError) as caught:
        read_diagnosis(folder.path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_every_record_and_tensor_is_read(folder):
    records = read_diagnosis(folder.path)
    assert (len(records.layers), len(records.conditions), len(records.shares)) == (6, 2, len(GROUPS))
    assert (len(records.dimensions), len(records.findings)) == (2, 4)
    assert [layer.name for layer in records.depth()] == [name for name, _, _ in LAYERS[-3:]]
    assert records.profile().inputs == INPUTS
    assert records.profile(joint=True).inputs == 1408
    for layer in records.layers:
        assert records.spectrum(layer).shape[0] == LATENTS
    assert all(records.pairs(one).shape == (5000,) for one in records.conditions)
    assert all(records.share_map(one).shape == (16, 16) for one in records.shares)
    assert records.samples.shape == (16, 1, 16, 16)
    assert records.data_dimension.value == 31.5
    assert records.setup.name == "runs/rings"


def test_findings_are_graded_and_keep_their_order_within_a_grade(folder):
    graded = read_diagnosis(folder.path).graded
    assert [one.severity for one in graded] == ["problem", "problem", "note", "good"]
    assert graded[0].title.startswith("rank falls")


def test_layers_are_sorted_by_the_order_of_execution(folder):
    folder.records.reverse()
    layers = read_diagnosis(folder.write().path).depth()
    assert [layer.name for layer in layers] == [name for name, _, _ in LAYERS[-3:]]


def test_of_two_records_on_one_subject_the_later_counts_but_every_finding_does(folder):
    folder.records.append(folder.of("share", group="latent")[0] | {"first": 0.25})
    folder.records.append(folder.of("finding")[0])
    records = read_diagnosis(folder.write().path)
    assert next(one.first for one in records.shares if one.group == "latent") == 0.25
    assert len(records.findings) == 5


def test_a_margin_or_condition_without_end_is_read(folder):
    folder.of("layer", joint=False)[0].update(margin_lost=[None, 2.0, None, None])
    records = read_diagnosis(folder.write().path)
    assert records.depth()[0].margin_lost == [None, 2.0, None, None]
    assert None in records.conditions[0].log_condition


def test_unknown_records_fields_and_tensors_are_left_alone(folder):
    folder.of("setup")[0]["novelty"] = 1
    folder.records.append({"record": "novelty"})
    folder.tensors["novelty"] = np.zeros(3)
    assert "novelty" not in read_diagnosis(folder.write().path).tensors


def test_what_was_not_measured_is_empty(tmp_path):
    folder = fabricate(tmp_path / "out", layers=LAYERS[-1:], joint=False)
    for kind in ("condition", "share", "dimension", "finding", "sample", "profile"):
        folder.drop(kind)
    folder.tensors = {"samples": folder.tensors["samples"]}
    records = read_diagnosis(folder.write().path)
    assert records.profile() is None
    assert records.data_dimension is None
    assert records.spectrum(records.depth()[0]) is None
    assert not [*records.conditions, *records.shares, *records.findings]


def test_an_empty_folder_is_refused(tmp_path):
    assert "no diagnosis.jsonl" in _line(Folder(tmp_path))


def test_missing_tensors_are_named(folder):
    (folder.path / "diagnosis.safetensors").unlink()
    assert "diagnosis.safetensors is missing" in _line(folder)


def test_damaged_tensors_are_named(folder):
    path = folder.path / "diagnosis.safetensors"
    path.write_bytes(path.read_bytes()[:200])
    assert "cannot read" in _line(folder)


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("spectrum/z/image", np.zeros(64)),
        ("spectrum/z/image", np.zeros((4, 0))),
        ("condition/z", np.zeros((2, 2))),
        ("attribution/latent", np.zeros(4)),
        ("samples", np.zeros((1, 1, 4, 4))),
    ],
)
def test_tensors_of_another_shape_or_type_are_refused(folder, name, tensor):
    folder.tensors[name] = tensor
    assert f"'{name}' is float64" in _line(folder.write())


@pytest.mark.parametrize("text", ['{"record": "layer", "name"', "nonsense"])
def test_a_damaged_line_is_named_with_its_file_and_number(folder, text):
    path = folder.path / "diagnosis.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], text, *lines[2:]]))
    message = _line(folder)
    assert f"{path}, line 3 is no JSON" in message
    assert message.endswith("diagnose again")


def test_foreign_json_lines_are_refused(folder):
    (folder.path / "diagnosis.jsonl").write_text(json.dumps({"loss": 0.3}) + "\n")
    assert "line 1 is no record of a diagnosis" in _line(folder)


@pytest.mark.parametrize(("kind", "word"), [("setup", "no setup"), ("layer", "no layer")])
def test_a_diagnosis_without_its_substance_is_refused(folder, kind, word):
    folder.drop(kind)
    assert word in _line(folder.write())


def test_a_missing_field_is_named(folder):
    del folder.of("layer")[0]["norm"]
    assert "a layer record lacks 'norm'" in _line(folder.write())


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("layer", "rank", [1.5, 2, 3, 4]),
        ("layer", "shape", "64"),
        ("layer", "ambiguous", "no"),
        ("condition", "mc", None),
        ("share", "total", "0.3"),
        ("dimension", "count", 1.5),
        ("finding", "remedy", None),
        ("setup", "work", []),
    ],
)
def test_a_field_of_a_wrong_type_is_named(folder, kind, field, value):
    folder.of(kind)[0][field] = value
    assert f"'{field}' of a {kind} has a wrong type" in _line(folder.write())


@pytest.mark.parametrize("change", [{"rank": [1]}, {"norm": []}])
def test_a_layer_without_one_value_for_each_latent_is_refused(folder, change):
    folder.of("layer")[0].update(change)
    assert "one value for each latent" in _line(folder.write())


def test_a_severity_that_there_is_not_is_refused(folder):
    folder.of("finding")[0]["severity"] = "catastrophe"
    assert "no finding is 'catastrophe'" in _line(folder.write())

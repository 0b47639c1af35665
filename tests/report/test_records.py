import json
from pathlib import Path

import pytest

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.report.artifacts import read_pictures
from riemann_noise_pytorch.report.records import read_comparison
from tests.report.compare_folder import ARMS, METRICS, Folder, fabricate


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return fabricate(tmp_path / "out", seeds=(0,), metrics=("swd", "mc_z"), images=4)


def _line(folder: Folder) -> str:
    """The one-line message that reading this folder ends with."""
    with pytest.raises(InputError) as caught:
        read_comparison(folder.path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_every_record_is_read(tmp_path):
    comparison = read_comparison(fabricate(tmp_path / "out").path)
    assert comparison.arms == ARMS
    assert comparison.metrics == tuple(METRICS)
    assert comparison.seeds_of("euclidean") == (0, 1, 2)
    assert (len(comparison.measurements), len(comparison.runs)) == (45, 9)
    assert (len(comparison.summaries), len(comparison.differences)) == (15, 15)
    assert comparison.reference("swd").floor == 22.0
    assert comparison.reference("mc_z").floor is None
    assert len(comparison.sentences) == 3


def test_arms_keep_their_order_whatever_the_order_of_the_records(folder):
    folder.records[1:] = folder.records[:0:-1]
    folder.of("setup")[0]["arms"] = ["riemannian", "own", "none", "euclidean"]
    assert read_comparison(folder.write().path).arms == (*ARMS, "own")


def test_of_two_records_on_one_subject_the_later_counts(folder):
    first = folder.of("measurement", metric="swd", arm="none")[0]
    folder.records.append(first | {"value": 1.5})
    comparison = read_comparison(folder.write().path)
    assert [row.value for row in comparison.measurements if (row.metric, row.arm) == ("swd", "none")] == [1.5]


def test_unknown_records_and_fields_are_left_alone(folder):
    folder.of("setup")[0]["novelty"] = 1
    folder.records.append({"record": "novelty"})
    assert read_comparison(folder.write().path).arms == ARMS


def test_an_empty_folder_is_refused(tmp_path):
    message = _line(Folder(tmp_path))
    assert "no records.jsonl" in message
    assert "riemann-noise compare" in message


@pytest.mark.parametrize("text", ['{"record": "run", "arm"', "nonsense", '{"record": '])
def test_a_damaged_line_is_named_with_its_file_and_number(folder, text):
    path = folder.path / "records.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:3], text, *lines[3:]]))
    assert f"{path}, line 4 is no JSON" in _line(folder)


def test_a_binary_file_is_refused(folder):
    (folder.path / "records.jsonl").write_bytes(b"\xff\xfe\x00\x80")
    assert "cannot read" in _line(folder)


@pytest.mark.parametrize("record", [["a", "list"], {"loss": 0.3}, {"record": 7}, 12])
def test_foreign_json_lines_are_refused(folder, record):
    (folder.path / "records.jsonl").write_text(json.dumps(record) + "\n")
    assert "line 1 is no record of a comparison" in _line(folder)


@pytest.mark.parametrize(("kind", "word"), [("setup", "no setup"), ("measurement", "no measurement")])
def test_a_comparison_without_its_substance_is_refused(folder, kind, word):
    folder.drop(kind)
    assert word in _line(folder.write())


def test_an_empty_file_is_refused(folder):
    (folder.path / "records.jsonl").write_text("")
    assert "no setup" in _line(folder)


def test_a_missing_field_is_named(folder):
    del folder.of("summary")[0]["within"]
    assert "a summary record lacks 'within'" in _line(folder.write())


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("measurement", "value", "12"),
        ("measurement", "seed", 0.5),
        ("measurement", "low", True),
        ("run", "stats", {"kimg": 1}),
        ("run", "strengths", {"stage4": "strong"}),
        ("setup", "arms", "none"),
        ("verdict", "sentences", [1]),
    ],
)
def test_a_field_of_a_wrong_type_is_named(folder, kind, field, value):
    folder.of(kind)[0][field] = value
    assert f"'{field}' of a {kind} has a wrong type" in _line(folder.write())


@pytest.mark.parametrize("arm", ["../../secret", "a/b", "", "..", "<script>", "none\n"])
def test_an_arm_that_could_leave_the_folder_is_refused(folder, arm):
    folder.of("run")[0]["arm"] = arm
    assert "names no arm" in _line(folder.write())


def test_a_missing_artifact_is_named(folder):
    (folder.path / "artifacts" / "none-seed0.safetensors").unlink()
    with pytest.raises(InputError, match=r"none-seed0\.safetensors is missing; .*compare"):
        read_pictures(folder.path, "none-seed0", needs="samples")


def test_a_damaged_artifact_is_named(folder):
    path = folder.path / "artifacts" / "real.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"cannot read .*real\.safetensors"):
        read_pictures(folder.path, "real", needs="real")


def test_an_artifact_without_its_pictures_is_refused(folder):
    with pytest.raises(InputError, match=r"real\.safetensors holds no 'samples'"):
        read_pictures(folder.path, "real", needs="samples")


def test_pictures_of_another_shape_are_refused(folder):
    from safetensors.numpy import load_file, save_file

    path = folder.path / "artifacts" / "none-seed0.safetensors"
    save_file(load_file(path) | {"noise_std": load_file(path)["noise_std"][0].copy()}, path)
    with pytest.raises(InputError, match="'noise_std' is float32"):
        read_pictures(folder.path, "none-seed0", needs="samples")

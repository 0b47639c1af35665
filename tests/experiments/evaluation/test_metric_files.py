"""Lines are appended whole, read back as they were, and a damaged one costs that line alone."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.evaluation.metric_files import (
    Evaluation,
    append_evaluation,
    metric_path,
    read_evaluations,
    require_writable,
)
from riemann_noise_pytorch.statistics.intervals import redraw_interval

VALUES = [1.0, 2.0, 4.0]
ONE = Evaluation(
    metric="fd300",
    name="fd300 (random-conv, 300 generated, 300 real)",
    results={"fd300": 7 / 3},
    intervals={"fd300": redraw_interval(VALUES)},
    values={"fd300": VALUES},
    target={"name": "naïve [run]", "kind": "run"},
    protocol={"seed": 0, "data": None},
    seconds=1.5,
)


def test_a_record_comes_back_as_it_was(tmp_path):
    append_evaluation(tmp_path / "new" / "folder", ONE)
    assert read_evaluations(tmp_path / "new" / "folder") == [ONE]
    line = json.loads((tmp_path / "new" / "folder" / "metric-fd300.jsonl").read_text())
    assert line["timestamp"].endswith("Z")


def test_lines_stay_in_order_and_files_apart(tmp_path):
    many = [replace(ONE, metric=metric, seconds=float(i)) for metric in ("mc", "fd") for i in range(3)]
    for each in many:
        append_evaluation(tmp_path, each)
    assert read_evaluations(tmp_path) == [*many[3:], *many[:3]]
    assert read_evaluations(tmp_path / "nowhere") == []


def test_concurrent_writers_do_not_mix_their_lines(tmp_path):
    long = replace(ONE, values={"fd300": [0.1] * 3000})
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: append_evaluation(tmp_path, replace(long, seconds=float(i))), range(80)))
    assert sorted(each.seconds for each in read_evaluations(tmp_path)) == list(range(80))


@pytest.mark.parametrize("cut", [1, 60, -2])
def test_a_line_that_was_cut_off_costs_itself_alone(tmp_path, cut):
    said = []
    append_evaluation(tmp_path, ONE)
    path = metric_path(tmp_path, "fd300")
    whole = path.read_text()
    path.write_text(whole + whole[:cut])
    assert read_evaluations(tmp_path, said.append) == [ONE]
    assert said == [f"{path} line 2 is damaged, and left out; delete that line"]
    append_evaluation(tmp_path, replace(ONE, seconds=9.0))
    assert [each.seconds for each in read_evaluations(tmp_path)] == [1.5, 9.0]


@pytest.mark.parametrize(
    "damage", ["{}", "7", "[1]", "null", '{"metric": "fd300"}', "\x00\x00", "half a word", "\ufffd"]
)
def test_what_is_no_record_is_left_out_and_told(tmp_path, damage):
    said = []
    append_evaluation(tmp_path, ONE)
    path = metric_path(tmp_path, "fd300")
    path.write_text(f"{damage}\n{path.read_text()}")
    assert read_evaluations(tmp_path, said.append) == [ONE]
    assert [" line 1 is damaged" in line for line in said] == [True]


def test_bytes_that_are_no_text_do_no_harm(tmp_path):
    append_evaluation(tmp_path, ONE)
    with metric_path(tmp_path, "fd300").open("ab") as stream:
        stream.write(b"\xff\xfe\x00\n\n")
    append_evaluation(tmp_path, ONE)
    assert read_evaluations(tmp_path) == [ONE, ONE]


def test_a_folder_that_takes_no_files_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write into .*file: .*; choose another place by --out"):
        require_writable(tmp_path / "file")
    require_writable(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="whoever runs it may read everything")
def test_a_file_that_cannot_be_read_is_told(tmp_path):
    append_evaluation(tmp_path, ONE)
    metric_path(tmp_path, "fd300").chmod(0)
    with pytest.raises(InputError, match=r"cannot read .*Permission denied"):
        read_evaluations(tmp_path)

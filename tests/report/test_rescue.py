"""Records of the rescue study are read whole, or refused in one line that names the place."""

import pytest

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.report.rescue import read_rescue

SETUP = (
    '{"record": "setup", "version": "1", "options": {}, "methods": {"js": {"label": "JS"}}, "training": {}, '
    '"collapsed_below": 0.2, "among_real": 0.01, "environment": {}}'
)
DATA = (
    '{"record": "data", "name": "digits", "count": 9, "std": 0.4, "recall_of_half": 0.9, '
    '"recall_of_digits": {"1": 0.1}}'
)
RUN = (
    '{"record": "run", "setting": "a", "generator_loss": "minimax", "lr": 0.1, "strength": 4.0, '
    '"method": "js", "seed": 0, "collapsed": false, "reached": 0.5}'
)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "no record of type setup"),
        ([SETUP, RUN], "no record of type data; run the study again"),
        ([SETUP, DATA], "no record of type run; run the study again"),
        ([SETUP, DATA, RUN[:-9]], "line 3 is no JSON"),
        ([SETUP, DATA, RUN.replace('"lr"', '"rl"')], "line 3: a run record lacks 'lr'"),
        ([SETUP, DATA, RUN.replace("0.5", "null")], "'reached' of a run has a wrong type"),
        ([SETUP, DATA, RUN.replace('"js"', '"r1"')], "a run of r1, which its setup lacks"),
    ],
)
def test_records_that_cannot_be_used_are_refused(tmp_path, lines, words):
    (tmp_path / "records.jsonl").write_text("".join(line + "\n" for line in lines))
    with pytest.raises(InputError, match=words):
        read_rescue(tmp_path)


def test_a_folder_without_records_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*records.jsonl"):
        read_rescue(tmp_path)


def test_what_is_whole_is_read(tmp_path):
    (tmp_path / "records.jsonl").write_text(f"{SETUP}\n{DATA}\n{RUN}\n")
    rescue = read_rescue(tmp_path)
    assert (rescue.settings, rescue.methods, rescue.label("js")) == (["a"], ["js"], "JS")
    assert [run.reached for run in rescue.cell("a", "js")] == [0.5]

"""Records of the dimension trap are read whole, or refused in one line that names the place."""

import pytest

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.report.trap import read_trap

SETUP = '{"record": "setup", "version": "1", "options": {"dimension": 64}, "environment": {}}'
DATA = '{"record": "data", "name": "manifold-64", "count": 9, "js": {"value": 0.0}}'


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "no record of type setup"),
        ([SETUP, DATA], "no record of type arm; run the experiment again"),
        ([SETUP, DATA[:-9]], "line 2 is no JSON"),
        ([SETUP, DATA, '{"record": "arm", "z_dim": 8}'], "line 3: an arm record lacks 'noise'"),
        ([SETUP.replace("{}", "3")], "'environment' of a setup has a wrong type"),
    ],
)
def test_records_that_cannot_be_used_are_refused(tmp_path, lines, words):
    (tmp_path / "records.jsonl").write_text("".join(line + "\n" for line in lines))
    with pytest.raises(InputError, match=words):
        read_trap(tmp_path)


def test_a_folder_without_records_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*records.jsonl"):
        read_trap(tmp_path)

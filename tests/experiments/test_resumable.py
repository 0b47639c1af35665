"""A folder of an experiment goes on with the options it was started with, under whatever names they had."""

import json

import pytest

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.resumable import open_folder


def test_options_recorded_under_older_names_are_the_same_options(tmp_path):
    path = tmp_path / "compare.json"
    path.write_text(json.dumps({"r1_gamma": 2.0, "kimg": 4.0}))
    open_folder(path, "comparison", {"gamma": 2.0, "kimg": 4.0}, resume=True)
    with pytest.raises(InputError, match="was started with another gamma"):
        open_folder(path, "comparison", {"gamma": 1.0, "kimg": 4.0}, resume=True)


def test_a_damaged_record_of_options_is_told(tmp_path):
    path = tmp_path / "compare.json"
    for text in ("{", "[1]", "3"):
        path.write_text(text)
        with pytest.raises(InputError, match="is damaged"):
            open_folder(path, "comparison", {"gamma": 2.0}, resume=True)

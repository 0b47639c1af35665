"""Code of the user's own is imported without harm to anyone else's, and its faults are told in one line."""

import random
import sys

import pytest

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.own_code import imported


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


def test_a_file_imports_its_neighbours(write):
    write("neighbour.py", "SIZE = 7\n")
    before = list(sys.path)
    assert imported(write("mine.py", "from neighbour import SIZE\n"), "mine.py:f").SIZE == 7
    assert sys.path == before
    sys.modules.pop("neighbour")


def test_a_name_of_the_standard_library_does_not_hide_it(write):
    file = write(
        "random.py", "import random\nimport colorsys\nSEED = 5\nNUMBER = random.Random(0).random()\n"
    )
    write("colorsys.py", "raise AssertionError('the wrong one')\n")
    sys.modules.pop("colorsys", None)
    module = imported(file, "random.py:f")
    assert module.SEED == 5
    assert random.Random(0).random() == module.NUMBER
    assert sys.modules["random"] is random


def test_two_files_of_one_name_are_two_modules(write):
    first, second = write("a/net.py", "WHO = 'a'\n"), write("b/net.py", "WHO = 'b'\n")
    assert (imported(first, "").WHO, imported(second, "").WHO, imported(first, "").WHO) == ("a", "b", "a")


def test_classes_of_a_file_know_their_module(write):
    text = "from dataclasses import dataclass\n@dataclass\nclass Shape:\n    side: 'int' = 3\n"
    assert imported(write("shapes.py", text), "").Shape().side == 3


def test_a_module_is_found_from_the_current_folder(write, monkeypatch, tmp_path):
    write("own_package/__init__.py", "")
    write("own_package/nets.py", "SIZE = 9\n")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    assert imported("own_package.nets", "own_package.nets:f").SIZE == 9
    assert sys.path == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import torch\nimport nothing_of_the_kind\n", "ModuleNotFoundError in mine.py line 2: No module"),
        ("x = 1\ny = x / 0\n", "ZeroDivisionError in mine.py line 2: division by zero"),
        ("def f(:\n", "SyntaxError: invalid syntax (mine.py, line 1)"),
        ("raise SystemExit\n", "SystemExit in mine.py line 1"),
        ("import torch\ntorch.load('nowhere')\n", "FileNotFoundError in mine.py line 2"),
        ("raise ValueError('two\\nlines')\n", "ValueError in mine.py line 1: two)"),
    ],
)
def test_what_fails_while_importing_is_told_with_its_line(write, text, words):
    with pytest.raises(InputError) as caught:
        imported(write("mine.py", text), "mine.py:f")
    assert str(caught.value).startswith("mine.py:f cannot be imported (")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("home", ["nothing_of_the_kind", "", "..up", "torch.nothing_of_the_kind"])
def test_a_module_that_is_not_there_is_told(home):
    with pytest.raises(InputError, match="cannot be imported"):
        imported(home, f"{home}:f")


def test_a_file_that_is_not_there_is_told():
    with pytest.raises(InputError, match=r"^there is no file nowhere.py; check the path$"):
        imported("nowhere.py", "nowhere.py:f")

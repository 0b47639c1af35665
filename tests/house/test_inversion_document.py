"""What docs/inversion.md shows, runs; and its table of recipes is that of the code."""

import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from riemann_noise_pytorch.cli.inversion_study import InversionStudyOptions
from riemann_noise_pytorch.cli.invert import InvertOptions
from riemann_noise_pytorch.cli.options import parse
from riemann_noise_pytorch.experiments.inversion_study.targets import DEGREES
from riemann_noise_pytorch.inversion.recipes import RECIPES, Stage

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "inversion.md").read_text()
OPTIONS = {"invert": InvertOptions, "inversion-study": InversionStudyOptions}
LINES = re.findall(
    r"^riemann-noise (invert|inversion-study) ([^#\n]*)",
    TEXT + (ROOT / "README.md").read_text(),
    re.MULTILINE,
)
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("verb", "arguments"), LINES)
def test_a_command_of_the_document_is_understood(verb, arguments):
    parse(OPTIONS[verb], verb, shlex.split(arguments)).config.validate()


@pytest.mark.parametrize("block", BLOCKS)
def test_a_python_block_of_the_document_runs(block, capsys):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        exec(compile(block, "inversion.md", "exec"), {"__name__": "document"})
    printed = capsys.readouterr().out
    if "psnr(" not in block:
        pull = "0.1 distance from the mean latent"
        terms = f"1 pyramid distance + 1000 noise autocorrelation + {pull}"
        assert printed.splitlines() == [f"('{terms}',)", "('1 mse',)"]
        return
    without, again, fresh = (eval(t, {"tensor": torch.tensor}) for t in re.findall(r"tensor\(.*?\)", printed))
    assert (again >= without - 1e-3).all()
    assert (fresh < again).all()


def test_every_constant_that_is_changed_in_python_alone_is_told():
    constants = {each.name for each in fields(Stage)} - {"space", "latent", "noise", "enough", "patience"}
    assert sorted(name for name in constants if not re.search(rf"\b{name}\b", TEXT)) == []


def test_there_are_commands_and_examples():
    assert {verb for verb, _ in LINES} == set(OPTIONS)
    assert BLOCKS


def test_every_recipe_has_a_row_with_its_steps_and_rates():
    rows = dict(re.findall(r"^\| `([\w+-]+)` \| (.*)$", TEXT, re.MULTILINE))
    assert set(RECIPES) <= set(rows)
    for name, recipe in RECIPES.items():
        for stage in recipe.stages:
            assert f"{stage.steps} steps" in rows[name]
            rate = f"Adam {stage.lr:g}"
            assert rate in rows[name] or f"as `{RECIPES['image2stylegan'].name}`" in rows[name]


def test_the_document_names_files_and_constants_that_exist():
    files = re.findall(r"`([\w/]+\.py)`", TEXT)
    assert "benchmarks/inversion_rates.py" in files
    assert [name for name in files if not (ROOT / name).exists()] == []
    assert f"turned by {DEGREES:g}\ndegrees" in TEXT

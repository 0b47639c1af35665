"""Every equation has one home, and at least one law."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EQUATIONS = range(1, 20)
HOME = re.compile(r"^\s*Paper: Eqs?\.\s*(\d+(?:-\d+)?(?:(?:, | and )\d+(?:-\d+)?)*)", re.MULTILINE)


def numbers(text: str) -> list[int]:
    found: list[int] = []
    for first, last in re.findall(r"(\d+)(?:-(\d+))?", text):
        found.extend(range(int(first), int(last or first) + 1))
    return found


def nodes(folder: str) -> list[ast.AST]:
    trees = [ast.parse(path.read_text()) for path in sorted((ROOT / folder).rglob("*.py"))]
    return [node for tree in trees for node in ast.walk(tree)]


@pytest.fixture(scope="module")
def homes() -> Counter[int]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = [ast.get_docstring(node) or "" for node in nodes("src") if isinstance(node, documented)]
    return Counter(n for text in docstrings for match in HOME.findall(text) for n in numbers(match))


@pytest.fixture(scope="module")
def laws() -> Counter[int]:
    names = [node.name for node in nodes("tests") if isinstance(node, ast.FunctionDef)]
    return Counter(int(match[1]) for name in names if (match := re.match(r"test_eq(\d+)_\w", name)))


@pytest.mark.parametrize("number", EQUATIONS)
def test_equation_has_exactly_one_home(number: int, homes: Counter[int]) -> None:
    assert homes[number] == 1


@pytest.mark.parametrize("number", EQUATIONS)
def test_equation_has_a_law(number: int, laws: Counter[int]) -> None:
    assert laws[number] >= 1


def test_every_law_belongs_to_an_equation_with_a_home(homes: Counter[int], laws: Counter[int]) -> None:
    assert set(laws) <= set(homes)


def test_lists_and_ranges_of_equations_are_read() -> None:
    assert numbers("4 and 18") == [4, 18]
    assert numbers("13-16, 19") == [13, 14, 15, 16, 19]

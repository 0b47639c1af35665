"""The documents point at files and tests that exist, and tell of every deviation."""

import ast
import re
from pathlib import Path

from riemann_noise_pytorch.metrics.catalogue import explain
from tests.house.test_equations import numbers

ROOT = Path(__file__).parents[2]
MAP = (ROOT / "docs" / "paper-map.md").read_text()
EQUATIONS = range(1, 20)


def test_the_paper_map_names_every_equation_once() -> None:
    rows = re.findall(r"^\| Eqs?\. ([0-9 ,-]+?) \|", MAP, re.MULTILINE)
    named = [n for row in rows for n in numbers(row)]
    assert sorted(named) == list(EQUATIONS)


def test_the_paper_map_points_at_files_that_exist() -> None:
    files = re.findall(r"`([\w/.-]+\.(?:py|md))`", MAP)
    assert files
    assert [name for name in files if not _exists(name)] == []


def test_the_documents_point_at_tests_that_exist() -> None:
    trees = [ast.parse(path.read_text()) for path in (ROOT / "tests").rglob("*.py")]
    names = {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    texts = [path.read_text() for path in (ROOT / "docs").glob("*.md")]
    patterns = [found for text in texts for found in re.findall(r"`(test_\w+?)(\*?)`", text)]
    missing = [p for p, star in patterns if not any(n.startswith(p) if star else n == p for n in names)]
    assert missing == []


def test_every_deviation_of_the_code_is_told_in_the_documents() -> None:
    told = set(re.findall(r"^#+ (D\d+)\b", (ROOT / "docs" / "deviations.md").read_text(), re.MULTILINE))
    sources = (path.read_text() for path in (ROOT / "src").rglob("*.py"))
    coded = {name for text in sources for name in re.findall(r"\b(D\d+)(?=[:)]| and D\d|, D\d)", text)}
    assert coded == told


def _exists(name: str) -> bool:
    return any((folder / name).exists() for folder in (ROOT, ROOT / "src" / "riemann_noise_pytorch"))


def test_the_document_on_evaluation_explains_every_metric_as_the_command_does() -> None:
    text = (ROOT / "docs" / "evaluation.md").read_text()
    for names, line in explain():
        shown = ", ".join(f"`{name}`" for name in names.split(", "))
        assert f"| {shown} | {line} |" in text
    files = re.findall(r"`((?:tests/[\w/]*)?test_\w+\.py|tests/[\w/]+/)`", text)
    assert len(files) >= 6
    folder = ""
    for name in files:
        folder = name.rpartition("/")[0] or folder
        assert (ROOT / folder / name.rpartition("/")[2]).exists(), name

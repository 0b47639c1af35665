"""About ten names, loaded when they are asked for; modules of a size that can be read at one sitting."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import riemann_noise_pytorch as front_door

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("name", front_door.__all__)
def test_public_name_resolves_and_is_listed(name: str) -> None:
    assert getattr(front_door, name) is not None
    assert name in dir(front_door)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="RiemannNose"):
        front_door.RiemannNose  # type: ignore[attr-defined]  # noqa: B018


def test_type_checkers_see_the_names_that_are_loaded() -> None:
    tree = ast.parse((ROOT / "src/riemann_noise_pytorch/__init__.py").read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    seen = {
        alias.name: str(node.module).removeprefix("riemann_noise_pytorch.")
        for node in imports
        for alias in node.names
        if str(node.module).startswith("riemann_noise_pytorch.")
    }
    assert seen == front_door._HOMES
    assert {*seen, "__version__"} == set(front_door.__all__)


def test_opening_the_front_door_loads_no_torch() -> None:
    assert python("import sys, riemann_noise_pytorch; print('torch' in sys.modules)").strip() == "False"


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_of_the_command_loads_nothing_heavy(argument: str) -> None:
    heavy = {"torch", "numpy", "tyro", "rich", "matplotlib", "sklearn", "scipy", "PIL"}
    code = f"import sys; from riemann_noise_pytorch.cli.main import main; main(['{argument}']); "
    assert python(code + f"print({heavy!r} & set(sys.modules))").splitlines()[-1] == "set()"


def test_one_version_everywhere() -> None:
    version = PROJECT["version"]
    assert front_door.__version__ == importlib.metadata.version("riemann-noise-pytorch") == version
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_a_module_has_at_most_400_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


def test_a_function_has_at_most_40_lines_of_code() -> None:
    long = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
                length = (node.end_lineno or 0) - first.lineno + 1
                if length > 40:
                    long.append(f"{path.name}:{node.lineno} {node.name} has {length}")
    assert long == []


def test_no_room_is_empty_and_no_module_is_a_drawer() -> None:
    rooms = [
        path
        for path in (ROOT / "src/riemann_noise_pytorch").iterdir()
        if path.is_dir() and path.name[0] != "_"
    ]
    assert [room.name for room in rooms if len(list(room.glob("*.py"))) < 2] == []
    drawers = {"utils", "helpers", "misc", "common", "base"}
    assert [path.name for path in SOURCES if path.stem in drawers] == []


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^  make ([a-z-]+)", listed, re.MULTILINE) == phony[1].split()

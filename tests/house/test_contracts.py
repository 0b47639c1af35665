"""The arrows between the rooms hold, and a wrong one is caught."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WRONG_WAY = {
    "noise/functional.py": ("riemann_noise_pytorch.training", "Arrows go one way"),
    "metrics/__init__.py": ("riemann_noise_pytorch.training", "Arrows go one way"),
    "inversion/__init__.py": ("riemann_noise_pytorch.experiments", "Arrows go one way"),
    "inversion/projector.py": ("numpy", "inversion needs torch alone"),
    "noise/layers.py": ("numpy", "noise and geometry need torch alone"),
    "models/dcgan.py": ("matplotlib", "Plotting lives in report"),
    "training/loop.py": ("rich", "The command line library lives in cli"),
    "data/images.py": ("accelerate", "Devices and processes live in training and experiments"),
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "COLUMNS": "200"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("house")
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_the_contracts_hold() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_planted_wrong_way_imports_break_their_contracts(copy: Path) -> None:
    for file, (imported, _) in WRONG_WAY.items():
        path = copy / "src" / "riemann_noise_pytorch" / file
        path.write_text(path.read_text() + f"\nimport {imported}\n")
    result = lint(copy)
    assert result.returncode == 1, result.stdout + result.stderr
    for file, (_, contract) in WRONG_WAY.items():
        module = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        assert f"{contract} BROKEN" in result.stdout
        assert f"riemann_noise_pytorch.{module} -> " in result.stdout

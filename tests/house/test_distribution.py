"""Wheel and sdist are whole: what is installed outside the tree works there."""

import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "riemann_noise_pytorch"


def run(*command: str | Path, cwd: Path) -> str:
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist of this tree, and the wheel built from that sdist."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def environment(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel; the dependencies are those of the running one.

    The path file lends it the running environment's site-packages but, unlike a true site folder, does not
    read the path files in there: the editable install stays invisible.
    """
    folder = tmp_path_factory.mktemp("outside") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    paths = {name: sysconfig.get_path(name) for name in ("purelib", "platlib")}
    own = run(
        folder / "bin/python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder
    ).strip()
    (Path(own) / "lent.pth").write_text("\n".join(sorted(set(paths.values()))) + "\n")
    wheel = next(dist.glob("*.whl"))
    install = ["-m", "pip", "--python", folder / "bin/python", "install", "--no-deps", "--no-index", wheel]
    run(sys.executable, *install, cwd=folder)
    return folder


def test_the_wheel_holds_the_package_and_nothing_else(dist: Path) -> None:
    packed = set(zipfile.ZipFile(next(dist.glob("*.whl"))).namelist())
    files = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*") if path.is_file()}
    sources = {f"riemann_noise_pytorch/{name}" for name in files if "__pycache__" not in name}
    assert {name for name in packed if ".dist-info/" not in name} == sources
    assert "riemann_noise_pytorch/py.typed" in packed
    assert any(name.endswith("licenses/LICENSE") for name in packed)


def test_the_sdist_holds_what_a_developer_needs(dist: Path) -> None:
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {
        "pyproject.toml",
        "README.md",
        "CHANGELOG.md",
        "CITATION.cff",
        "CONTRIBUTING.md",
        "LICENSE",
        "Makefile",
    }
    assert wanted <= packed
    assert {name.partition("/")[0] for name in packed} >= {"src", "tests", "examples", "docs"}


def test_the_installed_package_works_outside_the_tree(environment: Path, tmp_path: Path) -> None:
    code = (
        "import importlib, pkgutil, torch, riemann_noise_pytorch as package;"
        "from importlib.metadata import version;"
        "print(package.RiemannNoise(8)(torch.randn(1, 2, 8, 8)).shape);"
        "print(version('riemann-noise-pytorch') == package.__version__);"
        "names = [m.name for m in pkgutil.walk_packages(package.__path__, package.__name__ + '.')];"
        "files = [importlib.import_module(name).__file__ for name in names];"
        "print(package.__file__, *files, sep='\\n')"
    )
    shape, same_version, *files = run(environment / "bin/python", "-c", code, cwd=tmp_path).splitlines()
    assert shape == "torch.Size([1, 2, 8, 8])"
    assert same_version == "True"
    assert len(files) == len(list(PACKAGE.rglob("*.py")))
    assert all(Path(file).is_relative_to(environment) for file in files)


def test_the_installed_command_answers(environment: Path, tmp_path: Path) -> None:
    assert "compare" in run(environment / "bin/riemann-noise", "--help", cwd=tmp_path)

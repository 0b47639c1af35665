"""A small trained run, made once by the command itself, and the command in this process."""

from collections.abc import Callable
from pathlib import Path

import pytest

from riemann_noise_pytorch.cli.allocator import OFF
from riemann_noise_pytorch.cli.main import main

SMALL = ["--width", "4", "--batch", "8", "--kimg", "0.032", "--tick-kimg", "0.016", "--device", "cpu"]


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "rni"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(OFF, "1")
        patch.setenv("RANK", "0")
        noisy = ["--preset", "dcgan-rni"]
        assert main(["train", *noisy, *SMALL, "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Run the command in an empty folder, expect one line and exit code 2, and give the line."""
    monkeypatch.setenv(OFF, "1")
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path) -> str:
        capsys.readouterr()
        assert main([str(argument) for argument in arguments]) == 2
        printed = capsys.readouterr()
        assert printed.err.startswith("riemann-noise: ")
        assert printed.err.count("\n") == 1
        assert "Traceback" not in printed.err
        return printed.err

    return call

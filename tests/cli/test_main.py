"""The command finds its verbs, and says in one line what went wrong."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from riemann_noise_pytorch.cli import main as command
from riemann_noise_pytorch.errors import InputError, Interrupted


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch):
    """Replace the work of every verb by what a test wants to happen."""

    def happen(error: BaseException) -> None:
        def work(arguments: list[str]) -> None:
            raise error

        monkeypatch.setattr(command, "_load", lambda _: work)

    return happen


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"], ["help"]])
def test_help_lists_every_verb(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(arguments) == 0
    printed = capsys.readouterr().out
    assert all(f"\n  {name} " in printed for name in command.VERBS)


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("riemann-noise 0.")


@pytest.mark.parametrize("name", command.VERBS)
def test_every_verb_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        command.main([name, "--help"])
    assert end.value.code == 0
    assert f"usage: riemann-noise {name}" in capsys.readouterr().out


def test_an_unknown_verb_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["trian"]) == 2
    assert capsys.readouterr().err.startswith("riemann-noise: unknown verb 'trian'; did you mean 'train'?")


@pytest.mark.parametrize("name", command.VERBS)
def test_an_unknown_option_is_one_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([name, "--no-such-option", "1"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("riemann-noise: unknown option '--no-such-option'")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (InputError("a cause; a remedy"), 2, "a cause; a remedy"),
        (InputError("of two\nlines"), 2, "of two lines"),
        (Interrupted("stopped; go on with --resume", 15), 143, "go on with --resume"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 2, "out of memory (MemoryError); take a smaller batch"),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried\nmore"),
            2,
            "out of memory (CUDA out of memory. Tried)",
        ),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 2, "take a smaller batch"),
    ],
)
def test_what_the_user_can_mend_is_one_line(
    error: BaseException, code: int, words: str, verb, capsys: pytest.CaptureFixture[str]
) -> None:
    verb(error)
    assert command.main(["train"]) == code
    printed = capsys.readouterr().err
    assert printed.startswith("riemann-noise: ")
    assert words in printed
    assert printed.count("\n") == 1


def test_a_fault_of_ours_keeps_its_traceback(verb) -> None:
    verb(RuntimeError("a bug"))
    with pytest.raises(RuntimeError, match="a bug"):
        command.main(["train"])


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    code = "import sys; from riemann_noise_pytorch.cli.main import main; sys.exit(main(['--help']))"
    process = subprocess.Popen(
        [sys.executable, "-c", f"import time; time.sleep(0.5); {code}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    )
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    error = process.stderr.read()
    assert process.wait() == 141
    assert error == b""

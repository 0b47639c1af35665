"""Options come from a dataclass; what cannot be read is told in one line."""

import io
from dataclasses import dataclass
from typing import Literal

import pytest

from riemann_noise_pytorch.cli.options import parse
from riemann_noise_pytorch.errors import InputError


@dataclass(frozen=True)
class Options:
    """A verb."""

    out: str
    """Where to."""
    kimg: float = 1.0
    """How long."""
    noise: Literal["none", "euclidean"] = "none"
    """Which noise."""


def test_options_are_read_over_a_default() -> None:
    default = Options(out="here", kimg=3.0)
    assert parse(Options, "verb", ["--noise", "euclidean"], default) == Options("here", 3.0, "euclidean")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "a", "--kmg", "1"], "unknown option '--kmg'; did you mean '--kimg'?"),
        (["--out", "a", "--kmg=1"], "unknown option '--kmg'; did you mean '--kimg'?"),
        (["--out", "a", "-x"], "Unrecognized options: -x"),
        (["--out", "a", "b"], "Unrecognized options: b"),
        (["--out", "a", "--kimg", "long"], "--kimg: could not convert string to float: 'long'"),
        (["--out", "a", "--noise", "euclid"], "'euclidean'"),
        (["--out", "a", "--kimg"], "--kimg"),
        ([], "--out"),
    ],
)
def test_what_cannot_be_read_is_one_line_with_a_remedy(arguments: list[str], words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(Options, "verb", arguments)
    message = str(caught.value)
    assert words in message
    assert "'riemann-noise verb --help'" in message
    assert "\n" not in message
    assert not set(message) & set("│╭╰─\x1b")


def test_a_terminal_without_lines_gets_the_same_line(monkeypatch: pytest.MonkeyPatch) -> None:
    told = set()
    for encoding in ("utf-8", "ascii"):
        monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
        with pytest.raises(InputError) as caught:
            parse(Options, "verb", ["--out", "a", "--kimg", "long"])
        told.add(str(caught.value))
    assert len(told) == 1
    assert "---" not in told.pop()


def test_help_shows_defaults_and_meanings(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse(Options, "verb", ["--help"])
    assert not end.value.code
    printed = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "Where to. (required)" in printed
    assert "How long. (default: 1.0)" in printed
    assert "{none,euclidean}" in printed

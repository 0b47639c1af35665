"""`riemann-noise verify-theory` prints every outcome as it is, and refuses in one line what it cannot do."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from riemann_noise_pytorch.cli.allocator import OFF
from riemann_noise_pytorch.cli.compare import make_console
from riemann_noise_pytorch.cli.main import main
from riemann_noise_pytorch.cli.verify_theory import print_statement
from riemann_noise_pytorch.experiments.theory import verify
from riemann_noise_pytorch.experiments.theory.statement import Statement, curve


def statement(name: str = "Theorem 3", holds: bool | None = False) -> Statement:
    return Statement(
        name, "It is [red]so[/y].", "it was tried " * 9, "order 1.50 :bug:", "order 2", holds, "r", "error",
        (curve("sphere", (0.1, 1.0), (0.01, 1.0)),), remark="A remark.",
    )  # fmt: skip


def printed(holds: bool | None, *, terminal: bool) -> str:
    stream = io.StringIO()
    print_statement(
        make_console(file=stream, force_terminal=terminal, no_color=True, width=70), statement(holds=holds)
    )
    return re.sub(r"\x1b\[[\d;]*m", "", stream.getvalue())


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize(("holds", "words"), [(True, "holds"), (False, "does not hold"), (None, "measured")])
def test_a_statement_is_printed_with_its_outcome(holds: bool | None, words: str, terminal: bool) -> None:
    text = printed(holds, terminal=terminal)
    assert text.splitlines()[0] == f"Theorem 3  {words}"
    for part in ("It is [red]so[/y].", "measured  order 1.50 :bug:", "expected  order 2", "A remark."):
        assert part in text
    if terminal:
        assert max(map(len, text.splitlines())) <= 70


def test_the_command_writes_records_and_a_page_and_counts_what_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(OFF, "1")
    tried = {"Lemma 1": lambda config: statement("Lemma 1", True), "Theorem 3": lambda config: statement()}
    monkeypatch.setattr(verify, "STATEMENTS", tried)
    assert main(["verify-theory", "--quick", "--out", str(tmp_path / "theory")]) == 0
    text = capsys.readouterr().out
    assert "1 of 2 statements hold where they were tried; Theorem 3 does not." in text
    assert sorted(path.name for path in (tmp_path / "theory").iterdir()) == ["records.jsonl", "theory.html"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seed", "-1"], "seed is -1"),
        (["--trap", "nothing"], "holds no records.jsonl"),
        (["--run", "nothing"], "there is nothing at nothing"),
        (["--slow"], "unknown option '--slow'"),
        (["--out", "file/theory"], "cannot write into"),
    ],
)
def test_what_cannot_be_done_is_refused(
    arguments: list[str], words: str, tmp_path: Path, refused: Callable[..., str]
) -> None:
    (tmp_path / "file").write_text("")
    assert words in refused("verify-theory", *arguments)

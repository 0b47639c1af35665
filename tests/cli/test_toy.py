"""`riemann-noise toy` refuses in one line what it cannot train, and prints and writes what it found."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from riemann_noise_pytorch.cli.compare import make_console
from riemann_noise_pytorch.cli.main import main
from riemann_noise_pytorch.cli.toy import print_toy
from riemann_noise_pytorch.report.toy_records import read_toy
from tests.report.toy_folder import fabricate_toy, write


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "rings"], "data"),
        (["--ambient", "4"], "ambient"),
        (["--gammas", "-1"], "--gammas has -1"),
        (["--gammas", "nan"], "--gammas has nan"),
        (["--gammas", "0.1", "0.1"], "something twice"),
        (["--noise-variances", "0"], "--noise-variances has 0"),
        (["--generator-loss", "hinge"], "hinge"),
        (["--seeds", "0"], "--seeds is 0"),
        (["--steps", "0"], "--steps is 0"),
        (["--lr", "2"], "--lr is 2"),
        (["--resume"], "no toy to resume"),
        (["--out", "full"], "full exists and is not empty"),
        (["--gama", "1"], "did you mean '--gammas'"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    arguments: list[str], words: str, tmp_path: Path, refused: Callable[..., str]
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").write_text("kept")
    assert words in refused("toy", *arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["precious"]


def test_a_short_toy_prints_its_table_and_writes_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--gammas", "0", "0.1", "--generator-loss", "minimax", "--seeds", "2"]
    short = [
        "--batch",
        "16",
        "--width",
        "8",
        "--steps",
        "6",
        "--checkpoints",
        "3",
        "--workers",
        "1",
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(["toy", *small, *short]) == 0
    printed = capsys.readouterr()
    assert "JS regulariser, γ = 0.1" in printed.out
    assert f"Report: {tmp_path / 'out' / 'report.html'}" in printed.out
    assert "minimax-js-0.1 finished, " in printed.err
    assert "finished, 3 of 3" in printed.err
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {
        *("toy.json", "records.jsonl", "arms", "artifacts"),
        *("figure.png", "animation.png", "report.html"),
    }
    assert main(["toy", *small, *short, "--resume"]) == 0


@pytest.mark.parametrize("terminal", [False, True])
def test_table_verdict_and_path_are_printed_as_they_are(tmp_path: Path, terminal: bool) -> None:
    folder = tmp_path / "[red]out[/y]"
    records = fabricate_toy(folder, seeds=1)
    records[-1]["sentences"] = ["Seen [red]this[/y].", "minimax: :bug:."]
    write(folder, records)
    stream = io.StringIO()
    console = make_console(file=stream, force_terminal=terminal, no_color=True, width=80)
    print_toy(console, read_toy(folder), folder / "report.html")
    text = re.sub(r"\x1b\[[\d;]*m", "", stream.getvalue())
    assert "\nSeen [red]this[/y].\n- minimax: :bug:.\n" in text
    assert f"Report: {folder / 'report.html'}\n" in text
    assert all(name in " ".join(text.split()) for name in ("JS", "0.1", "modes", "held"))

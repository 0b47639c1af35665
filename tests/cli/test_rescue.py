"""`riemann-noise rescue` refuses in one line what it cannot do, and prints what it found."""

from collections.abc import Callable
from pathlib import Path

import pytest

from riemann_noise_pytorch.cli.allocator import OFF
from riemann_noise_pytorch.cli.main import main

TINY = "--methods none js --lrs 0.001 --strengths 1 --generator-loss minimax --seeds 1 --kimg 0.032"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--methods", "jss"], "jss"),
        (["--methods", "wgan-gp", "--generator-loss", "minimax"], "has no minimax form"),
        (["--lrs", "0"], "lr_g"),
        (["--strengths", "nan"], "--strengths"),
        (["--seeds", "0"], "--seeds is 0"),
        (["--kimg", "nan"], "kimg"),
        (["--resume"], "--resume"),
        (["--rank"], "unknown option '--rank'"),
    ],
)
def test_what_cannot_be_done_is_refused(
    arguments: list[str], words: str, tmp_path: Path, refused: Callable[..., str]
) -> None:
    assert words in refused("rescue", *arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_small_study_ends_in_tables_sentences_and_a_figure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(OFF, "1")
    out = tmp_path / "rescue"
    assert main(["rescue", *TINY.split(), "--out", str(out)]) == 0
    printed = capsys.readouterr()
    for words in ("Collapsed runs, of 1 each", "Recall: mean, lowest to highest", "minimax"):
        assert words in printed.out
    assert "- none: 1 of 1 runs collapsed" in printed.out
    assert "without it 1 of 1; it rescued 0 of 1 failing settings" in printed.out
    assert printed.out.rstrip().endswith(f"Figure: {out / 'rescue.svg'}")
    assert (out / "rescue.svg").read_text().startswith("<svg")
    assert "minimax-lr0.001-d1-js-seed0 finished, " in printed.err
    assert " finished, 3 of 3" in printed.err

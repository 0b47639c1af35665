"""`riemann-noise compare` refuses in one line what it cannot do, and prints what it found as it is."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from riemann_noise_pytorch.cli.compare import make_console, print_comparison
from riemann_noise_pytorch.report import read_comparison
from tests.report.compare_folder import METRICS, Folder, fabricate


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "digts"], "did you mean 'digits'?"),
        (["--data", "empty"], "empty"),
        (["--noise", "riemanian"], "'riemannian'"),
        (["--seeds", "0"], "seeds"),
        (["--kimg", "nan"], "kimg"),
        (["--resolution", "20"], "resolution"),
        (["--resume"], "--resume"),
        (["--out", "full"], "full"),
        (["--out", "full/precious/new"], "precious"),
        (["--report"], "unknown option '--report'"),
        (["--device", "cuda"], "torch finds no GPU here"),
    ],
)
def test_what_cannot_be_done_is_refused(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    refused: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").write_text("kept")
    assert words in refused("compare", *arguments)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["precious"]
    assert (tmp_path / "full" / "precious").read_text() == "kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "full"]


ODD = "[red]a[/y] :bug: [/]"


def _printed(folder: Folder, page: Path, *, terminal: bool) -> str:
    stream = io.StringIO()
    console = make_console(file=stream, force_terminal=terminal, no_color=True, width=80)
    print_comparison(console, read_comparison(folder.write().path), page)
    return re.sub(r"\x1b\[[\d;]*m", "", stream.getvalue())


@pytest.mark.parametrize("terminal", [False, True])
def test_paths_names_and_sentences_are_printed_as_they_are(tmp_path: Path, terminal: bool) -> None:
    folder = fabricate(tmp_path / "[exp1]", seeds=(0,), metrics=("swd",), images=4)
    for record in folder.records:
        if record.get("metric"):
            record["metric"] = record["name"] = ODD
    folder.of("verdict")[0]["sentences"] = [f"First {ODD}.", f"Second {ODD}."]
    page = Path("runs/[exp1]/x[/y]/:bug:") / "report.html"
    text = _printed(folder, page, terminal=terminal)
    assert f"\nReport: {page}\n" in text
    assert f"\nFirst {ODD}.\n" in text
    assert f"\n- Second {ODD}.\n" in text
    assert text.count(ODD) == 4


@pytest.mark.parametrize("terminal", [False, True])
def test_every_metric_is_printed_with_its_protocol(tmp_path: Path, terminal: bool) -> None:
    folder = fabricate(tmp_path / "out", seeds=(0, 1), images=4)
    text = " ".join(_printed(folder, tmp_path, terminal=terminal).split())
    for name, *_ in METRICS.values():
        assert name in text
    assert "path length in z, full (pyramid distance)" in text


def test_a_terminal_of_80_columns_breaks_no_number(tmp_path: Path) -> None:
    folder = fabricate(tmp_path / "out", images=4)
    lines = _printed(folder, tmp_path / "report.html", terminal=True).splitlines()
    heads = next(line for line in lines if "± within" in line)
    assert heads.split()[-5:] == ["SD", "between", "seeds", "untrained", "floor"]
    rows = [line for line in lines if line.startswith(("  no noise", "  Euclidean", "  Riemannian"))]
    assert len(rows) == 15
    assert all(len(line) <= 80 and "…" not in line for line in [heads, *rows])


def test_a_comparison_without_a_verdict_is_printed(tmp_path: Path) -> None:
    folder = fabricate(tmp_path / "out", seeds=(0,), metrics=("swd",), images=4)
    folder.drop("verdict")
    assert "No verdict was recorded." in _printed(folder, tmp_path, terminal=False)

"""`riemann-noise compare` refuses in one line what it cannot do, before it trains anything."""

from collections.abc import Callable
from pathlib import Path

import pytest


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
    ],
)
def test_what_cannot_be_done_is_refused(
    arguments: list[str], words: str, tmp_path: Path, refused: Callable[..., str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").write_text("kept")
    assert words in refused("compare", *arguments)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["precious"]
    assert (tmp_path / "full" / "precious").read_text() == "kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "full"]

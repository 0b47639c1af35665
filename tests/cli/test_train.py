"""`riemann-noise train` makes a run, goes on with it, and refuses in one line what it cannot do."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from riemann_noise_pytorch.cli.main import main
from riemann_noise_pytorch.training.config import PRESETS
from tests.cli.conftest import SMALL


def test_a_run_folder_is_made(run: Path) -> None:
    options = json.loads((run / "config.json").read_text())
    assert (options["preset"], options["noise"], options["width"]) == ("dcgan-rni", "riemannian", 4)
    assert [json.loads(line)["images_seen"] for line in (run / "stats.jsonl").read_text().splitlines()] == [
        16,
        32,
    ]
    assert sorted(path.name for path in (run / "snapshots").iterdir())[-1] == "00000032.safetensors"


def test_a_run_is_resumed_with_its_own_options(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run, tmp_path / "copy")
    assert main(["train", "--resume", str(tmp_path / "copy"), "--kimg", "0.048"]) == 0
    printed = capsys.readouterr()
    assert "00000048.safetensors" in printed.out
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("0.0/0.0 kimg")


@pytest.mark.parametrize("preset", PRESETS)
def test_dry_run_prints_what_would_be_done_and_writes_nothing(
    preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--preset", preset, "--kimg", "3", "-n", "--out", "run"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["config"]["preset"] == preset
    assert printed["config"]["kimg"] == 3.0
    assert printed["config"]["resolution"] == 16
    assert printed["steps"] == 47
    assert list(tmp_path.iterdir()) == []


def test_help_explains_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    import dataclasses

    from riemann_noise_pytorch.training.config import TrainConfig

    with pytest.raises(SystemExit):
        main(["train", "--help"])
    printed = capsys.readouterr().out
    for field in dataclasses.fields(TrainConfig):
        assert f"--{field.name.replace('_', '-')}" in printed
    assert printed.count("(default: ") >= len(dataclasses.fields(TrainConfig))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--out"),
        (["--preset", "dcgan-rnl"], "unknown preset 'dcgan-rnl'; did you mean 'dcgan-rni'?"),
        (["--data", "digts", "--out", "new"], "did you mean 'digits'?"),
        (["--data", "empty", "--out", "new"], "empty"),
        (["--noise", "gaussian", "--out", "new"], "'riemannian'"),
        (["--riemann-preset", "paper", "--out", "new"], "no meaning with noise none"),
        (["--preset", "dcgan-rni", "--riemann-preset", "papr", "--out", "new"], "did you mean 'paper'?"),
        (["--kimg", "-1", "--out", "new"], "kimg"),
        (["--batch", "many", "--out", "new"], "--batch"),
        (["--resolution", "20", "--out", "new"], "resolution"),
        (["--resume", "nowhere"], "nowhere"),
        (["--out", "full"], "full is not empty"),
    ],
)
def test_what_cannot_be_done_is_refused(
    arguments: list[str], words: str, tmp_path: Path, refused: Callable[..., str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").write_text("kept")
    assert words in refused("train", *arguments)
    assert (tmp_path / "full" / "precious").read_text() == "kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "full"]


def test_options_that_contradict_the_run_are_refused(
    run: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    before = (run / "config.json").read_text()
    assert "--out" in refused("train", "--resume", run, "--out", tmp_path / "new")
    assert "width" in refused("train", "--resume", run, "--width", "8")
    assert "preset" in refused("train", "--resume", run, "--preset", "dcgan-eni")
    assert (run / "config.json").read_text() == before


def test_a_damaged_snapshot_is_refused(run: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    for snapshot in (copy / "snapshots").iterdir():
        snapshot.write_bytes(snapshot.read_bytes()[:-100])
    assert "damaged" in refused("train", "--resume", copy)


def test_an_unwritable_place_is_refused(tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "file").write_text("kept")
    assert "file" in refused("train", *SMALL, "--out", tmp_path / "file" / "run")
    assert (tmp_path / "file").read_text() == "kept"

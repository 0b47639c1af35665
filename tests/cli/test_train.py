"""`riemann-noise train` makes a run, goes on with it, and refuses in one line what it cannot do."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from riemann_noise_pytorch.cli.main import main
from riemann_noise_pytorch.training.checkpoints import load_snapshot
from riemann_noise_pytorch.training.presets import PRESETS
from tests.cli.conftest import SMALL
from tests.data.pictures import cut_short, write_folder


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


NARROW = [
    *("--channel-base", "32", "--channel-max", "4", "--w-dim", "4", "--mapping-layers", "1"),
    *("--resolution", "16"),
]


@pytest.mark.parametrize("preset", PRESETS)
def test_dry_run_prints_what_would_be_done_and_writes_nothing(
    preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("riemann_noise_pytorch.training.trial.ROUNDS", 1)
    small = ["--width", "4"] if preset.startswith("dcgan") else NARROW
    quick = ["--batch", "8", "--kimg", "3", "--tick-kimg", "1", "--device", "cpu"]
    assert main(["train", "--preset", preset, *small, *quick, "-n", "--out", "run"]) == 0
    output = capsys.readouterr()
    printed = json.loads(output.out)
    assert printed["config"]["preset"] == preset.removesuffix("-small")
    assert printed["config"]["kimg"] == 3.0
    assert printed["config"]["resolution"] == 16
    assert printed["steps"] == 375
    assert printed["measured"]["seconds_per_kimg"] > 0
    assert output.err.startswith("measuring on cpu: up to ")
    assert output.err.count("\n") == 2
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
        (["--preset", "dcgan-eni", "--noise", "riemannian", "--out", "new"], "set preset to dcgan-rni"),
        (
            ["--preset", "dcgan-rni", "--noise", "none", "--out", "new"],
            "noise none contradicts preset dcgan-rni",
        ),
        (["--regularizer-interval", "4", "--out", "new"], "no meaning with gamma 0"),
        (["--ema-recalibration-images", "64", "--out", "new"], "no meaning with ema_norm_statistics copy"),
        (["--kimg", "-1", "--out", "new"], "kimg"),
        (["--batch", "many", "--out", "new"], "--batch"),
        (["--resolution", "20", "--out", "new"], "resolution"),
        (["--conditional", "--out", "new"], "conditional has no meaning with architecture dcgan"),
        (
            ["--preset", "stylegan2-plain-small", "--data", "photos", "--conditional", "--out", "new"],
            "put a dataset.json with labels beside them, or turn conditional off",
        ),
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


def pictures(folder: Path) -> Path:
    return write_folder(
        folder, [f"{number:02d}.png" for number in range(12)], height=16, width=16, channels=1
    )


def test_bad_images_are_told_by_name_and_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = pictures(tmp_path / "pictures"), tmp_path / "out"
    cut_short(folder / "05.png")
    cut_short(folder / "08.png")
    assert main(["train", *SMALL, "--data", str(folder), "--skip-bad-images", "--out", str(out)]) == 0
    assert (
        "10 images of pictures (2 bad images left out; the first is 05.png: it is cut"
        in capsys.readouterr().out
    )
    log = (out / "log.txt").read_text()
    assert "left out 05.png: it is cut short" in log
    assert "left out 08.png: it is cut short" in log


def test_a_run_whose_image_is_damaged_later_says_how_to_go_on(
    tmp_path: Path, refused: Callable[..., str]
) -> None:
    folder, out = pictures(tmp_path / "pictures"), tmp_path / "out"
    victim = folder / "05.png"
    content = victim.read_bytes()
    assert main(["train", *SMALL, "--data", str(folder), "--out", str(out)]) == 0
    for damage in (b"", content[: len(content) // 2]):
        victim.write_bytes(damage)
        line = refused("train", "--resume", out, "--kimg", "0.048")
        assert "05.png': it is" in line
        assert f"put the file back as it was and go on with: riemann-noise train --resume {out};" in line
        assert "start a new run (--out NEW --skip-bad-images)" in line
    assert "start a new run" in refused("train", "--resume", out, "--skip-bad-images")
    victim.write_bytes(content)
    assert main(["train", "--resume", str(out), "--kimg", "0.048"]) == 0


def test_a_run_stopped_before_its_first_snapshot_is_resumed_from_the_start(run: Path, tmp_path: Path) -> None:
    (tmp_path / "cut").mkdir()
    shutil.copy(run / "config.json", tmp_path / "cut")
    assert main(["train", "--resume", str(tmp_path / "cut")]) == 0
    last = "snapshots/00000032.safetensors"
    first, again = (load_snapshot(folder / last).tensors for folder in (run, tmp_path / "cut"))
    assert all(first[name].equal(again[name]) for name in first if not name.startswith("rng/"))


def test_an_unwritable_place_is_refused(tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "file").write_text("kept")
    assert "file" in refused("train", *SMALL, "--out", tmp_path / "file" / "run")
    assert (tmp_path / "file").read_text() == "kept"


METRICS = ["--metrics", "swd100,mc100_z", "--metric-ticks", "1"]


def measured(folder: Path) -> list[float]:
    lines = (folder / "metric-swd100.jsonl").read_text().splitlines()
    return [json.loads(line)["target"]["images_seen"] for line in lines]


def test_a_run_is_measured_while_it_trains_and_so_is_its_continuation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    out = tmp_path / "run"
    assert main(["train", *SMALL, *METRICS, "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert re.findall(r"^0.0 kimg  swd100 \S+  mc100_z \S+  mc100_z_top2 \S+$", printed.err, re.MULTILINE)
    assert printed.err.count("measuring swd100: 1\n") == 2
    assert "swd100" not in printed.out
    assert measured(out) == [16, 32]
    assert (out / "best.safetensors").is_file()
    assert main(["train", "--resume", str(out), "--kimg", "0.048"]) == 0
    assert measured(out) == [16, 32, 48]
    assert main(["train", "--resume", str(out), "--kimg", "0.08", "--metric-ticks", "3"]) == 0
    assert measured(out) == [16, 32, 48, 80]
    assert main(["train", "--resume", str(out), "--kimg", "0.096", "--metrics", "mc100_z"]) == 0
    assert measured(out) == [16, 32, 48, 80]
    assert json.loads((out / "evaluation.json").read_text()) == {"metrics": "mc100_z", "every_ticks": 3}
    assert main(["evaluate", str(out), "--snapshot", "best", "--metrics", "swd100"]) == 0
    assert main(["sample", str(out / "best.safetensors"), "--out", str(tmp_path / "grid.png")]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--metrics", "fdi5k"], "unknown metric 'fdi5k'"),
        (["--metrics", ""], "no metric is named"),
        (["--metrics", "fd100"], "fd100 needs at least 225 generated images"),
        (
            ["--metrics", "fid5k"],
            "set RIEMANN_NOISE_INCEPTION to its path (or, in riemann-noise evaluate",
        ),
        (["--metrics", "mc50k_w"], "no w for mc50k_w"),
        (["--metrics", "quick", "--metric-ticks", "0"], "metric ticks is 0; give 1 or more"),
        (["--metric-ticks", "3"], "metric ticks has no meaning without --metrics"),
        (["--metrics", "fdi5k", "--dry-run"], "unknown metric"),
    ],
)
def test_metrics_that_cannot_be_measured_are_refused_before_the_run_begins(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: Callable[..., str],
) -> None:
    monkeypatch.delenv("RIEMANN_NOISE_INCEPTION", raising=False)
    assert words in refused("train", *SMALL, *arguments, "--out", "new")
    assert not (tmp_path / "new").exists()


def test_a_damaged_schedule_of_metrics_is_refused(
    run: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    copy = shutil.copytree(run, tmp_path / "copy")
    (copy / "evaluation.json").write_text("{")
    assert "evaluation.json is damaged" in refused("train", "--resume", copy, "--kimg", "0.048")

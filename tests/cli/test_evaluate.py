"""`riemann-noise evaluate` prints numbers to stdout, progress to stderr, and refuses in one line."""

import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from riemann_noise_pytorch.cli.allocator import OFF
from riemann_noise_pytorch.cli.evaluate import metric_list
from riemann_noise_pytorch.cli.main import main
from riemann_noise_pytorch.metrics.catalogue import GROUPS, explain
from tests.data.pictures import write_folder

OWN = """
import torch
from size import SIDE

def blurred(z):
    return z.view(-1, 1, 4, 4).repeat_interleave(SIDE, 2).repeat_interleave(SIDE, 3).tanh()

blurred.z_dim = 16

def loud(z):
    return 127.5 * (blurred(z) + 1)

loud.z_dim = 16

def broken(z):
    return blurred(z) + missing

broken.z_dim = 16
"""


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(OFF, "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("INCEPTION", "VGG16", "LPIPS", "DINOV2", "DINOV2_REPOSITORY"):
        monkeypatch.delenv(f"RIEMANN_NOISE_{name}", raising=False)
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "size.py").write_text("SIDE = 4\n")


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(run, tmp_path / "run")


QUICK = ("--metrics", "swd100,mc100_z", "--redraws", "2")


def test_a_run_is_measured_and_recorded_in_its_folder(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = "swd100,fd240,ppl2_100_zfull,mc100_z"
    assert main(["evaluate", str(copy), "--metrics", metrics, "--redraws", "2", "--device", "cpu"]) == 0
    printed = capsys.readouterr()
    names = re.findall(r"^(\w+) +[\d.e+-]+   [\d.e+-]+ to [\d.e+-]+ \(95 %", printed.out, re.MULTILINE)
    assert names == ["swd100", "fd240", "pl2_100_zfull", "mc100_z", "mc100_z_top2"]
    assert "  fd240 (random-conv, 240 generated, 240 real, mean of 2 draws)\n" in printed.out
    assert printed.out.endswith(f"Records: {copy / 'metric-NAME.jsonl'}\n")
    assert "\x1b" not in printed.out + printed.err
    stages = ["swd100: 2", "random-conv, real images: 240", "random-conv, draw 1 of 2: 240"]
    assert [line for line in printed.err.splitlines() if line in stages] == stages
    records = [json.loads(path.read_text()) for path in sorted(copy.glob("metric-*.jsonl"))]
    assert [record["metric"] for record in records] == ["fd240", "mc100_z", "pl2_100_zfull", "swd100"]
    assert {record["target"]["noise"] for record in records} == {"riemannian"}
    assert main(["evaluate", str(copy), "--metrics", metrics, "--redraws", "2", "--resume"]) == 0
    again = capsys.readouterr()
    assert again.out == printed.out
    assert again.err == ""


def test_the_quick_group_works_offline_on_a_callable_of_the_users_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {"quick": ("swd200,fd240,ppl2_100_zfull,mc100_z", GROUPS["quick"][1])}
    monkeypatch.setattr("riemann_noise_pytorch.metrics.catalogue.GROUPS", small)
    assert main(["evaluate", "own.py:blurred", "--data", "digits", "--redraws", "1", "--out", "results"]) == 0
    assert "fd240" in capsys.readouterr().out
    assert len(list((tmp_path / "results").iterdir())) == 4
    record = json.loads((tmp_path / "results" / "metric-mc100_z.jsonl").read_text())
    assert (record["target"]["kind"], record["protocol"]["precision"]) == ("callable", "its own")
    assert not (tmp_path / "metric-mc100_z.jsonl").exists()


def test_values_out_of_range_are_told_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "own.py:loud", "--data", "digits", "--metrics", "swd100"]) == 0
    printed = capsys.readouterr()
    assert printed.err.count("own.py:loud returns values from ") == 1
    assert "returns values" not in printed.out


def test_folders_and_archives_are_measured_against_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"{number:03d}.png" for number in range(230)]
    folder = write_folder(tmp_path / "pictures", names, height=16, width=16, channels=1)
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        for name in names:
            archive.write(folder / name, name)
    assert main(["evaluate", "pictures.zip", "--data", "pictures", "--metrics", "fd230"]) == 0
    printed = capsys.readouterr().out
    for value in re.findall(r"^fd230 +(\S+)$", printed, re.MULTILINE):
        assert abs(float(value)) < 1e-6
    assert printed.count("fd230 (random-conv, 230 generated, 230 real)") == 1


def test_what_was_measured_before_a_failure_is_printed(
    copy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("riemann_noise_pytorch.experiments.evaluation.evaluate.conditions", interrupted)
    assert main(["evaluate", str(copy), *QUICK]) == 130
    printed = capsys.readouterr()
    assert printed.out.startswith("swd100 ")
    assert printed.err.endswith("riemann-noise: interrupted\n")
    assert [path.name for path in copy.glob("metric-*")] == ["metric-swd100.jsonl"]


def test_help_explains_every_metric_in_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["evaluate", "--help"])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    for names, line in explain():
        assert f"  {names} " in printed
        assert f"{line}\n" in printed
    for group in GROUPS:
        assert f"\n  {group} " in printed
    assert max(map(len, metric_list().splitlines())) <= 140
    for option in ("--metrics", "--data", "--redraws", "--precision", "--out", "--resume", "--cache"):
        assert option in printed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing from riemann-noise evaluate: STR A run folder, a snapshot"),
        (["nowhere"], "there is nothing at nowhere"),
        (["own.py"], "own.py:NAME"),
        (["own.py:blured"], "did you mean 'blurred'?"),
        (["own.py:broken", "--data", "digits"], "NameError in own.py line 16: name 'missing' is not defined"),
        (["own.py:blurred"], "does not tell its real images; give --data"),
        (["own.py:blurred", "--data", "digts"], "did you mean 'digits'?"),
        (["own.py:blurred", "--data", "photos", "--metrics", "swd100"], "--resolution 16 --channels 1"),
        (["own.py:blurred", "--data", "digits", "--metrics", "fid5k"], "Inception needs weights"),
        (["own.py:blurred", "--data", "digits", "--metrics", "fid5kfull"], "did you mean 'fid5k_full'?"),
        (["own.py:blurred", "--data", "digits", "--metrics", "paper-table1"], "no w for ppl_wend"),
        (
            ["own.py:blurred", "--data", "digits", "--metrics", "paper-table1-dcgan"],
            "Inception needs weights",
        ),
        (
            ["own.py:blurred", "--data", "digits", "--metrics", "fd240", "--extractor", "x"],
            "unknown extractor",
        ),
        (["own.py:blurred", "--z-dim", "9"], "z_dim is 9, but own.py:blurred says 16"),
        (["digits", "--data", "digits", "--metrics", "quick,mc100_z"], "needs a generator; leave it out"),
        (["digits", "--data", "digits", "--resize-filter", "foo"], "unknown resize filter 'foo'"),
        (["digits", "--data", "digits", "--metrics", "swd100", "--truncation-psi", "0.5"], "truncation"),
        (["digits", "--redraws", "0"], "redraws 0"),
        (["digits", "--batch", "many"], "--batch"),
        (["digits", "--precision", "float16"], "--precision"),
        (["digits", "--metric", "quick"], "did you mean '--metrics'?"),
        (
            ["digits", "--data", "digits", "--metrics", "swd100", "--out", "own.py"],
            "cannot write into own.py",
        ),
    ],
)
def test_what_cannot_be_done_is_refused(
    arguments: list[str], words: str, tmp_path: Path, refused: Callable[..., str]
) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())
    assert words in refused("evaluate", *arguments)
    left = sorted(path.name for path in tmp_path.iterdir() if path.name not in ("__pycache__", "cache"))
    assert left == [name for name in before if name != "cache"]


def test_options_that_do_not_fit_a_run_are_refused(copy: Path, refused: Callable[..., str]) -> None:
    assert "has no best.safetensors, for it was trained without --metrics" in refused(
        "evaluate", copy, "--snapshot", "best"
    )
    assert "there is no snapshot" in refused("evaluate", copy, "--snapshot", "7.safetensors")
    assert "no w for mc50k_w+" in refused("evaluate", copy, "--metrics", "paper-table2")
    assert list(copy.glob("metric-*")) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_told(copy: Path, refused: Callable[..., str]) -> None:
    assert "no GPU here; give --device cpu" in refused("evaluate", copy, "--device", "cuda")

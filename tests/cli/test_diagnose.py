"""`riemann-noise diagnose` prints tables and findings, writes records and a page, and refuses in one line."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from riemann_noise_pytorch.cli.allocator import OFF
from riemann_noise_pytorch.cli.compare import make_console
from riemann_noise_pytorch.cli.diagnose import bar, print_diagnosis
from riemann_noise_pytorch.cli.main import main
from riemann_noise_pytorch.report import read_diagnosis
from tests.report.diagnosis_folder import LAYERS, fabricate

OWN = '''
import torch
from torch import nn


class Bottleneck(nn.Module):
    """16 latent dimensions, of which 5 reach the image."""

    z_dim = 16

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.narrow = nn.Linear(16, 5)
        self.wide = nn.Linear(5, 64)

    def forward(self, z):
        return self.wide(self.narrow(z).tanh()).tanh().view(-1, 1, 8, 8)


generator = Bottleneck()


def detached(z):
    return generator(z).detach()


detached.z_dim = 16


def integers(z):
    return (127 * generator(z)).to(torch.uint8)


integers.z_dim = 16


class Cast(Bottleneck):
    """Takes no other precision."""

    def forward(self, z):
        return super().forward(z.float())


class Inner(Bottleneck):
    """Computes in float32 whatever it is converted to."""

    def forward(self, z):
        weights = (self.wide.weight.float(), self.wide.bias.float())
        return nn.functional.linear(self.narrow(z).float().tanh(), *weights).tanh().view(-1, 1, 8, 8)


cast, inner = Cast(), Inner()


def nothing(z):
    return generator(z) * float("nan")


nothing.z_dim = 16


def two(z, w):
    return generator(z)


two.z_dim = 16
'''


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(OFF, "1")
    (tmp_path / "own.py").write_text(OWN)


def _printed(tmp_path: Path, *, terminal: bool, width: int = 120) -> str:
    folder = fabricate(tmp_path / "folder").path
    stream = io.StringIO()
    console = make_console(file=stream, force_terminal=terminal, width=width, color_system=None)
    print_diagnosis(console, read_diagnosis(folder), folder / "diagnosis.html")
    return stream.getvalue()


def test_a_generator_of_the_users_own_is_diagnosed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = ["--num-latents", "2", "--pairs", "200", "--samples", "32"]
    assert main(["diagnose", "own.py:generator", *quick, "--out", "found"]) == 0
    printed = capsys.readouterr()
    assert "rank falls from 16 to 5 at narrow" in printed.out
    assert printed.out.endswith(f"Report: {Path('found') / 'diagnosis.html'}\n")
    assert "\x1b" not in printed.out + printed.err
    assert sorted(path.name for path in (tmp_path / "found").iterdir()) == [
        "diagnosis.html",
        "diagnosis.jsonl",
        "diagnosis.safetensors",
    ]
    records = [json.loads(line) for line in (tmp_path / "found" / "diagnosis.jsonl").read_text().splitlines()]
    ranks = {row["name"]: row["rank"] for row in records if row["record"] == "layer"}
    assert ranks == {"narrow": [5, 5], "wide": [5, 5], "image": [5, 5]}


@pytest.mark.parametrize("name", ["cast", "inner"])
def test_a_generator_that_cannot_run_in_float64_is_measured_as_it_is(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = ["--num-latents", "1", "--pairs", "100", "--samples", "32"]
    assert main(["diagnose", f"own.py:{name}", *quick]) == 0
    printed = capsys.readouterr()
    assert "in float32, for the generator does not run in float64 throughout" in printed.out
    assert "MC (z, 100 pairs, std 0.0001)" in printed.out
    assert "--precision" not in printed.out + printed.err
    assert "UserWarning" not in printed.err
    assert sorted(path.name for path in (tmp_path / "diagnosis").iterdir()) == [
        "diagnosis.html",
        "diagnosis.jsonl",
        "diagnosis.safetensors",
    ]


def test_a_run_is_diagnosed_in_its_folder(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    quick = ["--num-latents", "1", "--pairs", "100", "--samples", "32", "--layers", "stage4*"]
    assert main(["diagnose", str(copy), *quick, "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert "dimension of the data" in printed
    assert "variance by latent in all" in printed
    assert (copy / "diagnosis" / "diagnosis.html").is_file()
    assert not list(copy.glob("diagnosis.*"))


def test_the_table_on_a_terminal_has_bars_where_there_is_room(tmp_path: Path) -> None:
    wide = _printed(tmp_path, terminal=True).splitlines()
    row = next(line for line in wide if line.startswith("stage16.conv"))
    assert bar(23 / 64).rstrip() in row
    assert "16x16x16" in row
    assert max(map(len, wide[:18])) <= 120
    narrow = _printed(tmp_path, terminal=True, width=80)
    assert "█" not in narrow
    assert "16x16x16" not in narrow
    assert (
        max(len(line) for line in narrow.splitlines() if "riemann-noise" not in line and "Report" not in line)
        <= 80
    )


@pytest.mark.parametrize("terminal", [True, False])
def test_every_layer_number_and_finding_is_printed(tmp_path: Path, terminal: bool) -> None:
    text = _printed(tmp_path, terminal=terminal)
    for name, _, _ in LAYERS:
        assert f"\n{name} " in text
    for words in (
        "mean condition, w",
        "dimension of the data",
        "problem: rank falls from 48 to 23 at stage16.conv",
        "  Try: ",
        "\n  riemann-noise train --preset dcgan-rni --data photos --z-dim 128\n",
        "good: noise adds 1,000 dimensions",
    ):
        assert words in text
    assert text.endswith("diagnosis.html\n")


def test_elsewhere_than_on_a_terminal_lines_are_not_broken(tmp_path: Path) -> None:
    text = _printed(tmp_path, terminal=False, width=40)
    assert "stage16.conv; none of the later layers can bring them back (Lemma 2).\n" in text
    assert "█" not in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing from riemann-noise diagnose"),
        (["nowhere"], "there is nothing at nowhere"),
        (["digits"], "digits is a set of images; give a run, a snapshot or a callable"),
        (["own.py:generater"], "did you mean 'generator'?"),
        (["own.py:generator", "--z-dim", "9"], "z_dim is 9, but own.py:generator says 16"),
        (["own.py:generator", "--layers", ","], "--layers names no layer"),
        (["own.py:generator", "--tolerance", "2"], "--tolerance is 2"),
        (["own.py:generator", "--num-latents", "0"], "--num-latents is 0"),
        (["own.py:generator", "--budget", "0"], "--budget is 0"),
        (["own.py:generator", "--data", "nowhere"], "nowhere"),
        (["own.py:generator", "--out", "own.py"], "cannot write into own.py"),
        (["own.py:generator", "--layer", "wide"], "did you mean '--layers'?"),
    ],
)
def test_what_cannot_be_done_is_refused(
    arguments: list[str], words: str, refused: Callable[..., str]
) -> None:
    assert words in refused("diagnose", *arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["own.py:generator", "--layers", "wid"], "unknown layer 'wid'; did you mean 'wide'?"),
        (["own.py:detached"], "the images have no derivative in the latent"),
        (["own.py:integers"], "own.py:integers returns torch.uint8"),
        (["own.py:nothing"], "own.py:nothing is not finite"),
        (["own.py:two"], "own.py:two fails on"),
        (
            ["own.py:generator", "--memory-mib", "1e-9"],
            "give more memory (--memory-mib, in Python memory_mib=)",
        ),
    ],
)
def test_a_generator_that_cannot_be_diagnosed_is_told_in_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diagnose", *arguments]) == 2
    printed = capsys.readouterr()
    assert words in printed.err.splitlines()[-1]
    assert "Traceback" not in printed.err
    assert printed.out == ""
    assert not Path("diagnosis", "diagnosis.html").exists()


def test_several_processes_are_refused(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "a diagnosis runs in one process" in refused("diagnose", "own.py:generator")


def test_help_explains_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["diagnose", "--help"])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    for option in ("--layers", "--num-latents", "--data", "--budget", "--tolerance", "--z-dim", "--out"):
        assert option in printed

"""`riemann-noise invert` prints the numbers, writes records and a page, and refuses in one line."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from riemann_noise_pytorch.cli.allocator import OFF
from riemann_noise_pytorch.cli.compare import make_console
from riemann_noise_pytorch.cli.evaluate_progress import EvaluateDisplay
from riemann_noise_pytorch.cli.invert import MOST_IMAGES, print_inversion
from riemann_noise_pytorch.cli.main import main
from riemann_noise_pytorch.report import read_inversion
from tests.report.inversion_folder import HEADLINE, OTHER, fabricate

OWN = '''
import torch
from torch import nn


class Own(nn.Module):
    """Eight latent dimensions, no noise."""

    z_dim = 8

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.wide = nn.Linear(8, 144)

    def forward(self, z):
        return self.wide(z).tanh().view(-1, 1, 12, 12)


generator = Own()
'''
QUICK = ["--steps", "2", "--draws", "2", "--frames", "2", "--points", "2", "--device", "cpu"]


@pytest.fixture(autouse=True)
def _beside_own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OFF, "1")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN)
    rng = np.random.default_rng(0)
    for i in range(2):
        Image.fromarray(rng.integers(0, 256, (12, 12), dtype=np.uint8)).save(tmp_path / f"image{i}.png")


def _printed(tmp_path: Path, *, terminal: bool, width: int = 100, **options: int) -> str:
    folder = fabricate(tmp_path / "folder", **options).path
    stream = io.StringIO()
    console = make_console(file=stream, force_terminal=terminal, width=width, color_system=None)
    print_inversion(console, read_inversion(folder), folder / "inversion.html")
    return stream.getvalue()


def test_images_are_inverted_by_a_generator_of_the_users_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["invert", "own.py:generator", "image0.png", "image1.png", *QUICK, "--restarts", "2"]
    assert main([*arguments, "--out", "found"]) == 0
    printed = capsys.readouterr()
    assert "own.py:generator" in printed.out.splitlines()[0]
    assert printed.out.endswith(f"Report: {Path('found') / 'inversion.html'}\n")
    assert "\x1b" not in printed.out + printed.err
    assert {path.name for path in (tmp_path / "found").iterdir()} == {
        *("inversion.json", "inversion.jsonl", "inversion.safetensors", "pictures.safetensors"),
        *("reconstructions", "animation.png", "inversion.html"),
    }
    records = [json.loads(line) for line in (tmp_path / "found" / "inversion.jsonl").read_text().splitlines()]
    assert [row["with"] for row in records if row["record"] == "image"] == [None, None]
    sentences = next(row["sentences"] for row in records if row["record"] == "summary")
    assert all(sentence in printed.out for sentence in sentences)


def test_a_run_is_inverted_in_its_folder(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    assert main(["invert", str(copy), "image0.png", *QUICK, "--restarts", "1"]) == 0
    printed = capsys.readouterr()
    assert "optimised" in printed.out
    assert "fresh, 2 draws" in printed.out
    assert (copy / "inversion" / "inversion.html").is_file()


@pytest.mark.parametrize("terminal", [True, False])
def test_numbers_and_sentences_are_printed_the_first_one_foremost(tmp_path: Path, terminal: bool) -> None:
    text = _printed(tmp_path, terminal=terminal)
    places = [
        text.index(words)
        for words in (
            "runs/rings",
            "median of 3",
            "27.50",
            f"\n{HEADLINE}\n",
            f"- {OTHER}",
        )
    ]
    assert places == sorted(places)
    assert text.endswith("inversion.html\n")


def test_a_terminal_shows_the_first_images_and_how_many_more_there_are(tmp_path: Path) -> None:
    text = _printed(tmp_path, terminal=True, width=80, images=40, size=4)
    assert f"and {40 - MOST_IMAGES} more, in the report" in text
    assert f"face {MOST_IMAGES - 1:02}.png" in text
    assert f"face {MOST_IMAGES:02}.png" not in text
    assert max(len(line) for line in text.splitlines() if not line.startswith("Report")) <= 80


def test_elsewhere_all_images_are_printed_and_lines_are_not_broken(tmp_path: Path) -> None:
    text = _printed(tmp_path, terminal=False, width=40, images=40, size=4)
    assert text.count("\nface 39.png ") == 1
    assert "- distance: pyramid distance, 4 levels\n" in text


def test_the_bar_shows_the_loss_and_the_time_left() -> None:
    console = make_console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    with EvaluateDisplay(console) as display:
        display.note("too early for a note")
        display.update("inverting", 10, 100)
        display.note("loss 0.0123, best 0.002")
        display.update("inverting", 20, 100)
        task = display.bars.tasks[0]
    assert task.fields["note"] == "loss 0.0123, best 0.002"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "missing from riemann-noise invert"),
        (["own.py:generator"], "there are no images to invert"),
        (["nowhere", "image0.png"], "there is nothing at nowhere"),
        (["digits", "image0.png"], "digits is a set of images"),
        (["own.py:generater", "image0.png"], "did you mean 'generator'?"),
        (["own.py:generator", "nowhere.png"], "unknown set of images 'nowhere.png'"),
        (["own.py:generator", "digits", "--no-resize"], "--no-resize has no meaning for digits"),
        (["own.py:generator", "image0.png", "--space", "w"], "has z alone; give --space z"),
        (["own.py:generator", "image0.png", "--noise", "optimised"], "--noise optimised needs noise maps"),
        (
            ["own.py:generator", "image0.png", "--recipe", "image2stylegan"],
            "recipe image2stylegan seeks latents in w+, but the generator has z alone",
        ),
        (["own.py:generator", "image0.png", "--steps", "0"], "--steps has 0"),
        (["own.py:generator", "image0.png", "--lr", "nan"], "--lr has nan"),
        (["own.py:generator", "image0.png", "--restarts", "0"], "--restarts is 0"),
        (["own.py:generator", "image0.png", "--mask", "nowhere.png"], "there is no mask at nowhere.png"),
        (["own.py:generator", "image0.png", "--vgg-weights", "vgg.pth"], "--vgg-weights has no meaning"),
        (["own.py:generator", "image0.png", "--z-dim", "9"], "z_dim is 9, but own.py:generator says 8"),
        (["own.py:generator", "image0.png", "--restart", "2"], "did you mean '--restarts'?"),
        (["own.py:generator", "image0.png", "--resume"], "holds no inversion to resume; check the path"),
        (["own.py:generator", "image0.png", "--out", "own.py"], "own.py exists and is not empty"),
    ],
)
def test_what_cannot_be_inverted_is_refused(
    arguments: list[str], words: str, tmp_path: Path, refused: Callable[..., str]
) -> None:
    before = {path.name for path in tmp_path.iterdir()}
    assert words.lower() in refused("invert", *arguments).lower()
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == before


def test_several_processes_are_refused(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "an inversion runs in one process" in refused("invert", "own.py:generator", "image0.png")


def test_help_explains_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["invert", "--help"])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    for option in ("--recipe", "--space", "--noise", "--restarts", "--mask", "--resume", "--out", "IMAGES"):
        assert option in printed
